"""What functions may do with asyncio between Dispatch calls, and what they are told when they do it around one."""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

import dispatch
import dispatch.test
from dispatch._serve import find_anywhere
from dispatch.test import LocalServer

variable: contextvars.ContextVar[str] = contextvars.ContextVar("inside", default="unset")
shared: dict[str, Any] = {}
steps: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    shared.clear()
    steps.clear()


@dispatch.function
def inside_leaf(n: int) -> int:
    return n


@dispatch.function
def inside_reads() -> str:
    before = variable.get()
    variable.set("of a plain function")
    return before


@dispatch.function
@dispatch.retry(attempts=2)
def inside_reads_with_policy() -> str:
    before = variable.get()
    variable.set("of a plain function")
    return before


@dispatch.function
async def inside_sets(value: str) -> list[str]:
    seen = [variable.get()]
    variable.set(value)
    await asyncio.sleep(0)
    seen.append(variable.get())
    return seen


def test_functions_see_the_context_of_who_entered_the_server_and_keep_theirs() -> None:
    async def body() -> None:
        variable.set("of the test")  # in the context of the test only
        for _ in range(3):
            assert await inside_sets("own") == ["of the caller", "own"]
            assert await inside_reads() == "of the caller"
            assert await inside_reads_with_policy() == "of the caller"
        assert variable.get() == "of the test"

    def caller() -> None:
        variable.set("of the caller")
        dispatch.test.run(body())
        assert variable.get() == "of the caller"

    contextvars.Context().run(caller)


@dispatch.function
async def inside_everything(n: int) -> list[Any]:
    loop = asyncio.get_running_loop()

    async def later(value: int) -> int:
        await asyncio.sleep(0)
        return value

    def in_another_thread() -> int:
        return asyncio.run_coroutine_threadsafe(later(n), loop).result()

    results: list[Any] = [await asyncio.wait_for(later(n), 10), await asyncio.shield(later(n))]
    results += await asyncio.gather(later(n), later(n))
    results.append(await asyncio.to_thread(in_another_thread))
    results.append(await loop.run_in_executor(None, int, str(n)))
    async with asyncio.timeout(10) as limit:
        results.append(await later(n))
    del limit, loop, later, in_another_thread
    return [*results, await inside_leaf(n)]


@dispatch.test.function
async def test_asyncio_works_between_calls() -> None:
    for results, n in zip(await inside_everything.map(range(20)), range(20)):
        assert results == [n] * 8


@dispatch.function
async def inside_puts(n: int) -> None:
    async with shared["lock"]:
        await shared["queue"].put(n)
    shared["event"].set()


@dispatch.function
async def inside_gets(count: int) -> list[int]:
    await shared["event"].wait()
    return sorted([await shared["queue"].get() for _ in range(count)])


@dispatch.test.function
async def test_functions_of_a_process_share_queues_locks_and_events() -> None:
    shared.update(queue=asyncio.Queue(1), lock=asyncio.Lock(), event=asyncio.Event())
    got = asyncio.ensure_future(inside_gets(10))
    await inside_puts.map(range(10))
    assert await got == list(range(10))


@dispatch.function
async def inside_leaves_a_task() -> str:
    async def outlives() -> None:
        await shared["event"].wait()
        steps.append("outlived")
        with pytest.raises(RuntimeError, match="use dispatch.gather"):
            await inside_leaf(1)
        steps.append("told")

    shared["task"] = asyncio.create_task(outlives())
    return "over"


@dispatch.test.function
async def test_a_task_that_outlives_its_function_goes_on_without_calls() -> None:
    shared["event"] = asyncio.Event()
    assert await inside_leaves_a_task() == "over"
    shared["event"].set()
    await shared["task"]
    assert steps == ["outlived", "told"]


async def counts() -> AsyncIterator[int]:
    try:
        for n in range(10):
            await asyncio.sleep(0)
            yield n
    finally:
        await asyncio.sleep(0)
        steps.append("closed")


@dispatch.function
async def inside_generators() -> int:
    async with contextlib.aclosing(counts()) as numbers:
        async for first in numbers:
            if first == 3:
                break
    del numbers
    return first + await inside_leaf(1) + len([n async for n in counts()])


@dispatch.test.function
async def test_asynchronous_generators_are_closed_where_the_function_closes_them() -> None:
    assert await inside_generators() == 14
    assert steps == ["closed", "closed"]


@dispatch.function
async def inside_timeout_around_a_call() -> None:
    try:
        async with asyncio.timeout(1000):
            await inside_leaf(1)
    finally:
        steps.append("finally")


@dispatch.function
async def inside_wait_for_around_a_call() -> Any:
    return await asyncio.wait_for(inside_leaf(1), 1000)


@dispatch.function
async def inside_group_around_a_call() -> None:
    async with asyncio.TaskGroup():
        await inside_leaf(1)


def test_a_timeout_around_a_call_ends_the_call_and_says_what_to_use() -> None:
    @dispatch.test.function
    async def check() -> None:
        for function in (inside_timeout_around_a_call, inside_wait_for_around_a_call, inside_group_around_a_call):
            with pytest.raises(Exception, match=r"dispatch\.wait_for"):
                await function()
        assert steps == ["finally"]
        assert await inside_leaf(1) == 1

    check()


def test_servers_in_one_loop_have_their_own_clocks() -> None:
    @dispatch.function
    async def sleeps(seconds: float) -> float:
        await dispatch.sleep(seconds)
        return seconds

    async def nested() -> float:
        assert await sleeps(50) == 50
        return dispatch.coroutine.now()

    @dispatch.test.function
    async def check() -> None:
        before = dispatch.coroutine.now()
        outer = asyncio.ensure_future(sleeps(100))
        await dispatch.test.main(nested())  # type: ignore[arg-type]
        async with LocalServer():
            assert await sleeps(10) == 10
        assert await outer == 100
        assert await sleeps(1000) == 1000
        assert dispatch.coroutine.now() >= before + 1100

    check()


def test_many_durations_at_once_take_no_threads_of_the_pool() -> None:
    @dispatch.test.function
    async def check() -> None:
        sleeping = [asyncio.ensure_future(dispatch.sleep(n)) for n in range(50)]
        assert await inside_reads_with_policy() == "unset"
        await asyncio.gather(*sleeping)

    check()


def test_a_registry_may_be_opened_while_a_function_is_looked_for() -> None:
    opened: list[dispatch.Registry] = []

    class Opens(dict[str, Any]):
        """As another thread may, in the middle of it."""

        def get(self, name: str, default: Any = None) -> Any:
            opened.append(new(f"second{len(opened)}"))
            return None

    def new(name: str) -> dispatch.Registry:
        return dispatch.Registry(name, dispatch.Client("k", "http://127.0.0.1:1"), "http://127.0.0.1:1")

    opened.append(new("first"))
    opened[0].functions = Opens()
    try:
        assert find_anywhere("nowhere") is None
        assert len(opened) == 2
    finally:
        for one in opened:
            one.close()
