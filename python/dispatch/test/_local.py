"""The production engine in this process, on a virtual clock, with an event loop attached to it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dispatch import _core, _embedded
from dispatch._serve import Runs, find_anywhere
from dispatch._scheduler_context import clock
from dispatch._threads import in_thread
from dispatch.client import Client, close_session, encode_request
from dispatch.id import DispatchID
from dispatch.proto import Call
from dispatch.sdk.v1.call_pb2 import CallResult

API_KEY = "916CC3D280BB46DDBDA984B3DD10059A"
IDLE_TURNS = 10
"""Turns of a foreign loop after which nothing more is expected to come of what it was told."""


class IdleSelector(selectors.DefaultSelector):
    """A selector that tells the servers of its loop when that has nothing left to do: then their clocks may move."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[LocalServer] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.servers or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        for server in self.servers:
            server.core.idle()
        ready = super().select(timeout)
        woken_by = ready[0][0].fd if len(ready) == 1 else None
        for server in self.servers:
            if server.fileno != woken_by:
                server.core.busy()  # something else woke it: the server's own events hold the clock by themselves
        return ready


class TestLoop(asyncio.SelectorEventLoop):
    """An event loop that a `LocalServer` can ask whether it is idle."""

    def __init__(self) -> None:
        self.idle_selector = IdleSelector()
        super().__init__(self.idle_selector)


class LocalServer:
    """A Dispatch server for the code that runs inside `async with`. Implements `dispatch._embedded.Embedded`.

    Functions of every open registry are served, in the loop that entered it. The clock stands still while that loop has
    something to do or a function runs; while only results are waited for it jumps to the next deadline.

    Args:
        transport: "local", or "http": calls go over loopback, by the code of production.
        seed: of ids and of the server's backoff; 0 is 1.
        chaos: faults on purpose, such as "seed=42,drop=5%"; None takes DISPATCH_CHAOS.
    """

    def __init__(self, transport: str = "local", seed: int = 0, chaos: str | None = None):
        self.core = _core.TestServer(transport, seed, chaos)
        self.fileno = self.core.fileno()
        # Over loopback the calls, too, take the way of production.
        self._client = Client(API_KEY, self.core.url) if transport == "http" else None
        self._turns = 0
        self._moves: set[object] = set()  # by hand, each on a thread

    @property
    def endpoint(self) -> str:
        """Where calls are to go."""
        return self.core.endpoint

    @property
    def url(self) -> str:
        """URL of its API with the transport "http"; empty otherwise."""
        return self.core.url

    def now(self) -> float:
        """The virtual time, seconds since 1970."""
        return self.core.now() / 1e9

    async def advance(self, seconds: float) -> None:
        """Moves the clock by hand; what becomes due on the way happens."""
        await self.sleep(int(seconds * 1e9))

    async def sleep(self, duration_ns: int) -> None:
        """What `dispatch.sleep` is in a test."""
        move = object()
        self._moves.add(move)
        await in_thread(self._move, move, duration_ns)

    def _move(self, move: object, duration_ns: int) -> None:
        try:
            self.core.advance(duration_ns, True)
        finally:
            self._moves.discard(move)

    def trace(self) -> str:
        """The tree of all calls, a line each."""
        return self.core.trace()

    # ---- life ----

    async def __aenter__(self) -> LocalServer:
        self._loop = asyncio.get_running_loop()
        self._tokens = (_embedded.current.set(self), clock.set(self.core.now))
        self._runs = Runs(self.core, find_anywhere)  # in the context that has these
        if isinstance(self._loop, TestLoop):
            self._loop.idle_selector.servers.append(self)
        self._loop.add_reader(self.fileno, self._on_events)
        self.core.busy()
        return self

    async def __aexit__(self, *exc: object) -> None:
        with suppress(ValueError):  # entered in another context, by a fixture
            _embedded.current.reset(self._tokens[0])
            clock.reset(self._tokens[1])
        try:
            await self._runs.cancel()
            if self._client is not None:
                await close_session()
            if self._moves:  # a thread moves the clock, and waits for runs: they are refused meanwhile
                await in_thread(self.core.close)
        finally:
            self._loop.remove_reader(self.fileno)
            if isinstance(self._loop, TestLoop):
                self._loop.idle_selector.servers.remove(self)
            self.core.close()
        for event in self.core.take():
            self._settle(event)

    # ---- what the loop is told ----

    def _on_events(self) -> None:
        for event in self.core.take():
            if event[0] == _core.EVENT_RUN:
                self._runs.start(event[1])
            else:
                self._settle(event)
        if not isinstance(self._loop, TestLoop):
            self._turns = IDLE_TURNS
            self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._turns -= 1
        if self._turns > 0:
            self._loop.call_soon(self._on_turn)
        elif self._turns == 0:
            self.core.idle()

    def _settle(self, event: Any) -> None:
        _, future, failure, payload = event
        if not isinstance(future, asyncio.Future):
            return
        loop = future.get_loop()
        if loop is self._loop:
            _set_result(future, failure, payload)
        else:
            with suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(_set_result, future, failure, payload)

    # ---- Embedded ----

    async def dispatch(self, calls: Sequence[Call]) -> list[DispatchID]:
        """Submits all calls, or none."""
        if self._client is not None:
            return await self._client.dispatch(calls)
        future = asyncio.get_running_loop().create_future()
        self._ask(self.core.submit, encode_request(calls), future)
        return await future  # type: ignore[no-any-return]

    async def call(self, call: Call) -> CallResult:
        """Submits a call and waits for its result."""
        if self._client is not None:
            [dispatch_id] = await self._client.dispatch((call,))
            return await self._client._wait(dispatch_id)
        future = asyncio.get_running_loop().create_future()
        return await self._result(future, self._ask(self.core.call, encode_request((call,)), future))

    async def wait(self, dispatch_id: DispatchID) -> CallResult:
        """Waits for a result."""
        if self._client is not None:
            return await self._client._wait(dispatch_id)
        future = asyncio.get_running_loop().create_future()
        return await self._result(future, self._ask(self.core.result, dispatch_id, future))

    async def cancel(self, dispatch_id: DispatchID) -> None:
        """Ends a call and all calls below it."""
        if self._client is not None:
            return await self._client.cancel(dispatch_id)
        future = asyncio.get_running_loop().create_future()
        self._ask(self.core.cancel, dispatch_id, future)
        await future

    async def _result(self, future: asyncio.Future[bytes], serial: int) -> CallResult:
        try:
            return CallResult.FromString(await future)
        except asyncio.CancelledError:
            self.core.abandon(serial)
            raise

    def _ask(self, method: Any, *args: Any) -> Any:
        try:
            return method(*args)
        except _core.CoreError as error:
            raise _exception(error.args) from None


def _set_result(future: asyncio.Future[Any], failure: tuple[int, str, str] | None, payload: Any) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(payload)
    else:
        future.set_exception(_exception(failure))


def _exception(failure: tuple[int, str, str]) -> Exception:
    from dispatch._client_error import ClientError

    _, name, message = failure
    return ClientError(0, name, message)
