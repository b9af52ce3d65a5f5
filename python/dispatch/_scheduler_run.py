"""One run of a call's coroutines: every one that can go on does, until the call is done or all of them wait.

A coroutine is driven directly, without an asyncio task. Only when several can go on at once and run code of their own
does each get a task, so that their ordinary awaits (HTTP clients, asyncio.sleep) overlap, and so that what asks for the
current task (asyncio.timeout, TaskGroup) finds its own. A coroutine that is alone awaits within the task of the run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from types import coroutine as awaitable_generator
from typing import Any, TypeAlias

from dispatch._scheduler_context import NS_PER_SECOND, driving
from dispatch._scheduler_futures import (
    AllFuture,
    AnyFuture,
    CallFuture,
    CoroutineID,
    CoroutineResult,
    Future,
    RaceFuture,
    SleepFuture,
    WaitForFuture,
    correlation_id,
)
from dispatch._scheduler_state import Coroutine, State
from dispatch._scheduler_targets import close_quietly, discard, durable_target
from dispatch.coroutine import (
    AllDirective,
    AnyDirective,
    AnyException,
    RaceDirective,
    SleepDirective,
    Step,
    WaitForDirective,
)
from dispatch.proto import Call

logger = logging.getLogger("dispatch.scheduler")

_SUSPENDED: Any = object()
_EAGER = sys.version_info >= (3, 12)

Resumption: TypeAlias = tuple[Any, Exception | None]
"""What a coroutine goes on with: a value, or an error to raise."""


class Run:
    """`await execute()` does the run. Afterwards `result` has how the main coroutine ended; when it has not, everything
    in `state` waits, for `pending_calls` among others.

    Runs on one thread; any number of runs may go on at once, in any number of threads.
    """

    __slots__ = ("state", "pending_calls", "result", "_clock", "_context", "_tasks", "_given_up", "_debug")

    def __init__(self, state: State, context: Context, clock: Callable[[], int]):
        self.state = state
        self.pending_calls: list[Call] = state.take_up()
        self.result: CoroutineResult | None = None
        self._clock = clock
        self._context = context
        self._tasks: dict[asyncio.Task[None], Coroutine] = {}
        self._given_up: set[asyncio.Task[None]] = set()
        self._debug = logger.isEnabledFor(logging.DEBUG)

    async def execute(self) -> None:
        """Raises what is no Exception and came out of a coroutine or its asyncio task, as asyncio.CancelledError and
        KeyboardInterrupt; the coroutines are then closed."""
        state = self.state
        while self.result is None:
            if state.ready:
                batch, state.ready = state.ready, []
                if len(batch) == 1 and not self._tasks and not state.timed:
                    await self._run_alone(batch[0])
                else:
                    self._run_together(batch)
            elif self._tasks:
                await self._wait()
            elif not self._time_out():
                return
            elif _running_loop() is not None:
                await asyncio.sleep(0)  # a function that sleeps for no time in a loop does not block others

    async def clean_up(self) -> None:
        """Ends what is left of the run: cancels its tasks and awaits their end."""
        tasks = list(self._tasks)
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Closes every coroutine that has not ended, without regard to what they raise."""
        for task in self._tasks:
            task.cancel()
        for coroutine in [*self.state.ready, *self.state.suspended.values()]:
            close_quietly(coroutine.coroutine)
        self.state.ready = []
        self.state.suspended = {}

    def discard(self) -> None:
        """Lets go of the coroutines that wait. They live on in the saved state, so this must not run their `finally`
        blocks."""
        for coroutine in self.state.suspended.values():
            discard(coroutine.coroutine)
        self.state.suspended = {}

    async def _run_alone(self, coroutine: Coroutine) -> None:
        yielded = self._advance(coroutine, *_resumption(coroutine))
        if yielded is not _SUSPENDED:
            await self._carry_on(coroutine, yielded)

    def _run_together(self, batch: list[Coroutine]) -> None:
        loop = _running_loop()
        only_steps = all(type(coroutine.coroutine) is Step for coroutine in batch)
        for position, coroutine in enumerate(batch):
            if loop is None or only_steps or (_EAGER and type(coroutine.coroutine) is Step):
                if self._advance(coroutine, *_resumption(coroutine)) is not _SUSPENDED:
                    raise RuntimeError("a coroutine awaits an asyncio future, but no event loop is running")
            else:
                self._start_task(loop, coroutine)
            if self.result is not None:
                self.state.ready.extend(batch[position + 1 :])
                return

    def _start_task(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine) -> None:
        body = self._run_in_task(coroutine)
        if sys.version_info >= (3, 12):
            task = asyncio.Task(body, loop=loop, eager_start=True)
        else:
            task = asyncio.Task(body, loop=loop)
        if task.done():
            task.result()
        else:
            self._tasks[task] = coroutine

    async def _run_in_task(self, coroutine: Coroutine) -> None:
        yielded = self._advance(coroutine, *_resumption(coroutine))
        if yielded is not _SUSPENDED:
            await self._carry_on(coroutine, yielded)

    async def _wait(self) -> None:
        """For the first task to end, or for the first deadline of a coroutine that waits beside them."""
        timeout = self.time_left()
        done, _ = await asyncio.wait(
            self._tasks,
            timeout=None if timeout is None else timeout / NS_PER_SECOND,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in done:
            del self._tasks[task]
        for task in done:
            if task not in self._given_up or not task.cancelled():
                task.result()
        if not self.state.ready and self.result is None:
            self._time_out()

    @awaitable_generator
    def _carry_on(self, coroutine: Coroutine, yielded: Any) -> Generator[Any, Any, None]:
        """Goes on with a coroutine that has yielded something of asyncio's: hands it up to the task as it is."""
        while yielded is not _SUSPENDED:
            value: Any = None
            error: BaseException | None = None
            try:
                value = yield yielded
            except GeneratorExit:
                close_quietly(coroutine.coroutine)
                raise
            except BaseException as exception:
                error = exception
            yielded = self._advance(coroutine, value, error)

    def _advance(self, coroutine: Coroutine, value: Any, error: BaseException | None) -> Any:
        """Runs a coroutine on until it is suspended or has ended; _SUSPENDED then. Otherwise what it yielded is for
        asyncio, and returned."""
        target = coroutine.coroutine
        if type(target) is Step:
            if coroutine.result is not None:
                self._end(coroutine, value, error)  # type: ignore[arg-type]
                return _SUSPENDED
            try:
                resumption = self._obey(coroutine, target.start())
            except RuntimeError as reused:
                resumption = None, reused
            if resumption is not None:
                self._end(coroutine, *resumption)
            return _SUSPENDED

        if (context := coroutine.context) is None:
            context = coroutine.context = self._context if coroutine.parent_id is None else self._context.copy()
        while True:
            driving.active = True
            try:
                if error is None:
                    yielded = context.run(target.send, value)
                else:
                    yielded = context.run(target.throw, error)
            except StopIteration as stop:
                self._end(coroutine, stop.value, None)
                return _SUSPENDED
            except Exception as exception:
                self._end(coroutine, None, exception)
                return _SUSPENDED
            finally:
                driving.active = False
                error = None  # its traceback holds this frame
            if type(yielded) not in _DIRECTIVES and not isinstance(yielded, Call):
                return yielded
            resumption = self._obey(coroutine, yielded)
            if resumption is None:
                return _SUSPENDED
            value, error = resumption

    def _end(self, coroutine: Coroutine, value: Any, error: Exception | None) -> None:
        """A coroutine has ended: its parent's future gets the result."""
        result = CoroutineResult(coroutine.id, value, error)
        if self._debug:
            logger.debug("%r ended: %r", coroutine, result)
        if coroutine.parent_id is None:
            self.result = result
            return
        parent = self.state.suspended.get(coroutine.parent_id)
        future = None if parent is None else parent.result
        if parent is None or future is None or coroutine.id not in getattr(future, "waiting", ()):
            logger.debug("nothing waits any more for the result of %r", coroutine)
            return
        future.add_result(result)
        if future.ready():
            self._wake(parent, first=True)

    def _wake(self, coroutine: Coroutine, first: bool = False) -> None:
        del self.state.suspended[coroutine.id]
        self.state.timed.discard(coroutine.id)
        if first:
            self.state.ready.insert(0, coroutine)
        else:
            self.state.ready.append(coroutine)

    def _obey(self, coroutine: Coroutine, directive: Any) -> Resumption | None:
        """Suspends a coroutine for what it yielded; or returns what it goes on with at once."""
        if self._debug:
            logger.debug("%r yielded %r", coroutine, directive)
        obey = _DIRECTIVES.get(type(directive), Run._call)
        return obey(self, coroutine, directive)

    def _suspend(self, coroutine: Coroutine, future: Future) -> None:
        coroutine.result = future
        self.state.suspended[coroutine.id] = coroutine

    def _call(self, coroutine: Coroutine, call: Call) -> None:
        state = self.state
        call_id = state.next_call_id
        state.next_call_id += 1
        call.correlation_id = correlation_id(coroutine.id, call_id)
        self.pending_calls.append(call)
        self._suspend(coroutine, CallFuture(call_id=call_id))
        state.prev_callers.append(coroutine)
        state.outstanding_calls += 1

    def _all(self, coroutine: Coroutine, directive: AllDirective) -> Resumption | None:
        if not directive.awaitables:
            return [], None
        return self._branch(coroutine, directive, lambda ids: AllFuture(order=ids, waiting=set(ids)))

    def _any(self, coroutine: Coroutine, directive: AnyDirective) -> Resumption | None:
        if not directive.awaitables:
            return None, AnyException([])
        return self._branch(coroutine, directive, lambda ids: AnyFuture(order=ids, waiting=set(ids)))

    def _race(self, coroutine: Coroutine, directive: RaceDirective) -> Resumption | None:
        if not directive.awaitables:
            return None, ValueError("race() of nothing has no winner")
        return self._branch(coroutine, directive, lambda ids: RaceFuture(waiting=set(ids)))

    def _branch(
        self,
        coroutine: Coroutine,
        directive: AllDirective | AnyDirective | RaceDirective,
        make_future: Callable[[list[CoroutineID]], Future],
    ) -> Resumption | None:
        try:
            children = self._spawn(coroutine, directive.awaitables)
        except TypeError as error:
            return None, error
        self._suspend(coroutine, make_future(children))
        return None

    def _sleep(self, coroutine: Coroutine, directive: SleepDirective) -> Resumption | None:
        self._suspend(coroutine, SleepFuture(self._clock() + directive.duration_ns))
        self.state.timed.add(coroutine.id)
        return None

    def _wait_for(self, coroutine: Coroutine, directive: WaitForDirective) -> Resumption | None:
        try:
            [child] = self._spawn(coroutine, (directive.awaitable,))
        except TypeError as error:
            return None, error
        timeout_ns = directive.timeout_ns
        self._suspend(coroutine, WaitForFuture(child, None if timeout_ns is None else self._clock() + timeout_ns))
        if timeout_ns is not None:
            self.state.timed.add(coroutine.id)
        return None

    def _spawn(self, coroutine: Coroutine, awaitables: tuple[Awaitable[Any], ...]) -> list[CoroutineID]:
        """Makes each awaitable a coroutine that is ready, before all others; their ids. TypeError, and none made, when
        one is not durable."""
        try:
            targets = [durable_target(awaitable) for awaitable in awaitables]
        except TypeError:
            for awaitable in awaitables:
                close_quietly(awaitable)
            raise
        state = self.state
        first_id = state.next_coroutine_id
        state.next_coroutine_id += len(targets)
        context = coroutine.context or self._context
        state.ready[0:0] = [
            Coroutine(id, coroutine.id, target, None, context if type(target) is Step else context.copy())
            for id, target in enumerate(targets, first_id)
        ]
        return list(range(first_id, first_id + len(targets)))

    def time_left(self) -> int | None:
        """Nanoseconds to the first deadline of a coroutine that waits; None when none has one."""
        if not self.state.timed:
            return None
        first_ns = min((deadline_ns for deadline_ns, _ in self.state.deadlines()), default=None)
        return None if first_ns is None else max(0, first_ns - self._clock())

    def _time_out(self) -> bool:
        """Wakes the coroutines whose deadline has come, earliest first; whether there were any."""
        if not self.state.timed:
            return False
        now_ns = self._clock()
        due = sorted(
            (one for one in self.state.deadlines() if one[0] <= now_ns), key=lambda one: (one[0], one[1].id)
        )
        for _, coroutine in due:
            if coroutine.id not in self.state.suspended:
                continue  # given up with another one's awaitable
            future: Any = coroutine.result
            future.time_out()
            self._wake(coroutine)
            if isinstance(future, WaitForFuture):
                self._give_up(future.child)
        return bool(due)

    def _give_up(self, id: CoroutineID) -> None:
        """Closes a coroutine and those below it. Calls of this run are not made; others run on, and nobody waits."""
        state = self.state
        below = {id}
        everyone = [*state.suspended.values(), *state.ready, *self._tasks.values()]
        for coroutine in sorted(everyone, key=lambda one: one.id):
            if coroutine.parent_id in below:
                below.add(coroutine.id)
        kept = [call for call in self.pending_calls if (call.correlation_id or 0) >> 32 not in below]
        state.outstanding_calls -= len(self.pending_calls) - len(kept)
        self.pending_calls = kept
        state.prev_callers = [caller for caller in state.prev_callers if caller.id not in below]
        state.ready = [coroutine for coroutine in state.ready if coroutine.id not in below]
        state.timed -= below
        for coroutine_id in below & state.suspended.keys():
            del state.suspended[coroutine_id]
        for coroutine in everyone[: len(everyone) - len(self._tasks)]:
            if coroutine.id in below:
                close_quietly(coroutine.coroutine)
        for task, coroutine in self._tasks.items():
            if coroutine.id in below:
                self._given_up.add(task)
                task.cancel()


_DIRECTIVES: dict[type[Any], Callable[[Run, Coroutine, Any], Resumption | None]] = {
    Call: Run._call,
    AllDirective: Run._all,
    AnyDirective: Run._any,
    RaceDirective: Run._race,
    SleepDirective: Run._sleep,
    WaitForDirective: Run._wait_for,
}


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resumption(coroutine: Coroutine) -> Resumption:
    future = coroutine.result
    if future is None:
        return None, None
    error = future.error()
    return (None, error) if error is not None else (future.value(), None)
