"""Enough protobuf for messages of dispatch.sdk.v1, written by hand so that these tests need nothing but Python and share
no code with what they test. A message is a dict of the fields that are present; decoding keeps unknown fields out."""

FIELDS = {
    "Any": {1: ("type_url", "text"), 2: ("value", "bytes")},
    "Duration": {1: ("seconds", "int"), 2: ("nanos", "int")},
    "Timestamp": {1: ("seconds", "int"), 2: ("nanos", "int")},
    "Error": {1: ("type", "text"), 2: ("message", "text"), 3: ("value", "bytes"), 4: ("traceback", "bytes")},
    "Call": {1: ("correlation_id", "int"), 2: ("endpoint", "text"), 3: ("function", "text"), 4: ("input", "Any"),
             5: ("expiration", "Duration"), 6: ("version", "text")},
    "CallResult": {1: ("correlation_id", "int"), 2: ("output", "Any"), 3: ("error", "Error"), 4: ("dispatch_id", "text")},
    "DispatchRequest": {1: ("calls", ["Call"])},
    "DispatchResponse": {1: ("dispatch_ids", ["text"])},
    "Exit": {1: ("result", "CallResult"), 2: ("tail_call", "Call")},
    "Poll": {1: ("coroutine_state", "bytes"), 2: ("calls", ["Call"]), 3: ("max_wait", "Duration"),
             4: ("max_results", "int"), 5: ("min_results", "int"), 6: ("typed_coroutine_state", "Any")},
    "PollResult": {1: ("coroutine_state", "bytes"), 2: ("results", ["CallResult"]), 3: ("error", "Error"),
                   4: ("typed_coroutine_state", "Any")},
    "RunRequest": {1: ("function", "text"), 2: ("input", "Any"), 3: ("poll_result", "PollResult"),
                   4: ("dispatch_id", "text"), 5: ("parent_dispatch_id", "text"), 6: ("root_dispatch_id", "text"),
                   7: ("creation_time", "Timestamp"), 8: ("expiration_time", "Timestamp")},
    "RunResponse": {1: ("status", "int"), 2: ("exit", "Exit"), 3: ("poll", "Poll")},
}

STATUSES = ("UNSPECIFIED OK TIMEOUT THROTTLED INVALID_ARGUMENT INVALID_RESPONSE TEMPORARY_ERROR PERMANENT_ERROR "
            "INCOMPATIBLE_STATE DNS_ERROR TCP_ERROR TLS_ERROR HTTP_ERROR UNAUTHENTICATED PERMISSION_DENIED "
            "NOT_FOUND").split()
STATUS = {name: number for number, name in enumerate(STATUSES)}


def _varint(number):
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def encode(kind, message):
    out = b""
    for number, (name, type) in FIELDS[kind].items():
        if name not in message:
            continue
        for value in message[name] if isinstance(type, list) else [message[name]]:
            out += _encode_field(number, type[0] if isinstance(type, list) else type, value)
    return out


def _encode_field(number, type, value):
    if type == "int":
        return _varint(number << 3) + _varint(value)
    if type == "text":
        value = value.encode()
    elif type != "bytes":
        value = encode(type, value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def decode(kind, data):
    message, at = {}, 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 0:
            value, at = _read_varint(data, at)
        elif tag & 7 == 2:
            size, at = _read_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7}")
        if tag >> 3 not in FIELDS[kind]:
            continue
        name, type = FIELDS[kind][tag >> 3]
        if isinstance(type, list):
            message.setdefault(name, []).append(_decode_field(type[0], value))
        else:
            message[name] = _decode_field(type, value)
    return message


def _decode_field(type, value):
    if type == "text":
        return value.decode()
    return value if type in ("int", "bytes") else decode(type, value)


def text(value):
    """A StringValue."""
    return {"type_url": "type.googleapis.com/google.protobuf.StringValue",
            "value": b"\n" + _varint(len(value.encode())) + value.encode()}


def text_of(any):
    data = any.get("value", b"")
    return data[_read_varint(data, 1)[1]:].decode() if data else ""


def returns(value=None, status="OK"):
    result = {} if value is None else {"output": text(value)}
    return {"status": STATUS[status], "exit": {"result": result}}


def fails(status, type="E", message="m"):
    return {"status": STATUS[status], "exit": {"result": {"error": {"type": type, "message": message}}}}


def tail_call(call, status="OK"):
    return {"status": STATUS[status], "exit": {"tail_call": call}}


def poll(calls=(), min_results=1, max_results=10, state=b"state", **more):
    return {"status": STATUS["OK"], "poll": {"typed_coroutine_state": {"type_url": "x/State", "value": state},
                                             "calls": list(calls), "min_results": min_results,
                                             "max_results": max_results, **more}}
