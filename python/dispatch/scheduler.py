"""The scheduler of one call's coroutines: from a Run request to its response.

Coroutines run until all of them wait for calls or for time. Then the scheduler answers with a poll: the new calls, and
the saved state of every coroutine, from which any process goes on once there are results.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from dispatch._scheduler_context import NS_PER_SECOND, _in_function_call, clock, in_function_call
from dispatch._scheduler_futures import (
    AllFuture,
    AnyFuture,
    CallFuture,
    CallID,
    CallResult,
    CoroutineID,
    CoroutineResult,
    CorrelationID,
    Future,
    RaceFuture,
    SleepFuture,
    WaitForFuture,
    correlation_call_id,
    correlation_coroutine_id,
    correlation_id,
)
from dispatch._scheduler_resume import deliver_error, deliver_results
from dispatch._scheduler_run import Run
from dispatch._scheduler_state import Coroutine, State
from dispatch._scheduler_targets import discard, save
from dispatch.error import IncompatibleStateError, PermanentError
from dispatch.experimental.durable.function import DurableCoroutine
from dispatch.proto import Error, Input, Output, TailCall
from dispatch.sdk.python.v1.pickled_pb2 import Pickled
from dispatch.status import Status

__all__ = [
    "AllFuture",
    "AnyFuture",
    "CallFuture",
    "CallID",
    "CallResult",
    "Coroutine",
    "CoroutineID",
    "CoroutineResult",
    "CorrelationID",
    "Future",
    "OneShotScheduler",
    "RaceFuture",
    "SleepFuture",
    "State",
    "WaitForFuture",
    "correlation_call_id",
    "correlation_coroutine_id",
    "correlation_id",
    "in_function_call",
]

logger = logging.getLogger(__name__)

MAX_WAIT_NS_MAX = 100 * 365 * 86400 * NS_PER_SECOND
"""The longest wait asked for in one poll, 100 years: well inside of what a server counts in nanoseconds. Who sleeps
longer goes on sleeping."""

POLL_CALLS_MAX = 10_000
"""Calls in one poll, as many as a server takes. The rest follows at once: it is in the state meanwhile."""


class OneShotScheduler:
    """Does one run at a time of calls of `entry_point`, a `@durable` coroutine function.

    One shot: it keeps nothing between two runs; what a run needs is in its input.
    """

    __slots__ = (
        "entry_point",
        "version",
        "poll_min_results",
        "poll_max_results",
        "poll_max_wait_seconds",
        "first_call_id",
    )

    def __init__(
        self,
        entry_point: Callable[..., Any],
        version: str = sys.version,
        poll_min_results: int = 1,
        poll_max_results: int = 10,
        poll_max_wait_seconds: float | None = None,
    ):
        """
        Args:
            entry_point: makes the main coroutine from the arguments of the call.
            version: put into states; a state with another one is refused with the status INCOMPATIBLE_STATE.
            poll_min_results: results to wait for before the coroutines go on, if that many calls are outstanding.
            poll_max_results: results to take at once, at most.
            poll_max_wait_seconds: after that time the coroutines go on in any case. None: however long it takes.
        """
        self.entry_point = entry_point
        self.version = version
        self.poll_min_results = poll_min_results
        self.poll_max_results = poll_max_results
        self.poll_max_wait_seconds = poll_max_wait_seconds
        self.first_call_id = 1  # the number of the first call that a first run makes

    async def run(self, input: Input) -> Output:
        """Runs a call up to its end or its next poll. Every Exception becomes an error in the output; what is none, as
        asyncio.CancelledError and KeyboardInterrupt, is raised, once the call's coroutines and tasks have ended."""
        context = copy_context()
        context.run(_in_function_call.set, True)
        try:
            if input.is_first_call:
                state = context.run(self._first_state, input)
            else:
                state = self._saved_state(input)
            refused = None
            if input.is_resume:
                refused = deliver_error(state, input.poll_error)
                deliver_results(state, input.call_results)
            run = Run(state, context, clock.get())
            if refused is None:
                return await self._complete(run)
            run.close()
            return _failure(refused)
        except IncompatibleStateError as error:
            logger.warning("%s starts again, its state is incompatible: %s", self._name(), error)
            return _failure(error)
        except Exception as error:
            logger.debug("the run of %s failed", self._name(), exc_info=True)
            return _failure(error)

    def _first_state(self, input: Input) -> State:
        args, kwargs = input.arguments_or_value()
        main = self.entry_point(*args, **kwargs)
        if not isinstance(main, DurableCoroutine):
            raise ValueError("entry point is not a @dispatch.function")
        return State(self.version, {}, [Coroutine(0, None, main)], 1, self.first_call_id, [], 0)

    def _saved_state(self, input: Input) -> State:
        """Raises IncompatibleStateError for a state that this program, or this interpreter, did not save."""
        try:
            state = input.coroutine_state
        except IncompatibleStateError:
            raise
        except Exception as error:
            raise IncompatibleStateError(f"the state cannot be restored: {error}") from error
        if not isinstance(state, State):
            raise IncompatibleStateError(f"the state is not one of this scheduler, but of type {type(state).__name__}")
        if state.version != self.version:
            for coroutine in state.suspended.values():
                discard(coroutine.coroutine)
            raise IncompatibleStateError(
                f"the state was saved by version {state.version!r}, this is version {self.version!r}"
            )
        return state

    async def _complete(self, run: Run) -> Output:
        try:
            await run.execute()
        except GeneratorExit:
            run.close()
            raise
        except BaseException:
            run.close()
            await run.clean_up()
            raise
        result = run.result
        if result is None:
            output = self._poll(run)
            if output._message.HasField("poll"):
                run.discard()
            else:
                run.close()  # it ends here, with what cannot be saved
            return output
        await run.clean_up()
        run.close()
        return self._exit(result.value, result.error)

    def _exit(self, value: Any, error: Exception | None) -> Output:
        if isinstance(error, TailCall):
            return Output.tail_call(tail_call=error.call, status=error.status)
        if error is not None:
            return _failure(error)
        try:
            return Output.value(value)
        except Exception as unsaved:
            return _unsaved(f"the result of {self._name()} cannot be saved", unsaved)

    def _poll(self, run: Run) -> Output:
        state = run.state
        calls, unsent = run.pending_calls[:POLL_CALLS_MAX], run.pending_calls[POLL_CALLS_MAX:]
        state.put_off(unsent)
        outstanding = state.outstanding_calls - len(unsent)
        waits = [run.time_left(), 1 if unsent else None]
        if self.poll_max_wait_seconds is not None:
            waits.append(round(self.poll_max_wait_seconds * NS_PER_SECOND))
        try:
            saved = Pickled(pickled_value=save(state))
        except Exception as error:
            return _unsaved(f"the state of {self._name()} cannot be saved{_hint(error)}", error)
        try:
            output = Output.poll(
                coroutine_state=saved,
                calls=calls,
                min_results=max(1, min(outstanding, self.poll_min_results)),
                max_results=max(1, min(outstanding, self.poll_max_results)),
            )
        except Exception as error:
            return _unsaved(f"the arguments of a call made by {self._name()} cannot be saved", error)
        max_wait_ns = min((wait for wait in waits if wait is not None), default=None)
        if max_wait_ns is not None:
            output._message.poll.max_wait.FromNanoseconds(min(max_wait_ns, MAX_WAIT_NS_MAX))
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s waits: %d new calls, state of %d bytes, at most %s ns",
                self._name(),
                len(calls),
                len(saved.pickled_value),
                max_wait_ns,
            )
        return output

    def _name(self) -> str:
        return str(getattr(self.entry_point, "__qualname__", self.entry_point))


def _failure(error: Exception) -> Output:
    try:
        return Output.error(Error.from_exception(error))
    except Exception as unsaved:
        logger.warning("the exception %r cannot be saved: %s", error, unsaved)
        status = Error.from_exception(error).status
        return Output.error(Error(status, type(error).__qualname__, str(error)))


def _hint(error: Exception) -> str:
    """What to do about asyncio.timeout, TaskGroup and the like around a call: they hold tasks, and those a Context."""
    text = str(error)
    if "_contextvars.Context" not in text and "asyncio" not in text:
        return ""
    return " (around calls use dispatch.wait_for and dispatch.gather, not timeouts and tasks of asyncio)"


def _unsaved(what: str, error: Exception) -> Output:
    """The end of a call with an object that cannot be pickled: to try again would not help."""
    logger.debug("%s", what, exc_info=True)
    return Output.error(Error.from_exception(PermanentError(f"{what}: {error}"), status=Status.PERMANENT_ERROR))
