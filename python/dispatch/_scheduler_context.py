"""What a running function is told by its surroundings: that it runs, who drives it, and what time it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta

NS_PER_SECOND = 1_000_000_000

_in_function_call: ContextVar[bool] = ContextVar("dispatch.scheduler.in_function_call", default=False)

clock: ContextVar[Callable[[], int]] = ContextVar("dispatch.coroutine.clock", default=time.time_ns)
"""Returns the time in nanoseconds since 1970-01-01 UTC. Test mode sets its virtual clock here, around a run."""


def in_function_call() -> bool:
    """Whether the caller runs inside a dispatch function, where awaiting a call suspends the function."""
    return _in_function_call.get()


def now() -> float:
    """Seconds since 1970-01-01 UTC, by the clock that `sleep` and `wait_for` go by; virtual in test mode."""
    return clock.get()() / NS_PER_SECOND


def nanoseconds(duration: float | timedelta) -> int:
    """A duration in seconds, or a timedelta, in nanoseconds; what is negative counts as none.

    Raises ValueError when it is no number, OverflowError when it is infinite.
    """
    if isinstance(duration, timedelta):
        length = (duration // timedelta(microseconds=1)) * 1000
    elif isinstance(duration, int):
        length = duration * NS_PER_SECOND
    else:
        length = round(duration * NS_PER_SECOND)
    return max(0, length)


class _Driving(threading.local):
    active: bool = False


driving = _Driving()
"""Per thread: `active` while a scheduler runs a step of a function. A durable awaitable that takes its first step
while it is not is being driven by somebody else, for example by the tasks that asyncio.gather makes."""
