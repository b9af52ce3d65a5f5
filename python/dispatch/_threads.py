"""What blocks, beside an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a function on a daemon thread of its own; what it returns or raises.

    Not on the loop's pool: functions of the program may have taken all of its threads, and may wait for this one. When the
    caller is cancelled the thread goes on, and nobody waits for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            tell(value)

    def work() -> None:
        told: tuple[Callable[[Any], None], Any]
        try:
            told = future.set_result, function(*args, **kwargs)
        except BaseException as error:
            told = future.set_exception, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, *told)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="dispatch-blocking", daemon=True).start()
    return await future
