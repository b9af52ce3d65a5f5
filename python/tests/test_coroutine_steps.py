"""The awaitables themselves, inside and outside of functions."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from scheduler_runs import run

import dispatch.coroutine
from dispatch.coroutine import (
    AllDirective,
    AnyDirective,
    AnyException,
    RaceDirective,
    Step,
    all,
    any,
    call,
    gather,
    race,
    sleep,
    wait_for,
)
from dispatch.error import TimeoutError
from dispatch.proto import Call


def sent(step: Any, value: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        step.send(value)
    return stop.value.value


def test_each_yields_its_directive_and_returns_what_it_is_sent() -> None:
    made = Call(function="f")
    for awaitable, directive in [
        (call(made), made),
        (all(), AllDirective(())),
        (gather(), AllDirective(())),
        (any(), AnyDirective(())),
        (race(), RaceDirective(())),
    ]:
        step = awaitable.__await__()
        assert next(step) == directive
        assert sent(step, ("a", "tuple")) == ("a", "tuple")
        with pytest.raises(RuntimeError, match="already awaited"):
            step.send(None)


def test_each_is_a_coroutine_for_type_checks() -> None:
    step = sleep(1)
    assert isinstance(step, Coroutine) and isinstance(step, Awaitable) and inspect.isawaitable(step)
    step.close()


@pytest.mark.parametrize("arguments", [(KeyError("k"),), (KeyError, "k"), (KeyError, KeyError("k"), None)])
def test_an_error_thrown_in_comes_out(arguments: Any) -> None:
    step = Step[None](AllDirective(()))
    step.send(None)
    with pytest.raises(KeyError, match="k"):
        step.throw(*arguments)


def test_a_fresh_step_survives_pickling_with_what_it_awaits() -> None:
    step = gather(call(Call(function="a")), call(Call(function="b")))
    copy = pickle.loads(pickle.dumps(step, pickle.HIGHEST_PROTOCOL))
    directive = copy.send(None)
    assert [awaitable.send(None).function for awaitable in directive.awaitables] == ["a", "b"]


def test_a_waiting_step_survives_pickling_without_what_it_asked_for() -> None:
    step: Any = call(Call(function="f", input="x" * 1000))
    step.send(None)
    saved = pickle.dumps(step, pickle.HIGHEST_PROTOCOL)
    assert len(saved) < 100
    assert sent(pickle.loads(saved), 5) == 5


def test_an_any_exception_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(AnyException([KeyError("a"), ValueError("b")])))
    assert (repr(error.exceptions), str(error)) == (
        "[KeyError('a'), ValueError('b')]",
        "2 coroutine(s) failed with an exception",
    )


def test_an_awaited_step_cannot_be_awaited_again() -> None:
    step: Any = call(Call(function="f"))
    next(step.__await__())
    with pytest.raises(RuntimeError, match="already awaited"):
        step.__await__()


@pytest.mark.parametrize("name", ["all", "any", "gather", "race"])
def test_each_takes_any_number_of_awaitables(name: str) -> None:
    [parameter] = inspect.signature(getattr(dispatch.coroutine, name)).parameters.values()
    assert (parameter.name, parameter.kind) == ("awaitables", inspect.Parameter.VAR_POSITIONAL)


async def one(value: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


async def never() -> None:
    await asyncio.Event().wait()


async def awaited(make: Callable[[], Awaitable[Any]]) -> Any:
    result = await make()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return result


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: gather(one(1), one(2)), [1, 2]),
        (lambda: gather(), []),
        (lambda: gather(gather(one(1)), sleep(0)), [[1], None]),
        (lambda: any(one(KeyError()), never(), one(2)), 2),
        (lambda: race(never(), one(2)), 2),
        (lambda: wait_for(one(3), 60), 3),
        (lambda: wait_for(one(3), None), 3),
    ],
)
def test_outside_of_functions_each_works_as_in_asyncio(make: Any, expected: Any) -> None:
    assert run(awaited(make)) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: gather(one(KeyError())), KeyError),
        (lambda: any(one(KeyError())), KeyError),
        (lambda: any(one(KeyError()), one(ValueError())), AnyException),
        (lambda: any(), AnyException),
        (lambda: race(one(KeyError()), never()), KeyError),
        (lambda: race(), ValueError),
        (lambda: wait_for(never(), 0.001), TimeoutError),
        (lambda: wait_for(one(TimeoutError("own")), 60), TimeoutError),
        (lambda: call(Call(function="f")), RuntimeError),
    ],
)
def test_outside_of_functions_each_fails_as_inside(make: Any, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        run(awaited(make))
