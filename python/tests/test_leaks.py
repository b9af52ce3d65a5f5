"""Many calls leave nothing behind, and many can be suspended at once."""

from __future__ import annotations

import asyncio
import gc
import os

import dispatch
import dispatch.test

# Under the sanitizers fewer: there freed memory is kept aside on purpose.
IS_SANITIZED = "LD_PRELOAD" in os.environ
CALLS = 2_000 if IS_SANITIZED else 25_000
SUSPENDED = 1_000 if IS_SANITIZED else 10_000
GROWTH_BYTES_MAX = 24 * 2**20


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dispatch.function
def leaf(n: int) -> int:
    if n % 100 == 99:
        raise LookupError(str(n))
    return n


@dispatch.function
async def branch(n: int) -> int:
    a, b = await dispatch.gather(leaf(n * 100), leaf(n * 100 + 1))
    try:
        await leaf(99)
    except LookupError:
        return a + b
    raise AssertionError


@dispatch.function
async def sleeper(n: int) -> int:
    await dispatch.sleep(3600)
    return n


async def calls(n: int) -> None:
    """n calls: a quarter of them coroutines with three children each."""
    for _ in range(n // 400):
        await asyncio.gather(*(branch(i) for i in range(100)))


def one_test(n: int) -> None:
    dispatch.test.run(calls(n))
    gc.collect()


def test_memory_is_flat_over_many_calls() -> None:
    for _ in range(2):
        one_test(CALLS // 5)
    before = resident_bytes()
    objects = len(gc.get_objects())
    for _ in range(4):
        one_test(CALLS)
    assert len(gc.get_objects()) - objects < 1000
    if not IS_SANITIZED:
        assert resident_bytes() - before < GROWTH_BYTES_MAX


def test_many_coroutines_are_suspended_at_once() -> None:
    async def body() -> None:
        assert await sleeper.map(range(SUSPENDED)) == list(range(SUSPENDED))

    dispatch.test.run(body())


def test_many_servers_leave_no_descriptors_and_no_threads() -> None:
    import threading

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def body() -> None:
        assert await leaf(1) == 1

    dispatch.test.run(body())
    before = descriptors()
    for _ in range(50):
        dispatch.test.run(body())
    gc.collect()
    assert descriptors() <= before
    deadline = 100
    while any(thread.name.startswith("dispatch-") for thread in threading.enumerate()) and deadline:
        for thread in threading.enumerate():
            if thread.name.startswith("dispatch-"):
                thread.join(0.1)
        deadline -= 1
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dispatch-")]
