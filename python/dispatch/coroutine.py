"""What a coroutine function awaits so that it can be suspended, saved, and resumed on another machine.

Each function here returns a durable awaitable. Awaited in a dispatch function, it hands a directive to the scheduler
(`dispatch.scheduler`), which suspends the function until there is a result. Awaitables given to `gather`, `any`, `race`
and `wait_for` must be durable too: these ones, calls of dispatch functions, or coroutines of `@durable` functions.

Outside of dispatch functions the same names work as asyncio's do, but `call`, which needs a function that makes it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from dispatch._scheduler_context import clock, driving, in_function_call, nanoseconds, now
from dispatch.proto import Call

__all__ = [
    "AllDirective",
    "AnyDirective",
    "AnyException",
    "RaceDirective",
    "SleepDirective",
    "Step",
    "WaitForDirective",
    "all",
    "any",
    "call",
    "clock",
    "gather",
    "now",
    "race",
    "sleep",
    "wait_for",
]

P = ParamSpec("P")
T = TypeVar("T")

FOREIGN_DRIVER = (
    "a dispatch call was started by an asyncio task, which cannot be suspended durably: "
    "use dispatch.gather() and dispatch.wait_for() instead of asyncio.gather(), asyncio.wait_for() and tasks"
)
NOT_IN_A_FUNCTION = "a call can only be awaited like this in a dispatch function"

_SAVED, _FRESH, _WAITING, _DONE, _OUTSIDE = range(-1, 4)
"""Saved: still fresh, and a copy of it lives in a state. Outside: the directive is a coroutine of asyncio's."""


@dataclass(slots=True)
class AllDirective:
    """Run these concurrently; the result is the list of their results, or the first error."""

    awaitables: tuple[Awaitable[Any], ...]


@dataclass(slots=True)
class AnyDirective:
    """Run these concurrently; the result is that of the first to succeed, or an AnyException."""

    awaitables: tuple[Awaitable[Any], ...]


@dataclass(slots=True)
class RaceDirective:
    """Run these concurrently; the result is that of the first to finish, value or error."""

    awaitables: tuple[Awaitable[Any], ...]


@dataclass(slots=True)
class SleepDirective:
    """Suspend for that many nanoseconds."""

    duration_ns: int


@dataclass(slots=True)
class WaitForDirective:
    """Run this one; after `timeout_ns` nanoseconds (None: never) give it up and raise dispatch.error.TimeoutError."""

    awaitable: Awaitable[Any]
    timeout_ns: int | None


class AnyException(RuntimeError):
    """All awaitables given to `any` failed. `exceptions` has their errors, in the order of the arguments."""

    __slots__ = ("exceptions",)

    def __init__(self, exceptions: list[Exception]):
        super().__init__(exceptions)
        self.exceptions = exceptions

    def __str__(self) -> str:
        return f"{len(self.exceptions)} coroutine(s) failed with an exception"


class Step(Coroutine[Any, Any, T]):
    """A durable awaitable of one step: it yields its directive, and returns what it is resumed with.

    It is an object without a frame, so that what awaits it saves as little as possible: once the directive is with the
    scheduler, nothing of it is left in a saved state.
    """

    __slots__ = ("_directive", "_phase", "__weakref__")

    def __init__(self, directive: Any, phase: int = _FRESH):
        self._directive = directive
        self._phase = phase

    def start(self) -> Any:
        """Takes the directive, once; RuntimeError when it was taken before."""
        if self._phase > _FRESH:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._phase = _WAITING
        directive, self._directive = self._directive, None
        return directive

    def __await__(self) -> Step[T]:
        if self._phase > _FRESH:
            raise RuntimeError("cannot reuse already awaited coroutine")
        return self

    def __iter__(self) -> Step[T]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """As of every coroutine: None first, which yields the directive, then the result, which is returned."""
        if self._phase <= _FRESH:
            if driving.active or not _in_task():
                return self.start()
            self._go_outside()
        if self._phase == _OUTSIDE:
            return self._directive.send(value)
        if self._phase == _DONE:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._phase = _DONE
        raise StopIteration(value)

    def _go_outside(self) -> None:
        from dispatch._scheduler_outside import follow

        directive = self.start()
        coroutine = None if in_function_call() else follow(directive)
        if coroutine is None:
            self._phase = _DONE
            _close_awaitables(directive)
            raise RuntimeError(FOREIGN_DRIVER if in_function_call() else NOT_IN_A_FUNCTION)
        self._directive = coroutine
        self._phase = _OUTSIDE

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """Ends it with the exception."""
        if isinstance(typ, BaseException):
            error = typ
        elif isinstance(val, typ):
            error = val
        else:
            error = typ() if val is None else typ(val)
        if tb is not None:
            error = error.with_traceback(tb)
        if self._phase == _OUTSIDE:
            return self._directive.throw(error)
        self._phase = _DONE
        self._directive = None
        raise error

    def close(self) -> None:
        """Ends it without a result."""
        if self._phase == _OUTSIDE:
            self._directive.close()
        elif self._phase <= _FRESH:
            _close_awaitables(self._directive)
        self._phase = _DONE
        self._directive = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._phase <= _FRESH:
            self._phase = _SAVED
            return Step, (self._directive,)
        return Step, (None, self._phase)

    def __repr__(self) -> str:
        return f"<dispatch step {self._directive!r}>" if self._phase <= _FRESH else "<dispatch step>"

    def __del__(self) -> None:
        if self._phase == _FRESH:
            warnings.warn(f"{self!r} was never awaited", RuntimeWarning, stacklevel=2)
        if self._phase <= _FRESH:
            _close_awaitables(self._directive)


def _in_task() -> bool:
    """Whether an asyncio task drives the caller. Driven by hand, as in tests, there is none."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.current_task() is not None
    except RuntimeError:
        return False


def _close_awaitables(directive: Any) -> None:
    for awaitable in getattr(directive, "awaitables", ()):
        if (close := getattr(awaitable, "close", None)) is not None:
            close()


def _durable(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Tells type checkers that what the function returns must be awaited."""
    return function  # type: ignore[return-value]


@_durable
def call(call: Call) -> Any:
    """Calls a function; its result, or its error raised."""
    return Step(call)


@_durable
def all(*awaitables: Awaitable[Any]) -> list[Any]:
    """Runs awaitables concurrently; the list of their results, in the order of the arguments.

    The first error is raised at once; the others run on, and what they return is dropped. Of nothing: an empty list.
    """
    return Step(AllDirective(awaitables))  # type: ignore[return-value]


@_durable
def gather(*awaitables: Awaitable[Any]) -> list[Any]:
    """The same as `all`, by the name that asyncio gives it."""
    return Step(AllDirective(awaitables))  # type: ignore[return-value]


@_durable
def any(*awaitables: Awaitable[Any]) -> Any:
    """Runs awaitables concurrently; the result of the first to succeed. The others run on, and what they return is
    dropped.

    Raises the error if there is but one awaitable and it fails, AnyException if all of several fail or there are none.
    """
    return Step(AnyDirective(awaitables))


@_durable
def race(*awaitables: Awaitable[Any]) -> Any:
    """Runs awaitables concurrently; the result of the first to finish, or its error raised. The others run on, and what
    they return is dropped. Of several whose results arrive together, the one whose result the server sent first wins.

    Raises ValueError when there are no awaitables.
    """
    return Step(RaceDirective(awaitables))


@_durable
def sleep(duration: float | timedelta) -> None:
    """Suspends the function for that time, in seconds or as a timedelta; nothing of it stays in memory meanwhile.

    A call that sleeps still expires: the time counts into its expiration (protocol 5.10).
    """
    return Step(SleepDirective(nanoseconds(duration)))  # type: ignore[return-value]


def wait_for(awaitable: Awaitable[T], timeout: float | timedelta | None) -> Awaitable[T]:
    """Awaits with a limit of time, in seconds or as a timedelta; None is no limit.

    Raises dispatch.error.TimeoutError when the time is over first. The awaitable is then closed; calls that it made run
    on, and their results are dropped.
    """
    return Step(WaitForDirective(awaitable, None if timeout is None else nanoseconds(timeout)))


