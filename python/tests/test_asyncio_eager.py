"""Functions that await ordinary asyncio things, which are started without a task of their own before they first wait."""

import asyncio

import pytest

import dispatch
import dispatch.test

steps: list[str] = []


@dispatch.function
def eager_leaf(n: int) -> int:
    return n


@dispatch.function
async def eager_io(n: int) -> int:
    task = asyncio.current_task()
    async with asyncio.timeout(30):
        await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        other = group.create_task(asyncio.sleep(0.001, n))
    assert asyncio.current_task() is task is not None
    doubled = n + other.result()
    del task, group, other  # which cannot be saved
    return doubled + await eager_leaf(n)


@dispatch.function
async def eager_too_late() -> str:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(30)
    except TimeoutError:
        return "too late"
    return "in time"


@dispatch.function
async def eager_never() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        steps.append("ended")


@dispatch.test.function
async def test_functions_have_a_task_from_their_first_step_to_their_last() -> None:
    assert await asyncio.gather(*(eager_io(n) for n in range(40))) == [3 * n for n in range(40)]


@dispatch.test.function
async def test_a_timeout_ends_its_own_function_only() -> None:
    assert await asyncio.gather(eager_too_late(), eager_io(2), eager_too_late()) == ["too late", 6, "too late"]


def test_a_function_that_never_returns_ends_with_its_test() -> None:
    steps.clear()

    @dispatch.test.function
    async def check() -> None:
        await eager_never.dispatch()
        assert await eager_leaf(1) == 1
        raise LookupError("enough")

    with pytest.raises(LookupError):
        check()
    assert steps == ["ended"]
