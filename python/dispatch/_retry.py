"""How often a function is tried again, and after what. Public face: `dispatch.retry`.

Without a policy the server decides: what is temporary is tried again until the call expires (protocol 4.2). With one the
function does: a failed attempt becomes a poll without calls whose max_wait is the pause, and whose state has the number of
the attempt and the first input. So attempts are counted over crashes, and the server needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from dispatch._scheduler_context import NS_PER_SECOND, clock, nanoseconds
from dispatch.any import marshal_into
from dispatch.error import IncompatibleStateError
from dispatch.proto import Error, Input, Output
from dispatch.sdk.v1.function_pb2 import RunRequest
from dispatch.sdk.v1.status_pb2 import STATUS_PERMANENT_ERROR
from dispatch.status import Status

ATTEMPTS_MAX = 1000
POLICY = "__dispatch_retry__"

_CALLS_OF_AN_ATTEMPT = 1 << 20
"""Each attempt numbers its calls from a place of its own, so that results of an attempt that was given up fit no other."""

F = TypeVar("F", bound=Callable[..., Any])


class Primitive(Protocol):
    """A primitive function that can be told the number of its first call."""

    def __call__(self, input: Input, first_call_id: int = 1) -> Awaitable[Output]: ...


@dataclass(frozen=True, slots=True)
class Retry:
    """A policy; see `retry`."""

    attempts: int
    backoff_ns: int
    factor: float
    maximum_ns: int
    on: tuple[type[BaseException], ...] | None

    def pause_ns(self, attempt: int) -> int:
        """How long to wait after that attempt."""
        exponent = min(attempt - 1, 64)  # more than any maximum
        return int(min(self.backoff_ns * self.factor**exponent, self.maximum_ns))


@dataclass(slots=True)
class RetryState:
    """What the poll of a function with a policy remembers.

    Attributes:
        attempt: the one that runs, or is about to; from 1.
        input: the serialized Any of the call's input; empty without one.
        inner: the serialized Any of the function's own state; None when the attempt has not begun.
        start_ns: when it may begin.
    """

    attempt: int
    input: bytes
    inner: bytes | None
    start_ns: int


def retry(
    attempts: int,
    *,
    backoff: float | timedelta = 1.0,
    factor: float = 2.0,
    maximum: float | timedelta = 60.0,
    on: type[BaseException] | tuple[type[BaseException], ...] | None = None,
) -> Callable[[F], F]:
    """Decorator, below `function`: tries the function again when it fails, so often and no more.

        @dispatch.function
        @dispatch.retry(attempts=5, backoff=0.5, on=ConnectionError)
        async def fetch(url: str) -> bytes: ...

    Args:
        attempts: at most, the first one included; 1 to 1000.
        backoff: pause after the first attempt, in seconds or as a timedelta.
        factor: by which each further pause is longer.
        maximum: of a pause.
        on: exceptions to try again after; None are those that are temporary (protocol 4.4).

    The last error, or one that `on` does not name, ends the call, temporary or not.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 1 <= attempts <= ATTEMPTS_MAX:
        raise ValueError(f"attempts must be 1 to {ATTEMPTS_MAX}, not {attempts}")
    if factor < 1:
        raise ValueError(f"factor must be at least 1, not {factor}")
    types = on if on is None or isinstance(on, tuple) else (on,)
    policy = Retry(attempts, nanoseconds(backoff), factor, nanoseconds(maximum), types)

    def decorate(func: F) -> F:
        func.__dict__[POLICY] = policy
        return func

    return decorate


async def run_with(policy: Retry, primitive: Primitive, input: Input) -> Output:
    """One run of a primitive function under a policy."""
    try:
        state = _state_of(input)
    except IncompatibleStateError as error:
        return Output.error(Error.from_exception(error))
    if state.inner is None and clock.get()() < state.start_ns:
        return _pause(state)  # woken by results of an attempt that was given up
    first_call_id = (state.attempt - 1) * _CALLS_OF_AN_ATTEMPT + 1
    output = await primitive(_input_of(input, state), first_call_id)
    message = output._message
    if message.HasField("poll"):
        inner = message.poll.typed_coroutine_state.SerializeToString()
        state = RetryState(state.attempt, state.input, inner, 0)
        message.poll.ClearField("typed_coroutine_state")
        marshal_into(message.poll.typed_coroutine_state, state)
        return output
    status = Status(message.status)
    if not message.exit.result.HasField("error") or status is Status.INCOMPATIBLE_STATE:
        return output
    if state.attempt < policy.attempts and _is_wanted(policy, output):
        start_ns = clock.get()() + policy.pause_ns(state.attempt)
        return _pause(RetryState(state.attempt + 1, state.input, None, start_ns))
    if status.temporary:
        message.status = STATUS_PERMANENT_ERROR
    return output


def _state_of(input: Input) -> RetryState:
    if input.is_first_call:
        request = input._req
        first = request.input.SerializeToString() if request.HasField("input") else b""
        return RetryState(1, first, None, 0)
    state = input.coroutine_state
    if not isinstance(state, RetryState):
        raise IncompatibleStateError("the state was saved before the function had a policy of retries")
    return state


def _input_of(input: Input, state: RetryState) -> Input:
    """What the function itself is run with."""
    if input.is_first_call:
        return input
    request = RunRequest()
    request.CopyFrom(input._req)
    if state.inner is not None:
        request.poll_result.typed_coroutine_state.ParseFromString(state.inner)
    else:
        request.ClearField("poll_result")
        if state.input:
            request.input.ParseFromString(state.input)
    return Input(request)


def _is_wanted(policy: Retry, output: Output) -> bool:
    message = output._message
    if policy.on is None:
        return Status(message.status).temporary
    return isinstance(Error._from_proto(message.exit.result.error).to_exception(), policy.on)


def _pause(state: RetryState) -> Output:
    output = Output.poll(coroutine_state=state)
    left_ns = max(state.start_ns - clock.get()(), NS_PER_SECOND // 1_000_000)
    output._message.poll.max_wait.FromNanoseconds(left_ns)
    return output
