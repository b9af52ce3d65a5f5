"""Statuses for aiohttp: a connection that failed or could not be secured (protocol 4.4)."""

import aiohttp

from dispatch.status import Status, _register_integration

_error_types: dict[type[BaseException], Status] = {
    aiohttp.ClientConnectionError: Status.TCP_ERROR,
    aiohttp.ClientSSLError: Status.TLS_ERROR,
}
if hasattr(aiohttp, "ClientConnectorDNSError"):  # since 3.10.8
    _error_types[aiohttp.ClientConnectorDNSError] = Status.DNS_ERROR

_register_integration(_error_types, {})
