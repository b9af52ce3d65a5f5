from collections.abc import Mapping
from typing import Any, ClassVar

from google.protobuf import descriptor, message

from dispatch.sdk.v1 import call_pb2

DESCRIPTOR: descriptor.FileDescriptor

class Exit(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    RESULT_FIELD_NUMBER: ClassVar[int]
    TAIL_CALL_FIELD_NUMBER: ClassVar[int]
    @property
    def result(self) -> call_pb2.CallResult: ...
    @property
    def tail_call(self) -> call_pb2.Call: ...
    def __init__(
        self,
        *,
        result: call_pb2.CallResult | Mapping[str, Any] | None = ...,
        tail_call: call_pb2.Call | Mapping[str, Any] | None = ...,
    ) -> None: ...
