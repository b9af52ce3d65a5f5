"""How programs end: Ctrl-C, SIGTERM, errors and cancellation, with functions under way. Nothing is left behind."""

import asyncio
import gc
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

import dispatch
import dispatch.asyncio  # takes the name `asyncio` in the package, which run() is not to depend on
import dispatch.test
from dispatch import _endpoint
from dispatch._endpoint import CoreEndpoint
from dispatch._function import BlockingFunction
from dispatch.http import Dispatch, Server
from dispatch.registry import Registry, default_registry, set_default_registry
from dispatch.sdk.v1.function_pb2 import RunRequest
from dispatch.test import LocalServer

RUN_PATH = "/dispatch.sdk.v1.FunctionService/Run"
ANY_PORT = "127.0.0.1:0"

steps: list[str] = []
began = threading.Event()
release = threading.Event()


ports: list[int] = []


class Watched(CoreEndpoint):
    """Tells its port, which `dispatch.run` keeps to itself."""

    async def start(self) -> int:
        ports.append(await super().start())
        return ports[-1]


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_endpoint, "CoreEndpoint", Watched)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """The default one of the test, with a function that waits in the loop and one that blocks a thread."""
    steps.clear()
    began.clear()
    release.clear()
    before = default_registry()
    made = Registry("end", dispatch.Client("key", "http://127.0.0.1:1"), "http://127.0.0.1:9")

    @made.function
    async def waits() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")

    @made.function
    def blocks() -> None:
        began.set()
        release.wait()

    @made.function
    async def is_slow() -> None:
        began.set()
        for _ in range(50):
            await asyncio.sleep(0)
        steps.append("finished")

    set_default_registry(made)
    yield made
    release.set()
    set_default_registry(before)
    made.close()


async def ask(port: int, name: str) -> int:
    body = RunRequest(function=name).SerializeToString()
    async with aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{port}{RUN_PATH}", data=body) as answer:
            return answer.status


def name_of(registry: Registry, word: str) -> str:
    [name] = [name for name in registry.functions if name.endswith(word)]
    return name


async def asked(server: Server, registry: Registry, word: str) -> "asyncio.Task[int]":
    """A request whose function has begun."""
    asking = asyncio.create_task(ask(server.port, name_of(registry, word)))
    await asyncio.to_thread(began.wait)
    return asking


@pytest.mark.parametrize("word", ["waits", "blocks"])
def test_a_cancelled_server_gives_up_its_functions_and_says_so(registry: Registry, word: str) -> None:
    async def serves(ready: "asyncio.Future[Server]") -> None:
        async with Server("127.0.0.1", 0, Dispatch(registry)) as server:
            ready.set_result(server)
            await asyncio.Event().wait()

    async def body() -> None:
        ready: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serves(ready))
        asking = await asked(await ready, registry, word)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert await asking == 503
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask((await ready).port, "x")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())
    assert steps == ["cancelled"] * (word == "waits")


@pytest.mark.parametrize("word", ["waits", "blocks"])
def test_a_server_that_stops_waits_so_long_and_no_longer(
    registry: Registry, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_endpoint, "STOP_S", 0.05)

    async def body() -> None:
        server = Server("127.0.0.1", 0, Dispatch(registry))
        await server.start()
        asking = await asked(server, registry, word)
        await server.stop()
        assert await asking == 503

    asyncio.run(body())


def test_a_server_that_stops_answers_what_has_begun(registry: Registry) -> None:
    async def body() -> int:
        async with Server("127.0.0.1", 0, Dispatch(registry)) as server:
            asking = await asked(server, registry, "is_slow")
        return await asking

    assert asyncio.run(body()) == 200
    assert steps == ["finished"]


def test_a_server_whose_stop_is_cancelled_is_stopped(registry: Registry) -> None:
    async def body() -> None:
        server = Server("127.0.0.1", 0, Dispatch(registry))
        await server.start()
        asking = await asked(server, registry, "waits")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.stop(), 0.01)
        assert await asking == 503
        await server.stop()
        await server.start()
        with pytest.raises(RuntimeError, match="listens already"):
            await server.start()
        await server.stop()

    asyncio.run(body())
    assert steps == ["cancelled"]


@pytest.mark.parametrize("n", [0, 1])
def test_a_server_that_was_not_stopped_before_its_loop_is_stopped_later(registry: Registry, n: int) -> None:
    async def starts() -> Server:
        server = Server("127.0.0.1", 0, Dispatch(registry))
        await server.start()
        return server

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(starts())
    port = server.port
    loop.close()
    if n:
        asyncio.run(server.stop())
    else:
        with pytest.warns(ResourceWarning, match=f"127.0.0.1:{port} was not stopped"):
            del server
            gc.collect()
        for thread in threading.enumerate():
            if thread.name.endswith("(_give_up)"):
                thread.join()

    async def body() -> None:
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(port, "x")

    asyncio.run(body())


@pytest.mark.parametrize("word", ["waits", "blocks"])
@pytest.mark.parametrize("is_forever", [False, True])
def test_ctrl_c_ends_a_program_at_once(registry: Registry, word: str, is_forever: bool) -> None:
    async def body() -> None:
        port = ports[-1]
        asyncio.create_task(ask(port, name_of(registry, word))).add_done_callback(lambda one: one.exception())
        await asyncio.to_thread(began.wait)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    n_threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        (dispatch.run_forever if is_forever else dispatch.run)(body(), ANY_PORT)
    assert steps == ["cancelled"] * (word == "waits")
    release.set()
    assert threading.active_count() <= n_threads + 1  # that of the function that blocks


def test_sigterm_ends_run_forever_once_its_functions_have_ended(registry: Registry) -> None:
    statuses: list[int] = []

    async def body() -> None:
        port = ports[-1]
        asking = asyncio.create_task(ask(port, name_of(registry, "is_slow")))
        asking.add_done_callback(lambda one: statuses.append(one.result()))
        await asyncio.to_thread(began.wait)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    before = signal.getsignal(signal.SIGTERM)
    dispatch.run_forever(body(), ANY_PORT)
    assert steps == ["finished"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_run_forever_leaves_a_handler_of_the_program_alone(registry: Registry) -> None:
    seen: list[int] = []

    async def body() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while not seen:
            await asyncio.sleep(0)
        raise LookupError("done")

    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with pytest.raises(LookupError):
            dispatch.run_forever(body(), ANY_PORT)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@dispatch.function
async def end_waits() -> None:
    try:
        began.set()
        await asyncio.Event().wait()
    finally:
        steps.append("cancelled")


@dispatch.function
def end_blocks() -> None:
    began.set()
    release.wait()


@pytest.mark.parametrize("transport", ["local", "http"])
@pytest.mark.parametrize("function", [end_waits, end_blocks])
def test_ctrl_c_ends_a_test_at_once(function: Any, transport: str) -> None:
    steps.clear()
    began.clear()
    release.clear()

    @dispatch.test.function
    @dispatch.test.options(transport=transport)
    async def check() -> None:
        call = asyncio.ensure_future(function())
        await asyncio.to_thread(began.wait)
        os.kill(os.getpid(), signal.SIGINT)
        await call

    with pytest.raises(KeyboardInterrupt):
        check()
    assert steps == ["cancelled"] * (function is end_waits)
    release.set()


def test_a_test_ends_while_its_clock_is_moved_by_hand() -> None:
    steps.clear()
    began.clear()

    async def body() -> None:
        async with LocalServer() as server:
            await end_waits.dispatch()
            await asyncio.to_thread(began.wait)
            moving = asyncio.ensure_future(server.advance(10))
            await asyncio.sleep(0)
        await moving

    asyncio.run(body())
    assert steps == ["cancelled"]


def test_coroutines_that_cannot_be_run_are_closed(registry: Registry) -> None:
    async def nothing() -> None: ...

    def in_a_loop(run: Any, *words: Any) -> None:
        async def body() -> None:
            run(nothing(), *words)

        with pytest.raises(RuntimeError, match="event loop"):
            asyncio.run(body())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for run in (dispatch.run, dispatch.run_forever, dispatch.test.run):
            in_a_loop(run)
        for run in (dispatch.run, dispatch.run_forever):
            with pytest.raises(ValueError, match="invalid endpoint address"):
                run(nothing(), "host:port")
            with pytest.raises(OSError):
                run(nothing(), "256.0.0.1:1")
        with pytest.raises(Exception, match="chaos|drop"):
            dispatch.test._run(nothing(), {"chaos": "drop=what"})
        gc.collect()


def test_a_blocking_function_in_a_loop_says_what_to_do(registry: Registry) -> None:
    blocking = BlockingFunction(end_blocks)

    async def body() -> None:
        for call in (blocking, blocking.dispatch):
            with pytest.raises(RuntimeError, match="on a thread"):
                call()

    asyncio.run(body())
