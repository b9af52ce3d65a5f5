"""Statuses for slack_sdk: a response by its code, an exception by its response (protocol 4.4)."""

import slack_sdk.errors
import slack_sdk.web

from dispatch.integrations.http import http_response_code_status
from dispatch.status import Status, _register_integration


def slack_error_status(error: Exception) -> Status:
    """The status of an exception of slack_sdk."""
    response = error.response if isinstance(error, slack_sdk.errors.SlackApiError) else None
    code = getattr(response, "status_code", None)
    return Status.TEMPORARY_ERROR if code is None else http_response_code_status(code)


def slack_response_status(response: slack_sdk.web.SlackResponse) -> Status:
    """The status that a response stands for."""
    return http_response_code_status(response.status_code)


_register_integration(
    {slack_sdk.errors.SlackClientError: slack_error_status},
    {slack_sdk.web.SlackResponse: slack_response_status},
)
