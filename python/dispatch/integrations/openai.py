"""Statuses for openai: an exception by its class or the code of its response (protocol 4.4)."""

import openai

from dispatch.integrations.http import http_response_code_status
from dispatch.status import Status, _register_integration


def openai_error_status(error: Exception) -> Status:
    """The status of an exception of openai."""
    if isinstance(error, openai.APITimeoutError):
        return Status.TIMEOUT
    if isinstance(error, openai.APIStatusError):
        return http_response_code_status(error.status_code)
    return Status.TEMPORARY_ERROR


_register_integration({openai.OpenAIError: openai_error_status}, {})
