"""Dispatch: durable function calls.

    import dispatch

    @dispatch.function
    async def greet_all(names: list[str]) -> list[str]:
        return await dispatch.gather(*(greet(name) for name in names))

    @dispatch.function
    def greet(name: str) -> str:
        return f"Hello {name}!"

    print(dispatch.run(greet_all(["Ada", "Grace"])))

A function that awaits others is suspended: the server remembers its state, and it goes on where it was when the results
are there, maybe in another process. What fails temporarily is retried. `dispatch.test` runs functions without a server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from dispatch._retry import retry
from dispatch.coroutine import all, any, call, gather, race, sleep, wait_for
from dispatch.function import (
    AsyncFunction,
    Batch,
    BlockingClient,
    Client,
    Function,
    Registry,
    Reset,
    default_registry,
)
from dispatch.id import DispatchID
from dispatch.proto import Call, Error, Input, Output
from dispatch.status import Status

if TYPE_CHECKING:
    from dispatch._client_error import ClientError
    from dispatch.http import Dispatch, Server

__all__ = [
    "AsyncFunction",
    "Batch",
    "BlockingClient",
    "Call",
    "Client",
    "ClientError",
    "Dispatch",
    "DispatchID",
    "Error",
    "Function",
    "Input",
    "Output",
    "Registry",
    "Reset",
    "Server",
    "Status",
    "all",
    "any",
    "batch",
    "call",
    "chain",
    "default_registry",
    "function",
    "gather",
    "main",
    "race",
    "retry",
    "run",
    "run_forever",
    "sleep",
    "wait_for",
]

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_ENDPOINT_ADDR = "127.0.0.1:8000"


def __getattr__(name: str) -> Any:
    """What needs an HTTP library is imported when it is first wanted."""
    if name == "ClientError":
        from dispatch._client_error import ClientError

        return ClientError
    if name in ("Dispatch", "Server"):
        from dispatch import http

        return getattr(http, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@overload
def function(func: Callable[P, Coroutine[Any, Any, T]]) -> AsyncFunction[P, T]: ...


@overload
def function(func: Callable[P, T]) -> AsyncFunction[P, T]: ...


def function(func: Callable[P, Any]) -> AsyncFunction[P, Any]:
    """Decorator: registers the function in the default registry (`Registry.function`)."""
    return default_registry().function(func)


def batch() -> Batch:
    """A batch of calls that are submitted together, with the client of the default registry."""
    return default_registry().batch()


async def chain(*awaitables: Awaitable[Any]) -> list[Any]:
    """Awaits one after the other; their results."""
    return [await awaitable for awaitable in awaitables]


async def main(coro: Coroutine[Any, Any, T], addr: str | None = None) -> T:
    """Serves the functions of the default registry while it awaits the coroutine.

    Args:
        coro: what to do meanwhile, such as calling functions.
        addr: host:port to listen at, port 0 being any that is free; None takes DISPATCH_ENDPOINT_ADDR, else
            127.0.0.1:8000.

    Returns:
        What the coroutine returned.
    """
    from dispatch.http import Dispatch, Server

    address = addr or os.environ.get("DISPATCH_ENDPOINT_ADDR") or DEFAULT_ENDPOINT_ADDR
    try:
        host, port = split_address(address)
    except ValueError:
        coro.close()
        raise
    async with Server(host, port, Dispatch(default_registry())):
        return await coro


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
    """As `main`, in an event loop of its own."""
    return asyncio.run(main(coro, addr))


def run_forever(coro: Coroutine[Any, Any, Any] | None = None, addr: str | None = None) -> None:
    """Serves the functions of the default registry until the program is interrupted.

    Args:
        coro: awaited first, if there is one.
        addr: as for `main`.
    """

    async def forever() -> None:
        if coro is not None:
            await coro
        await asyncio.Event().wait()

    run(forever(), addr)
