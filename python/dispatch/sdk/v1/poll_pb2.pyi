from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from google.protobuf import any_pb2, descriptor, duration_pb2, message
from google.protobuf.internal import containers

from dispatch.sdk.v1 import call_pb2, error_pb2

DESCRIPTOR: descriptor.FileDescriptor

class Poll(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    COROUTINE_STATE_FIELD_NUMBER: ClassVar[int]
    TYPED_COROUTINE_STATE_FIELD_NUMBER: ClassVar[int]
    CALLS_FIELD_NUMBER: ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: ClassVar[int]
    MAX_RESULTS_FIELD_NUMBER: ClassVar[int]
    MIN_RESULTS_FIELD_NUMBER: ClassVar[int]
    coroutine_state: bytes
    @property
    def typed_coroutine_state(self) -> any_pb2.Any: ...
    @property
    def calls(self) -> containers.RepeatedCompositeFieldContainer[call_pb2.Call]: ...
    @property
    def max_wait(self) -> duration_pb2.Duration: ...
    max_results: int
    min_results: int
    def __init__(
        self,
        *,
        coroutine_state: bytes | None = ...,
        typed_coroutine_state: any_pb2.Any | Mapping[str, Any] | None = ...,
        calls: Iterable[call_pb2.Call | Mapping[str, Any]] | None = ...,
        max_wait: duration_pb2.Duration | Mapping[str, Any] | None = ...,
        max_results: int | None = ...,
        min_results: int | None = ...,
    ) -> None: ...

class PollResult(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    COROUTINE_STATE_FIELD_NUMBER: ClassVar[int]
    TYPED_COROUTINE_STATE_FIELD_NUMBER: ClassVar[int]
    RESULTS_FIELD_NUMBER: ClassVar[int]
    ERROR_FIELD_NUMBER: ClassVar[int]
    coroutine_state: bytes
    @property
    def typed_coroutine_state(self) -> any_pb2.Any: ...
    @property
    def results(self) -> containers.RepeatedCompositeFieldContainer[call_pb2.CallResult]: ...
    @property
    def error(self) -> error_pb2.Error: ...
    def __init__(
        self,
        *,
        coroutine_state: bytes | None = ...,
        typed_coroutine_state: any_pb2.Any | Mapping[str, Any] | None = ...,
        results: Iterable[call_pb2.CallResult | Mapping[str, Any]] | None = ...,
        error: error_pb2.Error | Mapping[str, Any] | None = ...,
    ) -> None: ...
