"""Functions, registries and the client: what programs are made of."""

from typing import TYPE_CHECKING, Any

from dispatch._function import (
    AsyncFunction,
    BlockingFunction,
    CallOptions,
    PrimitiveFunction,
    PrimitiveFunctionType,
    Reset,
    lookup_registry,
)
from dispatch.batch import Batch
from dispatch.client import DEFAULT_API_URL, BlockingClient, Client, current_session
from dispatch.experimental.durable import durable
from dispatch.id import DispatchID
from dispatch.proto import Arguments, Call, CallResult, Error, Input, Output, TailCall
from dispatch.registry import DEFAULT_REGISTRY_NAME, Registry, default_registry, set_default_registry
from dispatch.scheduler import OneShotScheduler, in_function_call

if TYPE_CHECKING:
    from dispatch._client_error import ClientError

Function = AsyncFunction


def __getattr__(name: str) -> Any:
    if name == "ClientError":  # needs aiohttp
        from dispatch._client_error import ClientError

        return ClientError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DEFAULT_API_URL",
    "DEFAULT_REGISTRY_NAME",
    "Arguments",
    "AsyncFunction",
    "Batch",
    "BlockingClient",
    "BlockingFunction",
    "Call",
    "CallOptions",
    "CallResult",
    "Client",
    "ClientError",
    "DispatchID",
    "Error",
    "Function",
    "Input",
    "OneShotScheduler",
    "Output",
    "PrimitiveFunction",
    "PrimitiveFunctionType",
    "Registry",
    "Reset",
    "TailCall",
    "current_session",
    "default_registry",
    "durable",
    "in_function_call",
    "lookup_registry",
    "set_default_registry",
]
