"""Values as messages: what crosses the wire as a google.protobuf.Any (protocol 6).

Plain values become well-known messages that every language reads; anything else becomes a pickle inside the
message Pickled. Only that message is ever unpickled: bytes that look like a pickle stay bytes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from google.protobuf import any_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import (
    BoolValue,
    BytesValue,
    DoubleValue,
    FloatValue,
    Int32Value,
    Int64Value,
    StringValue,
    UInt32Value,
    UInt64Value,
)

from dispatch._numbers import pack_numbers, unpack_numbers
from dispatch.error import DispatchError, InvalidArgumentError
from dispatch.sdk.python.v1.pickled_pb2 import Pickled

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

PICKLE_PROTOCOL = 4
"""The same for every interpreter, so that equal values have equal bytes and old readers can read them."""

STRUCT_DEPTH_MAX = 100
"""Messages inside each other that readers of google.protobuf.Value accept; a deeper value is pickled."""

_DURATION_SECONDS_MAX = 315_576_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_GOOGLE = "type.googleapis.com/"
_DISPATCH = "buf.build/stealthrocket/dispatch-proto/"
_PICKLED_URL = _DISPATCH + Pickled.DESCRIPTOR.full_name


def marshal_any(value: Any) -> any_pb2.Any:
    """The message of a Python value (protocol 6.1).

    Raises what pickle raises for a value that has no message and cannot be pickled: PickleError, TypeError,
    AttributeError or RecursionError.
    """
    message = any_pb2.Any()
    marshal_into(message, value)
    return message


def marshal_into(message: any_pb2.Any, value: Any) -> None:
    """marshal_any into a message that is there, which saves copies of large values."""
    pack = _PACKERS.get(type(value)) or _packer_of(value)
    message.type_url, message.value = pack(value) or _pack_pickle(value)


def unmarshal_any(any: any_pb2.Any) -> Any:
    """The Python value of a message (protocol 6.2); a message that stands for no Python value as it is.

    Raises InvalidArgumentError when the type is not known here, or the bytes are not of that type, or the
    pickle cannot be read. An exception of dispatch.error that unpickling raises goes through.
    """
    name = any.type_url.rpartition("/")[2]
    unpack = _UNPACKERS.get(name) or _unpacker_of(name)
    try:
        return unpack(any.value)
    except DecodeError as error:
        raise InvalidArgumentError(f"value is not a {name}: {error}") from error
    except OverflowError as error:
        raise InvalidArgumentError(f"value of type {name} is out of range: {error}") from error


def as_struct_value(value: Any) -> struct_pb2.Value:
    """A JSON-like value as google.protobuf.Value: None, bool, int, float, str, lists, and dicts of str keys.

    Raises ValueError for anything else, for an int that a double does not hold exactly, for text that is not
    Unicode, and for a value deeper than STRUCT_DEPTH_MAX (thus also one that contains itself).
    """
    message = struct_pb2.Value()
    _fill_struct_value(message, value, STRUCT_DEPTH_MAX)
    return message


def from_struct_value(value: struct_pb2.Value) -> Any:
    """The JSON-like value of a google.protobuf.Value; numbers are floats.

    Raises InvalidArgumentError if it holds nothing.
    """
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return value.number_value
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "null_value":
        return None
    if kind == "list_value":
        return [from_struct_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        return {key: from_struct_value(item) for key, item in value.struct_value.fields.items()}
    raise InvalidArgumentError("value of type google.protobuf.Value holds nothing")


def as_duration(value: timedelta) -> Duration:
    """A timedelta as google.protobuf.Duration, exactly. Raises ValueError outside of its 10,000 years."""
    sign = -1 if value.days < 0 else 1
    size = abs(value)
    seconds = size.days * 86400 + size.seconds
    if seconds > _DURATION_SECONDS_MAX:
        raise ValueError("timedelta is out of range")
    return Duration(seconds=sign * seconds, nanos=sign * size.microseconds * 1000)


def from_timestamp(message: Timestamp) -> datetime:
    """A google.protobuf.Timestamp as datetime in UTC, rounded down to microseconds.

    Raises OverflowError outside of the years 1 to 9999.
    """
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def _fill_struct_value(message: struct_pb2.Value, value: Any, depth: int) -> None:
    if depth < 0:
        raise ValueError("value is too deep")
    if value is None:
        message.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, float):
        message.number_value = value
    elif isinstance(value, int):
        message.number_value = _exact_float(value)
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, list):
        items = message.list_value.values
        message.list_value.SetInParent()
        for item in value:
            _fill_struct_value(items.add(), item, depth - 2)
    elif isinstance(value, dict):
        fields = message.struct_value.fields
        message.struct_value.SetInParent()
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("key is not a str")
            _fill_struct_value(fields[key], item, depth - 3)
    else:
        raise ValueError(f"value of type {type(value).__name__} is not JSON-like")


def _exact_float(value: int) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("int is larger than a float") from None
    if number != value:
        raise ValueError("int is not exact as a float")
    return number


# A packer returns the type URL and the bytes, or None for a value of its type that must be pickled.
_Packed = tuple[str, bytes]
_Packer = Callable[[Any], _Packed | None]


def _wrapper_packer(message_type: Any) -> _Packer:
    url = _GOOGLE + message_type.DESCRIPTOR.full_name

    def pack(value: Any) -> _Packed:
        return url, message_type(value=value).SerializeToString()

    return pack


def _pack_none(value: None) -> _Packed:
    return _EMPTY_URL, b""


def _pack_int(value: int) -> _Packed | None:
    return _pack_int64(value) if INT64_MIN <= value <= INT64_MAX else None


def _pack_str(value: str) -> _Packed | None:
    try:
        return _pack_text(value)
    except UnicodeEncodeError:
        return None


def _pack_datetime(value: datetime) -> _Packed | None:
    try:
        since = value.astimezone(timezone.utc) - _EPOCH
    except (OverflowError, OSError, ValueError):
        return None
    seconds = since.days * 86400 + since.seconds
    return _pack_message(Timestamp(seconds=seconds, nanos=since.microseconds * 1000))


def _pack_timedelta(value: timedelta) -> _Packed | None:
    try:
        return _pack_message(as_duration(value))
    except ValueError:
        return None


def _pack_list(value: list[Any]) -> _Packed | None:
    numbers = pack_numbers(value)
    return (_VALUE_URL, numbers) if numbers is not None else _pack_json(value)


def _pack_json(value: Any) -> _Packed | None:
    try:
        message = as_struct_value(value)
    except ValueError:
        return None
    return _VALUE_URL, message.SerializeToString(deterministic=True)


def _pack_message(value: Message) -> _Packed:
    name = value.DESCRIPTOR.full_name
    prefix = _DISPATCH if name.startswith("dispatch.sdk.") else _GOOGLE
    return prefix + name, value.SerializeToString()


def _pack_never(value: Any) -> None:
    return None


def _pack_pickle(value: Any) -> _Packed:
    pickled = Pickled(pickled_value=pickle.dumps(value, PICKLE_PROTOCOL))
    return _PICKLED_URL, pickled.SerializeToString()


_EMPTY_URL = _GOOGLE + Empty.DESCRIPTOR.full_name
_VALUE_URL = _GOOGLE + struct_pb2.Value.DESCRIPTOR.full_name
_pack_int64 = _wrapper_packer(Int64Value)
_pack_text = _wrapper_packer(StringValue)

_PACKERS: dict[type[Any], _Packer] = {
    type(None): _pack_none,
    bool: _wrapper_packer(BoolValue),
    int: _pack_int,
    float: _wrapper_packer(DoubleValue),
    str: _pack_str,
    bytes: _wrapper_packer(BytesValue),
    datetime: _pack_datetime,
    timedelta: _pack_timedelta,
    list: _pack_list,
    dict: _pack_json,
}
_PACKED_TYPES = tuple(_PACKERS)


def _packer_of(value: Any) -> _Packer:
    if isinstance(value, Message):
        return _pack_message
    if isinstance(value, _PACKED_TYPES):
        for base in type(value).__mro__:
            if base in _PACKERS:
                return _PACKERS[base]
    return _pack_never


_Unpacker = Callable[[bytes], Any]


def _unpack_none(data: bytes) -> None:
    return None


def _unpack_pickled(data: bytes) -> Any:
    pickled = Pickled.FromString(data).pickled_value
    try:
        return pickle.loads(pickled)
    except (DispatchError, MemoryError):
        raise
    except Exception as error:
        raise InvalidArgumentError(f"cannot unpickle value: {type(error).__name__}: {error}") from error


def _unpack_datetime(data: bytes) -> datetime:
    return from_timestamp(Timestamp.FromString(data))


def _unpack_timedelta(data: bytes) -> timedelta:
    message = Duration.FromString(data)
    sign = -1 if message.nanos < 0 else 1
    return timedelta(seconds=message.seconds, microseconds=sign * (abs(message.nanos) // 1000))


def _unpack_json(data: bytes) -> Any:
    numbers = unpack_numbers(data)
    return from_struct_value(struct_pb2.Value.FromString(data)) if numbers is None else numbers


def _wrapper_unpacker(message_type: Any) -> _Unpacker:
    def unpack(data: bytes) -> Any:
        return message_type.FromString(data).value

    return unpack


_UNPACKERS: dict[str, _Unpacker] = {
    Pickled.DESCRIPTOR.full_name: _unpack_pickled,
    Empty.DESCRIPTOR.full_name: _unpack_none,
    Timestamp.DESCRIPTOR.full_name: _unpack_datetime,
    Duration.DESCRIPTOR.full_name: _unpack_timedelta,
    struct_pb2.Value.DESCRIPTOR.full_name: _unpack_json,
}
for _type in (
    BoolValue,
    BytesValue,
    DoubleValue,
    FloatValue,
    Int32Value,
    Int64Value,
    StringValue,
    UInt32Value,
    UInt64Value,
):
    _UNPACKERS[_type.DESCRIPTOR.full_name] = _wrapper_unpacker(_type)


def _unpacker_of(name: str) -> _Unpacker:
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        text = f"value has the type {name}, which is not known here" if name else "value has no type"
        raise InvalidArgumentError(text) from None
    unpack: _Unpacker = message_factory.GetMessageClass(descriptor).FromString
    return unpack
