"""Registries: named sets of functions. Public face: `dispatch.function`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine
from typing import Any, Optional, ParamSpec, TypeVar, overload
from urllib.parse import urlparse

from dispatch._function import (
    AsyncFunction,
    PrimitiveFunction,
    PrimitiveFunctionType,
    lookup_registry,
    registries,
)
from dispatch._retry import POLICY
from dispatch.batch import Batch
from dispatch.client import Client
from dispatch.experimental.durable import durable

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_REGISTRY_NAME = "default"

_default: Registry | None = None


class Registry:
    """A named set of functions, with the client that submits calls and the endpoint that serves them.

    Args:
        name: unique among the open registries.
        client: submits the calls; None makes one of the environment.
        endpoint: URL where the functions are served (http, https or bridge). None takes DISPATCH_ENDPOINT_URL.

    Raises:
        ValueError: for a missing or malformed endpoint, a missing API key (through `Client`), a missing name, or a name
            that is taken; in this order.
    """

    __slots__ = ("functions", "client", "_name", "_endpoint", "_replaceable")

    functions: dict[str, PrimitiveFunction]
    client: Client

    def __init__(self, name: str, client: Optional[Client] = None, endpoint: Optional[str] = None):
        endpoint = endpoint or os.environ.get("DISPATCH_ENDPOINT_URL")
        if not endpoint:
            raise ValueError("missing application endpoint: set it with the DISPATCH_ENDPOINT_URL environment variable")
        _check_endpoint(endpoint)
        self.client = client if client is not None else Client()
        if not name:
            raise ValueError("missing registry name")
        if name in registries:
            raise ValueError(f"registry with name '{name}' already exists")
        self._name = name
        self._endpoint = endpoint
        self.functions = {}
        self._replaceable: set[str] = set()
        registries[name] = self

    def close(self):  # type: ignore[no-untyped-def]  # the signature of the documentation
        """Takes the registry and its functions out of the application: requests for them are answered "not found" from
        now on, and its name is free. Runs under way end as they would. A second close does nothing."""
        global _default
        if registries.get(self._name) is not self:
            return
        del registries[self._name]
        if _default is self:
            _default = None
        for function in self.functions.values():
            _forget_durable(function)
        self.functions.clear()

    @property
    def name(self) -> str:
        """Unique among the open registries."""
        return self._name

    @property
    def endpoint(self) -> str:
        """URL where the functions are served. Setting it checks it: ValueError."""
        return self._endpoint

    @endpoint.setter
    def endpoint(self, value: str) -> None:
        _check_endpoint(value)
        self._endpoint = value

    @overload
    def function(self, func: Callable[P, Coroutine[Any, Any, T]]) -> AsyncFunction[P, T]: ...

    @overload
    def function(self, func: Callable[P, T]) -> AsyncFunction[P, T]: ...

    def function(self, func: Callable[P, Any]) -> AsyncFunction[P, Any]:
        """Decorator: registers the function under its qualified name, and returns what calls it.

        A coroutine function may await other functions, and is suspended and resumed, maybe elsewhere, where it does. Any
        other function runs once per attempt on a thread of the loop's pool, and may block.

        Raises:
            ValueError: the name is taken in this registry.
        """
        name = func.__qualname__
        policy = func.__dict__.get(POLICY)
        if inspect.iscoroutinefunction(func):
            self._check_name(name)
            durable_func = durable(func)
            function: AsyncFunction[P, Any] = AsyncFunction.of_coroutine(self, name, durable_func, policy)
            function.__dict__["_durable"] = durable_func
        else:
            function = AsyncFunction.of_plain(self, name, func, policy)
        function.__dict__.update(_described(func))
        self._register(name, function)
        return function

    def primitive_function(self, primitive_func: PrimitiveFunctionType) -> PrimitiveFunction:
        """Decorator: registers a function of raw requests and responses under its qualified name. It must not raise.

        Raises:
            ValueError: the name is taken in this registry.
        """
        function = PrimitiveFunction(self, primitive_func.__qualname__, primitive_func)
        function.__dict__.update(_described(primitive_func))
        self._register(primitive_func.__qualname__, function)
        return function

    def batch(self) -> Batch:
        """A batch of calls that are submitted together."""
        return Batch(self.client)

    def _check_name(self, name: str) -> None:
        if name not in self.functions:
            return
        if name not in self._replaceable:
            raise ValueError(f"function already registered with name '{name}'")
        _forget_durable(self.functions.pop(name))
        self._replaceable.discard(name)

    def _register(self, name: str, wrapped_func: PrimitiveFunction) -> None:
        self._check_name(name)
        self.functions[name] = wrapped_func

    def __repr__(self) -> str:
        return f"<Registry {self._name!r} of {len(self.functions)} functions at {self._endpoint}>"


def _described(func: Callable[..., Any]) -> dict[str, Any]:
    """What makes the wrapper look like the function, as functools.wraps does."""
    return {
        "__wrapped__": func,
        "__doc__": func.__doc__,
        "__module__": func.__module__,
        "__name__": func.__name__,
        "__qualname__": func.__qualname__,
    }


def _forget_durable(function: PrimitiveFunction) -> None:
    durable_func = function.__dict__.get("_durable")
    if durable_func is not None:
        durable_func.unregister()


def _check_endpoint(endpoint: str) -> None:
    parts = urlparse(endpoint)
    if not parts.scheme:
        raise ValueError(f"missing protocol scheme in registry endpoint URL: {endpoint}")
    if parts.scheme not in ("bridge", "http", "https"):
        raise ValueError(f"invalid protocol scheme in registry endpoint URL: {endpoint}")
    if not parts.hostname:
        raise ValueError(f"missing host in registry endpoint URL: {endpoint}")


def default_registry() -> Registry:
    """The registry of `dispatch.function`; made of the environment when it is first wanted. ValueError as `Registry`."""
    global _default
    if _default is None:
        _default = Registry(DEFAULT_REGISTRY_NAME)
    return _default


def set_default_registry(reg: Registry) -> None:
    """Makes it the registry of `dispatch.function`."""
    global _default
    _default = reg


__all__ = ["DEFAULT_REGISTRY_NAME", "Registry", "default_registry", "lookup_registry", "set_default_registry"]
