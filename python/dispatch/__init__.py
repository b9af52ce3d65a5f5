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

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from dispatch._program import main, run, run_forever
from dispatch._program import split_address as split_address
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
