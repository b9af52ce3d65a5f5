/* google.protobuf.Any: a type URL and the bytes of the message that it names. */
#include "sdk/value_wire.h"
#include "sdk/value.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "wire/wire.h"
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <math.h>
#include <stdio.h>

/* The years 1 to 9999, and as much to either side. */
#define TIMESTAMP_SECONDS_MIN INT64_C(-62135596800)
#define TIMESTAMP_SECONDS_MAX INT64_C(253402300799)
#define DURATION_SECONDS_MAX INT64_C(315576000000)
/* The longest of the messages with one scalar or two. */
#define SCALAR_BYTES_MAX 32

static dr_code no_memory(struct dr_error *error)
{
    return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
}

const char *value_type_name(const char *type_url)
{
    const char *slash = strrchr(type_url, '/');
    return slash ? slash + 1 : type_url;
}

/* ---- Packing ---- */

static dr_code pack_scalar(const ProtobufCMessage *scalar, dr_value **ret_message)
{
    uint8_t bytes[SCALAR_BYTES_MAX];
    char type_url[96];
    (void)snprintf(type_url, sizeof type_url, VALUE_TYPE_PREFIX "%s", scalar->descriptor->name);
    *ret_message = dr_value_message(type_url, bytes, protobuf_c_message_pack(scalar, bytes));
    return DR_OK;
}

/* Text is packed as BytesValue, whose bytes are those of StringValue: generated code takes a string to end at its
 * first NUL. */
static dr_code pack_bytes(const dr_value *value, const char *type_url, dr_value **ret_message, struct dr_error *error)
{
    Google__Protobuf__BytesValue message = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
    message.value.data = value->bytes.data;
    message.value.len = value->bytes.len;
    if (value->bytes.len > DR_VALUE_PACKED_BYTES_MAX)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "the value is longer than %d bytes", DR_VALUE_PACKED_BYTES_MAX);
    if (value->kind == DR_KIND_TEXT && !wire_is_utf8(value_slice(value)))
        return error_set(error, DR_INVALID_ARGUMENT, "a text is not UTF-8");
    uint8_t *bytes = mem_alloc(protobuf_c_message_get_packed_size(&message.base));
    if (bytes)
        *ret_message = dr_value_message(type_url, bytes, protobuf_c_message_pack(&message.base, bytes));
    mem_free(bytes);
    return DR_OK;
}

static dr_code pack_timestamp(const dr_value *value, dr_value **ret_message, struct dr_error *error)
{
    Google__Protobuf__Timestamp message = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    message.seconds = value->time.seconds;
    message.nanos = value->time.nanos;
    if (message.seconds < TIMESTAMP_SECONDS_MIN || message.seconds > TIMESTAMP_SECONDS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "the timestamp is outside the years 1 to 9999");
    return pack_scalar(&message.base, ret_message);
}

static dr_code pack_duration(const dr_value *value, dr_value **ret_message, struct dr_error *error)
{
    Google__Protobuf__Duration message = GOOGLE__PROTOBUF__DURATION__INIT;
    message.seconds = value->time.seconds;
    message.nanos = value->time.nanos;
    if (message.seconds < -DURATION_SECONDS_MAX || message.seconds > DURATION_SECONDS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "the duration is longer than 10,000 years");
    return pack_scalar(&message.base, ret_message);
}

/* Generated code takes -0.0 for a default and leaves it away, and with it its sign. */
static dr_code pack_float(double number, dr_value **ret_message)
{
    Google__Protobuf__DoubleValue message = GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT;
    message.value = number;
    if (number != 0 || !signbit(number))
        return pack_scalar(&message.base, ret_message);
    static const uint8_t minus_zero[] = {0x09, 0, 0, 0, 0, 0, 0, 0, 0x80};
    *ret_message = dr_value_message(VALUE_TYPE_PREFIX "google.protobuf.DoubleValue", minus_zero, sizeof minus_zero);
    return DR_OK;
}

static dr_code pack_number(const dr_value *value, dr_value **ret_message)
{
    Google__Protobuf__BoolValue boolean = GOOGLE__PROTOBUF__BOOL_VALUE__INIT;
    Google__Protobuf__Int64Value integer = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
    Google__Protobuf__UInt64Value unsigned_integer = GOOGLE__PROTOBUF__UINT64_VALUE__INIT;
    switch (value->kind) {
    case DR_KIND_BOOL:
        boolean.value = value->boolean;
        return pack_scalar(&boolean.base, ret_message);
    case DR_KIND_INT:
        integer.value = value->integer;
        return pack_scalar(&integer.base, ret_message);
    case DR_KIND_UINT:
        unsigned_integer.value = value->unsigned_integer;
        return pack_scalar(&unsigned_integer.base, ret_message);
    default:
        return pack_float(value->number, ret_message);
    }
}

/* A *ret_message that stays NULL means no memory. */
static dr_code pack(const dr_value *value, dr_value **ret_message, struct dr_error *error)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_NULL:
        *ret_message = dr_value_message(VALUE_TYPE_PREFIX "google.protobuf.Empty", NULL, 0);
        return DR_OK;
    case DR_KIND_TEXT:
        return pack_bytes(value, VALUE_TYPE_PREFIX "google.protobuf.StringValue", ret_message, error);
    case DR_KIND_BYTES:
        return pack_bytes(value, VALUE_TYPE_PREFIX "google.protobuf.BytesValue", ret_message, error);
    case DR_KIND_LIST:
    case DR_KIND_MAP:
        return value_encode_struct(value, ret_message, error);
    case DR_KIND_TIMESTAMP:
        return pack_timestamp(value, ret_message, error);
    case DR_KIND_DURATION:
        return pack_duration(value, ret_message, error);
    case DR_KIND_MESSAGE:
        *ret_message = dr_value_ref(value);
        return DR_OK;
    default:
        return pack_number(value, ret_message);
    }
}

dr_code dr_value_pack(const dr_value *value, dr_value **ret_message, struct dr_error *error)
{
    dr_value *message = NULL;
    dr_code code = pack(value, &message, error);
    if (code)
        return code;
    if (!message)
        return no_memory(error);
    if (message->bytes.len > DR_VALUE_PACKED_BYTES_MAX) {
        dr_value_unref(message);
        return error_set(error, DR_RESOURCE_EXHAUSTED, "the value is longer than %d bytes", DR_VALUE_PACKED_BYTES_MAX);
    }
    *ret_message = message;
    return DR_OK;
}

dr_code value_encode_any(const dr_value *value, struct buf *buf, struct dr_error *error)
{
    dr_value *message = NULL;
    dr_code code = dr_value_pack(value, &message, error);
    if (code)
        return code;
    code = wire_any_encode(slice_text(message->bytes.type_url), value_slice(message), buf);
    if (code)
        (void)error_set(error, code, "%s", dr_code_text(code));
    dr_value_unref(message);
    return code;
}

/* ---- Unpacking ---- */

static dr_value *made_of_double(const ProtobufCMessage *m)
{
    return dr_value_float(((const Google__Protobuf__DoubleValue *)m)->value);
}

static dr_value *made_of_float(const ProtobufCMessage *m)
{
    return dr_value_float((double)((const Google__Protobuf__FloatValue *)m)->value);
}

static dr_value *made_of_int64(const ProtobufCMessage *m)
{
    return dr_value_int(((const Google__Protobuf__Int64Value *)m)->value);
}

static dr_value *made_of_uint64(const ProtobufCMessage *m)
{
    return dr_value_uint(((const Google__Protobuf__UInt64Value *)m)->value);
}

static dr_value *made_of_int32(const ProtobufCMessage *m)
{
    return dr_value_int(((const Google__Protobuf__Int32Value *)m)->value);
}

static dr_value *made_of_uint32(const ProtobufCMessage *m)
{
    return dr_value_uint(((const Google__Protobuf__UInt32Value *)m)->value);
}

static dr_value *made_of_bool(const ProtobufCMessage *m)
{
    return dr_value_bool(((const Google__Protobuf__BoolValue *)m)->value != 0);
}

static dr_value *made_of_text(const ProtobufCMessage *m)
{
    const Google__Protobuf__BytesValue *text = (const Google__Protobuf__BytesValue *)m;
    return dr_value_text_n((const char *)text->value.data, text->value.len);
}

static dr_value *made_of_bytes(const ProtobufCMessage *m)
{
    const Google__Protobuf__BytesValue *bytes = (const Google__Protobuf__BytesValue *)m;
    return dr_value_bytes(bytes->value.data, bytes->value.len);
}

static dr_value *made_of_timestamp(const ProtobufCMessage *m)
{
    const Google__Protobuf__Timestamp *time = (const Google__Protobuf__Timestamp *)m;
    return dr_value_timestamp_parts(time->seconds, time->nanos);
}

static dr_value *made_of_duration(const ProtobufCMessage *m)
{
    const Google__Protobuf__Duration *time = (const Google__Protobuf__Duration *)m;
    return dr_value_duration_parts(time->seconds, time->nanos);
}

static const struct scalar {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
    dr_value *(*made_of)(const ProtobufCMessage *message);
} scalars[] = {
    {"DoubleValue", &google__protobuf__double_value__descriptor, made_of_double},
    {"FloatValue", &google__protobuf__float_value__descriptor, made_of_float},
    {"Int64Value", &google__protobuf__int64_value__descriptor, made_of_int64},
    {"UInt64Value", &google__protobuf__uint64_value__descriptor, made_of_uint64},
    {"Int32Value", &google__protobuf__int32_value__descriptor, made_of_int32},
    {"UInt32Value", &google__protobuf__uint32_value__descriptor, made_of_uint32},
    {"BoolValue", &google__protobuf__bool_value__descriptor, made_of_bool},
    {"StringValue", &google__protobuf__bytes_value__descriptor, made_of_text}, /* see pack_bytes */
    {"BytesValue", &google__protobuf__bytes_value__descriptor, made_of_bytes},
    {"Timestamp", &google__protobuf__timestamp__descriptor, made_of_timestamp},
    {"Duration", &google__protobuf__duration__descriptor, made_of_duration},
};

/* Room for one of the messages above and a copy of its bytes. */
#define UNPACK_ARENA_BYTES_MAX (2 * (size_t)DR_VALUE_PACKED_BYTES_MAX)

static dr_code unpack_scalar(const struct scalar *scalar, struct slice bytes, dr_value **ret_value,
                             struct dr_error *error)
{
    struct arena arena;
    ProtobufCMessage *message = NULL;
    dr_value *value = NULL;
    arena_init(&arena, UNPACK_ARENA_BYTES_MAX);
    dr_code code = wire_unpack(scalar->descriptor, bytes, &arena, &message, error);
    if (code == DR_INVALID_ARGUMENT)
        (void)error_wrap(error, "google.protobuf.%s", scalar->name);
    if (code)
        goto cleanup;
    value = scalar->made_of(message);
    if (!value)
        code = no_memory(error);
    else if (value->kind == DR_KIND_TEXT && !wire_is_utf8(value_slice(value)))
        code = error_set(error, DR_INVALID_ARGUMENT, "google.protobuf.%s: the text is not UTF-8", scalar->name);
    if (code)
        goto cleanup;
    *ret_value = value;
    value = NULL;
cleanup:
    dr_value_unref(value);
    arena_deinit(&arena);
    return code;
}

dr_code dr_value_unpack(const dr_value *message, dr_value **ret_value, struct dr_error *error)
{
    static const char package[] = "google.protobuf.";
    const char *name = value_type_name(dr_type_url(message));
    struct slice bytes = value_slice(message);
    if (strncmp(name, package, strlen(package)) == 0) {
        name += strlen(package);
        if (strcmp(name, "Empty") == 0) {
            *ret_value = dr_value_null();
            return DR_OK;
        }
        if (strcmp(name, "Value") == 0)
            return value_decode_struct(VALUE_FORM_VALUE, bytes, ret_value, error);
        if (strcmp(name, "Struct") == 0)
            return value_decode_struct(VALUE_FORM_STRUCT, bytes, ret_value, error);
        if (strcmp(name, "ListValue") == 0)
            return value_decode_struct(VALUE_FORM_LIST, bytes, ret_value, error);
        for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
            if (strcmp(name, scalars[i].name) == 0)
                return unpack_scalar(&scalars[i], bytes, ret_value, error);
        }
    }
    *ret_value = message ? dr_value_ref(message) : dr_value_null();
    return DR_OK;
}

dr_code value_decode_any(struct slice any, dr_value **ret_value, struct dr_error *error)
{
    struct slice type_url;
    struct slice bytes;
    if (!any.data) {
        *ret_value = dr_value_null();
        return DR_OK;
    }
    dr_code code = wire_any_split(any, &type_url, &bytes, error);
    if (code)
        return code;
    if (type_url.len > VALUE_TYPE_URL_BYTES_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "the type URL of a value is longer than %d bytes",
                         VALUE_TYPE_URL_BYTES_MAX);
    if (bytes.len > DR_VALUE_PACKED_BYTES_MAX)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "the value is longer than %d bytes", DR_VALUE_PACKED_BYTES_MAX);
    char url[VALUE_TYPE_URL_BYTES_MAX + 1];
    memcpy(url, type_url.len > 0 ? (const char *)type_url.data : "", type_url.len);
    url[type_url.len] = 0;
    dr_value *message = dr_value_message(url, bytes.data, bytes.len);
    if (!message)
        return no_memory(error);
    code = dr_value_unpack(message, ret_value, error);
    dr_value_unref(message);
    return code;
}
