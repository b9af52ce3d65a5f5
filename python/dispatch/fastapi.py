"""Functions in a FastAPI application, called from ordinary functions: `greet("World")` blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

from dispatch.asyncio.fastapi import Dispatch as AsyncDispatch
from dispatch.function import BlockingFunction

P = ParamSpec("P")

__all__ = ["AsyncDispatch", "Dispatch"]


class Dispatch(AsyncDispatch):
    """As `dispatch.asyncio.fastapi.Dispatch`, but for what `function` returns."""

    def function(self, func: Callable[P, Any]) -> BlockingFunction[P, Any]:  # type: ignore[override]
        """Decorator: registers the function; what it returns blocks."""
        return BlockingFunction(self.registry.function(func))
