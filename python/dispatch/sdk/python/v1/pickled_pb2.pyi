from typing import ClassVar

from google.protobuf import descriptor, message

DESCRIPTOR: descriptor.FileDescriptor

class Pickled(message.Message):
    DESCRIPTOR: descriptor.Descriptor
    PICKLED_VALUE_FIELD_NUMBER: ClassVar[int]
    pickled_value: bytes
    def __init__(
        self,
        *,
        pickled_value: bytes | None = ...,
    ) -> None: ...
