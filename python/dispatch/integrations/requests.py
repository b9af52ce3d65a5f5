"""Statuses for requests: a response by its code, an exception by its class (protocol 4.4)."""

import requests

from dispatch.integrations.http import http_response_code_status
from dispatch.status import Status, _register_integration


def requests_error_status(error: Exception) -> Status:
    """The status of an exception of requests."""
    if isinstance(error, requests.HTTPError):
        return Status.TEMPORARY_ERROR if error.response is None else requests_response_status(error.response)
    if isinstance(error, requests.Timeout):
        return Status.TIMEOUT
    if isinstance(error, ValueError):
        return Status.INVALID_ARGUMENT
    return Status.TEMPORARY_ERROR


def requests_response_status(response: requests.Response) -> Status:
    """The status that a response stands for."""
    return http_response_code_status(response.status_code)


_register_integration(
    {requests.RequestException: requests_error_status}, {requests.Response: requests_response_status}
)
