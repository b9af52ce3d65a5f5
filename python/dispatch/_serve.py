"""Run requests to responses, whatever brought them here: the order of checks of protocol 3.3.

`serve` is one request; `Runs` are those of a C endpoint or test server, in an event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from dispatch._eager import Starter
from dispatch._function import AsyncFunction, PrimitiveFunction, call_plain, registries
from dispatch._threads import in_thread
from dispatch.error import IncompatibleStateError, InvalidArgumentError
from dispatch.proto import Error, Input, Output
from dispatch.sdk.v1.function_pb2 import RunRequest

if TYPE_CHECKING:
    from dispatch import _core

logger = logging.getLogger(__name__)

# Of the library's error table (include/dispatchrun/error.h).
INVALID_ARGUMENT = 3
NOT_FOUND = 5
PERMISSION_DENIED = 7
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16

STOPPED = "the endpoint has been stopped"

Find = Callable[[str], PrimitiveFunction | None]


class Refusal(Exception):
    """No function ran. `code` is a number of the library's error table, `message` one line."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def find_anywhere(name: str) -> PrimitiveFunction | None:
    """A function of any open registry; of several, the one of the registry that was opened first."""
    for registry in list(registries.values()):  # other threads may open some
        function = registry.functions.get(name)
        if function is not None:
            return function
    return None


def decode(find: Find, data: bytes) -> tuple[PrimitiveFunction, RunRequest]:
    """The function that an encoded RunRequest names.

    Raises:
        Refusal: it names none, or one that `find` does not know, or is no RunRequest.
    """
    try:
        request = RunRequest.FromString(data)
    except DecodeError as error:
        raise Refusal(INVALID_ARGUMENT, f"unmarshal message: {error}") from None
    name = request.function
    if not name:
        raise Refusal(INVALID_ARGUMENT, "function is required")
    function = find(name)
    if function is None:
        raise Refusal(NOT_FOUND, f"function '{name}' does not exist")
    return function, request


async def run_function(function: PrimitiveFunction, request: RunRequest) -> Output:
    """Runs a function.

    Raises:
        Refusal: a primitive function raised.
    """
    try:
        input = Input(request)
    except (IncompatibleStateError, InvalidArgumentError) as error:
        return Output.error(Error.from_exception(error))
    try:
        return await function._primitive_call(input)
    except Exception as error:
        raise Refusal(INTERNAL, f"function '{function.name}' fatal error") from error


async def serve(find: Find, data: bytes) -> bytes:
    """An encoded RunResponse for an encoded RunRequest.

    Raises:
        Refusal: no function ran.
    """
    output = await run_function(*decode(find, data))
    return output._message.SerializeToString()


class Runs:
    """Runs of a C endpoint or test server: coroutine functions in an event loop, plain ones on threads.

    Args:
        core: where the runs come from.
        find: tells the function of a name.
        check: called with each run first; what it raises refuses the run.
    """

    def __init__(
        self,
        core: _core.Endpoint | _core.TestServer,
        find: Find,
        check: Callable[[_core.Run], None] | None = None,
    ):
        self._loop = asyncio.get_running_loop()
        self._find = find
        self._check = check
        self._tasks: set[asyncio.Task[Any]] = set()
        self._workers = Workers(core, self._decode, self._start_again)
        self._starter = Starter(self._loop)
        self._is_over = False

    def start(self, run: _core.Run) -> None:
        """Begins to answer a run. In the loop; raises only what ends a program."""
        if self._is_over:
            run.refuse(UNAVAILABLE, STOPPED)
            return
        try:
            function, request = self._decode(run)
        except Refusal as refusal:
            _refuse(run, refusal)
            return
        if isinstance(function, AsyncFunction) and function.plain is not None:
            # On the thread it is answered, too: the loop has nothing to do with it.
            self._workers.submit(run, function.name)
            return
        coro = self._answer(run, function, request)
        try:
            if sys.version_info >= (3, 12):
                asyncio.Task(coro, loop=self._loop, eager_start=True)
            elif isinstance(function, AsyncFunction):
                self._starter.start(coro)
            else:
                self._loop.create_task(coro)  # a program's own code, to which its task is its own
        except asyncio.CancelledError:
            pass  # refused, see _answer

    def _decode(self, run: _core.Run) -> tuple[PrimitiveFunction, RunRequest]:
        try:
            if self._check is not None:
                self._check(run)
            return decode(self._find, run.request)
        except Refusal:
            raise
        except Exception as error:
            raise Refusal(INTERNAL, "the request cannot be read") from error

    def _start_again(self, run: _core.Run) -> None:
        """From a thread: the function is not a plain one after all."""
        try:
            self._loop.call_soon_threadsafe(self.start, run)
        except RuntimeError:  # the loop is closed
            run.refuse(UNAVAILABLE, STOPPED)

    async def _answer(self, run: _core.Run, function: PrimitiveFunction, request: RunRequest) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # which also keeps it alive
        try:
            output = await run_function(function, request)
        except Refusal as refusal:
            _refuse(run, refusal)
        except BaseException as error:
            # Now, and not when the last reference to the run is gone: the exception holds some.
            run.refuse(UNAVAILABLE, f"function '{function.name}' was ended by {type(error).__name__}")
            raise
        else:
            run.respond(output._message.SerializeToString())
        finally:
            self._tasks.discard(task)

    async def finish(self) -> None:
        """Waits until what has begun is answered."""
        await self._starter.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if not self._is_over:
            await in_thread(self._workers.finish)

    async def cancel(self) -> None:
        """Gives up what has begun, and what comes: coroutine functions are cancelled, plain ones end as they would. The
        server hears that they did not run."""
        self.abandon()
        await self._starter.close()
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self) -> None:
        """As `cancel`, but for coroutine functions, whose loop may be gone."""
        self._is_over = True
        self._workers.abandon()


class Workers:
    """Threads for plain functions, started on demand.

    The first run of a function comes through the loop, which tells the extension module that it is plain; from then on an
    idle thread takes its runs at once. While none is idle they come through the loop as well.
    """

    THREADS_MAX = min(32, (os.cpu_count() or 1) + 4)

    def __init__(
        self,
        core: _core.Endpoint | _core.TestServer,
        decode: Callable[[_core.Run], tuple[PrimitiveFunction, RunRequest]],
        start_again: Callable[[_core.Run], None],
    ):
        self._core = core
        self._decode = decode
        self._start_again = start_again
        self._context = contextvars.copy_context()
        self._known: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._begun: set[_core.Run] = set()
        self._is_abandoned = False

    def submit(self, run: _core.Run, name: str) -> None:
        """Hands a run to a thread. In the loop only."""
        if name not in self._known:
            self._known.add(name)
            self._core.learn_plain(name)
        if self._core.give_plain(run) and len(self._threads) < self.THREADS_MAX:
            # Daemons: a function that never returns does not keep the program from ending.
            thread = threading.Thread(target=self._work, name=f"dispatch-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (run := self._core.take_plain()) is not None:
            self._begun.add(run)
            try:
                self._serve(run)
            except RuntimeError:
                if not self._is_abandoned:  # which has answered it
                    raise
            finally:
                self._begun.discard(run)
            del run  # not until the next one

    def _serve(self, run: _core.Run) -> None:
        if self._is_abandoned:
            run.refuse(UNAVAILABLE, STOPPED)
            return
        try:
            function, request = self._decode(run)
        except Refusal as refusal:
            _refuse(run, refusal)
        else:
            if isinstance(function, AsyncFunction) and function.plain is not None:
                self._context.copy().run(_answer_plain, run, function, request)
            else:
                self._start_again(run)

    def finish(self) -> None:
        """Waits until all runs are answered."""
        self._core.stop_plain()
        for thread in self._threads:
            thread.join()

    def abandon(self) -> None:
        """Refuses the runs that are under way and those that wait; the threads end after what they do, and nobody waits
        for them. In the loop only."""
        self._is_abandoned = True
        self._core.stop_plain()
        waiting = list(self._begun)
        while (run := self._core.take_plain()) is not None:
            waiting.append(run)
        for run in waiting:
            with suppress(RuntimeError):  # answered meanwhile
                run.refuse(UNAVAILABLE, STOPPED)


def _answer_plain(run: _core.Run, function: AsyncFunction[..., Any], request: RunRequest) -> None:
    plain = function.plain
    assert plain is not None
    try:
        output = call_plain(plain, function.name, Input(request))
    except (IncompatibleStateError, InvalidArgumentError) as error:
        output = Output.error(Error.from_exception(error))
    except BaseException:  # of a thread: SystemExit and the like end the run, not the program
        logger.exception("function '%s' fatal error", function.name)
        run.refuse(INTERNAL, f"function '{function.name}' fatal error")
        return
    run.respond(output._message.SerializeToString())


def _refuse(run: _core.Run, refusal: Refusal) -> None:
    if refusal.__cause__ is not None:
        logger.error("%s", refusal, exc_info=refusal.__cause__)
    run.refuse(refusal.code, refusal.message)
