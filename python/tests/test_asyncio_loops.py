"""Several event loops in one process, of asyncio and uvloop; none of them is blocked by what waits."""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import dispatch
import dispatch.test
from dispatch.http import Dispatch, Server
from dispatch.registry import default_registry
from dispatch.test import LocalServer, Service

API_KEY = dispatch.test.DISPATCH_API_KEY


@dispatch.function
def loops_leaf(n: int) -> int:
    return n


@dispatch.function
async def loops_parent(n: int) -> int:
    await asyncio.sleep(0)
    return sum(await loops_leaf.map(range(n)))


@dispatch.function
async def loops_sleeper() -> str:
    await dispatch.sleep(3600)
    return "awake"


def new_loops() -> list[Any]:
    factories: list[Any] = [asyncio.new_event_loop]
    try:
        import uvloop
    except ImportError:
        return factories
    return [*factories, uvloop.new_event_loop]


def run(factory: Callable[[], asyncio.AbstractEventLoop], coro: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coro)


async def beats(during: Any) -> Any:
    """What the coroutine returns; the loop must have turned while it waited."""
    waiting = asyncio.ensure_future(during)
    turns = 0
    while not waiting.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 2
    return waiting.result()


async def everything() -> int:
    async with LocalServer(transport="http") as server:
        client = dispatch.Client(API_KEY, server.url)
        dispatch_id, other = await beats(client.dispatch([loops_parent.build_call(n) for n in (5, 6)]))
        assert [await beats(client.wait(i)) for i in (dispatch_id, other)] == [10, 15]
        with pytest.raises(dispatch.ClientError):
            await beats(client.cancel(dispatch_id))
        return int(await beats(loops_parent(4)))


@pytest.mark.parametrize("factory", new_loops())
def test_nothing_that_waits_blocks_the_loop(factory: Any) -> None:
    async def serves() -> None:
        server = Server("127.0.0.1", 0, Dispatch(default_registry()))
        await beats(server.start())
        await beats(server.stop())

    run(factory, serves())
    assert run(factory, everything()) == 6


def test_loops_in_threads_have_servers_and_clients_of_their_own() -> None:
    factories = new_loops() * 2
    with ThreadPoolExecutor(len(factories)) as pool:
        assert list(pool.map(lambda factory: run(factory, everything()), factories)) == [6] * len(factories)


def test_one_client_serves_several_loops_at_once_and_one_after_the_other() -> None:
    async def main() -> None:
        async with LocalServer(transport="http") as server:
            client = dispatch.Client(API_KEY, server.url)

            async def ask() -> Any:
                [dispatch_id] = await client.dispatch([loops_leaf.options(endpoint=server.endpoint).build_call(7)])
                return await client.wait(dispatch_id)

            for _ in range(2):
                asked = [asyncio.to_thread(lambda: asyncio.run(ask())) for _ in range(3)]
                assert await asyncio.gather(ask(), *asked) == [7] * 4

    asyncio.run(main())


def test_a_test_may_run_in_a_thread_of_another_test() -> None:
    async def inner() -> int:
        return await loops_parent(3)

    @dispatch.test.function
    async def check() -> None:
        sleeping = asyncio.ensure_future(loops_sleeper())
        assert await asyncio.to_thread(dispatch.test.run, inner()) == 3  # type: ignore[arg-type, func-returns-value]
        assert await sleeping == "awake"

    check()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_policy_of_uvloop_changes_nothing_for_tests() -> None:
    uvloop = pytest.importorskip("uvloop")
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:

        @dispatch.test.function
        async def check() -> None:
            assert await loops_sleeper() == "awake"

        check()

        async def program() -> str:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
            return type(asyncio.get_running_loop()).__module__

        dispatch.run_forever(program(), "127.0.0.1:0")

        async def where() -> str:
            return type(asyncio.get_running_loop()).__module__

        assert dispatch.run(where(), "127.0.0.1:0").startswith("uvloop")
    finally:
        asyncio.set_event_loop_policy(before)


def test_a_service_is_closed_with_its_loop() -> None:
    async def body() -> None:
        service = Service()
        async with Server("127.0.0.1", 0, service):
            pass
        await service.close()

    for _ in range(2):
        asyncio.run(body())
