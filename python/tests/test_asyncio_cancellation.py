"""Cancellation and timeouts of asyncio inside of functions, from their first step on, and of who awaits them."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import dispatch
import dispatch.test
from dispatch.test import LocalServer

steps: list[str] = []
kept: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    steps.clear()
    kept.clear()


@dispatch.function
def cancel_leaf(n: int) -> int:
    return n


@dispatch.function
async def cancel_out_of_time_at_once(seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return "too late"
    return "in time"


@dispatch.function
async def cancel_itself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        task.uncancel()
        return "cancelled"
    return "not cancelled"


@dispatch.function
async def cancel_itself_and_return() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return "returned"


@dispatch.function
async def cancel_in_a_group() -> str:
    async def fails() -> None:
        raise LookupError("in the group")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            await asyncio.Event().wait()
    except* LookupError:
        steps.append("caught")
    return "ended"


@dispatch.function
async def cancel_keeps_its_task() -> int:
    kept.append(asyncio.current_task())
    return len(kept)


@dispatch.function
async def cancel_waits_for_ever(name: str) -> None:
    kept.append(name)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        steps.append(name)


@dispatch.function
async def cancel_raises_what_nobody_expects() -> int:
    kept.append(None)
    if len(kept) == 1:
        raise asyncio.CancelledError("by itself")
    return len(kept)


@dispatch.test.function
async def test_a_timeout_that_is_over_when_the_function_first_waits_is_raised_there() -> None:
    for seconds in (0, -1, 0.001):
        assert await cancel_out_of_time_at_once(seconds) == "too late"
    assert await cancel_out_of_time_at_once.map([0] * 20) == ["too late"] * 20


@dispatch.test.function
async def test_a_function_can_cancel_its_task() -> None:
    assert await cancel_itself() == "cancelled"
    assert await cancel_itself.map([]) == []
    assert await asyncio.gather(cancel_itself(), cancel_leaf(1), cancel_itself()) == ["cancelled", 1, "cancelled"]


@dispatch.test.function
async def test_a_cancelled_task_is_not_the_task_of_the_next_function() -> None:
    assert await cancel_itself_and_return() == "returned"
    assert await cancel_out_of_time_at_once(0) == "too late"
    both = await asyncio.gather(cancel_itself_and_return(), cancel_out_of_time_at_once(0), cancel_itself())
    assert both == ["returned", "too late", "cancelled"]


@dispatch.test.function
async def test_a_group_that_fails_cancels_the_function_that_has_it() -> None:
    assert await asyncio.gather(*(cancel_in_a_group() for _ in range(5))) == ["ended"] * 5
    assert steps == ["caught"] * 5


@dispatch.test.function
async def test_a_task_that_somebody_keeps_is_of_one_run_only() -> None:
    for n in range(1, 4):
        assert await cancel_keeps_its_task() == n
    assert len({id(task) for task in kept}) == 3


@dispatch.test.function
async def test_a_cancellation_out_of_a_function_is_tried_again_and_disturbs_no_other() -> None:
    both = await asyncio.gather(cancel_raises_what_nobody_expects(), *(cancel_leaf(n) for n in range(20)))
    assert both == [2, *range(20)]


def test_functions_that_just_began_are_cancelled_with_their_test() -> None:
    @dispatch.test.function
    async def check() -> None:
        for n in range(3):
            await cancel_waits_for_ever.dispatch(str(n))
        assert await cancel_leaf(1) == 1
        raise LookupError("enough")

    with pytest.raises(LookupError):
        check()
    assert sorted(steps) == ["0", "1", "2"]


def test_a_loop_that_is_only_closed_has_no_tasks_left(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> int:
        async with LocalServer():
            return await cancel_leaf(1) + (await cancel_keeps_its_task())

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(body()) == 2
        assert asyncio.all_tasks(loop) == set()
    finally:
        loop.close()
    gc.collect()
    assert "destroyed" not in caplog.text


@pytest.mark.parametrize("wait", [asyncio.wait_for, dispatch.wait_for])
def test_who_stops_waiting_for_a_call_leaves_nothing_behind(wait: Callable[..., Any]) -> None:
    @dispatch.test.function
    async def check() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            await wait(cancel_waits_for_ever("late"), 0.02)
        assert len(asyncio.all_tasks() - before) == 1  # that of the function, which nobody told
        assert await cancel_leaf(2) == 2

    check()
    assert steps == ["late"]


def test_a_cancelled_test_server_is_closed() -> None:
    servers: list[Any] = []

    async def body() -> None:
        async with LocalServer() as server:
            servers.append(weakref.ref(server))
            await cancel_waits_for_ever("first")

    async def cancels() -> None:
        task = asyncio.create_task(body())
        while not kept:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancels())
    gc.collect()
    assert servers[0]() is None
