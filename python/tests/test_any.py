"""Values and their messages (protocol 6)."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone

import pytest
from google.protobuf import any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2

from dispatch._numbers import pack_numbers, unpack_numbers
from dispatch.any import INT64_MAX, INT64_MIN, as_struct_value, marshal_any, unmarshal_any
from dispatch.error import IncompatibleStateError, InvalidArgumentError
from dispatch.proto import Arguments
from dispatch.sdk.python.v1 import pickled_pb2
from dispatch.sdk.v1 import error_pb2

GOOGLE = "type.googleapis.com/google.protobuf."
PICKLED = "buf.build/stealthrocket/dispatch-proto/dispatch.sdk.python.v1.Pickled"


def pack(message):
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


@pytest.mark.parametrize(
    ("value", "url", "data"),
    [
        (None, GOOGLE + "Empty", ""),
        (True, GOOGLE + "BoolValue", "0801"),
        (0, GOOGLE + "Int64Value", ""),
        (42, GOOGLE + "Int64Value", "082a"),
        (-1, GOOGLE + "Int64Value", "08ffffffffffffffffff01"),
        (1.5, GOOGLE + "DoubleValue", "09000000000000f83f"),
        ("s", GOOGLE + "StringValue", "0a0173"),
        (b"\0", GOOGLE + "BytesValue", "0a0100"),
        ([1, "a", None], GOOGLE + "Value", "32140a0911000000000000f03f0a031a01610a020800"),
        ({"k": True}, GOOGLE + "Value", "2a090a070a016b12022001"),
        ([], GOOGLE + "Value", "3200"),
        ({}, GOOGLE + "Value", "2a00"),
        ((1,), PICKLED, "0a1080049505000000000000004b0185942e"),
        (
            Arguments((), {}),
            PICKLED,
            "0a468004953b000000000000008c0e64697370617463682e70726f746f948c09417267756d656e747394939429"
            "81947d94288c046172677394298c066b7761726773947d9475622e",
        ),
        (
            Arguments((1, "a"), {"k": 2}),
            PICKLED,
            "0a5480049549000000000000008c0e64697370617463682e70726f746f948c09417267756d656e747394939429"
            "81947d94288c0461726773944b018c01619486948c066b7761726773947d948c016b944b027375622e",
        ),
    ],
)
def test_a_value_has_the_bytes_of_the_protocol_and_comes_back(value, url, data):
    packed = marshal_any(value)
    assert (packed.type_url, packed.value.hex()) == (url, data)
    assert unmarshal_any(packed) == value


@pytest.mark.parametrize("value", [INT64_MIN, INT64_MAX])
def test_an_int_of_64_bits_is_a_plain_message(value):
    packed = marshal_any(value)
    assert packed.type_url == GOOGLE + "Int64Value"
    assert unmarshal_any(packed) == value


@pytest.mark.parametrize(
    "value",
    [
        INT64_MIN - 1,
        INT64_MAX + 1,
        {1, 2},
        [(1, 2)],
        {"k": {3: "int key"}},
        [b"bytes in a list"],
        [datetime(2024, 1, 1)],
        "\ud800 is no text",
        ["\udfff"],
        {"\ud800": 1},
        timedelta(days=999999999),
    ],
)
def test_what_has_no_message_is_pickled(value):
    packed = marshal_any(value)
    assert packed.type_url == PICKLED
    assert unmarshal_any(packed) == value


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63 - 1, 10**400])
def test_an_int_in_a_list_that_a_float_would_round_is_pickled_with_it(number):
    packed = marshal_any({"a": [1, number]})
    assert packed.type_url == PICKLED
    assert unmarshal_any(packed) == {"a": [1, number]}


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**60])
def test_an_int_in_a_list_that_a_float_holds_stays_json(number):
    packed = marshal_any([number])
    assert packed.type_url == GOOGLE + "Value"
    assert unmarshal_any(packed) == [float(number)]


def nested(levels, wrap):
    value = "core"
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    ("levels", "wrap", "url"),
    [
        (50, lambda inner: [inner], GOOGLE + "Value"),
        (51, lambda inner: [inner], PICKLED),
        (33, lambda inner: {"k": inner}, GOOGLE + "Value"),
        (34, lambda inner: {"k": inner}, PICKLED),
    ],
)
def test_a_value_deeper_than_readers_accept_is_pickled(levels, wrap, url):
    value = nested(levels, wrap)
    packed = marshal_any(value)
    assert packed.type_url == url
    assert unmarshal_any(packed) == value


def test_a_list_that_contains_itself_is_pickled():
    value = []
    value.append(value)
    result = unmarshal_any(marshal_any(value))
    assert result[0] is result


def test_equal_dicts_have_equal_bytes():
    keys = [f"key{number}" for number in range(50)]
    one = marshal_any(dict.fromkeys(keys, 1))
    other = marshal_any(dict.fromkeys(reversed(keys), 1))
    assert one.value == other.value


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [
        (timedelta(seconds=1, microseconds=1234), 1, 1234000),
        (timedelta(microseconds=-1), 0, -1000),
        (timedelta(seconds=-1.5), -1, -500000000),
        (timedelta(days=-3), -3 * 86400, 0),
    ],
)
def test_a_timedelta_of_either_sign_is_exact(value, seconds, nanos):
    packed = marshal_any(value)
    message = duration_pb2.Duration.FromString(packed.value)
    assert (message.seconds, message.nanos) == (seconds, nanos)
    assert unmarshal_any(packed) == value


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [
        (datetime(2024, 6, 26, 3, 35, 9, 641448, timezone.utc), 1719372909, 641448000),
        (datetime(1969, 12, 31, 23, 59, 59, 999999, timezone.utc), -1, 999999000),
        (datetime(2500, 1, 1, 0, 0, 0, 1, timezone.utc), 16725225600, 1000),
        (datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 1704067200, 0),
        (datetime(1, 1, 1, tzinfo=timezone.utc), -62135596800, 0),
    ],
)
def test_a_datetime_is_exact(value, seconds, nanos):
    packed = marshal_any(value)
    message = timestamp_pb2.Timestamp.FromString(packed.value)
    assert (message.seconds, message.nanos) == (seconds, nanos)
    assert unmarshal_any(packed) == value
    assert unmarshal_any(packed).tzinfo is timezone.utc


def test_a_datetime_without_a_zone_is_local_time():
    value = datetime(2024, 6, 26, 3, 35, 9, 641448)
    assert unmarshal_any(marshal_any(value)) == value.astimezone(timezone.utc)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bytes_that_are_a_pickle_stay_bytes(protocol):
    value = pickle.dumps({"a": 1}, protocol)
    assert unmarshal_any(marshal_any(value)) == value
    assert unmarshal_any(pack(wrappers_pb2.BytesValue(value=value))) == value


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (wrappers_pb2.Int32Value(value=-7), -7),
        (wrappers_pb2.UInt32Value(value=7), 7),
        (wrappers_pb2.UInt64Value(value=2**64 - 1), 2**64 - 1),
        (wrappers_pb2.FloatValue(value=0.5), 0.5),
        (struct_pb2.Value(null_value=0), None),
        (struct_pb2.Value(number_value=1), 1.0),
        (struct_pb2.Value(string_value="x"), "x"),
        (duration_pb2.Duration(seconds=-1, nanos=-1999), timedelta(seconds=-1, microseconds=-1)),
    ],
)
def test_messages_of_other_languages_are_values(message, value):
    result = unmarshal_any(pack(message))
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize(
    "message",
    [
        error_pb2.Error(type="internal", message="oops"),
        struct_pb2.ListValue(values=[struct_pb2.Value(bool_value=True)]),
        struct_pb2.Struct(fields={"a": struct_pb2.Value(bool_value=True)}),
        any_pb2.Any(type_url="x/y"),
    ],
)
def test_any_other_message_stays_a_message(message):
    packed = marshal_any(message)
    own = message.DESCRIPTOR.full_name.startswith("dispatch.")
    prefix = "buf.build/stealthrocket/dispatch-proto/" if own else "type.googleapis.com/"
    assert packed.type_url == prefix + message.DESCRIPTOR.full_name
    assert unmarshal_any(packed) == message


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (any_pb2.Any(type_url="example.com/no.such.Type", value=b"x"), "no.such.Type"),
        (any_pb2.Any(value=b"x"), "no type"),
        (any_pb2.Any(type_url=GOOGLE + "StringValue", value=b"\xff"), "StringValue"),
        (any_pb2.Any(type_url=GOOGLE + "Timestamp", value=b"\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), "range"),
        (any_pb2.Any(type_url=GOOGLE + "Value"), "nothing"),
        (any_pb2.Any(type_url=PICKLED, value=b"\x0a\x01x"), "unpickle"),
        (any_pb2.Any(type_url=PICKLED), "unpickle"),
    ],
)
def test_a_message_that_cannot_be_read_is_an_invalid_argument(packed, text):
    with pytest.raises(InvalidArgumentError, match=text):
        unmarshal_any(packed)


class Refuses:
    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise IncompatibleStateError("made by other code")


def test_what_unpickling_raises_with_a_status_goes_through():
    with pytest.raises(IncompatibleStateError, match="other code"):
        unmarshal_any(marshal_any(Refuses()))


def test_pickles_are_of_one_protocol_whatever_the_interpreter():
    packed = marshal_any((1,))
    assert pickled_pb2.Pickled.FromString(packed.value).pickled_value[:2] == b"\x80\x04"


NUMBERS = [0.0, -0.0, 1, -3, 2**53, 1e308, float("inf"), float("-inf"), 5e-324]


@pytest.mark.parametrize("count", [1, 2, 11, 12, 1489, 1490, 3000])
def test_a_list_of_numbers_made_as_a_whole_is_the_same_message(count):
    value = (NUMBERS * count)[:count]
    data = as_struct_value(value).SerializeToString()
    assert pack_numbers(value) == marshal_any(value).value == data
    assert unpack_numbers(data) == value
    assert all(type(number) is float for number in unpack_numbers(data))


def test_a_list_of_numbers_may_hold_what_is_not_a_number():
    (number,) = unmarshal_any(marshal_any([float("nan")]))
    assert number != number


@pytest.mark.parametrize(
    "value",
    [
        [],
        [True],
        [1, True],
        [1, None],
        ["123456789"],
        [[1.0], 2.0],
        [1.0, "\t\x11234567"],
        ["\x1112345678"],
        "x",
    ],
)
def test_any_other_list_is_not_read_as_numbers(value):
    data = as_struct_value(value).SerializeToString()
    assert not isinstance(value, list) or pack_numbers(value) is None
    assert unpack_numbers(data) is None
    assert unmarshal_any(pack(as_struct_value(value))) == value


def test_half_a_list_of_numbers_is_not_read_as_numbers():
    data = pack_numbers([1.0, 2.0, 3.0])
    for end in range(len(data)):
        assert unpack_numbers(data[:end]) is None
    assert unpack_numbers(data + data[2:13]) is None
    assert unpack_numbers(b"\x32" + b"\xff" * 9 + b"\x01" + data[2:]) is None
