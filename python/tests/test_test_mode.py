"""What a test runs in: the engine, its virtual clock, chaos, and the tree of calls."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

import dispatch
import dispatch.test
from dispatch.error import TemporaryError, TimeoutError
from dispatch.test import LocalServer

runs: list[Any] = []


@dispatch.function
def mode_leaf(n: int) -> int:
    return n


@dispatch.function
async def mode_sleeper(seconds: float) -> float:
    before = dispatch.coroutine.now()
    await dispatch.sleep(seconds)
    return dispatch.coroutine.now() - before


@dispatch.function
async def mode_awaits_then_sleeps() -> list[Any]:
    first = await mode_leaf(1)
    await dispatch.sleep(timedelta(hours=2))
    return [first, await mode_leaf(2)]


@dispatch.function
def mode_flaky(failures: int) -> int:
    runs.append(dispatch.coroutine.now())
    if len(runs) <= failures:
        raise TemporaryError("again")
    return len(runs)


@dispatch.function
def mode_reset(left: int) -> str:
    if left:
        raise dispatch.Reset(mode_reset, left - 1)
    return "reset enough"


@dispatch.test.function
async def test_hours_of_sleep_take_no_time() -> None:
    before = time.monotonic()
    assert await mode_sleeper(6 * 3600) >= 6 * 3600
    assert await mode_sleeper.map([3600.0] * 50) == pytest.approx([3600.0] * 50, abs=5)
    assert await mode_awaits_then_sleeps() == [1, 2]
    assert time.monotonic() - before < 30


@dispatch.test.function
async def test_a_test_sleeps_by_the_virtual_clock_too() -> None:
    before = dispatch.coroutine.now()
    await dispatch.sleep(1000)
    assert dispatch.coroutine.now() - before >= 1000


@dispatch.test.function
async def test_retries_back_off_by_the_virtual_clock() -> None:
    runs.clear()
    assert await mode_flaky(8) == 9
    assert runs[-1] > runs[0]


@dispatch.test.function
async def test_a_reset_goes_on_with_other_arguments() -> None:
    assert await mode_reset(3) == "reset enough"


@dispatch.test.function
async def test_a_call_expires() -> None:
    with pytest.raises(TimeoutError, match="expired 60 s after its creation"):
        await mode_sleeper.options(expiration=60)(3600)


@dispatch.test.function
async def test_a_dispatched_call_can_be_cancelled() -> None:
    client = dispatch.default_registry().client
    dispatch_id = await mode_sleeper.dispatch(3600)
    await client.cancel(dispatch_id)
    with pytest.raises(dispatch.error.CanceledError):
        await client.wait(dispatch_id)
    with pytest.raises(dispatch.ClientError, match="failed_precondition"):
        await client.cancel(dispatch_id)


@dispatch.test.function
async def test_who_stops_awaiting_leaves_the_clock_alone() -> None:
    before = dispatch.coroutine.now()
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.05):
            sleeping = asyncio.ensure_future(mode_sleeper(3600))
            never = asyncio.get_running_loop().create_future()
            sleeping.cancel()
            await never
    assert dispatch.coroutine.now() - before < 3600


@dispatch.test.function
async def test_a_batch_is_submitted_whole() -> None:
    batch = dispatch.batch()
    ids = await batch.add(mode_leaf, 1).add_call(mode_leaf.build_call(2)).dispatch()
    client = dispatch.default_registry().client
    assert [await client.wait(i) for i in ids] == [1, 2]
    assert await batch.dispatch() == []


def test_chaos_changes_no_result() -> None:
    @dispatch.test.function
    @dispatch.test.options(chaos="seed=7,drop=15%,duplicate=15%,delay=50ms,crash-endpoint=3%,fail=10%")
    async def check() -> None:
        assert await mode_leaf.map(range(40)) == list(range(40))
        assert await mode_awaits_then_sleeps() == [1, 2]

    check()


def test_a_seed_gives_the_same_ids() -> None:
    async def ids() -> list[str]:
        async with LocalServer(seed=5, chaos="seed=1,fail=0%") as server:
            assert server.now() > 0
            return [await mode_leaf.dispatch(n) for n in range(3)]

    first, second = asyncio.run(ids()), asyncio.run(ids())
    assert [i[-16:] for i in first] == [i[-16:] for i in second]


def test_a_server_works_in_any_event_loop() -> None:
    async def body() -> None:
        async with LocalServer() as server:
            assert await mode_sleeper(3600) >= 3600
            assert "mode_sleeper" in server.trace()
            waiting = asyncio.ensure_future(mode_sleeper(10**5))
            await asyncio.sleep(0)
            waiting.cancel()

    asyncio.run(body())
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())


def test_several_servers_run_in_threads_at_once() -> None:
    async def all_at_once() -> list[Any]:
        def one(n: int) -> Any:
            async def body() -> Any:
                return await mode_sleeper(n * 1000), await mode_leaf.map(range(n))

            return dispatch.test.run(body())  # type: ignore[func-returns-value, arg-type]

        return await asyncio.gather(*(asyncio.to_thread(one, n) for n in range(1, 5)))

    for n, (slept, leaves) in enumerate(asyncio.run(all_at_once()), 1):
        assert slept >= n * 1000
        assert leaves == list(range(n))
