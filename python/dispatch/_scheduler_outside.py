"""Directives outside of dispatch functions, where nothing is suspended durably: asyncio does what they ask for."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from dispatch._embedded import current as embedded
from dispatch._scheduler_context import NS_PER_SECOND
from dispatch.coroutine import (
    AllDirective,
    AnyDirective,
    AnyException,
    RaceDirective,
    SleepDirective,
    WaitForDirective,
)
from dispatch.error import TimeoutError


def follow(directive: Any) -> Coroutine[Any, Any, Any] | None:
    """A native coroutine that does what the directive asks for; None when only a dispatch function can have it."""
    outside = _OUTSIDE.get(type(directive))
    return None if outside is None else outside(directive)


async def _all(directive: AllDirective) -> list[Any]:
    return list(await asyncio.gather(*directive.awaitables))


async def _any(directive: AnyDirective) -> Any:
    tasks = _tasks(directive.awaitables)
    try:
        waiting = set(tasks)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task in done and task.exception() is None:
                    return task.result()
    finally:
        await _cancel(tasks)
    errors = [_error_of(task) for task in tasks]
    raise errors[0] if len(errors) == 1 else AnyException(errors)


async def _race(directive: RaceDirective) -> Any:
    tasks = _tasks(directive.awaitables)
    if not tasks:
        raise ValueError("race() of nothing has no winner")
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        await _cancel(tasks)


async def _sleep(directive: SleepDirective) -> None:
    server = embedded.get()
    if server is not None:  # in a test, by its clock
        return await server.sleep(directive.duration_ns)
    await asyncio.sleep(directive.duration_ns / NS_PER_SECOND)


async def _wait_for(directive: WaitForDirective) -> Any:
    if directive.timeout_ns is None:
        return await directive.awaitable
    limit = asyncio.timeout(directive.timeout_ns / NS_PER_SECOND)
    try:
        async with limit:
            return await directive.awaitable
    except builtins.TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError("the time given to wait_for is over") from error


def _tasks(awaitables: tuple[Awaitable[Any], ...]) -> list[asyncio.Future[Any]]:
    return [asyncio.ensure_future(awaitable) for awaitable in awaitables]


def _error_of(task: asyncio.Future[Any]) -> Exception:
    error = task.exception()
    assert isinstance(error, Exception)
    return error


async def _cancel(tasks: list[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_OUTSIDE: dict[type[Any], Callable[[Any], Coroutine[Any, Any, Any]]] = {
    AllDirective: _all,
    AnyDirective: _any,
    RaceDirective: _race,
    SleepDirective: _sleep,
    WaitForDirective: _wait_for,
}
