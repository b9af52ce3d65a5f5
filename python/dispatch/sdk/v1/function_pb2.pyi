from collections.abc import Mapping
from typing import Any, ClassVar

from google.protobuf import any_pb2, descriptor, message, timestamp_pb2

from dispatch.sdk.v1 import exit_pb2, poll_pb2, status_pb2

DESCRIPTOR: descriptor.FileDescriptor

class RunRequest(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    FUNCTION_FIELD_NUMBER: ClassVar[int]
    INPUT_FIELD_NUMBER: ClassVar[int]
    POLL_RESULT_FIELD_NUMBER: ClassVar[int]
    DISPATCH_ID_FIELD_NUMBER: ClassVar[int]
    PARENT_DISPATCH_ID_FIELD_NUMBER: ClassVar[int]
    ROOT_DISPATCH_ID_FIELD_NUMBER: ClassVar[int]
    CREATION_TIME_FIELD_NUMBER: ClassVar[int]
    EXPIRATION_TIME_FIELD_NUMBER: ClassVar[int]
    function: str
    @property
    def input(self) -> any_pb2.Any: ...
    @property
    def poll_result(self) -> poll_pb2.PollResult: ...
    dispatch_id: str
    parent_dispatch_id: str
    root_dispatch_id: str
    @property
    def creation_time(self) -> timestamp_pb2.Timestamp: ...
    @property
    def expiration_time(self) -> timestamp_pb2.Timestamp: ...
    def __init__(
        self,
        *,
        function: str | None = ...,
        input: any_pb2.Any | Mapping[str, Any] | None = ...,
        poll_result: poll_pb2.PollResult | Mapping[str, Any] | None = ...,
        dispatch_id: str | None = ...,
        parent_dispatch_id: str | None = ...,
        root_dispatch_id: str | None = ...,
        creation_time: timestamp_pb2.Timestamp | Mapping[str, Any] | None = ...,
        expiration_time: timestamp_pb2.Timestamp | Mapping[str, Any] | None = ...,
    ) -> None: ...

class RunResponse(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    STATUS_FIELD_NUMBER: ClassVar[int]
    EXIT_FIELD_NUMBER: ClassVar[int]
    POLL_FIELD_NUMBER: ClassVar[int]
    status: status_pb2.Status
    @property
    def exit(self) -> exit_pb2.Exit: ...
    @property
    def poll(self) -> poll_pb2.Poll: ...
    def __init__(
        self,
        *,
        status: status_pb2.Status | int | str | None = ...,
        exit: exit_pb2.Exit | Mapping[str, Any] | None = ...,
        poll: poll_pb2.Poll | Mapping[str, Any] | None = ...,
    ) -> None: ...
