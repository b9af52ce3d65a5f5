"""Functions in AWS Lambda."""

from __future__ import annotations

import base64
import contextvars
import inspect
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from endpoints import make_registry

import dispatch
from dispatch import Input, Output, Registry
from dispatch.any import marshal_any, unmarshal_any
from dispatch.experimental.lambda_handler import Dispatch
from dispatch.function import BlockingFunction
from dispatch.proto import Arguments
from dispatch.sdk.v1.function_pb2 import RunRequest, RunResponse
from dispatch.sdk.v1.poll_pb2 import PollResult
from dispatch.status import Status

ARN = "arn:aws:lambda:us-east-1:123456789012:function:app:v1"
CONTEXT = SimpleNamespace(invoked_function_arn=ARN)

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


def double(n: int) -> int:
    return 2 * n


async def quadruple(n: int) -> int:
    [twice] = await dispatch.gather(functions["double"](n))
    return 2 * twice


def whose() -> str:
    return tenant.get()


async def broken(input: Input) -> Output:
    raise LookupError("why")


functions: dict[str, Any] = {}


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = make_registry()
    functions["double"] = registry.function(double)
    for function in (quadruple, whose):
        registry.function(function)
    registry.primitive_function(broken)
    yield registry
    registry.close()


def event_of(*values: Any, **fields: Any) -> str:
    if values:
        fields["input"] = marshal_any(Arguments(values, {}))
    return base64.b64encode(RunRequest(**fields).SerializeToString()).decode()


def response_of(answer: bytes) -> RunResponse:
    text = json.loads(answer)
    assert isinstance(text, str)
    return RunResponse.FromString(base64.b64decode(text, validate=True))


def test_an_event_is_answered(registry: Registry) -> None:
    response = response_of(Dispatch(registry).handle(event_of(21, function="double"), CONTEXT))
    assert response.status == Status.OK
    assert unmarshal_any(response.exit.result.output) == 42


def test_the_arn_is_the_endpoint_of_the_calls_that_functions_make(registry: Registry) -> None:
    response = response_of(Dispatch(registry).handle(event_of(1, function="quadruple"), CONTEXT))
    assert [(call.function, call.endpoint) for call in response.poll.calls] == [("double", ARN)]


def test_without_an_arn_the_endpoint_stays(registry: Registry) -> None:
    context = SimpleNamespace(invoked_function_arn="")
    response = response_of(Dispatch(registry).handle(event_of(1, function="quadruple"), context))
    assert [call.endpoint for call in response.poll.calls] == ["http://127.0.0.1:9"]


def test_a_request_that_names_no_function_is_for_the_entrypoint(registry: Registry) -> None:
    response = response_of(Dispatch(registry).handle(event_of(21), CONTEXT, entrypoint="double"))
    assert unmarshal_any(response.exit.result.output) == 42


def test_a_request_that_names_a_function_is_not_for_the_entrypoint(registry: Registry) -> None:
    answer = Dispatch(registry).handle(event_of(21, function="double"), CONTEXT, entrypoint="quadruple")
    assert unmarshal_any(response_of(answer).exit.result.output) == 42


def test_the_context_of_the_handler_is_that_of_the_function(registry: Registry) -> None:
    token = tenant.set("somebody")
    try:
        response = response_of(Dispatch(registry).handle(event_of(function="whose"), CONTEXT))
    finally:
        tenant.reset(token)
    assert unmarshal_any(response.exit.result.output) == "somebody"


def test_a_state_that_cannot_be_decoded_is_an_answer(registry: Registry) -> None:
    event = event_of(function="quadruple", poll_result=PollResult(coroutine_state=b"junk"))
    assert response_of(Dispatch(registry).handle(event, CONTEXT)).status == Status.INCOMPATIBLE_STATE


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("", "^event is required$"),
        ("not base64!", "^event is not base64 encoded$"),
        ("////", "^event is not a run request"),
        (event_of(dispatch_id="1"), "^function is required$"),
        (event_of(function="unknown"), "^function unknown not found$"),
    ],
)
def test_what_is_no_request_is_a_value_error(registry: Registry, event: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dispatch(registry).handle(event, CONTEXT)


def test_what_a_primitive_function_raises_fails_the_invocation(registry: Registry) -> None:
    with pytest.raises(LookupError, match="why"):
        Dispatch(registry).handle(event_of(function="broken"), CONTEXT)


def test_its_functions_block(registry: Registry) -> None:
    assert isinstance(Dispatch(registry).function(lambda: 1), BlockingFunction)


def test_the_names_of_the_parameters_are_those_of_the_original() -> None:
    assert list(inspect.signature(Dispatch).parameters) == ["registry"]
    assert list(inspect.signature(Dispatch.handle).parameters) == ["self", "event", "context", "entrypoint"]
