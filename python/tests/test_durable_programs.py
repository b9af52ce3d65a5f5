"""Each program of durable_programs, saved wherever it is suspended, goes on as if nothing had happened."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from durable_programs import PROGRAMS, drive, resume

from dispatch.experimental.durable import discard

ELSEWHERE ="""
import pickle, sys
from durable_programs import resume
cases = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps([resume(pickle.loads(state), last) for state, last in cases]))
"""


def saved_everywhere(name: str) -> list[tuple[bytes, Any, tuple[list[Any], Any]]]:
    """Of each suspension: the state, what was yielded last, and what is to follow."""
    yielded, result = drive(PROGRAMS[name]())
    assert yielded, "a program that is never suspended tests nothing"
    cases = []
    for steps in range(1, len(yielded) + 1):
        running = PROGRAMS[name]()
        drive(running, steps)
        cases.append((pickle.dumps(running), yielded[steps - 1], (yielded[steps:], result)))
        discard(running)
    return cases


@pytest.mark.parametrize("name", PROGRAMS)
def test_goes_on_in_the_same_process(name: str) -> None:
    for state, last, expected in saved_everywhere(name):
        assert resume(pickle.loads(state), last) == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_saved_and_loaded_before_each_step(name: str) -> None:
    expected = drive(PROGRAMS[name]())
    running = PROGRAMS[name]()
    yielded: list[Any] = []
    value = None
    while True:
        copy = pickle.loads(pickle.dumps(running))
        discard(running)
        running = copy
        try:
            item = running.send(value)
        except StopIteration as stop:
            assert (yielded, stop.value) == expected
            return
        yielded.append(item)
        value = item + 100


def test_goes_on_in_another_process() -> None:
    cases = [case for name in PROGRAMS for case in saved_everywhere(name)]
    handed = pickle.dumps([(state, last) for state, last, _ in cases])
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=handed,
        capture_output=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    assert pickle.loads(run.stdout) == [expected for _, _, expected in cases]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_original_is_not_changed_by_being_saved(name: str) -> None:
    yielded, result = drive(PROGRAMS[name]())
    running = PROGRAMS[name]()
    drive(running, 1)
    discard(pickle.loads(pickle.dumps(running)))
    assert resume(running, yielded[0]) == (yielded[1:], result)
