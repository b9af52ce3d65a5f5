from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from google.protobuf import descriptor, message
from google.protobuf.internal import containers

from dispatch.sdk.v1 import call_pb2

DESCRIPTOR: descriptor.FileDescriptor

class DispatchRequest(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    CALLS_FIELD_NUMBER: ClassVar[int]
    @property
    def calls(self) -> containers.RepeatedCompositeFieldContainer[call_pb2.Call]: ...
    def __init__(
        self,
        *,
        calls: Iterable[call_pb2.Call | Mapping[str, Any]] | None = ...,
    ) -> None: ...

class DispatchResponse(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    DISPATCH_IDS_FIELD_NUMBER: ClassVar[int]
    @property
    def dispatch_ids(self) -> containers.RepeatedScalarFieldContainer[str]: ...
    def __init__(
        self,
        *,
        dispatch_ids: Iterable[str] | None = ...,
    ) -> None: ...
