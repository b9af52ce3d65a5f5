"""How a run of a function ended, and which exceptions and return values mean which end (protocol 4.1)."""

from __future__ import annotations

import enum
import errno
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dispatch.sdk.v1 import status_pb2


@enum.unique
class Status(int, enum.Enum):
    """The end of one run of a function. Members are ints: the numbers of the protocol (protocol 4.1)."""

    UNSPECIFIED = 0
    OK = 1
    TIMEOUT = 2
    THROTTLED = 3
    INVALID_ARGUMENT = 4
    INVALID_RESPONSE = 5
    TEMPORARY_ERROR = 6
    PERMANENT_ERROR = 7
    INCOMPATIBLE_STATE = 8
    DNS_ERROR = 9
    TCP_ERROR = 10
    TLS_ERROR = 11
    HTTP_ERROR = 12
    UNAUTHENTICATED = 13
    PERMISSION_DENIED = 14
    NOT_FOUND = 15

    def __repr__(self) -> str:
        return self._name_

    def __str__(self) -> str:
        return self._name_

    @property
    def temporary(self) -> bool:
        """True if the server runs the function again after this status (protocol 4.1)."""
        return self._value_ in _TEMPORARY

    @property
    def _proto(self) -> status_pb2.Status:
        return cast("status_pb2.Status", self._value_)


_TEMPORARY = frozenset(
    status.value
    for status in (
        Status.TIMEOUT,
        Status.THROTTLED,
        Status.TEMPORARY_ERROR,
        Status.INCOMPATIBLE_STATE,
        Status.DNS_ERROR,
        Status.TCP_ERROR,
        Status.TLS_ERROR,
        Status.HTTP_ERROR,
    )
)

for _status, _text in {
    Status.UNSPECIFIED: "Nothing is known; final.",
    Status.OK: "The function returned; final.",
    Status.TIMEOUT: "Something took too long; runs again.",
    Status.THROTTLED: "A resource asks for a lower rate; runs again.",
    Status.INVALID_ARGUMENT: "The input is of no use; final.",
    Status.INVALID_RESPONSE: "An answer makes no sense; final.",
    Status.TEMPORARY_ERROR: "A failure that may pass; runs again.",
    Status.PERMANENT_ERROR: "A failure that will not pass; final.",
    Status.INCOMPATIBLE_STATE: "The saved state is of other code; runs again from its input.",
    Status.DNS_ERROR: "A host name was not resolved; runs again.",
    Status.TCP_ERROR: "A connection failed; runs again.",
    Status.TLS_ERROR: "A connection could not be secured; runs again.",
    Status.HTTP_ERROR: "An HTTP exchange failed; runs again.",
    Status.UNAUTHENTICATED: "Credentials are missing or wrong; final.",
    Status.PERMISSION_DENIED: "Credentials do not suffice; final.",
    Status.NOT_FOUND: "Something does not exist; final.",
}.items():
    _status.__doc__ = _text

ErrorStatus = Status | Callable[[Any], Status]
"""A status, or what makes one of the exception (or value) that it is called with."""

_error_types: dict[type[Any], ErrorStatus] = {}
_output_types: dict[type[Any], ErrorStatus] = {}

# Top-level module of a library -> module that registers its types, imported when the first of them is looked
# up. Entries leave when they have been imported.
_integrations = {
    "aiohttp": "dispatch.integrations.aiohttp",
    "httpx": "dispatch.integrations.httpx",
    "openai": "dispatch.integrations.openai",
    "requests": "dispatch.integrations.requests",
    "slack_sdk": "dispatch.integrations.slack",
}

# Return values that no library owns: the common ones need no look-up.
_plain_types: set[type[Any]] = {type(None), bool, int, float, str, bytes, list, dict, tuple, set}

# Kinds of OSError without a class of their own; all of them are temporary either way (protocol 4.4).
_network_errnos = frozenset(
    (
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
    )
)


def status_for_error(error: BaseException) -> Status:
    """The status of a run that ended with this exception (protocol 4.4).

    The registered type that is nearest in the exception's method resolution order decides, else Python's own
    classes; what is left is PERMANENT_ERROR. Raises only what a registered handler raises.
    """
    registered = _find(type(error), _error_types)
    if registered is None:
        return _status_for_builtin(error)
    return registered if isinstance(registered, Status) else registered(error)


def status_for_output(output: Any) -> Status:
    """The status of a run that returned this value: that of the nearest registered type, else OK."""
    cls = type(output)
    if cls in _plain_types:
        return Status.OK
    registered = _find(cls, _output_types)
    if registered is None:
        return Status.OK
    return registered if isinstance(registered, Status) else registered(output)


def register_error_type(
    error_type: type[BaseException], status_or_handler: Status | Callable[[Any], Status]
) -> None:
    """Give exceptions of a class (and of its subclasses) a status, or a handler that returns their status.

    Registering a class again replaces what it had.
    """
    _error_types[error_type] = status_or_handler


def register_output_type(
    output_type: type[Any], status_or_handler: Status | Callable[[Any], Status]
) -> None:
    """Give return values of a class (and of its subclasses) a status, or a handler that returns their status.

    Registering a class again replaces what it had.
    """
    _output_types[output_type] = status_or_handler
    _plain_types.difference_update([plain for plain in _plain_types if issubclass(plain, output_type)])


def _register_integration(
    error_types: Mapping[type[BaseException], ErrorStatus], output_types: Mapping[type[Any], ErrorStatus]
) -> None:
    """Register the types of a library. What the program has registered itself stays."""
    for error_type, status in error_types.items():
        _error_types.setdefault(error_type, status)
    for output_type, status in output_types.items():
        _output_types.setdefault(output_type, status)


def _find(cls: type[Any], registered: dict[type[Any], ErrorStatus]) -> ErrorStatus | None:
    if _integrations:
        for base in cls.__mro__:
            root = str(base.__module__).partition(".")[0]
            if root in _integrations:
                _load_integration(root)
    for base in cls.__mro__:
        status = registered.get(base)
        if status is not None:
            return status
    return None


def _load_integration(root: str) -> None:
    module = _integrations.get(root)
    if module is None:
        return
    try:
        importlib.import_module(module)
    except (ImportError, AttributeError) as error:
        import logging

        logging.getLogger(__name__).debug("the types of %s are not registered: %s", root, error)
    _integrations.pop(root, None)


def _status_for_builtin(error: BaseException) -> Status:
    if isinstance(error, TimeoutError):
        return Status.TIMEOUT
    if _is_of_module(error, "ssl", "SSLError") or _is_of_module(error, "ssl", "CertificateError"):
        return Status.TLS_ERROR
    if isinstance(error, (TypeError, ValueError)):
        return Status.INVALID_ARGUMENT
    if isinstance(error, ConnectionError):
        return Status.TCP_ERROR
    if isinstance(error, PermissionError):
        return Status.PERMISSION_DENIED
    if isinstance(error, FileNotFoundError):
        return Status.NOT_FOUND
    if isinstance(error, OSError):
        return _status_for_os_error(error)
    if isinstance(error, (EOFError, KeyboardInterrupt)):
        return Status.TEMPORARY_ERROR
    return Status.PERMANENT_ERROR


def _status_for_os_error(error: OSError) -> Status:
    if _is_of_module(error, "socket", "gaierror"):
        return Status.DNS_ERROR
    return Status.TCP_ERROR if error.errno in _network_errnos else Status.TEMPORARY_ERROR


def _is_of_module(error: BaseException, module: str, name: str) -> bool:
    """Is this an exception of a class of a module? A module that nobody imported has raised nothing."""
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(error, cls)
