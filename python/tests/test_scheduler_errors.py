"""What goes wrong in a run, and how it is answered: never by raising out of the scheduler."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from typing import Any

import pytest
from scheduler_runs import (
    answers,
    ask,
    ask_all,
    exception,
    failure,
    functions,
    ids,
    poll,
    resume,
    resume_input,
    run,
    start,
    state,
    status,
    value,
)

from dispatch.any import marshal_any
from dispatch.coroutine import AnyException, any, call, gather, race, wait_for
from dispatch.error import IncompatibleStateError
from dispatch.experimental.durable import durable
from dispatch.proto import Call, CallResult, Input
from dispatch.scheduler import OneShotScheduler
from dispatch.sdk.python.v1.pickled_pb2 import Pickled
from dispatch.sdk.v1.function_pb2 import RunRequest
from dispatch.sdk.v1.poll_pb2 import PollResult
from dispatch.status import Status


@durable
async def of_nothing(what: str) -> Any:
    if what == "gather":
        return await gather()
    return await (any() if what == "any" else race())


def test_gather_of_nothing_is_an_empty_list_at_once() -> None:
    assert value(start(of_nothing, "gather")) == []


def test_any_of_nothing_fails_at_once() -> None:
    error = exception(start(of_nothing, "any"))
    assert isinstance(error, AnyException) and error.exceptions == []


def test_race_of_nothing_is_a_value_error() -> None:
    assert isinstance(exception(start(of_nothing, "race")), ValueError)


@durable
async def of_nothing_in_branches() -> Any:
    return await gather(gather(), gather(ask("a"), gather()))


def test_a_branch_may_be_of_nothing() -> None:
    output = start(of_nothing_in_branches)
    assert value(resume(of_nothing_in_branches, output, answers(output))) == [[], ["a", []]]


@durable
async def two_calls() -> list[str]:
    return [await ask("a"), await ask("b")]


def test_a_result_of_an_earlier_call_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    first = start(two_calls)
    second = resume(two_calls, first, answers(first))
    with caplog.at_level(logging.WARNING, logger="dispatch.scheduler"):
        third = resume(two_calls, second, answers(first))
    assert "discarding unexpected call result with correlation id 1" in caplog.text
    assert (functions(third), poll(third).max_results) == ([], 1)
    assert value(resume(two_calls, third, answers(second))) == ["a", "b"]


def test_a_result_that_comes_twice_at_once_counts_once() -> None:
    output = start(ask_all, "a", "b")
    a, b = answers(output)
    output = resume(ask_all, output, [a, a])
    assert state(output).outstanding_calls == 1
    assert value(resume(ask_all, output, [b])) == ["a", "b"]


@pytest.mark.parametrize("id", [0, 5 << 32 | 1, 1 << 32 | 99, None])
def test_a_result_for_nobody_is_dropped(id: int | None) -> None:
    output = resume(ask_all, start(ask_all, "a", "b"), [CallResult.from_value("?", id)])
    assert (functions(output), poll(output).max_results) == ([], 2)


@durable
async def goes_on_after_a_failure() -> str:
    try:
        await gather(ask("a"), ask("b"))
    except KeyError:
        return str(await ask("c"))
    return "not reached"


def test_late_results_of_branches_of_a_failed_gather_are_dropped() -> None:
    first = start(goes_on_after_a_failure)
    second = resume(goes_on_after_a_failure, first, [failure(ids(first)["a"], KeyError())])
    assert functions(second) == ["c"]
    third = resume(goes_on_after_a_failure, second, answers(first)[1:])
    assert (functions(third), poll(third).max_results) == ([], 1)
    assert value(resume(goes_on_after_a_failure, third, answers(second))) == "c"


@durable
async def races_twice() -> list[str]:
    return [await race(ask("a"), ask("b")), await race(ask("c"), ask("d"))]


def test_the_loser_of_one_race_does_not_win_the_next() -> None:
    first = start(races_twice)
    second = resume(races_twice, first, answers(first)[:1])
    third = resume(races_twice, second, answers(first)[1:])
    assert functions(third) == []
    assert value(resume(races_twice, third, answers(second)[1:])) == ["a", "d"]


def saved_as(data: bytes) -> Input:
    state = marshal_any(Pickled(pickled_value=data))
    return Input(RunRequest(function="main", poll_result=PollResult(typed_coroutine_state=state)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x05garbage", pickle.dumps("no state"), b"cdispatch.nowhere\nState\n.", b"cdispatch.scheduler\nGone\n."],
)
def test_a_state_that_cannot_be_restored_is_incompatible(data: bytes) -> None:
    output = run(OneShotScheduler(ask).run(saved_as(data)))
    assert status(output) == Status.INCOMPATIBLE_STATE
    assert isinstance(exception(output), IncompatibleStateError)
    assert str(exception(output))


def test_a_state_of_another_interpreter_is_incompatible() -> None:
    output = start(ask, "a")
    output = run(OneShotScheduler(ask, version="4.0").run(resume_input(output, answers(output))))
    assert status(output) == Status.INCOMPATIBLE_STATE
    assert "'4.0'" in str(exception(output))


@durable
async def cleans() -> None:
    try:
        await ask("a")
    finally:
        cleaned.append("cleaned")


cleaned: list[str] = []


def test_nothing_of_a_state_that_is_refused_runs(caplog: pytest.LogCaptureFixture) -> None:
    output = start(cleans)
    run(OneShotScheduler(cleans, version="4.0").run(resume_input(output, answers(output))))
    assert cleaned == []
    assert "cleans starts again, its state is incompatible" in caplog.text


def test_a_state_keeps_the_version_that_the_scheduler_was_given() -> None:
    scheduler = OneShotScheduler(ask, version="mine")
    output = run(scheduler.run(Input.from_input_arguments("main", "a")))
    assert value(run(scheduler.run(resume_input(output, answers(output))))) == "a"


@durable
async def holds_a_lock() -> None:
    lock = threading.Lock()
    await ask("a")
    lock.acquire()


def test_a_local_that_cannot_be_saved_is_a_permanent_error() -> None:
    output = start(holds_a_lock)
    assert status(output) == Status.PERMANENT_ERROR
    text = str(exception(output))
    assert "the state of holds_a_lock cannot be saved" in text and "'lock'" in text
    line = holds_a_lock.registered_fn.fn.__code__.co_firstlineno + 3
    assert f"test_scheduler_errors.py:{line}" in text


@durable
async def sends_a_lock() -> None:
    await call(Call(function="f", input=threading.Lock()))


@durable
async def returns_a_lock() -> Any:
    return threading.Lock()


@pytest.mark.parametrize(("main", "what"), [(sends_a_lock, "arguments"), (returns_a_lock, "result")])
def test_values_that_cannot_be_saved_are_permanent_errors(main: Any, what: str) -> None:
    output = start(main)
    assert status(output) == Status.PERMANENT_ERROR
    assert what in str(exception(output)) and "lock" in str(exception(output))


class Unsavable(ValueError):
    def __reduce__(self) -> Any:
        raise TypeError("never")


@durable
async def raises_what_cannot_be_saved() -> None:
    raise Unsavable("oops")


def test_an_error_that_cannot_be_saved_keeps_its_status_and_text() -> None:
    output = start(raises_what_cannot_be_saved)
    assert (status(output), str(exception(output))) == (Status.INVALID_ARGUMENT, "oops")


@durable
async def gathers(make: Any, catches: bool = False) -> Any:
    try:
        return await gather(ask("a"), make())
    except TypeError:
        if not catches:
            raise
        return await ask("b")


async def a_native_coroutine() -> None:
    pass


def a_future() -> Any:
    return asyncio.get_running_loop().create_future()


def nothing() -> Any:
    return None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [nothing, a_future, a_native_coroutine])
def test_what_is_not_durable_cannot_be_gathered(make: Any) -> None:
    error = exception(start(gathers, make))
    assert (type(error), str(error)) == (TypeError, "awaitable is not a @dispatch.function")


def test_the_function_that_gathers_what_is_not_durable_can_go_on() -> None:
    output = start(gathers, nothing, catches=True)
    assert functions(output) == ["b"]
    assert value(resume(gathers, output, answers(output))) == "b"


@durable
async def awaits_twice() -> Any:
    step = call(Call(function="f"))
    return await gather(step, step)


def test_one_call_cannot_be_awaited_twice() -> None:
    assert "cannot reuse already awaited coroutine" in str(exception(start(awaits_twice)))


@durable
async def gathers_with_asyncio() -> Any:
    return await asyncio.gather(call(Call(function="a")), call(Call(function="b")), return_exceptions=False)


def test_asyncio_gather_of_calls_says_to_use_dispatch_gather() -> None:
    error = exception(start(gathers_with_asyncio))
    assert isinstance(error, RuntimeError)
    assert "dispatch.gather()" in str(error)


def test_a_call_that_is_never_awaited_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        call(Call(function="forgotten"))


@durable
async def keeps_for_later() -> Any:
    later = [call(Call(function="b")), ask("c"), gather(ask("d"), call(Call(function="e")))]
    return [await ask("a"), *[await one for one in later]]


@pytest.mark.filterwarnings("error")
def test_awaitables_kept_over_a_suspension_are_not_taken_for_forgotten() -> None:
    output = start(keeps_for_later)
    for expected in ("a", "b", "c"):
        assert functions(output) == [expected]
        output = resume(keeps_for_later, output, answers(output))
    assert value(resume(keeps_for_later, output, answers(output))) == ["a", "b", "c", ["d", "e"]]


@durable
async def cleans_up() -> Any:
    try:
        return await ask("a")
    finally:
        await ask("never")


@durable
async def leaves_a_branch_behind() -> str:
    return str(await race(ask("b"), cleans_up()))


def test_branches_left_behind_do_not_change_the_result() -> None:
    output = start(leaves_a_branch_behind)
    output = resume(leaves_a_branch_behind, output, [CallResult.from_value("b", ids(output)["b"])])
    assert value(output) == "b"


@durable
async def waits_for_what_is_not_durable() -> Any:
    return await wait_for(nothing(), 1)


def test_wait_for_takes_durable_awaitables_only() -> None:
    assert str(exception(start(waits_for_what_is_not_durable))) == "awaitable is not a @dispatch.function"
