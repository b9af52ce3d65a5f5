"""asyncio programs around dispatch: a runner for their event loop, and (`dispatch.asyncio.fastapi`) an async FastAPI
application."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["Runner"]


class Runner:
    """Runs coroutines one after another in one event loop of its own, as asyncio.Runner does, but with the loop made by
    the constructor. As a context manager it closes the loop at the end. Ctrl-C cancels the coroutine that runs."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._runner.get_loop()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels what still runs in the loop, awaits its end, and closes the loop."""
        self._runner.close()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop. RuntimeError after close."""
        return self._runner.get_loop()

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end; its value, or what it raises.

        Raises:
            ValueError: it is no coroutine.
            RuntimeError: an event loop runs already in this thread, or the runner is closed.
            KeyboardInterrupt: Ctrl-C, after the coroutine was cancelled.
        """
        is_coroutine: bool = inspect.iscoroutine(coro)
        if not is_coroutine:
            raise ValueError(f"a coroutine was expected, got {coro!r}")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            coro.close()
            raise RuntimeError("Runner.run() cannot be called from a running event loop")
        return self._runner.run(coro)
