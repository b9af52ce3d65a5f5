"""How programs begin and end: `dispatch.main`, `dispatch.run`, `dispatch.run_forever`."""

from __future__ import annotations

import asyncio  # which dispatch/__init__.py could not: there, it becomes dispatch.asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from dispatch._signals import on_sigterm, refuse_in_a_loop

T = TypeVar("T")

DEFAULT_ENDPOINT_ADDR = "127.0.0.1:8000"


async def main(coro: Coroutine[Any, Any, T], addr: str | None = None) -> T:
    """Serves the functions of the default registry while it awaits the coroutine.

    Args:
        coro: what to do meanwhile, such as calling functions.
        addr: host:port to listen at, port 0 being any that is free; None takes DISPATCH_ENDPOINT_ADDR, else
            127.0.0.1:8000.

    Returns:
        What the coroutine returned.
    """
    try:
        from dispatch.function import default_registry
        from dispatch.http import Dispatch, Server

        host, port = split_address(addr or os.environ.get("DISPATCH_ENDPOINT_ADDR") or DEFAULT_ENDPOINT_ADDR)
        async with Server(host, port, Dispatch(default_registry())):
            return await coro
    finally:
        coro.close()  # if it was not awaited; otherwise it has ended


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address; without a port it is 0. ValueError when it is none."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"invalid endpoint address '{address}': {error}") from None
    if not host:
        raise ValueError(f"invalid endpoint address '{address}': expected HOST:PORT")
    return host, port or 0


def run(coro: Coroutine[Any, Any, T], addr: str | None = None) -> T:
    """As `main`, in an event loop of its own. RuntimeError where one runs already.

    Ctrl-C cancels the coroutine and the functions that run, and is raised as KeyboardInterrupt."""
    refuse_in_a_loop(coro, "dispatch.run() cannot be called from a running event loop: use `await dispatch.main(...)`")
    return asyncio.run(main(coro, addr))


def run_forever(coro: Coroutine[Any, Any, Any] | None = None, addr: str | None = None) -> None:
    """Serves the functions of the default registry until the program is interrupted.

    Ctrl-C ends it at once, as it does `run`. SIGTERM, unless the program handles it itself: no requests are taken any more,
    functions that run are waited for, a minute at most, and `run_forever` returns. A second one ends the program.

    Args:
        coro: awaited first, if there is one.
        addr: as for `main`.
    """
    message = "dispatch.run_forever() cannot be called from a running event loop: use `await dispatch.main(...)`"
    refuse_in_a_loop(coro, message)

    async def forever() -> None:
        with on_sigterm() as terminated:
            await main(_until(coro, terminated), addr)

    try:
        asyncio.run(forever())
    finally:
        if coro is not None:
            coro.close()


async def _until(coro: Coroutine[Any, Any, Any] | None, terminated: asyncio.Event) -> None:
    """Until the event, whether the coroutine has ended or not."""
    waiting = asyncio.ensure_future(terminated.wait())
    preparing = asyncio.ensure_future(coro) if coro is not None else None
    try:
        if preparing is not None:
            await asyncio.wait({preparing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if preparing.done():
                preparing.result()
        await waiting
    finally:
        tasks = [task for task in (preparing, waiting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
