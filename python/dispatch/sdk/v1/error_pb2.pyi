from typing import ClassVar

from google.protobuf import descriptor, message

DESCRIPTOR: descriptor.FileDescriptor

class Error(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    TYPE_FIELD_NUMBER: ClassVar[int]
    MESSAGE_FIELD_NUMBER: ClassVar[int]
    VALUE_FIELD_NUMBER: ClassVar[int]
    TRACEBACK_FIELD_NUMBER: ClassVar[int]
    type: str
    message: str
    value: bytes
    traceback: bytes
    def __init__(
        self,
        *,
        type: str | None = ...,
        message: str | None = ...,
        value: bytes | None = ...,
        traceback: bytes | None = ...,
    ) -> None: ...
