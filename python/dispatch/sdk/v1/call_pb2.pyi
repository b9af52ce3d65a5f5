from collections.abc import Mapping
from typing import Any, ClassVar

from google.protobuf import any_pb2, descriptor, duration_pb2, message

from dispatch.sdk.v1 import error_pb2

DESCRIPTOR: descriptor.FileDescriptor

class Call(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    CORRELATION_ID_FIELD_NUMBER: ClassVar[int]
    ENDPOINT_FIELD_NUMBER: ClassVar[int]
    FUNCTION_FIELD_NUMBER: ClassVar[int]
    INPUT_FIELD_NUMBER: ClassVar[int]
    EXPIRATION_FIELD_NUMBER: ClassVar[int]
    VERSION_FIELD_NUMBER: ClassVar[int]
    correlation_id: int
    endpoint: str
    function: str
    @property
    def input(self) -> any_pb2.Any: ...
    @property
    def expiration(self) -> duration_pb2.Duration: ...
    version: str
    def __init__(
        self,
        *,
        correlation_id: int | None = ...,
        endpoint: str | None = ...,
        function: str | None = ...,
        input: any_pb2.Any | Mapping[str, Any] | None = ...,
        expiration: duration_pb2.Duration | Mapping[str, Any] | None = ...,
        version: str | None = ...,
    ) -> None: ...

class CallResult(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    CORRELATION_ID_FIELD_NUMBER: ClassVar[int]
    OUTPUT_FIELD_NUMBER: ClassVar[int]
    ERROR_FIELD_NUMBER: ClassVar[int]
    DISPATCH_ID_FIELD_NUMBER: ClassVar[int]
    correlation_id: int
    @property
    def output(self) -> any_pb2.Any: ...
    @property
    def error(self) -> error_pb2.Error: ...
    dispatch_id: str
    def __init__(
        self,
        *,
        correlation_id: int | None = ...,
        output: any_pb2.Any | Mapping[str, Any] | None = ...,
        error: error_pb2.Error | Mapping[str, Any] | None = ...,
        dispatch_id: str | None = ...,
    ) -> None: ...
