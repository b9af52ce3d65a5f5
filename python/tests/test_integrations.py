"""Statuses of the exceptions and responses of other libraries (protocol 4.3, 4.4)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dispatch.integrations.http import http_response_code_status
from dispatch.status import Status, status_for_error, status_for_output

CODES = {
    400: Status.INVALID_ARGUMENT,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    408: Status.TIMEOUT,
    429: Status.THROTTLED,
    501: Status.PERMANENT_ERROR,
}


def test_a_response_code_has_a_status():
    for code in range(100, 600):
        by_class = {2: Status.OK, 5: Status.TEMPORARY_ERROR}.get(code // 100, Status.PERMANENT_ERROR)
        assert http_response_code_status(code) is CODES.get(code, by_class), code


@pytest.mark.parametrize("code", [-1, 0, 99, 600, 999])
def test_a_number_that_is_no_response_code_has_no_status(code):
    assert http_response_code_status(code) is Status.UNSPECIFIED


def test_httpx_exceptions_and_responses_have_a_status():
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://h")
    for code in (200, 404, 429, 503):
        response = httpx.Response(code, request=request)
        assert status_for_output(response) is http_response_code_status(code)
        error = httpx.HTTPStatusError("text", request=request, response=response)
        assert status_for_error(error) is http_response_code_status(code)
    assert status_for_error(httpx.InvalidURL("text")) is Status.INVALID_ARGUMENT
    assert status_for_error(httpx.UnsupportedProtocol("text")) is Status.INVALID_ARGUMENT
    assert status_for_error(httpx.ConnectTimeout("text")) is Status.TIMEOUT
    assert status_for_error(httpx.ConnectError("text")) is Status.TEMPORARY_ERROR
    assert status_for_error(httpx.StreamConsumed()) is Status.TEMPORARY_ERROR
    assert status_for_error(httpx.CookieConflict("text")) is Status.TEMPORARY_ERROR


def test_requests_exceptions_and_responses_have_a_status():
    requests = pytest.importorskip("requests")
    response = requests.Response()
    response.status_code = 403
    assert status_for_output(response) is Status.PERMISSION_DENIED
    assert status_for_error(requests.HTTPError(response=response)) is Status.PERMISSION_DENIED
    assert status_for_error(requests.HTTPError()) is Status.TEMPORARY_ERROR
    assert status_for_error(requests.ReadTimeout()) is Status.TIMEOUT
    assert status_for_error(requests.exceptions.InvalidURL()) is Status.INVALID_ARGUMENT
    assert status_for_error(requests.ConnectionError()) is Status.TEMPORARY_ERROR


def test_openai_exceptions_have_a_status():
    openai, httpx = pytest.importorskip("openai"), pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://h")
    response = httpx.Response(429, request=request)
    assert status_for_error(openai.APITimeoutError(request)) is Status.TIMEOUT
    assert status_for_error(openai.RateLimitError("text", response=response, body=None)) is Status.THROTTLED
    assert status_for_error(openai.APIConnectionError(request=request)) is Status.TEMPORARY_ERROR
    assert status_for_error(openai.OpenAIError()) is Status.TEMPORARY_ERROR


def test_slack_exceptions_and_responses_have_a_status():
    slack_errors = pytest.importorskip("slack_sdk.errors")
    from slack_sdk.web import SlackResponse

    response = SlackResponse(
        client=None, http_verb="GET", api_url="", req_args={}, data={}, headers={}, status_code=401
    )
    assert status_for_output(response) is Status.UNAUTHENTICATED
    assert status_for_error(slack_errors.SlackApiError("text", response)) is Status.UNAUTHENTICATED
    assert status_for_error(slack_errors.SlackApiError("text", None)) is Status.TEMPORARY_ERROR
    assert status_for_error(slack_errors.SlackClientError()) is Status.TEMPORARY_ERROR


def test_aiohttp_exceptions_have_a_status():
    aiohttp = pytest.importorskip("aiohttp")
    assert status_for_error(aiohttp.ClientConnectionError()) is Status.TCP_ERROR
    assert status_for_error(aiohttp.ServerDisconnectedError()) is Status.TCP_ERROR
    tls_error = aiohttp.ClientConnectorSSLError.__new__(aiohttp.ClientConnectorSSLError)
    assert status_for_error(tls_error) is Status.TLS_ERROR
    assert status_for_error(aiohttp.ClientPayloadError()) is Status.PERMANENT_ERROR


def test_a_class_derived_from_that_of_a_library_counts():
    httpx = pytest.importorskip("httpx")

    class Derived(httpx.TimeoutException):
        pass

    assert status_for_error(Derived("text")) is Status.TIMEOUT


def run(script):
    subprocess.run([sys.executable, "-c", script], check=True)


def test_no_library_is_imported_before_something_of_it_is_looked_up():
    run(
        "import sys\n"
        "import dispatch.integrations\n"
        "from dispatch.status import Status, status_for_error, status_for_output\n"
        "class Own(Exception): pass\n"
        "status_for_error(Own()); status_for_output(Own())\n"
        "loaded = {'httpx', 'requests', 'openai', 'slack_sdk', 'aiohttp'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )


def test_what_the_program_registers_for_a_library_stays():
    pytest.importorskip("httpx")
    run(
        "import httpx\n"
        "from dispatch.status import *\n"
        "register_error_type(httpx.HTTPError, Status.DNS_ERROR)\n"
        "assert status_for_error(httpx.ConnectError('')) is Status.DNS_ERROR\n"
        "assert status_for_error(httpx.InvalidURL('')) is Status.INVALID_ARGUMENT\n"
    )


def test_a_library_that_is_not_what_it_seems_is_left_out():
    run(
        "import sys, types\n"
        "fake = sys.modules['requests'] = types.ModuleType('requests')\n"
        "fake.Broken = type('Broken', (Exception,), {'__module__': 'requests'})\n"
        "from dispatch.status import *\n"
        "assert status_for_error(fake.Broken()) is Status.PERMANENT_ERROR\n"
    )
