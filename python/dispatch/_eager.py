"""Coroutines that are started at once, before 3.12 has eager tasks: most runs never wait, and a task for each would cost as
much as the run.

A *host* is a task that waits to be handed a coroutine. The coroutine's first step is made for it, with the host as the
current task; if it ends there, the host is free for the next one, unless somebody keeps or has cancelled it: a task is never
seen by two runs. If not, it is handed over and goes on in the host.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import types
from asyncio.tasks import _enter_task, _leave_task  # documented in "Extending asyncio"
from collections.abc import Coroutine, Generator
from typing import Any


class Starter:
    """Starts coroutines in a loop, from callbacks of that loop. What they raise is the business of their own."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._context = contextvars.copy_context()
        self._host: asyncio.Task[None] | None = None
        self._handover: _Handover | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def start(self, coro: Coroutine[Any, Any, None]) -> None:
        """Makes its first step, and the others later."""
        if self._host is None or self._handover is None:
            self._context = self._context.copy()  # one that is not entered by a host that waits
            self._handover = _Handover(self._loop.create_future())
            self._host = self._loop.create_task(_Host(self._handover), context=self._context)
        host, handover = self._host, self._handover
        n_references = sys.getrefcount(host)
        _enter_task(self._loop, host)
        try:
            waits_for = self._context.run(coro.send, None)
        except BaseException as error:
            if host.cancelling() or sys.getrefcount(host) != n_references:
                self._let_go()
            if not isinstance(error, StopIteration):
                raise
        else:
            self._host = self._handover = None
            handover.give(coro, waits_for)
        finally:
            _leave_task(self._loop, host)

    async def close(self) -> None:
        """Ends the hosts that nothing was handed to."""
        self._let_go()
        if self._ending:
            await asyncio.wait(self._ending)

    def _let_go(self) -> None:
        host, self._host, self._handover = self._host, None, None
        if host is not None:
            self._ending.add(host)
            host.add_done_callback(self._ending.discard)
            host.cancel()


class _Handover:
    """What a host waits for."""

    __slots__ = ("come", "coro", "waits_for")

    def __init__(self, come: asyncio.Future[None]):
        self.come = come
        self.coro: Coroutine[Any, Any, None] | None = None
        self.waits_for: Any = None

    def give(self, coro: Coroutine[Any, Any, None], waits_for: Any) -> None:
        """Hands over a coroutine that has yielded something to its task."""
        self.coro, self.waits_for = coro, waits_for
        if not self.come.done():  # cancelled, when the coroutine has cancelled its task
            self.come.set_result(None)


class _Host(Coroutine[Any, Any, None]):
    """The coroutine of a host's task, which can be cancelled before its first step."""

    def __init__(self, handover: _Handover):
        self._coro = _be_host(handover)
        self._has_begun = False

    def send(self, value: Any) -> Any:
        self._has_begun = True
        return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        if not self._has_begun:
            self.send(None)
        return self._coro.throw(*error)

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._coro.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coro, name)  # cr_frame and the like, for who shows tasks


async def _be_host(handover: _Handover) -> None:
    await _drive(handover)


@types.coroutine
def _drive(handover: _Handover) -> Generator[Any, Any, None]:
    """The coroutine gets every cancellation that comes once it has begun, as if the host had driven it from the start."""
    is_cancelled = False
    try:
        yield from handover.come
    except asyncio.CancelledError:
        if handover.coro is None:
            raise
        is_cancelled = True
    assert handover.coro is not None
    coro, waits_for = handover.coro, handover.waits_for
    handover.coro = handover.waits_for = None
    thrown: BaseException | None = None
    if is_cancelled and not (asyncio.isfuture(waits_for) and waits_for.cancel()):
        thrown = asyncio.CancelledError()
    while True:
        value = None
        if thrown is None:
            try:
                value = yield waits_for
            except BaseException as error:
                thrown = error
        try:
            waits_for = coro.send(value) if thrown is None else coro.throw(thrown)
        except StopIteration:
            return
        finally:
            thrown = None  # its traceback holds this frame
