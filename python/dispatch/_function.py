"""Functions as a program holds them: callable, dispatchable, awaitable. Public face: `dispatch.function`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar

from dispatch import _embedded, coroutine
from dispatch._retry import Primitive, Retry, run_with
from dispatch._signals import refuse_in_a_loop
from dispatch.error import IncompatibleStateError
from dispatch.id import DispatchID
from dispatch.proto import Arguments, Call, Error, Input, Output, TailCall
from dispatch.scheduler import OneShotScheduler, in_function_call

if TYPE_CHECKING:
    from dispatch.registry import Registry

TEST_ENDPOINT_URL = "http://127.0.0.1:0"
"""No address: the test server that the code runs in."""

BLOCKS = "this function blocks, and would block the running event loop: call it on a thread, or use dispatch.asyncio"

P = ParamSpec("P")
T = TypeVar("T")

PrimitiveFunctionType: TypeAlias = Callable[[Input], Awaitable[Output]]
"""The raw request in, the raw response out. Must not raise: what it raises is an HTTP 500 (protocol 3.2)."""

registries: dict[str, Registry] = {}
"""Every open registry by its name, in the order of their opening."""


def lookup_registry(name: str) -> Registry:
    """The open registry of that name; KeyError when there is none."""
    return registries[name]


def lookup_function(registry: str, name: str) -> PrimitiveFunction:
    """How functions are pickled: by the names of registry and function. KeyError when there is none."""
    return registries[registry].functions[name]


def seconds_of(duration: float | timedelta | None) -> timedelta | None:
    """A duration in seconds, or as it is. ValueError when it is negative."""
    if duration is None or isinstance(duration, timedelta):
        length = duration
    else:
        length = timedelta(seconds=duration)
    if length is not None and length < timedelta(0):
        raise ValueError(f"a duration cannot be negative: {length}")
    return length


class PrimitiveFunction:
    """A function of raw requests and responses, known by its name in a registry."""

    def __init__(self, registry: Registry, name: str, primitive_func: PrimitiveFunctionType):
        self._registry = registry.name
        self._name = name
        self._primitive_func = primitive_func

    @property
    def endpoint(self) -> str:
        """URL where its registry is served; in a test, that of the test's server if the registry names none of its own."""
        endpoint = self.registry.endpoint
        if endpoint == TEST_ENDPOINT_URL:
            server = _embedded.current.get()
            if server is not None:
                return server.endpoint
        return endpoint

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return self._name

    @property
    def registry(self) -> Registry:
        """Its registry; KeyError once that is closed."""
        return lookup_registry(self._registry)

    async def _primitive_call(self, input: Input) -> Output:
        return await self._primitive_func(input)

    async def _primitive_dispatch(self, input: Any = None) -> DispatchID:
        call = self._build_primitive_call(input)
        [dispatch_id] = await self.registry.client.dispatch([call])
        return dispatch_id

    def _build_primitive_call(self, input: Any, correlation_id: int | None = None) -> Call:
        return Call(function=self._name, endpoint=self.endpoint, input=input, correlation_id=correlation_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return lookup_function, (self._registry, self._name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} of registry {self._registry!r}>"


class AsyncFunction(PrimitiveFunction, Generic[P, T]):
    """A function that takes arguments. Awaiting a call of it inside a dispatch function suspends that function; outside
    it submits the call and waits for its result."""

    plain: Callable[..., T] | None = None
    """What `call_plain` runs on a thread, if there is nothing more to it."""

    @classmethod
    def of_plain(
        cls, registry: Registry, name: str, func: Callable[P, T], policy: Retry | None = None
    ) -> AsyncFunction[P, T]:
        """Of a function that is not async: it runs on a thread of a pool, and may block."""

        async def primitive(input: Input, first_call_id: int = 1) -> Output:
            return await asyncio.to_thread(call_plain, func, name, input)

        made: AsyncFunction[P, T] = cls(registry, name, with_policy(policy, primitive))
        if policy is None:
            made.plain = func
        return made

    @classmethod
    def of_coroutine(
        cls, registry: Registry, name: str, func: Callable[..., Any], policy: Retry | None = None
    ) -> AsyncFunction[P, T]:
        """Of a durable coroutine function."""

        async def primitive(input: Input, first_call_id: int = 1) -> Output:
            scheduler = OneShotScheduler(func)
            scheduler.first_call_id = first_call_id
            return await scheduler.run(input)

        return cls(registry, name, with_policy(policy, primitive))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return self._call(self.build_call(*args, **kwargs))

    def _call(self, call: Call) -> Coroutine[Any, Any, T]:
        if in_function_call():
            step: Any = coroutine.call(call)  # durable: yields the call to the scheduler
            return step  # type: ignore[no-any-return]
        return self.registry.client._call(call)

    async def dispatch(self, *args: P.args, **kwargs: P.kwargs) -> DispatchID:
        """Submits a call without waiting for its result; returns its dispatch id."""
        [dispatch_id] = await self.registry.client.dispatch([self.build_call(*args, **kwargs)])
        return dispatch_id

    def build_call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call, not yet made: for batches, `Output.poll`, `dispatch.call`."""
        return self._build_primitive_call(Arguments(args, kwargs))

    def options(
        self,
        *,
        expiration: float | timedelta | None = None,
        version: str | None = None,
        endpoint: str | None = None,
    ) -> CallOptions[P, T]:
        """The function with options for the calls that are made through what this returns:

            await greet.options(expiration=30)("World")

        Args:
            expiration: longest time the call may take, retries included; seconds or a timedelta. None is the server's.
            version: of the application that is to run it.
            endpoint: URL where it is served, if not where its registry is.
        """
        return CallOptions(self, seconds_of(expiration), version, endpoint)

    def map(self, iterable: Iterable[Any], /) -> Coroutine[Any, Any, list[T]]:
        """Calls the function with each item; the results in the order of the items. As `dispatch.gather` inside a
        function; outside, one submission of all calls. The first error is raised."""
        calls = [self.build_call(item) for item in iterable]  # type: ignore[call-arg]
        if in_function_call():
            step: Any = coroutine.gather(*(coroutine.call(call) for call in calls))
            return step  # type: ignore[no-any-return]
        return self.registry.client._call_all(calls)


class CallOptions(Generic[P, T]):
    """An AsyncFunction together with options of its calls; see `AsyncFunction.options`."""

    __slots__ = ("_function", "_expiration", "_version", "_endpoint")

    def __init__(
        self, function: AsyncFunction[P, T], expiration: timedelta | None, version: str | None, endpoint: str | None
    ):
        self._function = function
        self._expiration = expiration
        self._version = version
        self._endpoint = endpoint

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return self._function._call(self.build_call(*args, **kwargs))

    async def dispatch(self, *args: P.args, **kwargs: P.kwargs) -> DispatchID:
        """As `AsyncFunction.dispatch`."""
        [dispatch_id] = await self._function.registry.client.dispatch([self.build_call(*args, **kwargs)])
        return dispatch_id

    def build_call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """As `AsyncFunction.build_call`."""
        call = self._function.build_call(*args, **kwargs)
        call.expiration = self._expiration
        call.version = self._version
        if self._endpoint is not None:
            call.endpoint = self._endpoint
        return call


class BlockingFunction(Generic[P, T]):
    """The same operations for programs without an event loop: each runs one of its own."""

    __slots__ = ("_func",)

    def __init__(self, func: AsyncFunction[P, T]):
        self._func = func

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        refuse_in_a_loop(None, BLOCKS)
        return asyncio.run(_await(self._func(*args, **kwargs)))

    def dispatch(self, *args: P.args, **kwargs: P.kwargs) -> DispatchID:
        """Submits a call without waiting for its result; returns its dispatch id."""
        refuse_in_a_loop(None, BLOCKS)
        return asyncio.run(self._func.dispatch(*args, **kwargs))

    def build_call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """As `AsyncFunction.build_call`."""
        return self._func.build_call(*args, **kwargs)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


class Reset(TailCall):
    """Raised inside a function: the attempt has failed, and the retry is a call of another function (protocol 5.9).

    Status TEMPORARY_ERROR, so the server backs off before the retry."""

    def __init__(
        self, func: AsyncFunction[P, T] | BlockingFunction[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        super().__init__(call=func.build_call(*args, **kwargs))


def with_policy(policy: Retry | None, primitive: Primitive) -> PrimitiveFunctionType:
    """The primitive function under a policy of retries, if there is one."""
    if policy is None:
        return primitive

    async def retried(input: Input) -> Output:
        return await run_with(policy, primitive, input)

    return retried


def call_plain(func: Callable[..., Any], name: str, input: Input) -> Output:
    """Runs a function that is not async, on this thread."""
    if input.is_resume:
        error = IncompatibleStateError(f"function '{name}' is not a coroutine and has no state")
        return Output.error(Error.from_exception(error))
    try:
        args, kwargs = input.arguments_or_value()
        return Output.value(func(*args, **kwargs))
    except TailCall as tail_call:
        return Output.tail_call(tail_call.call, tail_call.status)
    except Exception as error:
        return Output.error(Error.from_exception(error))
