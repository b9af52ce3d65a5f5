"""What suspended coroutines wait for."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from dispatch.coroutine import AnyException
from dispatch.error import TimeoutError
from dispatch.scheduler import (
    AllFuture,
    AnyFuture,
    CallFuture,
    CallResult,
    CoroutineResult,
    RaceFuture,
    SleepFuture,
    WaitForFuture,
)

FIRST, SECOND = RuntimeError("first"), RuntimeError("second")


def value(id: int, value: object) -> CoroutineResult:
    return CoroutineResult(coroutine_id=id, value=value)


def error(id: int, error: Exception) -> CoroutineResult:
    return CoroutineResult(coroutine_id=id, error=error)


@pytest.mark.parametrize(("future", "expected"), [(AllFuture(), []), (AnyFuture(), None), (RaceFuture(), None)])
def test_a_future_of_nothing_is_ready(future: Any, expected: object) -> None:
    assert future.ready()
    assert future.error() is None
    assert future.value() == expected


ONE = [
    lambda: AllFuture(order=[10], waiting={10}),
    lambda: AnyFuture(order=[10], waiting={10}),
    lambda: RaceFuture(waiting={10}),
    lambda: WaitForFuture(10, None),
]


@pytest.mark.parametrize("make", ONE)
def test_a_future_of_one_takes_its_value(make: Any) -> None:
    future = make()
    assert not future.ready()
    future.add_result(value(10, "foo"))
    assert future.ready() and future.error() is None
    assert future.value() == (["foo"] if isinstance(future, AllFuture) else "foo")


@pytest.mark.parametrize("make", ONE)
def test_a_future_of_one_takes_its_error_as_it_is(make: Any) -> None:
    future = make()
    future.add_result(error(10, FIRST))
    assert future.ready() and future.error() is FIRST
    with pytest.raises(AssertionError):
        future.value()


@pytest.mark.parametrize("make", ONE)
def test_a_future_can_be_failed_from_outside_once(make: Any) -> None:
    future = make()
    future.add_error(FIRST)
    future.add_error(SECOND)
    assert future.ready() and future.error() is FIRST
    with pytest.raises(AssertionError):
        future.value()


@pytest.mark.parametrize("make", ONE)
def test_a_result_of_a_stranger_changes_nothing(make: Any) -> None:
    future = make()
    future.add_result(error(11, FIRST))
    future.add_result(CallResult(call_id=10, value="of a call"))
    assert not future.ready()


def test_all_keeps_the_order_of_its_arguments() -> None:
    future = AllFuture(order=[10, 20], waiting={10, 20})
    future.add_result(value(20, "bar"))
    assert not future.ready()
    future.add_result(value(10, "foo"))
    assert future.ready() and future.value() == ["foo", "bar"]


def test_all_keeps_the_error_that_came_first() -> None:
    future = AllFuture(order=[10, 20], waiting={10, 20})
    future.add_result(error(20, SECOND))
    future.add_result(error(10, FIRST))
    future.add_error(FIRST)
    assert future.error() is SECOND


def test_any_keeps_the_value_that_came_first() -> None:
    future = AnyFuture(order=[10, 20], waiting={10, 20})
    future.add_result(value(20, "bar"))
    future.add_result(value(10, "foo"))
    future.add_error(FIRST)
    assert future.error() is None and future.value() == "bar"


def test_any_has_all_errors_in_the_order_of_its_arguments() -> None:
    future = AnyFuture(order=[10, 20], waiting={10, 20})
    future.add_result(error(20, SECOND))
    assert not future.ready()
    future.add_result(error(10, FIRST))
    assert future.ready()
    assert repr(future.error()) == repr(AnyException([FIRST, SECOND]))
    with pytest.raises(AssertionError):
        future.value()


@pytest.mark.parametrize("value_first", [True, False])
def test_race_keeps_what_came_first_be_it_value_or_error(value_first: bool) -> None:
    future = RaceFuture(waiting={10, 20})
    results = [value(10, "foo"), error(20, FIRST)]
    for result in results if value_first else results[::-1]:
        future.add_result(result)
    future.add_error(SECOND)
    assert future.error() is (None if value_first else FIRST)
    if value_first:
        assert future.value() == "foo"


def test_race_takes_each_result_once() -> None:
    future = RaceFuture(waiting={10, 20})
    for _ in range(2):
        future.add_result(value(10, "foo"))
    assert future.waiting == {20}


def test_a_call_future_takes_only_results_of_its_call() -> None:
    future = CallFuture(call_id=7)
    future.add_result(CallResult(call_id=6, value="stale"))
    assert not future.ready()
    future.add_result(CallResult(call_id=7, value="fresh"))
    future.add_result(CallResult(call_id=7, error=FIRST))
    assert future.error() is None and future.value() == "fresh"


def test_a_wait_with_a_deadline_fails_when_it_comes() -> None:
    future = WaitForFuture(10, deadline_ns=5)
    future.time_out()
    future.add_result(value(10, "late"))
    assert isinstance(future.error(), TimeoutError)


def test_a_sleep_ends_only_at_its_deadline() -> None:
    future: Any = SleepFuture(deadline_ns=5)
    future.add_result(value(0, "nothing"))
    future.add_error(FIRST)
    assert not future.ready()
    future.time_out()
    assert future.ready() and future.error() is None and future.value() is None


def test_futures_survive_pickling() -> None:
    future = AllFuture(order=[1, 2, 3], waiting={1, 2, 3})
    future.add_result(value(2, ("two", 2)))
    waiting = RaceFuture(waiting={4, 5})
    for one in (future, waiting, AnyFuture(order=[1], waiting={1}), SleepFuture(5), WaitForFuture(6, 7), CallFuture()):
        assert pickle.loads(pickle.dumps(one, pickle.HIGHEST_PROTOCOL)) == one
