"""dispatch.asyncio.Runner."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from dispatch.asyncio import Runner

log: list[str] = []


async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


def test_coroutines_run_one_after_another_in_one_loop() -> None:
    async def loop() -> Any:
        return asyncio.get_running_loop()

    with Runner() as runner:
        assert runner.run(double(2)) == 4
        assert runner.run(loop()) is runner.run(loop()) is runner.get_loop()


def test_only_coroutines_are_run() -> None:
    with Runner() as runner, pytest.raises(ValueError, match="a coroutine was expected, got 3"):
        runner.run(3)  # type: ignore[arg-type]


def test_it_cannot_run_inside_of_a_loop() -> None:
    async def inside(runner: Runner) -> None:
        runner.run(double(1))

    with Runner() as runner, pytest.raises(RuntimeError, match="from a running event loop"):
        asyncio.run(inside(runner))


def test_what_still_runs_is_cancelled_and_awaited_by_close() -> None:
    async def lingers() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("ended")

    async def starts(tasks: list[Any]) -> None:
        tasks.append(asyncio.create_task(lingers()))
        await asyncio.sleep(0)

    log.clear()
    with Runner() as runner:
        runner.run(starts([]))
        loop = runner.get_loop()
        assert log == []
    assert log == ["ended"] and loop.is_closed()


def test_ctrl_c_cancels_the_coroutine_and_is_raised() -> None:
    async def interrupted() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    log.clear()
    with Runner() as runner, pytest.raises(KeyboardInterrupt):
        runner.run(interrupted())
    assert log == ["cancelled"]
