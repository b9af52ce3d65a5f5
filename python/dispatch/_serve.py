"""Run requests to responses, whatever brought them here: the order of checks of protocol 3.3.

`serve` is one request; `Runs` are those of a C endpoint or test server, in an event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from dispatch._function import AsyncFunction, PrimitiveFunction, registries
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
UNAUTHENTICATED = 16

Find = Callable[[str], PrimitiveFunction | None]


class Refusal(Exception):
    """No function ran. `code` is a number of the library's error table, `message` one line."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def find_anywhere(name: str) -> PrimitiveFunction | None:
    """A function of any open registry; of several, the one of the registry that was opened first."""
    for registry in registries.values():
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
    """Runs of a C endpoint or test server: coroutine functions in an event loop, plain ones on a pool of threads.

    Args:
        find: tells the function of a name.
        check: called with each run first; what it raises refuses the run.
    """

    def __init__(self, find: Find, check: Callable[[_core.Run], None] | None = None):
        self._loop = asyncio.get_running_loop()
        self._find = find
        self._check = check
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pool = Pool()

    def start(self, run: _core.Run) -> None:
        """Begins to answer a run. In the loop."""
        try:
            if self._check is not None:
                self._check(run)
            function, request = decode(self._find, run.request)
        except Refusal as refusal:
            _refuse(run, refusal)
            return
        if isinstance(function, AsyncFunction) and function.plain is not None:
            # On the thread it is answered, too: the loop has nothing to do with it.
            self._pool.submit((contextvars.copy_context(), run, function, request))
            return
        coro = self._answer(run, function, request)
        if sys.version_info >= (3, 12):
            asyncio.Task(coro, loop=self._loop, eager_start=True)
        else:
            self._loop.create_task(coro)

    async def _answer(self, run: _core.Run, function: PrimitiveFunction, request: RunRequest) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # which also keeps it alive
        try:
            output = await run_function(function, request)
        except Refusal as refusal:
            _refuse(run, refusal)
        else:
            run.respond(output._message.SerializeToString())
        finally:
            self._tasks.discard(task)

    async def finish(self) -> None:
        """Waits until what has begun is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._pool.finish)

    async def cancel(self) -> None:
        """Gives up what has begun; plain functions end as they would."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.abandon()


Job = tuple[contextvars.Context, "_core.Run", AsyncFunction[..., Any], RunRequest]


class Pool:
    """Threads for plain functions, started on demand. Lighter than concurrent.futures: nobody waits for a result."""

    THREADS_MAX = 32

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._n_idle = 0  # threads that wait, less the jobs that wait for them

    def submit(self, job: Job) -> None:
        """Hands a job to a thread. In the loop only."""
        with self._lock:
            self._n_idle -= 1
            needs_thread = self._n_idle < 0 and len(self._threads) < self.THREADS_MAX
        self._jobs.put(job)
        if needs_thread:
            # Daemons: a function that never returns does not keep the program from ending.
            thread = threading.Thread(target=self._work, name=f"dispatch-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            with self._lock:
                self._n_idle += 1
            thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            context, run, function, request = job
            context.run(_answer_plain, run, function, request)
            del job, context, run, function, request  # not until the next one
            with self._lock:
                self._n_idle += 1

    def finish(self) -> None:
        """Waits until all jobs are done."""
        self.abandon()
        for thread in self._threads:
            thread.join()

    def abandon(self) -> None:
        """The threads end after the jobs that are there; nobody waits for them."""
        for _ in self._threads:
            self._jobs.put(None)


def _answer_plain(run: _core.Run, function: AsyncFunction[..., Any], request: RunRequest) -> None:
    try:
        output = function._call_plain(Input(request))
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
