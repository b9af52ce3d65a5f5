"""Random programs under random servers: results come in any batches, in any order, some twice; wake-ups come early."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scheduler_runs import functions, max_wait_ns, poll, resume, start, state, value

from dispatch.coroutine import all, any, call, clock, gather, sleep, wait_for
from dispatch.experimental.durable import durable
from dispatch.proto import Call, CallResult, Error

Program = tuple[Any, ...]
LIMIT = 1_000_000
LONGEST_SLEEP = 2


@durable
async def execute(program: Program) -> Any:
    kind, *parts = program
    if kind == "call":
        return await call(Call(function=parts[0]))
    if kind == "fails":
        try:
            return await call(Call(function=parts[0]))
        except ValueError as error:
            return f"caught {error}"
    if kind == "sleep":
        await sleep(parts[0])
        return "slept"
    if kind == "sequence":
        return [await execute(part) for part in parts]
    if kind == "all":
        return await gather(*[execute(part) for part in parts])
    if kind == "any":
        return await any(all(call(Call(function=f"fails{parts[0]}")), execute(parts[1])), execute(parts[1]))
    assert kind == "limited"
    return await wait_for(execute(parts[0]), LIMIT)


def expected(program: Program) -> Any:
    kind, *parts = program
    if kind == "call":
        return f"result of {parts[0]}"
    if kind == "fails":
        return f"caught {parts[0]}"
    if kind == "sleep":
        return "slept"
    if kind == "any":
        return expected(parts[1])
    if kind == "limited":
        return expected(parts[0])
    return [expected(part) for part in parts]


def make(rng: random.Random, depth: int) -> Program:
    kind = rng.choice(["call", "fails", "sleep"] if depth == 0 else ["sequence", "all", "all", "any", "limited"])
    if kind in ("call", "fails"):
        return kind, f"{kind}{rng.randrange(1000)}"
    if kind == "sleep":
        return kind, rng.randrange(LONGEST_SLEEP + 1)
    if kind in ("sequence", "all"):
        return kind, *[make(rng, rng.randrange(depth)) for _ in range(rng.randrange(4))]
    if kind == "any":
        return kind, rng.randrange(1000), make(rng, rng.randrange(depth))
    return kind, make(rng, rng.randrange(depth))


def answer(made: Any) -> CallResult:
    if made.function.startswith("fails"):
        return CallResult.from_error(Error.from_exception(ValueError(made.function)), made.correlation_id)
    return CallResult.from_value(f"result of {made.function}", made.correlation_id)


@pytest.mark.parametrize("seed", range(150))
def test_a_program_has_its_value_however_its_results_come(seed: int) -> None:
    rng = random.Random(seed)
    program = make(rng, 4)
    now_ns = [10**18]
    token = clock.set(lambda: now_ns[0])
    try:
        output = start(execute, program)
        waiting: list[CallResult] = []
        delivered: list[CallResult] = []
        while output._message.HasField("poll"):
            waiting += [answer(made) for made in poll(output).calls]
            assert len(functions(output)) <= len(waiting) == state(output).outstanding_calls
            rng.shuffle(waiting)
            wait_ns = max_wait_ns(output) or LIMIT * 10**9
            sleeps = wait_ns <= LONGEST_SLEEP * 10**9
            n_now = rng.randint(0 if sleeps else 1, min(len(waiting), poll(output).max_results))
            batch, waiting = waiting[:n_now], waiting[n_now:]
            twice = rng.sample(delivered, min(len(delivered), rng.randrange(2)))
            delivered += batch
            now_ns[0] += wait_ns // rng.randint(1, 2) if sleeps else 0
            output = resume(execute, output, [*twice, *batch])
        assert value(output) == expected(program)
    finally:
        clock.reset(token)
