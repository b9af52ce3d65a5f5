"""Tests of dispatch functions: each runs in a Dispatch server of its own, the production engine with a store in memory and
a virtual clock, in this process.

    import dispatch
    import dispatch.test

    @dispatch.function
    def greet(name: str) -> str:
        return f"Hello {name}!"

    @dispatch.test.function
    async def test_greet():
        assert await greet("World") == "Hello World!"

Retries with backoff, sleeps of a week and expirations take no time: the clock jumps to the next deadline when nothing can
run. Importing this module makes a registry of its own, named "dispatch.test", the default registry, so functions that are
defined afterwards need no endpoint and no API key.
"""

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Optional, TypeVar

from dispatch._signals import refuse_in_a_loop
from dispatch.client import Client as BaseClient
from dispatch.function import Input as Input  # programs of the original find it here, too
from dispatch.function import Output as Output
from dispatch.registry import Registry, set_default_registry
from dispatch.registry import default_registry as default_registry
from dispatch.test import _functions
from dispatch.test._local import LocalServer, TestLoop

if TYPE_CHECKING:
    import aiohttp

    from dispatch.test._case import TestCase
    from dispatch.test._service import Server, Service

__all__ = [
    "function",
    "method",
    "main",
    "run",
    "Client",
    "Server",
    "Service",
    "Registry",
    "DISPATCH_ENDPOINT_URL",
    "DISPATCH_API_URL",
    "DISPATCH_API_KEY",
]

T = TypeVar("T")

DISPATCH_ENDPOINT_URL = "http://127.0.0.1:0"
DISPATCH_API_URL = "http://127.0.0.1:0"
DISPATCH_API_KEY = "916CC3D280BB46DDBDA984B3DD10059A"


def __getattr__(name: str) -> Any:
    """What needs an HTTP library is imported when it is first wanted."""
    if name in ("Server", "Service"):
        from dispatch.test import _service

        return getattr(_service, name)
    if name in ("TestCase", "aiotest"):
        from dispatch.test import _case

        return getattr(_case, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Client(BaseClient):
    """A client that makes a session of its own for each request, for tests that change their event loop."""

    __slots__ = ()

    def session(self) -> "aiohttp.ClientSession":
        """A new session; whoever asks for it closes it."""
        import aiohttp

        return aiohttp.ClientSession()


def options(
    *, transport: str = "local", seed: int = 0, chaos: Optional[str] = None
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorator of a test, inside `function` or `method`: how its server is made.

        @dispatch.test.function
        @dispatch.test.options(transport="http")
        async def test_over_loopback(): ...

    Args:
        transport: "local": in this process, without sockets; "http": over loopback, by the code of production.
        seed: of ids and backoff.
        chaos: faults on purpose, such as "seed=42,drop=5%,fail=1%"; None takes DISPATCH_CHAOS.
    """

    def decorate(fn: Callable[..., T]) -> Callable[..., T]:
        fn.__dict__["__dispatch_test_options__"] = {"transport": transport, "seed": seed, "chaos": chaos}
        return fn

    return decorate


async def _main(coro: Coroutine[Any, Any, T], settings: dict[str, Any]) -> T:
    try:
        async with LocalServer(**settings) as server:
            try:
                return await coro
            except BaseException as error:
                if not isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
                    error.add_note("Calls of the test:\n" + server.trace())
                raise
    finally:
        coro.close()  # if it was not awaited; otherwise it has ended


def _run(coro: Coroutine[Any, Any, T], settings: dict[str, Any]) -> T:
    refuse_in_a_loop(coro, "a Dispatch test has an event loop of its own: use `await dispatch.test.main(...)` in another one")
    with asyncio.Runner(loop_factory=TestLoop) as runner:
        return runner.run(_main(coro, settings))


async def main(coro: Coroutine[Any, Any, None]) -> None:
    """Creates a local Dispatch server and awaits the coroutine in it. A test would rather use `function` or `method`.

    Args:
        coro: the test.

    Returns:
        What the coroutine returned.

    Raises:
        Exception: what the coroutine raised, with the tree of calls as a note.
    """
    return await _main(coro, {})


def run(coro: Coroutine[Any, Any, None]) -> None:
    """As `main`, in an event loop of its own.

    Args:
        coro: the test.

    Returns:
        What the coroutine returned.
    """
    return _run(coro, {})


def function(fn: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Decorator: a test that is written as a coroutine function, to be called as an ordinary one.

    It runs in a local Dispatch server with the full capability of Dispatch, retries of temporary errors included.
    """

    @wraps(fn)
    def wrapper() -> None:
        return _run(fn(), fn.__dict__.get("__dispatch_test_options__", {}))

    return wrapper


def method(fn: Callable[[T], Coroutine[Any, Any, None]]) -> Callable[[T], None]:
    """As `function`, for methods of a class: they get `self`."""

    @wraps(fn)
    def wrapper(self: T) -> None:
        return _run(fn(self), fn.__dict__.get("__dispatch_test_options__", {}))

    return wrapper


_registry = Registry(
    name=__name__,
    endpoint=DISPATCH_ENDPOINT_URL,
    client=Client(api_key=DISPATCH_API_KEY, api_url=DISPATCH_API_URL),
)
set_default_registry(_registry)
globals().update(_functions.register(_registry))
