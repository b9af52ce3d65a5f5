"""Policies of retries: how often, after what, after how long."""

from __future__ import annotations

import pytest

import dispatch
import dispatch.test
from dispatch.error import TemporaryError

tries: list[float] = []


@dispatch.function
def retried_leaf(n: int) -> int:
    return n


@dispatch.function
@dispatch.retry(attempts=4, backoff=10, factor=3, maximum=60)
def retried_plain(failures: int) -> int:
    tries.append(dispatch.coroutine.now())
    if len(tries) <= failures:
        raise TemporaryError(f"failure {len(tries)}")
    return len(tries)


@dispatch.function
@dispatch.retry(attempts=3, backoff=5, on=(LookupError, TimeoutError))
async def retried_coroutine(kind: type[Exception], failures: int) -> list[int]:
    tries.append(dispatch.coroutine.now())
    first = await retried_leaf(10)
    if len(tries) <= failures:
        unused = retried_leaf(99)  # begun by gather and given up
        await dispatch.gather(unused, retried_failing(kind))
    return [first, await retried_leaf(len(tries))]


@dispatch.function
@dispatch.retry(attempts=1)
def retried_failing(kind: type[Exception]) -> None:
    raise kind("on purpose")


@dispatch.function
@dispatch.retry(attempts=2)
async def retried_reset(n: int) -> str:
    if n:
        raise dispatch.Reset(retried_reset, 0)
    return "reset"


def pauses() -> list[float]:
    return [round(b - a) for a, b in zip(tries, tries[1:])]


@pytest.fixture(autouse=True)
def fresh() -> None:
    tries.clear()


@dispatch.test.function
async def test_pauses_grow_up_to_a_maximum() -> None:
    assert await retried_plain(3) == 4
    assert pauses() == [10, 30, 60]


@dispatch.test.function
async def test_the_last_error_ends_the_call_though_it_is_temporary() -> None:
    with pytest.raises(TemporaryError, match="failure 4"):
        await retried_plain(99)
    assert len(tries) == 4


@dispatch.test.function
async def test_coroutines_start_again_with_their_arguments() -> None:
    assert await retried_coroutine(KeyError, 2) == [10, 3]
    assert pauses() == [5, 10]


@dispatch.test.function
async def test_errors_that_are_not_named_end_the_call() -> None:
    with pytest.raises(ValueError, match="on purpose"):
        await retried_coroutine(ValueError, 99)
    assert len(tries) == 1


@dispatch.test.function
async def test_temporary_errors_that_are_not_named_end_it_too() -> None:
    with pytest.raises(ConnectionError, match="on purpose"):
        await retried_coroutine(ConnectionError, 99)
    assert len(tries) == 1


@dispatch.test.function
async def test_a_reset_is_no_failure() -> None:
    assert await retried_reset(1) == "reset"


@dispatch.test.function
@dispatch.test.options(chaos="seed=3,drop=20%,duplicate=20%,fail=20%")
async def test_attempts_are_counted_over_lost_answers() -> None:
    assert (await retried_coroutine(KeyError, 2))[0] == 10


@pytest.mark.parametrize("arguments", [{"attempts": 0}, {"attempts": 1001}, {"attempts": 2, "factor": 0.5}])
def test_policies_are_checked(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        dispatch.retry(**arguments)  # type: ignore[arg-type]
