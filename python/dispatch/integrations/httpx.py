"""Statuses for httpx: a response by its code, an exception by its class (protocol 4.4)."""

import httpx

from dispatch.integrations.http import http_response_code_status
from dispatch.status import Status, _register_integration


def httpx_error_status(error: Exception) -> Status:
    """The status of an exception of httpx."""
    if isinstance(error, httpx.HTTPStatusError):
        return httpx_response_status(error.response)
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return Status.INVALID_ARGUMENT
    if isinstance(error, httpx.TimeoutException):
        return Status.TIMEOUT
    return Status.TEMPORARY_ERROR


def httpx_response_status(response: httpx.Response) -> Status:
    """The status that a response stands for."""
    return http_response_code_status(response.status_code)


_register_integration(
    {
        error_type: httpx_error_status
        for error_type in (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict)
    },
    {httpx.Response: httpx_response_status},
)
