"""Sleeping, and waiting with a limit of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from scheduler_runs import answers, ask, exception, functions, ids, max_wait_ns, poll, resume, run, start, state, value

from dispatch.coroutine import clock, gather, now, race, sleep, wait_for
from dispatch.error import TimeoutError
from dispatch.experimental.durable import durable
from dispatch.proto import Input
from dispatch.scheduler import OneShotScheduler

SECOND = 1_000_000_000
log: list[Any] = []


class VirtualClock:
    def __init__(self) -> None:
        self.now_ns = 1_000_000 * SECOND

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)


@pytest.fixture(autouse=True)
def virtual() -> Iterator[VirtualClock]:
    log.clear()
    virtual = VirtualClock()
    token = clock.set(virtual)
    yield virtual
    clock.reset(token)


@durable
async def naps(duration: Any) -> str:
    await sleep(duration)
    return "awake"


@pytest.mark.parametrize(
    ("duration", "ns"),
    [(3, 3 * SECOND), (0.25, SECOND // 4), (timedelta(minutes=2, microseconds=1), 120 * SECOND + 1000)],
)
def test_a_sleep_is_a_poll_for_exactly_that_time(virtual: VirtualClock, duration: Any, ns: int) -> None:
    output = start(naps, duration)
    assert (functions(output), max_wait_ns(output)) == ([], ns)
    assert (poll(output).min_results, poll(output).max_results) == (1, 1)
    virtual.advance(ns / SECOND)
    assert value(resume(naps, output)) == "awake"


def test_who_is_woken_too_early_sleeps_on_for_the_rest(virtual: VirtualClock) -> None:
    output = start(naps, 10)
    for left in (6, 2):
        virtual.advance(4)
        output = resume(naps, output)
        assert max_wait_ns(output) == left * SECOND
    virtual.advance(4)
    assert value(resume(naps, output)) == "awake"


@pytest.mark.parametrize("duration", [0, -1, -0.5, timedelta(seconds=-1)])
def test_a_sleep_of_no_time_goes_on_at_once(duration: Any) -> None:
    assert value(start(naps, duration)) == "awake"


def test_a_very_long_sleep_asks_for_what_a_server_can_count(virtual: VirtualClock) -> None:
    output = start(naps, timedelta(days=900_000))
    assert max_wait_ns(output) == 100 * 365 * 86400 * SECOND
    virtual.advance(100 * 365 * 86400)
    assert functions(resume(naps, output)) == []


@durable
async def naps_beside_calls() -> list[Any]:
    return await gather(naps(5), ask("a"), naps(3), sleep(4))


def test_a_poll_waits_for_the_nearest_of_several_sleepers(virtual: VirtualClock) -> None:
    first = start(naps_beside_calls)
    assert (functions(first), max_wait_ns(first), poll(first).min_results) == (["a"], 3 * SECOND, 1)
    virtual.advance(1)
    second = resume(naps_beside_calls, first, answers(first))
    assert max_wait_ns(second) == 2 * SECOND
    virtual.advance(2.5)
    third = resume(naps_beside_calls, second)
    assert max_wait_ns(third) == SECOND // 2
    virtual.advance(10)
    assert value(resume(naps_beside_calls, third)) == ["awake", "a", "awake", None]


def test_a_longest_wait_of_the_scheduler_counts_too(virtual: VirtualClock) -> None:
    scheduler = OneShotScheduler(naps, poll_max_wait_seconds=2)
    assert max_wait_ns(run(scheduler.run(Input.from_input_arguments("main", 1)))) == SECOND
    assert max_wait_ns(run(scheduler.run(Input.from_input_arguments("main", 5)))) == 2 * SECOND


@durable
async def waits(timeout: Any) -> Any:
    return await wait_for(ask("a"), timeout)


@pytest.mark.parametrize("timeout", [2, timedelta(seconds=2)])
def test_a_result_in_time_is_returned(virtual: VirtualClock, timeout: Any) -> None:
    output = start(waits, timeout)
    assert (functions(output), max_wait_ns(output)) == (["a"], 2 * SECOND)
    virtual.advance(3)
    assert value(resume(waits, output, answers(output))) == "a"


def test_a_limit_of_time_that_passes_is_a_timeout_error(virtual: VirtualClock) -> None:
    output = start(waits, 2)
    virtual.advance(2)
    assert type(exception(resume(waits, output))) is TimeoutError


def test_no_limit_of_time_waits_for_the_result() -> None:
    output = start(waits, None)
    assert max_wait_ns(output) is None
    assert value(resume(waits, output, answers(output))) == "a"


def test_a_limit_of_no_time_makes_no_call() -> None:
    assert type(exception(start(waits, 0))) is TimeoutError


@durable
async def two_in_turn() -> Any:
    try:
        return [await ask("a"), await ask("b")]
    finally:
        log.append("closed")


@durable
async def gives_up() -> Any:
    try:
        await wait_for(two_in_turn(), 2)
    except TimeoutError:
        return await ask("c")


def test_what_is_given_up_is_closed_and_its_late_results_are_dropped(virtual: VirtualClock) -> None:
    first = start(gives_up)
    virtual.advance(2)
    second = resume(gives_up, first)
    assert (functions(second), log, max_wait_ns(second)) == (["c"], ["closed"], None)
    assert sorted(state(second).suspended) == [0]
    third = resume(gives_up, second, answers(first))
    assert (functions(third), poll(third).max_results) == ([], 1)
    assert value(resume(gives_up, third, answers(second))) == "c"


@durable
async def gives_up_a_tree() -> Any:
    try:
        await wait_for(gather(two_in_turn(), gather(ask("x"), ask("y"))), 0)
    except TimeoutError:
        return await ask("c")


def test_calls_of_what_is_given_up_in_the_same_run_are_not_made() -> None:
    output = start(gives_up_a_tree)
    assert functions(output) == ["c"]
    assert state(output).outstanding_calls == 1
    assert value(resume(gives_up_a_tree, output, answers(output))) == "c"


@durable
async def ends_in_time() -> Any:
    return await wait_for(naps(1), 2)


def test_an_awaitable_that_ends_exactly_in_time_wins(virtual: VirtualClock) -> None:
    output = start(ends_in_time)
    assert max_wait_ns(output) == SECOND
    virtual.advance(1)
    assert value(resume(ends_in_time, output)) == "awake"


@durable
async def nested_limits() -> str:
    try:
        await wait_for(wait_for(ask("a"), 5), 2)
    except TimeoutError:
        return "outer"
    return "not reached"


def test_the_nearest_of_nested_limits_counts(virtual: VirtualClock) -> None:
    output = start(nested_limits)
    assert max_wait_ns(output) == 2 * SECOND
    virtual.advance(9)
    assert value(resume(nested_limits, output)) == "outer"


@durable
async def polls_with_a_race() -> Any:
    return await race(ask("a"), naps(2))


def test_a_race_with_a_sleep_is_a_limit_of_time_too(virtual: VirtualClock) -> None:
    output = start(polls_with_a_race)
    virtual.advance(2)
    assert value(resume(polls_with_a_race, output)) == "awake"


@durable
async def awaits_asyncio(ends: bool) -> str:
    try:
        await (asyncio.sleep(0) if ends else asyncio.Event().wait())
        return "done"
    except asyncio.CancelledError:
        log.append("cancelled")
        raise


@durable
async def waits_for_asyncio(ends: bool, timeout: float) -> Any:
    return await wait_for(awaits_asyncio(ends), timeout)


def test_a_limit_of_time_holds_for_ordinary_awaits_within_a_run() -> None:
    token = clock.set(time.time_ns)
    try:
        assert value(start(waits_for_asyncio, True, 60)) == "done"
        assert log == []
        assert type(exception(start(waits_for_asyncio, False, 0.001))) is TimeoutError
        assert log == ["cancelled"]
    finally:
        clock.reset(token)


def test_now_is_the_time_of_the_clock(virtual: VirtualClock) -> None:
    virtual.advance(0.5)
    assert now() == 1_000_000.5
