"""Batches: calls that are submitted together. Public face: `dispatch.function`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from dispatch.id import DispatchID
from dispatch.proto import Call

if TYPE_CHECKING:
    from dispatch._function import AsyncFunction
    from dispatch.client import Client

P = ParamSpec("P")
T = TypeVar("T")


class Batch:
    """Collects calls; `dispatch` submits them in one request: all are recorded, or none."""

    __slots__ = ("client", "calls")

    client: Client
    calls: list[Call]

    def __init__(self, client: Client):
        self.client = client
        self.calls = []

    def add(self, func: AsyncFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> Batch:
        """Adds a call of a function; returns the batch."""
        return self.add_call(func.build_call(*args, **kwargs))

    def add_call(self, call: Call) -> Batch:
        """Adds a call; returns the batch."""
        self.calls.append(call)
        return self

    def clear(self) -> None:
        """Forgets the calls."""
        self.calls = []

    async def dispatch(self) -> list[DispatchID]:
        """Submits the calls and clears the batch. Their ids, in their order; without calls nothing is sent. When it
        fails the calls stay in the batch."""
        if not self.calls:
            return []
        dispatch_ids = await self.client.dispatch(self.calls)
        self.clear()
        return dispatch_ids
