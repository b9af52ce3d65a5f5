"""Lists of numbers as google.protobuf.Value, made and read as a whole instead of number by number.

Each number takes 11 bytes of such a message: a field header, a length, a field header and the 8 bytes of a
double. That makes columns out of a list, which slices with a step copy at the speed of memory.
"""

from __future__ import annotations

import struct
from typing import Any

_ITEM_PREFIX = b"\x0a\x09\x11"  # ListValue.values, 9 bytes, Value.number_value
_ITEM_SIZE = len(_ITEM_PREFIX) + 8
_LIST_TAG = b"\x32"  # Value.list_value
_NUMBERS = {int, float}


def pack_numbers(value: list[Any]) -> bytes | None:
    """The message of a list that has only ints and floats; None for any other list, and for an int that a
    double does not hold exactly."""
    if not value or not _NUMBERS.issuperset(map(type, value)):
        return None
    try:
        data = struct.pack(f"<{len(value)}d", *value)
    except OverflowError:
        return None
    if int in map(type, value) and not _are_exact(value):
        return None
    items = bytearray((_ITEM_PREFIX + bytes(8)) * len(value))
    for byte in range(8):
        items[len(_ITEM_PREFIX) + byte :: _ITEM_SIZE] = data[byte::8]
    return b"".join((_LIST_TAG, _varint(len(items)), items))


def unpack_numbers(data: bytes) -> list[float] | None:
    """The numbers of a message as pack_numbers makes it; None for any other message."""
    start = 2
    while data[start - 1 : start] >= b"\x80":
        start += 1
    count, rest = divmod(len(data) - start, _ITEM_SIZE)
    if rest or count < 1 or data[:start] != _LIST_TAG + _varint(count * _ITEM_SIZE):
        return None
    for at, byte in enumerate(_ITEM_PREFIX, start):
        if data[at::_ITEM_SIZE] != bytes((byte,)) * count:
            return None
    numbers = bytearray(8 * count)
    for byte in range(8):
        numbers[byte::8] = data[start + len(_ITEM_PREFIX) + byte :: _ITEM_SIZE]
    return list(struct.unpack(f"<{count}d", numbers))


def _are_exact(value: list[Any]) -> bool:
    return all(type(number) is float or number == float(number) for number in value)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
