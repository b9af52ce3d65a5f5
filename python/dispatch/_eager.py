"""Coroutines that are started at once, before 3.12 has eager tasks: most runs never wait, and a task for each would cost as
much as the run.

A *host* is a task that waits to be handed a coroutine. The coroutine's first step is made for it, with the host as the
current task; if it ends there, the host is free for the next one. If not, it is handed over and goes on in the host.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task  # documented in "Extending asyncio"
from collections.abc import Coroutine, Generator
from typing import Any


class Starter:
    """Starts coroutines in a loop, from callbacks of that loop. What they raise is the business of their own."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._context = contextvars.copy_context()
        self._host: asyncio.Task[None] | None = None
        self._handover: asyncio.Future[tuple[Coroutine[Any, Any, None], Any]] | None = None

    def start(self, coro: Coroutine[Any, Any, None]) -> None:
        """Makes its first step, and the others later."""
        if self._host is None or self._handover is None:
            self._context = self._context.copy()  # one that is not entered by a host that waits
            self._handover = self._loop.create_future()
            self._host = self._loop.create_task(_be_host(self._handover), context=self._context)
        host, handover = self._host, self._handover
        _enter_task(self._loop, host)
        try:
            waits_for = self._context.run(coro.send, None)
        except StopIteration:
            return
        finally:
            _leave_task(self._loop, host)
        self._host = self._handover = None
        handover.set_result((coro, waits_for))

    def close(self) -> None:
        """Ends the host that nothing was handed to."""
        if self._host is not None:
            self._host.cancel()
        self._host = self._handover = None


async def _be_host(handover: asyncio.Future[tuple[Coroutine[Any, Any, None], Any]]) -> None:
    await _Going(*await handover)


class _Going:
    """The rest of a coroutine that has yielded something to its task."""

    def __init__(self, coro: Coroutine[Any, Any, None], waits_for: Any):
        self._coro = coro
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        coro, waits_for = self._coro, self._waits_for
        while True:
            try:
                value = yield waits_for
            except BaseException as error:
                thrown: BaseException | None = error
            else:
                thrown = None
            try:
                waits_for = coro.send(value) if thrown is None else coro.throw(thrown)
            except StopIteration:
                return
