"""Runs a scheduler by hand, as a server would: starts calls, looks into polls, resumes with results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dispatch.any import unmarshal_any
from dispatch.coroutine import call, gather
from dispatch.experimental.durable import durable
from dispatch.proto import Call, CallResult, Error, Input, Output
from dispatch.scheduler import OneShotScheduler, State
from dispatch.sdk.v1.call_pb2 import CallResult as WireResult
from dispatch.sdk.v1.function_pb2 import RunRequest
from dispatch.sdk.v1.poll_pb2 import Poll, PollResult
from dispatch.status import Status


T = TypeVar("T")


@durable
async def ask(function: str) -> Any:
    return await call(Call(function=function))


@durable
async def ask_all(*functions: str) -> Any:
    return await gather(*[ask(function) for function in functions])


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def start(main: Callable[..., Any], *args: Any, **kwargs: Any) -> Output:
    return run(start_async(main, *args, **kwargs))


async def start_async(main: Callable[..., Any], *args: Any, **kwargs: Any) -> Output:
    return await OneShotScheduler(main).run(Input.from_input_arguments("main", *args, **kwargs))


def resume_input(output: Output, results: list[CallResult], error: Exception | None = None) -> Input:
    result = PollResult(
        typed_coroutine_state=poll(output).typed_coroutine_state,
        results=[result._as_proto() for result in results],
        error=None if error is None else Error.from_exception(error)._as_proto(),
    )
    return Input(RunRequest(function="main", poll_result=result))


def resume(
    main: Callable[..., Any], output: Output, results: list[CallResult] | None = None, error: Exception | None = None
) -> Output:
    return run(OneShotScheduler(main).run(resume_input(output, results or [], error)))


def poll(output: Output) -> Poll:
    assert output._message.HasField("poll"), output
    assert not output._message.HasField("exit")
    return output._message.poll


def functions(output: Output) -> list[str]:
    return [made.function for made in poll(output).calls]


def ids(output: Output) -> dict[str, int]:
    return {made.function: made.correlation_id for made in poll(output).calls}


def answers(output: Output) -> list[CallResult]:
    """Each call's result is its function's name."""
    return [CallResult.from_value(made.function, made.correlation_id) for made in poll(output).calls]


def failure(correlation_id: int, error: Exception) -> CallResult:
    return CallResult.from_error(Error.from_exception(error), correlation_id)


def state(output: Output) -> State:
    saved = unmarshal_any(poll(output).typed_coroutine_state)
    assert isinstance(saved, State)
    return saved


def max_wait_ns(output: Output) -> int | None:
    return poll(output).max_wait.ToNanoseconds() if poll(output).HasField("max_wait") else None


def result(output: Output) -> WireResult:
    assert output._message.HasField("exit"), output
    return output._message.exit.result


def value(output: Output) -> Any:
    ended = result(output)
    assert not ended.HasField("error"), ended.error.traceback.decode()
    return unmarshal_any(ended.output) if ended.HasField("output") else None


def exception(output: Output) -> Exception:
    ended = result(output)
    assert ended.HasField("error"), output
    return Error._from_proto(ended.error).to_exception()


def status(output: Output) -> Status:
    return Status(output._message.status)
