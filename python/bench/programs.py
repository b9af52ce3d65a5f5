"""Calls per second of the same programs in the test mode of either package, printed as JSON; run by compare.py.

It uses nothing that the original has not."""

import asyncio
import json
import random
import time

import dispatch
import dispatch.test
from dispatch.test import distributed_merge_sort

CALLS = 1000
CHAINS = 20
FANS = 3


@dispatch.function
def hello(name: str) -> str:
    return f"Hello {name}!"


@dispatch.function
async def chain_of_10() -> str:
    last = ""
    for i in range(10):
        last = await hello(str(i))
    return last


@dispatch.function
async def fan_out_of_100() -> int:
    return len(await dispatch.gather(*(hello(str(i)) for i in range(100))))


rates: dict = {}


class timed:
    def __init__(self, name: str, calls: int):
        self.name, self.calls = name, calls

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *exc: object) -> None:
        rates[self.name] = self.calls / (time.perf_counter() - self.start)


@dispatch.test.function
async def bench():
    for _ in range(50):
        await hello("warm")
    with timed("1,000 in sequence", CALLS):
        for _ in range(CALLS):
            await hello("World")
    with timed("1,000 at once", CALLS):
        await asyncio.gather(*(hello("World") for _ in range(CALLS)))
    with timed("chain of 10", CHAINS * 11):
        for _ in range(CHAINS):
            await chain_of_10()
    with timed("fan-out of 100", FANS * 101):
        for _ in range(FANS):
            await fan_out_of_100()
    values = [random.Random(1).random() for _ in range(1000)]
    with timed("merge sort of 1,000", 1999):
        assert await distributed_merge_sort(values) == sorted(values)


bench()
print(json.dumps(rates))
