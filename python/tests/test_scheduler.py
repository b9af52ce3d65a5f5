"""The scheduler's runs as a server sees them: polls, resumes, ends."""

from __future__ import annotations

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
    max_wait_ns,
    poll,
    result,
    resume,
    run,
    start,
    state,
    status,
    value,
)

from dispatch.coroutine import AnyException, any, call, gather, race
from dispatch.experimental.durable import durable
from dispatch.proto import Call, CallResult, Input, Output, TailCall
from dispatch.scheduler import OneShotScheduler, in_function_call
from dispatch.status import Status


@durable
async def add(a: int, b: int = 1) -> int:
    return a + b


@durable
async def fail(text: str) -> None:
    raise ValueError(text)


@durable
async def twice() -> list[str]:
    return [await ask("foo"), await ask("bar")]


@durable
async def in_sequence(*names: str) -> list[str]:
    results = []
    for name in names:
        results.append(await ask(name))
    return results


@durable
async def first_of(*names: str) -> Any:
    return await any(*[ask(name) for name in names])


@durable
async def fastest_of(*names: str) -> Any:
    return await race(*[ask(name) for name in names])


def test_a_main_coroutine_that_ends_is_an_exit_with_its_value() -> None:
    output = start(add, 2, b=10)
    assert (value(output), status(output)) == (12, Status.OK)
    assert not output._message.exit.HasField("tail_call")


def test_a_main_coroutine_that_raises_is_an_exit_with_its_error() -> None:
    output = start(fail, "oops")
    error = exception(output)
    assert (type(error), str(error), status(output)) == (ValueError, "oops", Status.INVALID_ARGUMENT)


def test_arguments_that_do_not_fit_are_an_invalid_argument() -> None:
    assert status(start(add, 1, 2, 3)) == Status.INVALID_ARGUMENT


def test_a_plain_input_is_the_only_argument() -> None:
    from dispatch.any import marshal_any
    from dispatch.sdk.v1.function_pb2 import RunRequest

    output = run(OneShotScheduler(add).run(Input(RunRequest(function="add", input=marshal_any(4)))))
    assert value(output) == 5


def test_an_entry_point_that_is_not_durable_is_refused() -> None:
    async def plain() -> None:
        pass

    with pytest.warns(RuntimeWarning, match="never awaited"):
        error = exception(start(plain))
    assert (type(error), str(error)) == (ValueError, "entry point is not a @dispatch.function")


def test_a_call_is_a_poll_with_the_call() -> None:
    output = start(ask, "foo")
    assert ids(output) == {"foo": 0x1}
    assert (poll(output).min_results, poll(output).max_results, max_wait_ns(output)) == (1, 1, None)
    assert status(output) == Status.OK


def test_calls_of_branches_carry_the_ids_of_branch_and_call() -> None:
    output = start(ask_all, "foo", "bar", "baz")
    assert ids(output) == {"foo": 0x100000001, "bar": 0x200000002, "baz": 0x300000003}


@durable
async def nested() -> list[object]:
    return await gather(ask_all("a", "b", "c"), ask("d"), ask_all("e", "f", "g"), ask("h"))


def test_nested_branches_run_before_their_elders_siblings() -> None:
    output = start(nested)
    assert functions(output) == ["d", "h", "e", "f", "g", "a", "b", "c"]
    assert (poll(output).min_results, poll(output).max_results) == (1, 8)
    output = resume(nested, output, answers(output))
    assert value(output) == [["a", "b", "c"], "d", ["e", "f", "g"], "h"]


def test_awaits_in_sequence_make_their_calls_in_sequence() -> None:
    output = start(twice)
    assert functions(output) == ["foo"]
    output = resume(twice, output, answers(output))
    assert ids(output) == {"bar": 0x2}
    assert value(resume(twice, output, answers(output))) == ["foo", "bar"]


def test_gather_returns_all_results_in_the_order_of_its_arguments() -> None:
    output = start(ask_all, "a", "b", "c")
    assert value(resume(ask_all, output, answers(output)[::-1])) == ["a", "b", "c"]


def test_a_partial_result_is_followed_by_a_poll_without_calls() -> None:
    output = start(ask_all, "a", "b", "c", "d")
    results = answers(output)
    for n_left in (3, 2, 1):
        output = resume(ask_all, output, [results.pop()])
        assert (functions(output), poll(output).max_results) == ([], n_left)
    assert value(resume(ask_all, output, results)) == ["a", "b", "c", "d"]


def test_gather_raises_the_first_error_at_once() -> None:
    output = start(ask_all, "a", "b", "c")
    error = exception(resume(ask_all, output, [failure(ids(output)["b"], KeyError("no"))]))
    assert (type(error), error.args) == (KeyError, ("no",))


def test_any_returns_the_first_success() -> None:
    output = start(first_of, "a", "b", "c")
    output = resume(first_of, output, [failure(ids(output)["a"], RuntimeError("oops")), answers(output)[2]])
    assert value(output) == "c"


def test_any_of_which_all_fail_raises_all_errors() -> None:
    output = start(first_of, "a", "b")
    oops = [failure(id, RuntimeError(name)) for name, id in ids(output).items()]
    error = exception(resume(first_of, output, oops[::-1]))
    assert isinstance(error, AnyException)
    assert str(error) == "2 coroutine(s) failed with an exception"
    assert [str(one) for one in error.exceptions] == ["a", "b"]


def test_any_of_one_that_fails_raises_its_error() -> None:
    output = start(first_of, "a")
    assert type(exception(resume(first_of, output, [failure(ids(output)["a"], KeyError())]))) is KeyError


@pytest.mark.parametrize("first", [0, 1, 2])
def test_race_returns_what_comes_first_even_when_all_come_together(first: int) -> None:
    output = start(fastest_of, "a", "b", "c")
    results = answers(output)
    results.insert(0, results.pop(first))
    assert value(resume(fastest_of, output, results)) == "abc"[first]


def test_race_raises_an_error_that_comes_first() -> None:
    output = start(fastest_of, "a", "b")
    results = [failure(ids(output)["b"], RuntimeError("oops")), answers(output)[0]]
    assert str(exception(resume(fastest_of, output, results))) == "oops"


@durable
async def graph() -> list[object]:
    first = await gather(in_sequence("a", "e"), ask("b"), ask_all("c", "d"))
    second = await ask("f")
    return [first, second, await ask_all("g", "h")]


def test_a_graph_of_calls_makes_each_call_when_what_it_needs_is_there() -> None:
    output = start(graph)
    seen = ids(output)
    for expected in (["e"], ["f"], ["g", "h"]):
        output = resume(graph, output, answers(output))
        assert functions(output) == expected
        seen.update(ids(output))
    output = resume(graph, output, answers(output))
    assert value(output) == [[["a", "e"], "b", ["c", "d"]], "f", ["g", "h"]]
    assert len(set(seen.values())) == 8


@durable
async def c_then_d() -> Any:
    c = await ask("c")
    try:
        return c + await ask("d")
    except RuntimeError as error:
        return f"{c} but {error}"


@durable
async def three() -> list[object]:
    return await gather(ask_all("a", "b"), c_then_d())


def test_a_refused_poll_fails_only_the_calls_that_it_had() -> None:
    output = start(three)
    known = ids(output)
    assert known.keys() == {"a", "b", "c"}
    output = resume(three, output, [CallResult.from_value("c", known["c"])])
    assert functions(output) == ["d"] and poll(output).max_results == 3
    output = resume(three, output, error=RuntimeError("too many calls"))
    assert functions(output) == [] and poll(output).max_results == 2
    output = resume(three, output, [CallResult.from_value(name, known[name]) for name in "ab"])
    assert value(output) == [["a", "b"], "c but too many calls"]


def test_a_refused_poll_without_calls_ends_the_call() -> None:
    output = start(ask_all, "a", "b")
    output = resume(ask_all, output, answers(output)[:1])
    assert str(exception(resume(ask_all, output, error=RuntimeError("state too large")))) == "state too large"


@durable
async def branch_fails() -> None:
    await gather(ask("a"), fail("oops"))


def test_an_error_of_a_branch_ends_the_call_that_does_not_catch_it() -> None:
    assert str(exception(start(branch_fails))) == "oops"


@durable
async def reset() -> None:
    raise TailCall(Call(function="other"), status=Status.TEMPORARY_ERROR)


@durable
async def reset_in_a_branch() -> None:
    await gather(ask("a"), reset())


@pytest.mark.parametrize("main", [reset, reset_in_a_branch])
def test_a_tail_call_replaces_the_call(main: object) -> None:
    output = start(main)  # type: ignore[arg-type]
    assert output._message.exit.tail_call.function == "other"
    assert not output._message.exit.HasField("result")
    assert status(output) == Status.TEMPORARY_ERROR


@pytest.mark.parametrize(
    ("limits", "expected"), [((1, 10), (1, 3)), ((1, 2), (1, 2)), ((10, 10), (3, 3)), ((0, 0), (1, 1))]
)
def test_limits_of_results_are_clamped_to_the_calls_outstanding(
    limits: tuple[int, int], expected: tuple[int, int]
) -> None:
    scheduler = OneShotScheduler(ask_all, poll_min_results=limits[0], poll_max_results=limits[1])
    output = run(scheduler.run(Input.from_input_arguments("main", "a", "b", "c")))
    assert (poll(output).min_results, poll(output).max_results) == expected


@pytest.mark.parametrize(("seconds", "ns"), [(7, 7_000_000_000), (0.25, 250_000_000)])
def test_a_longest_wait_goes_into_every_poll(seconds: float, ns: int) -> None:
    scheduler = OneShotScheduler(ask, poll_max_wait_seconds=seconds)
    assert max_wait_ns(run(scheduler.run(Input.from_input_arguments("main", "a")))) == ns


def test_a_state_has_the_names_of_the_original() -> None:
    saved = state(start(ask_all, "a", "b"))
    assert sorted(saved.suspended) == [0, 1, 2]
    assert (saved.ready, saved.next_coroutine_id, saved.next_call_id, saved.outstanding_calls) == ([], 3, 3, 2)
    assert [caller.id for caller in saved.prev_callers] == [1, 2]
    assert (saved.suspended[1].parent_id, saved.suspended[0].parent_id) == (0, None)


def test_a_state_that_was_loaded_can_be_saved_again() -> None:
    output = start(three)
    results = [CallResult.from_value(name, id) for name, id in ids(output).items()]
    input = Input.from_poll_results("three", state(output), results)
    output = run(OneShotScheduler(three).run(input))
    input = Input.from_poll_results("three", state(output), answers(output))
    assert value(run(OneShotScheduler(three).run(input))) == [["a", "b"], "cd"]


@durable
async def wide(n: int) -> list[object]:
    return await gather(*[call(Call(function="f", input=i)) for i in range(n)])


def test_a_state_needs_few_bytes_for_each_call_that_is_awaited() -> None:
    small, large = (len(poll(start(wide, n)).typed_coroutine_state.value) for n in (1, 1001))
    assert large - small < 40 * 1000


def test_more_calls_than_fit_into_one_poll_follow_in_the_next() -> None:
    output = start(wide, 25_000)
    made = answers(output)
    assert (len(made), max_wait_ns(output), poll(output).max_results) == (10_000, 1, 10)
    output = resume(wide, output, made)
    made = answers(output)
    assert (len(made), max_wait_ns(output), state(output).outstanding_calls) == (10_000, 1, 15_000)
    output = resume(wide, output)
    made += answers(output)
    assert (len(made), max_wait_ns(output), len(state(output).prev_callers)) == (15_000, None, 5_000)
    assert value(resume(wide, output, made)) == ["f"] * 25_000


def test_a_refused_poll_fails_only_the_calls_that_were_in_it_when_some_follow() -> None:
    output = start(wide, 10_001)
    assert len(state(output).prev_callers) == 10_000
    assert str(exception(resume(wide, output, error=RuntimeError("no")))) == "no"


@durable
async def am_i_in_a_function() -> bool:
    return in_function_call()


def test_a_function_knows_that_it_runs_in_one() -> None:
    assert not in_function_call()
    assert value(start(am_i_in_a_function)) is True
    assert not in_function_call()


@durable
async def echo_all(values: list[object]) -> object:
    return await gather(*[call(Call(function="f")) for _ in values])


def test_results_of_every_kind_arrive_as_they_are() -> None:
    values: list[object] = [None, (), (1, 2), StopIteration(3), ValueError("a value"), {"a": "b"}]
    output: Output = start(echo_all, values)
    results = [
        CallResult.from_value(one, made.correlation_id)
        for one, made in zip(values, poll(output).calls, strict=True)
    ]
    assert repr(value(resume(echo_all, output, results))) == repr(values)


def test_an_exit_without_a_value_has_an_empty_result() -> None:
    output = start(echo_all, [])
    assert value(output) == []
    assert result(start(in_sequence)).HasField("output")
