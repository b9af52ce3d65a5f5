"""What goes into a run of a function and what comes out of it: calls, inputs, outputs, results, errors.

These classes stand between programs and the messages of dispatch.sdk.v1 (protocol 1.2, 5, 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from dispatch._exceptions import (
    as_unicode,
    attach_traceback,
    dump_exception,
    format_traceback,
    load_exception,
    make_exception,
    text_of,
)
from dispatch.any import as_duration, from_timestamp, marshal_into, unmarshal_any
from dispatch.error import DispatchError, IncompatibleStateError, InvalidArgumentError, InvalidResponseError
from dispatch.sdk.v1 import call_pb2 as call_pb
from dispatch.sdk.v1 import error_pb2 as error_pb
from dispatch.sdk.v1 import function_pb2 as function_pb
from dispatch.status import Status, status_for_error, status_for_output

if TYPE_CHECKING:
    from dispatch.id import DispatchID

_ABSENT: Any = object()


class TailCall(Exception):
    """Raised in a function, ends the run and replaces the call by another one.

    The replacement keeps the call's id, parent and times; its result is the result of the call. With the
    status TEMPORARY_ERROR the replacement runs as a retry does: after a delay (protocol 5.9).
    """

    call: Call
    status: Status

    def __init__(self, call: Call, status: Status = Status.TEMPORARY_ERROR) -> None:
        super().__init__(f"the call is replaced by a call of {call.function}")
        self.call = call
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_tail_call, (type(self), self.call, self.status), self.__dict__


def _restore_tail_call(cls: type[TailCall], call: Call, status: Status) -> TailCall:
    restored = cls.__new__(cls)
    TailCall.__init__(restored, call, status)
    return restored


@dataclass
class Arguments:
    """The positional and keyword arguments of a call, which is its input."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Input:
    """What a primitive function is run with; read only.

    On the first run it is the input of the call, after a poll the state and the results of the calls that it
    made: is_first_call and is_resume tell which. Values are decoded when they are first read.
    """

    __slots__ = ("_req", "_is_first", "_input", "_state", "_results")

    def __init__(self, req: function_pb.RunRequest) -> None:
        """Raises IncompatibleStateError for a state in the form of old programs, untyped (protocol 5.4)."""
        self._req = req
        self._is_first = not req.HasField("poll_result")
        self._input = _ABSENT
        self._state = _ABSENT
        self._results: list[CallResult] | None = None
        if not self._is_first and req.poll_result.coroutine_state:
            raise IncompatibleStateError("the state is in the untyped form of an old program")

    @property
    def dispatch_id(self) -> DispatchID:
        """The id of the call."""
        return self._req.dispatch_id

    @property
    def parent_dispatch_id(self) -> DispatchID:
        """The id of the call that made this one; empty for a root."""
        return self._req.parent_dispatch_id

    @property
    def root_dispatch_id(self) -> DispatchID:
        """The id of the call at the root of the tree; the own id for a root."""
        return self._req.root_dispatch_id

    @property
    def creation_time(self) -> datetime:
        """When the call was made, in UTC without a time zone; 1970-01-01 if the server did not say."""
        return _naive_utc(self._req.creation_time)

    @property
    def expiration_time(self) -> datetime:
        """When the call fails if it is not done, in UTC without a time zone; 1970-01-01 for never."""
        return _naive_utc(self._req.expiration_time)

    @property
    def is_first_call(self) -> bool:
        """True if the function starts."""
        return self._is_first

    @property
    def is_resume(self) -> bool:
        """True if the function goes on after a poll."""
        return not self._is_first

    @property
    def input(self) -> Any:
        """The input of the call, None if it has none.

        Raises ValueError after a poll, and InvalidArgumentError if the input cannot be decoded.
        """
        self._assert_first_call()
        if self._input is _ABSENT:
            req = self._req
            self._input = unmarshal_any(req.input) if req.HasField("input") else None
        return self._input

    def input_arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and the keyword arguments of the call.

        Raises RuntimeError if the call was made with a plain value, else as `input` does.
        """
        input = self.input
        if not isinstance(input, Arguments):
            raise RuntimeError("input does not hold arguments")
        return input.args, input.kwargs

    def arguments_or_value(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of the call however it was made.

        Programs in C and Go call with a plain value: it is the only argument, and None is no argument.
        Raises as `input` does.
        """
        input = self.input
        if isinstance(input, Arguments):
            return input.args, input.kwargs
        return (() if input is None else (input,)), {}

    @property
    def coroutine_state(self) -> Any:
        """The state that the function polled with, None if there is none.

        Raises ValueError on the first run, and IncompatibleStateError if the state cannot be decoded.
        """
        self._assert_resume()
        if self._state is _ABSENT:
            result = self._req.poll_result
            try:
                has_state = result.HasField("typed_coroutine_state")
                self._state = unmarshal_any(result.typed_coroutine_state) if has_state else None
            except InvalidArgumentError as error:
                raise IncompatibleStateError(f"state: {error}") from error
        return self._state

    @property
    def call_results(self) -> list[CallResult]:
        """The results that arrived, in no order. Raises ValueError on the first run."""
        self._assert_resume()
        if self._results is None:
            self._results = [CallResult._from_proto(result) for result in self._req.poll_result.results]
        return self._results

    @property
    def poll_error(self) -> Error | None:
        """Why no call of the poll was made; None if they all were. Raises ValueError on the first run."""
        self._assert_resume()
        result = self._req.poll_result
        return Error._from_proto(result.error) if result.HasField("error") else None

    def _assert_first_call(self) -> None:
        if not self._is_first:
            raise ValueError("This input is for a resumed coroutine")

    def _assert_resume(self) -> None:
        if self._is_first:
            raise ValueError("This input is for a first function call")

    @classmethod
    def from_input_arguments(cls, function: str, *args: Any, **kwargs: Any) -> Input:
        """The input of the first run of a call with these arguments."""
        req = function_pb.RunRequest(function=function)
        marshal_into(req.input, Arguments(args=args, kwargs=kwargs))
        return cls(req)

    @classmethod
    def from_poll_results(
        cls,
        function: str,
        coroutine_state: Any,
        call_results: list[CallResult],
        error: Error | None = None,
    ) -> Input:
        """The input of a run after a poll: the state it was made with, and results, or why there are none."""
        req = function_pb.RunRequest(function=function)
        marshal_into(req.poll_result.typed_coroutine_state, coroutine_state)
        for result in call_results:
            result._fill(req.poll_result.results.add())
        if error is not None:
            error._fill(req.poll_result.error)
        return cls(req)


class Output:
    """What a primitive function returns: the end of the call, or a poll. Made by its class methods."""

    __slots__ = ("_message",)

    def __init__(self, proto: function_pb.RunResponse) -> None:
        self._message = proto

    def __repr__(self) -> str:
        return f"Output(_message={self._message!r})"

    def __eq__(self, other: object) -> bool:
        return self._message == other._message if isinstance(other, Output) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def value(cls, value: Any, status: Status | None = None) -> Output:
        """End the call with a value. The status is by default that of the value's type (protocol 4.4).

        Raises as marshal_any for a value that cannot be pickled.
        """
        if status is None:
            status = status_for_output(value)
        return cls.exit(result=CallResult(output=value), status=status)

    @classmethod
    def error(cls, error: Error) -> Output:
        """End the run with an error; its status decides whether the function runs again."""
        return cls.exit(result=CallResult(error=error), status=error.status)

    @classmethod
    def tail_call(cls, tail_call: Call, status: Status = Status.OK) -> Output:
        """Replace the call by another one (protocol 5.9)."""
        return cls.exit(tail_call=tail_call, status=status)

    @classmethod
    def exit(
        cls,
        result: CallResult | None = None,
        tail_call: Call | None = None,
        status: Status = Status.OK,
    ) -> Output:
        """End the run with a result, or with a call that replaces this one."""
        message = function_pb.RunResponse(status=status._value_)
        message.exit.SetInParent()
        if result is not None:
            result._fill(message.exit.result)
        if tail_call is not None:
            tail_call._fill(message.exit.tail_call)
        return cls(message)

    @classmethod
    def poll(
        cls,
        coroutine_state: Any = None,
        calls: list[Call] | None = None,
        min_results: int = 1,
        max_results: int = 10,
        max_wait_seconds: int | None = None,
    ) -> Output:
        """Suspend the call: make calls, run again with the state when results have arrived (protocol 5.1).

        The function runs again when min_results results are there or max_wait_seconds have passed (None:
        however long it takes), with at most max_results of them. Raises as marshal_any for a state that
        cannot be pickled.
        """
        message = function_pb.RunResponse(status=Status.OK._value_)
        poll = message.poll
        poll.min_results = min_results
        poll.max_results = max_results
        marshal_into(poll.typed_coroutine_state, coroutine_state)
        for call in calls or ():
            call._fill(poll.calls.add())
        if max_wait_seconds is not None:
            poll.max_wait.CopyFrom(as_duration(timedelta(seconds=max_wait_seconds)))
        return cls(message)


@dataclass(slots=True)
class Call:
    """A call of a function by its name, for one that this program does not have.

    input is the value that the function is called with (Arguments for functions of Python); endpoint is the
    base URL of the program that has it, by default that of the caller; correlation_id comes back with the
    result; expiration is the longest time until the call is done; version selects a version of the program.
    """

    function: str
    input: Any | None = None
    endpoint: str | None = None
    correlation_id: int | None = None
    expiration: timedelta | None = None
    version: str | None = None

    def _as_proto(self) -> call_pb.Call:
        message = call_pb.Call()
        self._fill(message)
        return message

    def _fill(self, message: call_pb.Call) -> None:
        message.function = self.function
        marshal_into(message.input, self.input)
        if self.endpoint:
            message.endpoint = self.endpoint
        if self.correlation_id:
            message.correlation_id = self.correlation_id
        if self.expiration is not None:
            message.expiration.CopyFrom(_expiration(self.expiration))
        if self.version:
            message.version = self.version


@dataclass(slots=True)
class CallResult:
    """How a call ended: an output, or an error, or (a partial result) both; the output None if neither."""

    correlation_id: int | None = None
    output: Any | None = None
    error: Error | None = None
    dispatch_id: DispatchID = ""

    def _as_proto(self) -> call_pb.CallResult:
        message = call_pb.CallResult()
        self._fill(message)
        return message

    def _fill(self, message: call_pb.CallResult) -> None:
        message.SetInParent()
        if self.dispatch_id:
            message.dispatch_id = self.dispatch_id
        if self.correlation_id:
            message.correlation_id = self.correlation_id
        if self.output is not None:
            marshal_into(message.output, self.output)
        if self.error is not None:
            self.error._fill(message.error)

    @classmethod
    def _from_proto(cls, proto: call_pb.CallResult) -> CallResult:
        """An output that cannot be decoded is an error of this result alone, whose caller may handle it."""
        error = Error._from_proto(proto.error) if proto.HasField("error") else None
        output = None
        if proto.HasField("output"):
            try:
                output = unmarshal_any(proto.output)
            except DispatchError as exception:
                if error is None:
                    error = Error.from_exception(InvalidResponseError(f"result: {exception}"))
        return cls(proto.correlation_id, output, error, proto.dispatch_id)

    @classmethod
    def from_value(cls, output: Any, correlation_id: int | None = None) -> CallResult:
        """The result of a call that returned a value."""
        return cls(correlation_id=correlation_id, output=output)

    @classmethod
    def from_error(cls, error: Error, correlation_id: int | None = None) -> CallResult:
        """The result of a call that failed."""
        return cls(correlation_id=correlation_id, error=error)


@dataclass(init=False)
class Error:
    """Why a call failed, as data. The status is not on the wire: one that arrived has UNSPECIFIED."""

    status: Status
    type: str
    message: str
    value: Exception | None = None
    traceback: bytes | None = None

    def __init__(
        self,
        status: Status,
        type: str,
        message: str,
        value: Exception | None = None,
        traceback: bytes | None = None,
    ) -> None:
        """type and message are free text; value is the exception itself; traceback is its text in UTF-8, by
        default that of value.

        Raises ValueError if there is no type or no message, or if the status is OK.
        """
        if type is None:
            raise ValueError("Error type is required")
        if message is None:
            raise ValueError("Error message is required")
        if status is Status.OK:
            raise ValueError("Status cannot be OK")
        self.status = status
        self.type = type
        self.message = message
        self.value = value
        self.traceback = traceback
        if value is not None and not traceback:
            self.traceback = format_traceback(value)

    @classmethod
    def from_exception(cls, ex: Exception, status: Status | None = None) -> Error:
        """The error of an exception; the status is by default that of its type (protocol 4.4).

        A handler that calls an exception OK is not believed: the status is then PERMANENT_ERROR.
        """
        if status is None:
            status = status_for_error(ex)
            if status is Status.OK:
                status = Status.PERMANENT_ERROR
        return cls(status, ex.__class__.__qualname__, text_of(ex), ex)

    def to_exception(self) -> Exception:
        """The exception of this error, with its traceback.

        It is the exception itself if that arrived, else one of dispatch.error if type is the name of one (or
        of its status), else a RuntimeError with the message. What is made by name never has a temporary
        status: it is how a call ended, and would still be if its caller ran again.
        """
        exception = self.value if self.value is not None else make_exception(self.type, self.message)
        if self.traceback:
            attach_traceback(exception, self.traceback)
        return exception

    @classmethod
    def _from_proto(cls, proto: error_pb.Error) -> Error:
        value = load_exception(proto.value) if proto.value else None
        return cls(Status.UNSPECIFIED, proto.type, proto.message, value, proto.traceback or None)

    def _as_proto(self) -> error_pb.Error:
        message = error_pb.Error()
        self._fill(message)
        return message

    def _fill(self, message: error_pb.Error) -> None:
        message.SetInParent()
        message.type = as_unicode(self.type)
        message.message = as_unicode(self.message)
        message.value = b"" if self.value is None else dump_exception(self.value)
        message.traceback = self.traceback or b""


def _naive_utc(timestamp: Timestamp) -> datetime:
    return from_timestamp(timestamp).replace(tzinfo=None)


def _expiration(value: timedelta) -> Duration:
    if value < timedelta():
        raise ValueError("expiration is negative")
    return as_duration(value)
