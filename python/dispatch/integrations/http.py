"""HTTP response codes as statuses (protocol 4.3)."""

from dispatch.status import Status

_CODES = {
    400: Status.INVALID_ARGUMENT,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    408: Status.TIMEOUT,
    429: Status.THROTTLED,
    501: Status.PERMANENT_ERROR,
}
_CLASSES = {
    1: Status.PERMANENT_ERROR,
    2: Status.OK,
    3: Status.PERMANENT_ERROR,
    4: Status.PERMANENT_ERROR,
    5: Status.TEMPORARY_ERROR,
}


def http_response_code_status(code: int) -> Status:
    """The status that an HTTP response code stands for; UNSPECIFIED for a number outside 100 to 599."""
    return _CODES.get(code) or _CLASSES.get(code // 100, Status.UNSPECIFIED)
