/* google.protobuf.Any: a type URL and the bytes of the message that it names. */
#include "sdk/value_wire.h"
#include "sdk/value.h"

#include "base/error.h"
#include "base/mem.h"
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <stdio.h>

/* The years 1 to 9999, and as much to either side. */
#define TIMESTAMP_SECONDS_MIN INT64_C(-62135596800)
#define TIMESTAMP_SECONDS_MAX INT64_C(253402300799)
#define DURATION_SECONDS_MAX INT64_C(315576000000)
/* Head and type URL of an Any, on top of the message in it. */
#define ANY_BYTES_EXTRA 2048
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
    if (value->kind == DR_KIND_TEXT && !value_is_utf8(value_slice(value)))
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

static dr_code pack_number(const dr_value *value, dr_value **ret_message)
{
    Google__Protobuf__BoolValue boolean = GOOGLE__PROTOBUF__BOOL_VALUE__INIT;
    Google__Protobuf__Int64Value integer = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
    Google__Protobuf__UInt64Value unsigned_integer = GOOGLE__PROTOBUF__UINT64_VALUE__INIT;
    Google__Protobuf__DoubleValue number = GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT;
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
        number.value = value->number;
        return pack_scalar(&number.base, ret_message);
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
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = message->bytes.type_url;
    any.value.data = message->bytes.data;
    any.value.len = message->bytes.len;
    size_t len = protobuf_c_message_get_packed_size(&any.base);
    code = buf_reserve(buf, len);
    if (!code)
        buf->len += protobuf_c_message_pack(&any.base, buf->data + buf->len);
    else
        (void)error_set(error, code, "%s", dr_code_text(code));
    dr_value_unref(message);
    return code;
}

/* ---- Unpacking ---- */

/* protobuf-c answers NULL to damage and to want of memory alike; the allocator tells which it was. */
static void *unpack_alloc(void *has_failed, size_t size)
{
    void *memory = mem_alloc(size);
    if (!memory)
        *(bool *)has_failed = true;
    return memory;
}

static void unpack_free(void *has_failed, void *memory)
{
    (void)has_failed;
    mem_free(memory);
}

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

static dr_code unpack_scalar(const struct scalar *scalar, struct slice bytes, dr_value **ret_value,
                             struct dr_error *error)
{
    bool has_failed = false;
    ProtobufCAllocator allocator = {.alloc = unpack_alloc, .free = unpack_free, .allocator_data = &has_failed};
    /* protobuf-c takes NULL for a mistake, also when there are no bytes to read. */
    const uint8_t *data = bytes.data ? bytes.data : (const uint8_t *)"";
    ProtobufCMessage *message = protobuf_c_message_unpack(scalar->descriptor, &allocator, bytes.len, data);
    if (!message && has_failed)
        return no_memory(error);
    dr_value *value = message ? scalar->made_of(message) : NULL;
    bool is_damaged = !message || (value && value->kind == DR_KIND_TEXT && !value_is_utf8(value_slice(value)));
    if (message)
        protobuf_c_message_free_unpacked(message, &allocator);
    if (is_damaged) {
        dr_value_unref(value);
        return error_set(error, DR_INVALID_ARGUMENT, "damaged google.protobuf.%s", scalar->name);
    }
    if (!value)
        return no_memory(error);
    *ret_value = value;
    return DR_OK;
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
    bool has_failed = false;
    ProtobufCAllocator allocator = {.alloc = unpack_alloc, .free = unpack_free, .allocator_data = &has_failed};
    if (!any.data) {
        *ret_value = dr_value_null();
        return DR_OK;
    }
    if (any.len > DR_VALUE_PACKED_BYTES_MAX + ANY_BYTES_EXTRA)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "the value is longer than %d bytes", DR_VALUE_PACKED_BYTES_MAX);
    Google__Protobuf__Any *decoded = google__protobuf__any__unpack(&allocator, any.len, any.data);
    if (!decoded)
        return has_failed ? no_memory(error) : error_set(error, DR_INVALID_ARGUMENT, "damaged google.protobuf.Any");
    dr_code code = DR_OK;
    dr_value *message = NULL;
    if (strlen(decoded->type_url) > VALUE_TYPE_URL_BYTES_MAX)
        code = error_set(error, DR_INVALID_ARGUMENT, "the type URL of a value is longer than %d bytes",
                         VALUE_TYPE_URL_BYTES_MAX);
    else if (!(message = dr_value_message(decoded->type_url, decoded->value.data, decoded->value.len)))
        code = no_memory(error);
    google__protobuf__any__free_unpacked(decoded, &allocator);
    if (!code)
        code = dr_value_unpack(message, ret_value, error);
    dr_value_unref(message);
    return code;
}
