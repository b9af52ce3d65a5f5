"""How programs begin and end their event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


def refuse_in_a_loop(coro: Coroutine[Any, Any, Any] | None, message: str) -> None:
    """RuntimeError, and the coroutine closed, where an event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if coro is not None:
        coro.close()
    raise RuntimeError(message)


@contextmanager
def on_sigterm() -> Iterator[asyncio.Event]:
    """An event of the first SIGTERM; a second one has its usual effect.

    It never comes on threads other than the main one, nor where the program handles the signal itself."""
    terminated = asyncio.Event()
    is_ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not is_ours:
        yield terminated
        return
    loop = asyncio.get_running_loop()

    def on_first() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        terminated.set()

    loop.add_signal_handler(signal.SIGTERM, on_first)
    try:
        yield terminated
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
