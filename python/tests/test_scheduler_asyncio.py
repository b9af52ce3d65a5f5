"""Functions that await asyncio's things between dispatch's."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from scheduler_runs import answers, ask, exception, functions, ids, resume, run, start, start_async, value

from dispatch.coroutine import call, gather, race
from dispatch.experimental.durable import durable
from dispatch.proto import Call, Input
from dispatch.scheduler import OneShotScheduler

log: list[Any] = []
gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def fresh() -> None:
    log.clear()
    gates.clear()


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


@durable
async def computes(n: int) -> int:
    await asyncio.sleep(0)
    return n + len(asyncio.all_tasks())


def test_a_coroutine_that_is_alone_awaits_without_a_task_of_its_own() -> None:
    assert value(start(computes, 10)) == 11


@durable
async def tasks_of_calls() -> int:
    names = await gather(*[call(Call(function=name)) for name in "abc"])
    return len(names) + len(asyncio.all_tasks())


def test_calls_need_no_tasks() -> None:
    output = start(tasks_of_calls)
    assert value(resume(tasks_of_calls, output, answers(output))) == 4


def test_a_function_that_awaits_only_calls_needs_no_event_loop() -> None:
    def drive(main: Any, input: Input) -> Any:
        running = OneShotScheduler(main).run(input)
        with pytest.raises(StopIteration) as stop:
            running.send(None)
        return stop.value.value

    output = drive(tasks_of_calls, Input.from_input_arguments("main"))
    assert functions(output) == ["a", "b", "c"]


@durable
async def in_the_middle() -> list[Any]:
    await asyncio.sleep(0)
    first = await ask("a")
    await asyncio.sleep(0)
    return [first, await ask("b")]


def test_ordinary_awaits_and_calls_alternate() -> None:
    output = start(in_the_middle)
    output = resume(in_the_middle, output, answers(output))
    assert value(resume(in_the_middle, output, answers(output))) == ["a", "b"]


@durable
async def opens(own: str, other: str) -> str:
    log.append(own)
    gate(own).set()
    await gate(other).wait()
    return own


@durable
async def both_open() -> list[str]:
    return await gather(opens("left", "right"), opens("right", "left"))


def test_branches_with_ordinary_awaits_run_concurrently() -> None:
    assert value(start(both_open)) == ["left", "right"]
    assert log == ["left", "right"]


@durable
async def calls_beside_waiting() -> list[Any]:
    return await gather(opens("left", "right"), ask("a"), opens("right", "left"), call(Call(function="b")))


def test_calls_are_made_once_the_ordinary_awaits_beside_them_are_over() -> None:
    output = start(calls_beside_waiting)
    assert ids(output) == {"a": 0x200000001, "b": 0x400000002}
    assert value(resume(calls_beside_waiting, output, answers(output))) == ["left", "a", "right", "b"]


@durable
async def times_out() -> str:
    try:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    except TimeoutError:
        return "timeout"
    return "not reached"


@durable
async def groups() -> int:
    async def one() -> int:
        await asyncio.sleep(0)
        return 1

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(3)]
    return sum(task.result() for task in tasks)


@durable
async def each_in_a_branch() -> list[Any]:
    return await gather(times_out(), groups(), times_out())


@durable
async def each_in_turn() -> list[Any]:
    return [await times_out(), await groups(), await times_out()]


@pytest.mark.parametrize("main", [each_in_a_branch, each_in_turn])
def test_timeouts_and_task_groups_meet_their_own_task(main: Callable[..., Any]) -> None:
    assert value(start(main)) == ["timeout", 3, "timeout"]


@durable
async def waits_for_ever() -> None:
    try:
        gate("waiting").set()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        log.append("cleaned up")


@durable
async def branches_wait_for_ever() -> None:
    await gather(waits_for_ever(), waits_for_ever())


@pytest.mark.parametrize(("main", "n_cleaned"), [(waits_for_ever, 1), (branches_wait_for_ever, 2)])
def test_a_run_that_is_cancelled_cleans_up_and_says_so(main: Callable[..., Any], n_cleaned: int) -> None:
    async def body() -> None:
        task = asyncio.create_task(start_async(main))
        await gate("waiting").wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(body())
    assert log == ["cleaned up"] * n_cleaned


@durable
async def awaits_what_was_cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@durable
async def interrupts() -> None:
    raise KeyboardInterrupt


@durable
async def interrupts_in_a_branch() -> None:
    await gather(waits_for_ever(), interrupts())


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (awaits_what_was_cancelled, asyncio.CancelledError),
        (interrupts, KeyboardInterrupt),
        (interrupts_in_a_branch, KeyboardInterrupt),
    ],
)
def test_cancellation_and_ctrl_c_in_a_function_are_not_swallowed(
    main: Callable[..., Any], expected: type[BaseException]
) -> None:
    with pytest.raises(expected):
        start(main)


@durable
async def fast_and_slow() -> Any:
    return await race(waits_for_ever(), opens("right", "waiting"))


def test_tasks_left_over_at_the_end_are_cancelled_and_awaited() -> None:
    async def body() -> Any:
        output = await start_async(fast_and_slow)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return output

    assert value(run(body())) == "right"
    assert log == ["right", "cleaned up"]


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@durable
async def reads_and_sets(name: str) -> list[str]:
    before = variable.get()
    variable.set(name)
    await asyncio.sleep(0)
    await gather()
    return [before, variable.get()]


@durable
async def sets_variables() -> list[Any]:
    variable.set("main")
    branches = await gather(reads_and_sets("a"), reads_and_sets("b"))
    return [*branches, variable.get()]


def test_context_variables_last_for_the_run_and_stay_inside() -> None:
    async def body() -> Any:
        output = await start_async(sets_variables)
        assert variable.get() == "unset"
        return output

    assert value(run(body())) == [["main", "a"], ["main", "b"], "main"]


@durable
async def busy(name: str) -> str:
    for _ in range(3):
        await asyncio.sleep(0)
        await gather(both(name), both(name))
    return name


@durable
async def both(name: str) -> str:
    await asyncio.sleep(0)
    return name


def test_several_loops_in_several_threads_do_not_disturb_each_other() -> None:
    results: list[Any] = []

    async def many(thread: int) -> list[Any]:
        return await asyncio.gather(*[start_async(busy, f"{thread}.{i}") for i in range(20)])

    def work(thread: int) -> None:
        results.extend(value(output) for output in run(many(thread)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{thread}.{i}" for thread in range(4) for i in range(20))


def test_uvloop_runs_functions_too() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert value(runner.run(start_async(busy, "uv"))) == "uv"
        assert value(runner.run(start_async(each_in_a_branch))) == ["timeout", 3, "timeout"]


@durable
async def leaks() -> str:
    try:
        return str(await ask("a"))
    finally:
        log.append("finally")


def test_a_finally_block_runs_at_the_end_and_not_when_the_function_is_suspended() -> None:
    output = start(leaks)
    assert log == []
    assert value(resume(leaks, output, answers(output))) == "a"
    assert log == ["finally"]


@durable
async def yields_nonsense() -> None:
    class Nonsense:
        def __await__(self) -> Any:
            yield "nonsense"

    await Nonsense()


def test_what_is_neither_asyncio_nor_dispatch_fails_as_in_asyncio() -> None:
    assert "bad yield" in str(exception(start(yields_nonsense)))
