"""Run requests to responses, whatever brought them here: the order of checks of protocol 3.3.

`serve` is one request; `Runs` are those of a C endpoint or test server, in an event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
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
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(thread_name_prefix="dispatch")

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
            self._pool.submit(contextvars.copy_context().run, _answer_plain, run, function, request)
        else:
            self._begin(_answer(run, function, request))

    def _begin(self, coro: Coroutine[Any, Any, None]) -> None:
        if sys.version_info >= (3, 12):
            task = asyncio.Task(coro, loop=self._loop, eager_start=True)
            if task.done():
                return
        else:
            task = self._loop.create_task(coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Waits until what has begun is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._pool.shutdown)

    async def cancel(self) -> None:
        """Gives up what has begun; plain functions end as they would."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _answer(run: _core.Run, function: PrimitiveFunction, request: RunRequest) -> None:
    try:
        output = await run_function(function, request)
    except Refusal as refusal:
        _refuse(run, refusal)
    else:
        run.respond(output._message.SerializeToString())


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
