"""What suspended coroutines wait for: calls, other coroutines, time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from dispatch.coroutine import AnyException
from dispatch.error import TimeoutError
from dispatch.proto import Call
from dispatch.status import Status

CallID: TypeAlias = int
CoroutineID: TypeAlias = int
CorrelationID: TypeAlias = int


def correlation_id(coroutine_id: CoroutineID, call_id: CallID) -> CorrelationID:
    """What is sent with a call and comes back with its result (protocol 5.5)."""
    return coroutine_id << 32 | call_id


def correlation_coroutine_id(correlation_id: CorrelationID) -> CoroutineID:
    """The coroutine that made the call."""
    return correlation_id >> 32


def correlation_call_id(correlation_id: CorrelationID) -> CallID:
    """The call."""
    return correlation_id & 0xFFFFFFFF


@dataclass(slots=True)
class CoroutineResult:
    """How a coroutine ended: with a value, an error, or (status and) a call that takes its place."""

    coroutine_id: CoroutineID
    value: Any = None
    error: Exception | None = None
    call: Call | None = None
    status: Status = Status.OK


@dataclass(slots=True)
class CallResult:
    """How a call ended."""

    call_id: CallID
    value: Any = None
    error: Exception | None = None


class Future(Protocol):
    """What a suspended coroutine waits for. `error` and `value` may be asked once it is ready, `value` only when there
    is no error."""

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        """Takes the result of a call or a coroutine; one that it does not wait for changes nothing."""

    def add_error(self, error: Exception) -> None:
        """Fails it, unless it is ready already."""

    def ready(self) -> bool:
        """Whether the coroutine can go on."""

    def error(self) -> Exception | None:
        """What to raise in the coroutine."""

    def value(self) -> Any:
        """What to return to the coroutine."""


@dataclass(slots=True)
class CallFuture:
    """Of `dispatch.coroutine.call`. The first result wins; with a `call_id`, only results of that call count."""

    result: CallResult | None = None
    first_error: Exception | None = None
    call_id: CallID | None = None

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        if not isinstance(result, CallResult) or self.ready() or self.call_id not in (None, result.call_id):
            return
        self.result = result
        self.first_error = result.error

    def add_error(self, error: Exception) -> None:
        if not self.ready():
            self.first_error = error

    def ready(self) -> bool:
        return self.first_error is not None or self.result is not None

    def error(self) -> Exception | None:
        assert self.ready()
        return self.first_error

    def value(self) -> Any:
        assert self.first_error is None
        assert self.result is not None
        return self.result.value


@dataclass(slots=True)
class AllFuture:
    """Of `dispatch.coroutine.all`: all values, or the first error."""

    order: list[CoroutineID] = field(default_factory=list)
    waiting: set[CoroutineID] = field(default_factory=set)
    results: dict[CoroutineID, CoroutineResult] = field(default_factory=dict)
    first_error: Exception | None = None

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        if not isinstance(result, CoroutineResult) or result.coroutine_id not in self.waiting:
            return
        self.waiting.remove(result.coroutine_id)
        if result.error is not None:
            self.add_error(result.error)
        else:
            self.results[result.coroutine_id] = result

    def add_error(self, error: Exception) -> None:
        if self.first_error is None:
            self.first_error = error

    def ready(self) -> bool:
        return self.first_error is not None or not self.waiting

    def error(self) -> Exception | None:
        assert self.ready()
        return self.first_error

    def value(self) -> list[Any]:
        assert not self.waiting and self.first_error is None
        return [self.results[id].value for id in self.order]

    def __reduce__(self) -> tuple[Any, ...]:
        values = {id: result.value for id, result in self.results.items()}
        return _load_all, (self.order, values, self.first_error)


def _load_all(order: list[CoroutineID], values: dict[CoroutineID, Any], first_error: Exception | None) -> AllFuture:
    results = {id: CoroutineResult(id, value) for id, value in values.items()}
    return AllFuture(order, {id for id in order if id not in results}, results, first_error)


@dataclass(slots=True)
class AnyFuture:
    """Of `dispatch.coroutine.any`: the first value, or all errors."""

    order: list[CoroutineID] = field(default_factory=list)
    waiting: set[CoroutineID] = field(default_factory=set)
    first_result: CoroutineResult | None = None
    errors: dict[CoroutineID, Exception] = field(default_factory=dict)
    generic_error: Exception | None = None

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        if not isinstance(result, CoroutineResult) or result.coroutine_id not in self.waiting:
            return
        self.waiting.remove(result.coroutine_id)
        if result.error is not None:
            self.errors[result.coroutine_id] = result.error
        elif self.first_result is None:
            self.first_result = result

    def add_error(self, error: Exception) -> None:
        if self.first_result is None and self.generic_error is None:
            self.generic_error = error

    def ready(self) -> bool:
        return self.generic_error is not None or self.first_result is not None or not self.waiting

    def error(self) -> Exception | None:
        assert self.ready()
        if self.first_result is not None:
            return None
        if self.generic_error is not None or not self.errors:
            return self.generic_error
        errors = [self.errors[id] for id in self.order if id in self.errors]
        return errors[0] if len(self.order) == 1 else AnyException(errors)

    def value(self) -> Any:
        assert self.ready()
        if not self.order:
            return None
        assert self.first_result is not None
        return self.first_result.value


@dataclass(slots=True)
class RaceFuture:
    """Of `dispatch.coroutine.race`: what comes first, value or error; what comes later changes nothing."""

    waiting: set[CoroutineID] = field(default_factory=set)
    first_result: CoroutineResult | None = None
    first_error: Exception | None = None

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        if not isinstance(result, CoroutineResult) or result.coroutine_id not in self.waiting:
            return
        self.waiting.remove(result.coroutine_id)
        if result.error is not None:
            self.add_error(result.error)
        elif self.first_result is None and self.first_error is None:
            self.first_result = result

    def add_error(self, error: Exception) -> None:
        if self.first_result is None and self.first_error is None:
            self.first_error = error

    def ready(self) -> bool:
        return self.first_error is not None or self.first_result is not None or not self.waiting

    def error(self) -> Exception | None:
        assert self.ready()
        return self.first_error

    def value(self) -> Any:
        assert self.first_error is None
        return None if self.first_result is None else self.first_result.value


@dataclass(slots=True)
class SleepFuture:
    """Of `dispatch.coroutine.sleep`. The deadline is absolute (nanoseconds since 1970), so who is woken up too early
    sleeps on for the rest."""

    deadline_ns: int
    is_over: bool = False

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        pass

    def add_error(self, error: Exception) -> None:
        pass

    def time_out(self) -> None:
        """The deadline has come."""
        self.is_over = True

    def ready(self) -> bool:
        return self.is_over

    def error(self) -> Exception | None:
        return None

    def value(self) -> None:
        return None


@dataclass(slots=True)
class WaitForFuture:
    """Of `dispatch.coroutine.wait_for`: how the awaitable ended, or TimeoutError once the deadline has come. `child` is
    its coroutine."""

    child: CoroutineID
    deadline_ns: int | None
    result: CoroutineResult | None = None
    first_error: Exception | None = None

    @property
    def waiting(self) -> tuple[CoroutineID, ...]:
        return () if self.ready() else (self.child,)

    def add_result(self, result: CallResult | CoroutineResult) -> None:
        if isinstance(result, CoroutineResult) and result.coroutine_id in self.waiting:
            self.result = result
            self.first_error = result.error

    def add_error(self, error: Exception) -> None:
        if not self.ready():
            self.first_error = error

    def time_out(self) -> None:
        """The deadline has come."""
        self.add_error(TimeoutError("the time given to wait_for is over"))

    def ready(self) -> bool:
        return self.first_error is not None or self.result is not None

    def error(self) -> Exception | None:
        return self.first_error

    def value(self) -> Any:
        assert self.first_error is None
        assert self.result is not None
        return self.result.value
