"""What a resumed call brings: the results of its calls, or the reason why its poll was refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dispatch._scheduler_futures import CallFuture, CallResult, correlation_call_id, correlation_coroutine_id
from dispatch._scheduler_state import Coroutine, State
from dispatch.proto import CallResult as WireResult
from dispatch.proto import Error

logger = logging.getLogger("dispatch.scheduler")


def deliver_error(state: State, error: Error | None) -> Exception | None:
    """Fails the coroutines whose calls were in the last poll, when that was refused (protocol 5.2).

    Returns the error when there are none: a poll without calls that is refused would be refused for ever.
    """
    callers, state.prev_callers = state.prev_callers, []
    if error is None:
        return None
    exception = error.to_exception()
    logger.debug("the poll was refused: %s", exception)
    for caller in callers:
        state.outstanding_calls -= 1
        if caller.result is not None:
            caller.result.add_error(exception)
            _wake_if_ready(state, caller)
    return None if callers else exception


def deliver_results(state: State, results: Iterable[WireResult]) -> None:
    """Gives each result to the coroutine that waits for it, in their order. A result that nobody waits for is dropped:
    it came twice, or its coroutine was given up."""
    for result in results:
        id = result.correlation_id or 0
        owner = state.suspended.get(correlation_coroutine_id(id))
        future = None if owner is None else owner.result
        if owner is None or not isinstance(future, CallFuture) or future.call_id != correlation_call_id(id):
            logger.warning("discarding unexpected call result with correlation id %d", id)
            _forget_a_call(state)
            continue
        error = None if result.error is None else result.error.to_exception()
        future.add_result(CallResult(correlation_call_id(id), result.output, error))
        state.outstanding_calls -= 1
        _wake_if_ready(state, owner)


def _wake_if_ready(state: State, coroutine: Coroutine) -> None:
    if coroutine.result is not None and coroutine.result.ready() and coroutine.id in state.suspended:
        del state.suspended[coroutine.id]
        state.ready.append(coroutine)


def _forget_a_call(state: State) -> None:
    """One call less is outstanding, unless all that are counted are still waited for."""
    awaited = sum(type(coroutine.result) is CallFuture for coroutine in state.suspended.values())
    state.outstanding_calls = max(awaited, state.outstanding_calls - 1)
