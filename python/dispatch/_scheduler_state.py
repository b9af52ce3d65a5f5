"""What the scheduler knows of a call between two runs: its coroutines, and what each of them waits for.

The state is saved with every poll, so its pickle is kept small: plain tuples, one per coroutine, and a single number for
the commonest wait, that for a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Context
from typing import Any, TypeAlias

from dispatch._scheduler_futures import CallFuture, CoroutineID, Future, correlation_coroutine_id
from dispatch.proto import Call


class Coroutine:
    """A coroutine of the call: the main one (id 0, no parent) or one that runs concurrently for its parent.

    `coroutine` has send, throw and close; `result` is what it waits for, None before its first step; `context` holds
    its context variables, for the time of one run.
    """

    __slots__ = ("id", "parent_id", "coroutine", "result", "context")

    def __init__(
        self,
        id: CoroutineID,
        parent_id: CoroutineID | None,
        coroutine: Any,
        result: Future | None = None,
        context: Context | None = None,
    ):
        self.id = id
        self.parent_id = parent_id
        self.coroutine = coroutine
        self.result = result
        self.context = context

    def __reduce__(self) -> tuple[Any, ...]:
        return Coroutine, (self.id, self.parent_id, self.coroutine, self.result)

    def __str__(self) -> str:
        return str(getattr(self.coroutine, "__qualname__", self.coroutine))

    def __repr__(self) -> str:
        return f"Coroutine({self.id}, {self})"


class State:
    """The scheduler's state, and every coroutine's.

    `version`: of the interpreter; `suspended`: by id, those that wait; `ready`: those that can go on, first to run
    first; `next_coroutine_id`, `next_call_id`: counters; `prev_callers`: those that made calls with the last poll;
    `outstanding_calls`: calls whose results have not come; `timed`: ids of those whose wait has a deadline; `unsent`:
    calls that did not fit into the last poll.
    """

    __slots__ = (
        "version",
        "suspended",
        "ready",
        "next_coroutine_id",
        "next_call_id",
        "prev_callers",
        "outstanding_calls",
        "timed",
        "unsent",
    )

    def __init__(
        self,
        version: str,
        suspended: dict[CoroutineID, Coroutine],
        ready: list[Coroutine],
        next_coroutine_id: int,
        next_call_id: int,
        prev_callers: list[Coroutine],
        outstanding_calls: int,
    ):
        self.version = version
        self.suspended = suspended
        self.ready = ready
        self.next_coroutine_id = next_coroutine_id
        self.next_call_id = next_call_id
        self.prev_callers = prev_callers
        self.outstanding_calls = outstanding_calls
        self.timed: set[CoroutineID] = set()
        self.unsent: list[Call] = []

    def take_up(self) -> list[Call]:
        """The calls that did not fit into the last poll, to be in the next; poll errors will concern their callers."""
        if not self.unsent:
            return []
        calls, self.unsent = self.unsent, []
        owners = (self.suspended.get(correlation_coroutine_id(call.correlation_id or 0)) for call in calls)
        self.prev_callers += [owner for owner in owners if owner is not None]
        return calls

    def put_off(self, calls: list[Call]) -> None:
        """Keeps calls, which are the last ones made, for the poll after the next."""
        self.unsent = calls
        if calls:
            owners = {correlation_coroutine_id(call.correlation_id or 0) for call in calls}
            self.prev_callers = [caller for caller in self.prev_callers if caller.id not in owners]

    def deadlines(self) -> Iterator[tuple[int, Coroutine]]:
        """Of every suspended coroutine with a deadline: when (nanoseconds since 1970), and which."""
        for id in sorted(self.timed):
            coroutine = self.suspended.get(id)
            deadline_ns = None if coroutine is None else getattr(coroutine.result, "deadline_ns", None)
            if coroutine is not None and deadline_ns is not None:
                yield deadline_ns, coroutine

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_state, (
            self.version,
            [_dump_coroutine(coroutine) for coroutine in self.suspended.values()],
            [_dump_coroutine(coroutine) for coroutine in self.ready],
            self.next_coroutine_id,
            self.next_call_id,
            [coroutine.id for coroutine in self.prev_callers],
            self.outstanding_calls,
            self.unsent,
        )


Saved: TypeAlias = tuple[CoroutineID, CoroutineID | None, Any, Any]


def _dump_coroutine(coroutine: Coroutine) -> Saved:
    future: Any = coroutine.result
    if type(future) is CallFuture and future.call_id is not None and not future.ready():
        future = future.call_id
    return coroutine.id, coroutine.parent_id, coroutine.coroutine, future


def _load_coroutine(saved: Saved) -> Coroutine:
    id, parent_id, coroutine, future = saved
    return Coroutine(id, parent_id, coroutine, CallFuture(call_id=future) if type(future) is int else future)


def _load_state(
    version: str,
    suspended: list[Saved],
    ready: list[Saved],
    next_coroutine_id: int,
    next_call_id: int,
    prev_callers: list[CoroutineID],
    outstanding_calls: int,
    unsent: list[Call],
) -> State:
    loaded = {saved[0]: _load_coroutine(saved) for saved in suspended}
    runnable = [_load_coroutine(saved) for saved in ready]
    everyone = {**{coroutine.id: coroutine for coroutine in runnable}, **loaded} if runnable else loaded
    callers = [everyone[id] for id in prev_callers if id in everyone]
    state = State(version, loaded, runnable, next_coroutine_id, next_call_id, callers, outstanding_calls)
    state.timed = {id for id, one in loaded.items() if getattr(one.result, "deadline_ns", None) is not None}
    state.unsent = unsent
    return state
