"""Exceptions with a status of their own. Raise one to end a run with that status (protocol 4.1, 4.4)."""

from __future__ import annotations

import builtins

from dispatch.status import Status, register_error_type


class DispatchError(Exception):
    """Base class of the exceptions that say how a run ended. A subclass sets `_status`."""

    _status = Status.UNSPECIFIED


class TimeoutError(DispatchError, builtins.TimeoutError):
    """Something took too long. The function runs again."""

    _status = Status.TIMEOUT


class ThrottleError(DispatchError):
    """A resource asks for a lower rate. The function runs again, later."""

    _status = Status.THROTTLED


class InvalidArgumentError(DispatchError, ValueError):
    """The input of a function is of no use: running it again would not help."""

    _status = Status.INVALID_ARGUMENT


class InvalidResponseError(DispatchError, ValueError):
    """An answer makes no sense: running the function again would not help."""

    _status = Status.INVALID_RESPONSE


class TemporaryError(DispatchError):
    """A failure that may pass and has no class of its own. The function runs again."""

    _status = Status.TEMPORARY_ERROR


class PermanentError(DispatchError):
    """A failure that will not pass and has no class of its own. The function does not run again."""

    _status = Status.PERMANENT_ERROR


class CanceledError(DispatchError):
    """A call was canceled before it was done. Its caller does not run again because of that."""

    _status = Status.PERMANENT_ERROR


class IncompatibleStateError(DispatchError):
    """A saved state was made by another program or interpreter. The function starts again from its input."""

    _status = Status.INCOMPATIBLE_STATE


class DNSError(DispatchError, ConnectionError):
    """A host name was not resolved. The function runs again."""

    _status = Status.DNS_ERROR


class TCPError(DispatchError, ConnectionError):
    """A connection failed. The function runs again."""

    _status = Status.TCP_ERROR


class TLSError(DispatchError, ConnectionError):
    """A connection could not be secured. The function runs again."""

    _status = Status.TLS_ERROR


class HTTPError(DispatchError, ConnectionError):
    """An HTTP exchange failed. The function runs again."""

    _status = Status.HTTP_ERROR


class UnauthenticatedError(DispatchError):
    """Credentials are missing or wrong. The function does not run again."""

    _status = Status.UNAUTHENTICATED


class PermissionDeniedError(DispatchError, PermissionError):
    """Credentials do not suffice. The function does not run again."""

    _status = Status.PERMISSION_DENIED


class NotFoundError(DispatchError):
    """Something does not exist. The function does not run again."""

    _status = Status.NOT_FOUND


def dispatch_error_status(error: DispatchError) -> Status:
    """The status of an exception of this family."""
    return error._status


register_error_type(DispatchError, dispatch_error_status)
