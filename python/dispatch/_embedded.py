"""Which test server the running code belongs to. `dispatch.test` sets it; clients ask it before they use the network."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol

from dispatch.id import DispatchID
from dispatch.proto import Call
from dispatch.sdk.v1.call_pb2 import CallResult


class Embedded(Protocol):
    """A Dispatch server in this process."""

    @property
    def endpoint(self) -> str:
        """Where calls are to go."""

    async def dispatch(self, calls: Sequence[Call]) -> list[DispatchID]:
        """Submits all calls, or none."""

    async def call(self, call: Call) -> CallResult:
        """Submits a call and waits for its result."""

    async def wait(self, dispatch_id: DispatchID) -> CallResult:
        """Waits for a result."""

    async def cancel(self, dispatch_id: DispatchID) -> None:
        """Ends a call and all calls below it."""

    async def sleep(self, duration_ns: int) -> None:
        """Lets time pass; returns when it has."""


current: ContextVar[Embedded | None] = ContextVar("dispatch.embedded", default=None)
