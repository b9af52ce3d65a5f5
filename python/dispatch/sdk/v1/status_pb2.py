"""The enumeration of dispatch/sdk/v1/status.proto: Status and its values as module constants (protocol 4.1)."""

from google.protobuf.internal import enum_type_wrapper

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/status")

Status = enum_type_wrapper.EnumTypeWrapper(DESCRIPTOR.enum_types_by_name["Status"])
globals().update(Status.items())
