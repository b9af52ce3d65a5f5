"""The protocol's messages (protocol 1.2), described by hand and registered in the default descriptor pool.

The protocol is proto3: scalars have no presence, messages and the members of a oneof have. A module `*_pb2`
is one file of the table below; `messages()` gives it the classes, which programs may pickle, compare and
parse like any generated ones.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    timestamp_pb2,
)

_ANY: str = any_pb2.Any.DESCRIPTOR.full_name
_DURATION: str = duration_pb2.Duration.DESCRIPTOR.full_name
_TIMESTAMP: str = timestamp_pb2.Timestamp.DESCRIPTOR.full_name

# A field is "name type number [repeated | oneof=NAME]"; a type that is no scalar and has no dot is of the
# same package.
_MESSAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "dispatch/sdk/python/v1/pickled": {
        "Pickled": ("pickled_value bytes 1",),
    },
    "dispatch/sdk/v1/status": {},
    "dispatch/sdk/v1/error": {
        "Error": ("type string 1", "message string 2", "value bytes 3", "traceback bytes 4"),
    },
    "dispatch/sdk/v1/call": {
        "Call": (
            "correlation_id uint64 1",
            "endpoint string 2",
            "function string 3",
            f"input {_ANY} 4",
            f"expiration {_DURATION} 5",
            "version string 6",
        ),
        "CallResult": (
            "correlation_id uint64 1",
            f"output {_ANY} 2",
            "error Error 3",
            "dispatch_id string 4",
        ),
    },
    "dispatch/sdk/v1/dispatch": {
        "DispatchRequest": ("calls Call 1 repeated",),
        "DispatchResponse": ("dispatch_ids string 1 repeated",),
    },
    "dispatch/sdk/v1/exit": {
        "Exit": ("result CallResult 1", "tail_call Call 2"),
    },
    "dispatch/sdk/v1/poll": {
        "Poll": (
            "coroutine_state bytes 1 oneof=state",
            f"typed_coroutine_state {_ANY} 6 oneof=state",
            "calls Call 2 repeated",
            f"max_wait {_DURATION} 3",
            "max_results int32 4",
            "min_results int32 5",
        ),
        "PollResult": (
            "coroutine_state bytes 1 oneof=state",
            f"typed_coroutine_state {_ANY} 4 oneof=state",
            "results CallResult 2 repeated",
            "error Error 3",
        ),
    },
    "dispatch/sdk/v1/function": {
        "RunRequest": (
            "function string 1",
            f"input {_ANY} 2 oneof=directive",
            "poll_result PollResult 3 oneof=directive",
            "dispatch_id string 4",
            "parent_dispatch_id string 5",
            "root_dispatch_id string 6",
            f"creation_time {_TIMESTAMP} 7",
            f"expiration_time {_TIMESTAMP} 8",
        ),
        "RunResponse": ("status Status 1", "exit Exit 2 oneof=directive", "poll Poll 3 oneof=directive"),
    },
}

_IMPORTS: dict[str, tuple[str, ...]] = {
    "dispatch/sdk/v1/call": ("google/protobuf/any", "google/protobuf/duration", "dispatch/sdk/v1/error"),
    "dispatch/sdk/v1/dispatch": ("dispatch/sdk/v1/call",),
    "dispatch/sdk/v1/exit": ("dispatch/sdk/v1/call",),
    "dispatch/sdk/v1/poll": (
        "google/protobuf/any",
        "google/protobuf/duration",
        "dispatch/sdk/v1/call",
        "dispatch/sdk/v1/error",
    ),
    "dispatch/sdk/v1/function": (
        "google/protobuf/any",
        "google/protobuf/timestamp",
        "dispatch/sdk/v1/exit",
        "dispatch/sdk/v1/poll",
        "dispatch/sdk/v1/status",
    ),
}

STATUS_NAMES = (
    "STATUS_UNSPECIFIED",
    "STATUS_OK",
    "STATUS_TIMEOUT",
    "STATUS_THROTTLED",
    "STATUS_INVALID_ARGUMENT",
    "STATUS_INVALID_RESPONSE",
    "STATUS_TEMPORARY_ERROR",
    "STATUS_PERMANENT_ERROR",
    "STATUS_INCOMPATIBLE_STATE",
    "STATUS_DNS_ERROR",
    "STATUS_TCP_ERROR",
    "STATUS_TLS_ERROR",
    "STATUS_HTTP_ERROR",
    "STATUS_UNAUTHENTICATED",
    "STATUS_PERMISSION_DENIED",
    "STATUS_NOT_FOUND",
)
"""Names of the statuses in the order of their numbers, from 0 (protocol 4.1)."""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "uint64": _Field.TYPE_UINT64,
    "int32": _Field.TYPE_INT32,
}


def _add_field(message: descriptor_pb2.DescriptorProto, package: str, line: str) -> None:
    name, type_name, number, *rest = line.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type = _Field.TYPE_ENUM if type_name == "Status" else _Field.TYPE_MESSAGE
        field.type_name = f".{type_name}" if "." in type_name else f".{package}.{type_name}"
    for option in rest:
        if option == "repeated":
            field.label = _Field.LABEL_REPEATED
        else:
            oneof = option.removeprefix("oneof=")
            if not any(declared.name == oneof for declared in message.oneof_decl):
                message.oneof_decl.add(name=oneof)
            field.oneof_index = len(message.oneof_decl) - 1


def _describe(path: str) -> descriptor_pb2.FileDescriptorProto:
    package = path.rpartition("/")[0].replace("/", ".")
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{path}.proto",
        package=package,
        syntax="proto3",
        dependency=[f"{imported}.proto" for imported in _IMPORTS.get(path, ())],
    )
    for name, fields in _MESSAGES[path].items():
        message = file.message_type.add(name=name)
        for line in fields:
            _add_field(message, package, line)
    if path.endswith("/status"):
        enum = file.enum_type.add(name="Status")
        for number, name in enumerate(STATUS_NAMES):
            enum.value.add(name=name, number=number)
    return file


def file_descriptor(path: str) -> Any:
    """The FileDescriptor of a file of the protocol, registered on first use with all that it imports.

    path is without ".proto", such as "dispatch/sdk/v1/call"; an unknown one raises KeyError.
    """
    pool = descriptor_pool.Default()
    try:
        return pool.FindFileByName(f"{path}.proto")
    except KeyError:
        for imported in _IMPORTS.get(path, ()):
            if imported in _MESSAGES:
                file_descriptor(imported)
        pool.AddSerializedFile(_describe(path).SerializeToString())
        return pool.FindFileByName(f"{path}.proto")


def messages(file: Any, module: str) -> dict[str, Any]:
    """The message classes of a FileDescriptor by name; pickle finds them in `module`."""
    classes = {}
    for name, descriptor in file.message_types_by_name.items():
        classes[name] = message_factory.GetMessageClass(descriptor)
        classes[name].__module__ = module
    return classes
