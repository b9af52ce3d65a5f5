"""Saves and restores a coroutine of 10 nested frames; with the path of another interpreter, runs there as
well.

    python bench/durable.py [other/python ...]

Prints the median time of dumps + loads, and of one resumption of the restored coroutine, in microseconds. The
other interpreters may have another package `dispatch`: only what both have is used."""

from __future__ import annotations

import json
import os
import pickle
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from dispatch.experimental.durable import durable

DEPTH = 10
ROUNDS = 200
REPEATS = 20


@types.coroutine
@durable
def pause(value: Any) -> Any:
    return (yield value)


@durable
async def descend(level: int, text: str, numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total += number
        if level == 0:
            total += await pause(number)
        else:
            total += await descend(level - 1, text, numbers)
    return total


def suspended() -> Any:
    coroutine = descend(DEPTH - 1, "some text", [1, 2, 3])
    coroutine.send(None)
    return coroutine


def median_us(operation: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(REPEATS):
            operation()
        times.append((time.perf_counter_ns() - start) / REPEATS / 1000)
    return statistics.median(times)


def measure() -> dict[str, float]:
    coroutine = suspended()
    state = pickle.dumps(coroutine, pickle.HIGHEST_PROTOCOL)
    copy = pickle.loads(state)

    def save() -> Any:
        return pickle.dumps(coroutine, pickle.HIGHEST_PROTOCOL)

    def both() -> Any:
        return pickle.loads(pickle.dumps(coroutine, pickle.HIGHEST_PROTOCOL))

    result = {"bytes": float(len(state)), "save": median_us(save), "save and restore": median_us(both)}
    result["resume"] = median_us(lambda: copy.send(1))
    return result


def main() -> None:
    if os.environ.get("DURABLE_BENCH_JSON"):
        print(json.dumps(measure()))
        return
    rows = {sys.executable: measure()}
    for other in sys.argv[1:]:
        environment = {**os.environ, "DURABLE_BENCH_JSON": "1"}
        environment.pop("PYTHONPATH", None)
        run = subprocess.run([other, __file__], env=environment, check=True, capture_output=True, text=True)
        rows[other] = json.loads(run.stdout)
    for name, row in rows.items():
        print(name, "  ".join(f"{what} {value:.1f}" for what, value in row.items()))


if __name__ == "__main__":
    main()
