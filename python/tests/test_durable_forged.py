"""States that no frame left behind: each is refused, or leads to an ordinary exception or result, never to a
crash."""

from __future__ import annotations

import itertools
import os
import pickle
import random
from typing import Any

import pytest
from durable_programs import PROGRAMS, countdown, drive

from dispatch.error import IncompatibleStateError
from dispatch.experimental.durable import DurableCoroutine, DurableGenerator, discard, durable, frame

ROUNDS = int(os.environ.get("DURABLE_FUZZ_ROUNDS", "40"))
"""Forged states per suspension of a program."""

def strange() -> list[Any]:
    """Objects of all sorts, made anew: an exception that is raised again and again holds what it went
    through."""
    values: list[Any] = [None, 0, -1, 2**70, True, 1.5, "text", b"\xff", (), [], {}, set(), iter(())]
    return [*values, ValueError("forged"), ValueError, object(), len, int, type, strange.__code__]


def wrapped(durable_object: Any) -> Any:
    if isinstance(durable_object, DurableCoroutine):
        return durable_object.coroutine
    return durable_object.generator


def fresh_of(durable_object: Any) -> Any:
    return durable_object.registered_fn.suspended()


def forge(state: Any, dice: random.Random) -> Any:
    ip, nulls, items, handled = state
    what = dice.randrange(10)
    if what == 0:
        near = ip + dice.choice([-2, -1, 1, 2, 4])
        ip = dice.choice([near, dice.randrange(400), -1, 2**40, "ip", None, True])
    elif what == 1:
        bits = bytearray(nulls or bytes((len(items) + 7) // 8))
        bits[dice.randrange(len(bits))] ^= 1 << dice.randrange(8)
        some = bytes(bits)
        nulls = dice.choice([some, some[:-1], some + b"\1", b"\xff" * len(bits), None, "nulls"])
    elif what == 2:
        items = dice.choice([items[:-1], (*items, dice.choice(strange())), (), list(items), None])
    elif what == 3:
        handled = dice.choice(strange())
    elif what == 4:
        mixed = list(items)
        dice.shuffle(mixed)
        items = tuple(mixed)
    else:
        changed = list(items)
        for _ in range(dice.choice([1, 1, 2])):
            changed[dice.randrange(len(changed))] = dice.choice([*strange(), *items])
        items = tuple(changed)
    forged = (ip, nulls, items, handled)
    return dice.choice([forged] * 20 + [forged[:3], list(forged), None])


def run_forged(fresh: Any, state: Any) -> bool:
    """Whether the state was taken; then the frame ran to an end."""
    try:
        frame.restore(fresh, state)
    except ValueError:
        fresh.close()
        return False
    try:
        for _ in range(20):
            fresh.send(None)
    except BaseException as error:  # whatever the program makes of what it was given
        error.__traceback__ = None
    discard(fresh)
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROGRAMS)
def test_forged_states_do_not_crash(name: str) -> None:
    dice = random.Random(name)
    yielded, _ = drive(PROGRAMS[name]())
    taken = refused = 0
    for steps in range(1, len(yielded) + 1):
        running = PROGRAMS[name]()
        drive(running, steps)
        for _ in range(ROUNDS):
            state = pickle.loads(pickle.dumps(frame.save(wrapped(running))))
            if run_forged(fresh_of(running), forge(state, dice)):
                taken += 1
            else:
                refused += 1
        discard(running)
    assert refused > taken / 10


@pytest.mark.filterwarnings("ignore")
def test_damaged_pickles_of_states_do_not_crash() -> None:
    def two() -> Any:
        running = countdown(3, 4)
        next(running)
        return running

    state = frame.save(two().generator)
    for position, value in itertools.product(range(4), strange()):
        forged = tuple(value if i == position else part for i, part in enumerate(state or ()))
        if forged == state or (position, value) == (0, 0):  # there a frame is suspended before it starts
            continue
        copy = countdown(1)
        if position != 3 or value is not None and not isinstance(value, BaseException):
            with pytest.raises(IncompatibleStateError):
                copy.__setstate__(forged)


def only_generator() -> DurableGenerator[int, int, Any]:
    running: DurableGenerator[int, int, Any] = countdown(3)
    next(running)
    return running


def test_a_frame_that_was_run_takes_no_state() -> None:
    running = only_generator()
    state = frame.save(running.generator)
    assert state is not None
    with pytest.raises(RuntimeError, match="was run before"):
        frame.restore(running.generator, state)
    assert running.send(0) == 2


def test_a_state_of_another_function_is_refused() -> None:
    @durable
    def short() -> Any:
        yield 1

    state = frame.save(only_generator().generator)
    assert state is not None
    with pytest.raises(ValueError, match="damaged state"):
        frame.restore(short().generator, state)


def test_an_executing_frame_is_refused() -> None:
    seen: list[BaseException] = []

    def looks_at_itself() -> Any:
        for operation in (frame.save, frame.discard, frame.get_frame_ip):
            try:
                operation(generator)
            except RuntimeError as error:
                seen.append(error)
        yield 1

    generator = looks_at_itself()
    next(generator)
    assert [str(error).rsplit(" ", 2)[-2:] for error in seen] == [["executing", "frame"]] * 3


def test_a_variable_cannot_be_unbound_where_the_code_relies_on_it() -> None:
    @durable
    def relies(value: int) -> Any:
        yield value
        yield value

    running = relies(5)
    next(running)
    ip, _, items, handled = frame.save(running.generator)
    with pytest.raises(ValueError, match="variable 'value'"):
        frame.restore(relies(1).generator, (ip, b"\1", items, handled))
