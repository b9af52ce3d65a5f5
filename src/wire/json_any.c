/* google.protobuf.Any between protobuf and JSON: {"@type": url, "value": ...}. */
#include "wire/json.h"
#include "wire/reader.h"
#include "wire/writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum kind {
    KIND_UNKNOWN = 0,
    KIND_DOUBLE,
    KIND_FLOAT,
    KIND_INT64,
    KIND_UINT64,
    KIND_INT32,
    KIND_UINT32,
    KIND_BOOL,
    KIND_STRING,
    KIND_BYTES,
    KIND_DURATION,
    KIND_TIMESTAMP,
    KIND_EMPTY,
    KIND_VALUE,
    KIND_STRUCT,
    KIND_LIST,
};

static const struct {
    const char *name;
    enum kind kind;
    enum wire_type wire_type; /* of field 1, for the wrappers */
} well_known[] = {
    {"google.protobuf.StringValue", KIND_STRING, WIRE_BYTES},
    {"google.protobuf.BytesValue", KIND_BYTES, WIRE_BYTES},
    {"google.protobuf.Int64Value", KIND_INT64, WIRE_VARINT},
    {"google.protobuf.UInt64Value", KIND_UINT64, WIRE_VARINT},
    {"google.protobuf.Int32Value", KIND_INT32, WIRE_VARINT},
    {"google.protobuf.UInt32Value", KIND_UINT32, WIRE_VARINT},
    {"google.protobuf.BoolValue", KIND_BOOL, WIRE_VARINT},
    {"google.protobuf.DoubleValue", KIND_DOUBLE, WIRE_FIXED64},
    {"google.protobuf.FloatValue", KIND_FLOAT, WIRE_FIXED32},
    {"google.protobuf.Duration", KIND_DURATION, 0},
    {"google.protobuf.Timestamp", KIND_TIMESTAMP, 0},
    {"google.protobuf.Empty", KIND_EMPTY, 0},
    {"google.protobuf.Value", KIND_VALUE, 0},
    {"google.protobuf.Struct", KIND_STRUCT, 0},
    {"google.protobuf.ListValue", KIND_LIST, 0},
};

static enum kind kind_of(struct slice type_url, enum wire_type *ret_wire_type)
{
    size_t start = type_url.len;
    while (start > 0 && type_url.data[start - 1] != '/')
        start--;
    struct slice name = slice_of(type_url.data + start, type_url.len - start);
    for (size_t i = 0; i < sizeof(well_known) / sizeof(well_known[0]); i++) {
        if (slice_equal(name, slice_text(well_known[i].name))) {
            *ret_wire_type = well_known[i].wire_type;
            return well_known[i].kind;
        }
    }
    return KIND_UNKNOWN;
}

/* ---- To JSON ---- */

static json_t *base64_to_json(struct slice bytes)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    json_t *json = NULL;
    if (wire_base64_encode(bytes, &text) == DR_OK)
        json = json_stringn_nocheck(text.len > 0 ? (const char *)text.data : "", text.len);
    buf_deinit(&text);
    return json;
}

static json_t *float_to_json(double number)
{
    if (isnan(number))
        return json_string("NaN");
    if (isinf(number))
        return json_string(number < 0 ? "-Infinity" : "Infinity");
    return json_real(number);
}

static json_t *decimal_to_json(bool is_signed, uint64_t number)
{
    char text[24];
    if (is_signed)
        (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    else
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return json_string(text);
}

static json_t *scalar_to_json(enum kind kind, const struct wire_field *field)
{
    double number;
    float short_number;
    uint32_t low_bits = (uint32_t)field->number_value;
    switch (kind) {
    case KIND_DOUBLE:
        memcpy(&number, &field->number_value, sizeof(number));
        return float_to_json(number);
    case KIND_FLOAT:
        memcpy(&short_number, &low_bits, sizeof(short_number));
        return float_to_json((double)short_number);
    case KIND_INT64:
        return decimal_to_json(true, field->number_value);
    case KIND_UINT64:
        return decimal_to_json(false, field->number_value);
    case KIND_INT32:
        return json_integer((int32_t)low_bits);
    case KIND_UINT32:
        return json_integer(low_bits);
    case KIND_BOOL:
        return json_boolean(field->number_value != 0);
    case KIND_STRING:
        return json_stringn((const char *)field->bytes.data, field->bytes.len);
    default:
        return base64_to_json(field->bytes);
    }
}

/* The last field 1 counts; without one the wrapper holds zero or nothing. */
static json_t *wrapper_to_json(enum kind kind, enum wire_type wire_type, struct slice bytes)
{
    struct wire_field last = {.bytes = slice_of("", 0)}, field;
    enum wire_read read;
    while ((read = wire_read_field(&bytes, &field)) == WIRE_READ_FIELD) {
        if (field.number != 1)
            continue;
        if (field.type != wire_type)
            return NULL;
        last = field;
    }
    return read == WIRE_READ_END ? scalar_to_json(kind, &last) : NULL;
}

static json_t *time_to_json(enum kind kind, struct slice bytes)
{
    struct wire_time time = {0};
    struct wire_field field;
    enum wire_read read;
    while ((read = wire_read_field(&bytes, &field)) == WIRE_READ_FIELD) {
        if (field.number > 2)
            continue;
        if (field.type != WIRE_VARINT)
            return NULL;
        if (field.number == 1)
            time.seconds = (int64_t)field.number_value;
        else
            time.nanos = (int32_t)field.number_value;
    }
    bool is_valid = kind == KIND_DURATION ? wire_duration_is_valid(time) : wire_timestamp_is_valid(time);
    if (read != WIRE_READ_END || !is_valid)
        return NULL;
    char text[WIRE_TIME_TEXT_SIZE];
    if (kind == KIND_DURATION)
        wire_duration_format(time, text);
    else
        wire_timestamp_format(time, text);
    return json_string(text);
}

static json_t *payload_to_json(enum kind kind, enum wire_type wire_type, struct slice value)
{
    switch (kind) {
    case KIND_UNKNOWN:
        return base64_to_json(value);
    case KIND_DURATION:
    case KIND_TIMESTAMP:
        return time_to_json(kind, value);
    case KIND_EMPTY:
        return value.len == 0 ? json_object() : NULL;
    case KIND_VALUE:
        return wire_value_to_json(WIRE_FORM_VALUE, value);
    case KIND_STRUCT:
        return wire_value_to_json(WIRE_FORM_STRUCT, value);
    case KIND_LIST:
        return wire_value_to_json(WIRE_FORM_LIST, value);
    default:
        return wrapper_to_json(kind, wire_type, value);
    }
}

json_t *wire_any_to_json(struct slice any)
{
    struct slice type_url, value;
    if (wire_any_split(any, &type_url, &value, NULL) != DR_OK)
        return NULL;
    json_t *json = json_object();
    if (any.len == 0 || !json)
        return json;
    enum wire_type wire_type = WIRE_VARINT;
    enum kind kind = kind_of(type_url, &wire_type);
    json_t *payload = payload_to_json(kind, wire_type, value);
    const char *key = payload ? "value" : "@bytes";
    if (!payload)
        payload = base64_to_json(value);
    json_t *type = json_stringn((const char *)type_url.data, type_url.len);
    /* json_object_set_new takes its value even when it fails; both must run. */
    int failed = json_object_set_new(json, "@type", type);
    failed |= json_object_set_new(json, key, payload);
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* ---- From JSON ---- */

static dr_code base64_from_json(const json_t *json, struct buf *buf)
{
    if (!json_is_string(json))
        return DR_INVALID_ARGUMENT;
    return wire_base64_decode(slice_of(json_string_value(json), json_string_length(json)), buf);
}

static dr_code text_from_json(const json_t *json, struct buf *buf)
{
    if (!json_is_string(json))
        return DR_INVALID_ARGUMENT;
    size_t len = json_string_length(json);
    return len > 0 ? wire_write_bytes_field(buf, 1, slice_of(json_string_value(json), len)) : DR_OK;
}

static dr_code bytes_from_json(const json_t *json, struct buf *buf)
{
    if (json_is_string(json) && json_string_length(json) == 0)
        return DR_OK;
    struct wire_mark mark;
    dr_code code = wire_write_begin(buf, 1, &mark);
    if (code == DR_OK)
        code = base64_from_json(json, buf);
    return code == DR_OK ? wire_write_end(buf, mark) : code;
}

static dr_code float_from_json(const json_t *json, double *ret_number)
{
    if (json_is_number(json)) {
        *ret_number = json_number_value(json);
        return DR_OK;
    }
    const char *text = json_string_value(json);
    if (!text || *text == '\0' || json_string_length(json) != strlen(text))
        return DR_INVALID_ARGUMENT;
    /* strtod reads "NaN", "Infinity" and "-Infinity" too. */
    char *end;
    *ret_number = strtod(text, &end);
    return *end == '\0' ? DR_OK : DR_INVALID_ARGUMENT;
}

static dr_code write_float(enum kind kind, const json_t *json, struct buf *buf)
{
    double number;
    dr_code code = float_from_json(json, &number);
    if (code != DR_OK)
        return code;
    if (kind == KIND_DOUBLE) {
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        return bits ? wire_write_fixed64_field(buf, 1, bits) : DR_OK;
    }
    bool is_too_big = isfinite(number) && !isfinite((float)number);
    if (is_too_big)
        return DR_INVALID_ARGUMENT;
    float short_number = (float)number;
    uint32_t bits;
    memcpy(&bits, &short_number, sizeof(bits));
    return bits ? wire_write_fixed32_field(buf, 1, bits) : DR_OK;
}

static dr_code write_integer(enum kind kind, const json_t *json, struct buf *buf)
{
    int64_t number = 0;
    uint64_t unsigned_number = 0;
    bool is_right;
    if (kind == KIND_UINT64 || kind == KIND_UINT32) {
        is_right = wire_json_unsigned(json, &unsigned_number);
        is_right = is_right && (kind == KIND_UINT64 || unsigned_number <= UINT32_MAX);
    } else {
        is_right = wire_json_signed(json, &number);
        is_right = is_right && (kind == KIND_INT64 || (number >= INT32_MIN && number <= INT32_MAX));
        unsigned_number = (uint64_t)number;
    }
    if (!is_right)
        return DR_INVALID_ARGUMENT;
    return unsigned_number ? wire_write_varint_field(buf, 1, unsigned_number) : DR_OK;
}

static dr_code write_time(enum kind kind, const json_t *json, struct buf *buf)
{
    if (!json_is_string(json))
        return DR_INVALID_ARGUMENT;
    struct slice text = slice_of(json_string_value(json), json_string_length(json));
    struct wire_time time;
    bool is_right =
        kind == KIND_DURATION ? wire_duration_parse(text, &time) : wire_timestamp_parse(text, &time);
    if (!is_right)
        return DR_INVALID_ARGUMENT;
    dr_code code = time.seconds ? wire_write_varint_field(buf, 1, (uint64_t)time.seconds) : DR_OK;
    if (code == DR_OK && time.nanos)
        code = wire_write_varint_field(buf, 2, (uint64_t)(int64_t)time.nanos);
    return code;
}

/* As generated code writes them: a wrapper of zero or nothing has no bytes. */
static dr_code payload_from_json(enum kind kind, const json_t *json, struct buf *buf)
{
    switch (kind) {
    case KIND_UNKNOWN:
        return base64_from_json(json, buf);
    case KIND_DOUBLE:
    case KIND_FLOAT:
        return write_float(kind, json, buf);
    case KIND_BOOL:
        if (!json_is_boolean(json))
            return DR_INVALID_ARGUMENT;
        return json_is_true(json) ? wire_write_varint_field(buf, 1, 1) : DR_OK;
    case KIND_STRING:
        return text_from_json(json, buf);
    case KIND_BYTES:
        return bytes_from_json(json, buf);
    case KIND_DURATION:
    case KIND_TIMESTAMP:
        return write_time(kind, json, buf);
    case KIND_EMPTY:
        return json_is_object(json) ? DR_OK : DR_INVALID_ARGUMENT;
    case KIND_VALUE:
        return wire_value_from_json(WIRE_FORM_VALUE, json, buf);
    case KIND_STRUCT:
        return wire_value_from_json(WIRE_FORM_STRUCT, json, buf);
    case KIND_LIST:
        return wire_value_from_json(WIRE_FORM_LIST, json, buf);
    default:
        return write_integer(kind, json, buf);
    }
}

static dr_code write_any(const json_t *json, struct slice type_url, struct buf *buf)
{
    const json_t *raw = json_object_get(json, "@bytes");
    const json_t *value = json_object_get(json, "value");
    enum wire_type wire_type;
    enum kind kind = raw ? KIND_UNKNOWN : kind_of(type_url, &wire_type);
    const json_t *payload = raw ? raw : value;
    dr_code code = wire_write_bytes_field(buf, 1, type_url);
    bool is_nothing = !payload || (json_is_null(payload) && kind != KIND_VALUE);
    if (code != DR_OK || is_nothing)
        return code;
    struct wire_mark mark;
    code = wire_write_begin(buf, 2, &mark);
    if (code == DR_OK)
        code = payload_from_json(kind, payload, buf);
    return code == DR_OK ? wire_write_end(buf, mark) : code;
}

dr_code wire_any_from_json(const json_t *json, struct buf *buf, struct dr_error *error)
{
    if (!json_is_object(json))
        return error_set(error, DR_INVALID_ARGUMENT, "is not an object with \"@type\"");
    if (json_object_size(json) == 0)
        return DR_OK;
    const json_t *type = json_object_get(json, "@type");
    if (!json_is_string(type) || json_string_length(type) == 0)
        return error_set(error, DR_INVALID_ARGUMENT, "has no \"@type\"");
    struct slice type_url = slice_of(json_string_value(type), json_string_length(type));
    size_t len_before = buf->len;
    dr_code code = write_any(json, type_url, buf);
    if (code == DR_OK)
        return DR_OK;
    buf->len = len_before;
    if (code == DR_NO_MEMORY)
        return wire_no_memory(error);
    if (code == DR_INVALID_ARGUMENT)
        return error_set(error, code, "has a value that is no %s", json_string_value(type));
    return error_set(error, code, "is too long");
}
