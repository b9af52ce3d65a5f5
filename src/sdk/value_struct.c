/* google.protobuf.Value, Struct and ListValue by hand; value_wire.h says why.
 *
 *     Value      1 null_value varint | 2 number_value double | 3 string_value | 4 bool_value | 5 Struct | 6 ListValue
 *     Struct     1 repeated entry { 1 key string, 2 value Value }
 *     ListValue  1 repeated Value
 *
 * Encoding goes from the last byte to the first, so that the length of a part is known when its head is written. */
#include "sdk/value.h"
#include "sdk/value_wire.h"

#include "base/error.h"
#include "base/mem.h"
#include "wire/reader.h"
#include "wire/wire.h"

#define TAG(number, type) ((uint8_t)((number) << 3 | (type)))

enum { FIELD_NULL = 1, FIELD_NUMBER = 2, FIELD_STRING = 3, FIELD_BOOL = 4, FIELD_STRUCT = 5, FIELD_LIST = 6 };
enum { FIELD_ITEMS = 1, FIELD_KEY = 1, FIELD_VALUE = 2 };

/* ---- Encoding ---- */

/* Bytes that grow towards the front. */
struct writer {
    uint8_t *data;
    size_t cap;
    size_t len; /* used, at the end of data */
    struct dr_error *error;
};

static dr_code write_value(struct writer *writer, const dr_value *value);

static dr_code write_bytes(struct writer *writer, const void *bytes, size_t len)
{
    if (len > DR_VALUE_PACKED_BYTES_MAX - writer->len)
        return error_set(writer->error, DR_RESOURCE_EXHAUSTED, "the value is longer than %d bytes",
                         DR_VALUE_PACKED_BYTES_MAX);
    if (len > writer->cap - writer->len) {
        size_t cap = 2 * (writer->len + len) + 64;
        uint8_t *data = mem_alloc(cap);
        if (!data)
            return error_set(writer->error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
        if (writer->len > 0)
            memcpy(data + cap - writer->len, writer->data + writer->cap - writer->len, writer->len);
        mem_free(writer->data);
        writer->data = data;
        writer->cap = cap;
    }
    writer->len += len;
    if (len > 0)
        memcpy(writer->data + writer->cap - writer->len, bytes, len);
    return DR_OK;
}

/* The head of a part of which everything after `end` bytes from the back is the content. */
static dr_code write_head(struct writer *writer, uint8_t tag, size_t end)
{
    uint8_t head[11] = {tag};
    size_t n = 1;
    for (size_t rest = writer->len - end; n == 1 || rest > 0; rest >>= 7)
        head[n++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    return write_bytes(writer, head, n);
}

static dr_code write_text(struct writer *writer, uint8_t tag, struct slice text)
{
    if (!wire_is_utf8(text))
        return error_set(writer->error, DR_INVALID_ARGUMENT, "a text is not UTF-8");
    size_t end = writer->len;
    dr_code code = write_bytes(writer, text.data, text.len);
    return code ? code : write_head(writer, tag, end);
}

static dr_code write_number(struct writer *writer, double number)
{
    uint64_t bits;
    uint8_t field[9] = {TAG(FIELD_NUMBER, WIRE_FIXED64)};
    memcpy(&bits, &number, sizeof bits);
    for (size_t i = 0; i < 8; i++)
        field[i + 1] = (uint8_t)(bits >> (8 * i));
    return write_bytes(writer, field, sizeof field);
}

static dr_code write_integer(struct writer *writer, const dr_value *value)
{
    double number = 0;
    bool is_exact = value->kind == DR_KIND_INT ? value_double_of_int(value->integer, &number)
                                               : value_double_of_uint(value->unsigned_integer, &number);
    if (is_exact)
        return write_number(writer, number);
    char text[24];
    (void)dr_value_format(value, text, sizeof text);
    return error_set(writer->error, DR_INVALID_ARGUMENT,
                     "the integer %s cannot be in a list or map: numbers there are doubles, which cannot hold it",
                     text);
}

static dr_code write_small(struct writer *writer, uint8_t tag, uint8_t content)
{
    return write_bytes(writer, (uint8_t[]){tag, content}, 2);
}

static dr_code write_list(struct writer *writer, const dr_value *list)
{
    size_t list_end = writer->len;
    for (size_t i = list->list.len; i-- > 0;) {
        size_t end = writer->len;
        dr_code code = write_value(writer, list->list.items[i]);
        if (!code)
            code = write_head(writer, TAG(FIELD_ITEMS, WIRE_BYTES), end);
        if (code)
            return code;
    }
    return write_head(writer, TAG(FIELD_LIST, WIRE_BYTES), list_end);
}

static dr_code write_map(struct writer *writer, const dr_value *map)
{
    size_t map_end = writer->len;
    for (size_t i = map->map.len; i-- > 0;) {
        const struct value_entry *entry = &map->map.entries[i];
        size_t end = writer->len;
        dr_code code = write_value(writer, entry->value);
        if (!code)
            code = write_head(writer, TAG(FIELD_VALUE, WIRE_BYTES), end);
        if (!code)
            code = write_text(writer, TAG(FIELD_KEY, WIRE_BYTES), value_slice(entry->key));
        if (!code)
            code = write_head(writer, TAG(FIELD_ITEMS, WIRE_BYTES), end);
        if (code)
            return code;
    }
    return write_head(writer, TAG(FIELD_STRUCT, WIRE_BYTES), map_end);
}

static dr_code write_value(struct writer *writer, const dr_value *value)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_NULL:
        return write_small(writer, TAG(FIELD_NULL, WIRE_VARINT), 0);
    case DR_KIND_BOOL:
        return write_small(writer, TAG(FIELD_BOOL, WIRE_VARINT), value->boolean);
    case DR_KIND_INT:
    case DR_KIND_UINT:
        return write_integer(writer, value);
    case DR_KIND_FLOAT:
        return write_number(writer, value->number);
    case DR_KIND_TEXT:
        return write_text(writer, TAG(FIELD_STRING, WIRE_BYTES), value_slice(value));
    case DR_KIND_LIST:
        return write_list(writer, value);
    case DR_KIND_MAP:
        return write_map(writer, value);
    default:
        return error_set(writer->error, DR_INVALID_ARGUMENT, "a list or map cannot hold a value of kind %s",
                         dr_kind_name(dr_value_kind(value)));
    }
}

dr_code value_encode_struct(const dr_value *value, dr_value **ret_message, struct dr_error *error)
{
    struct writer writer = {.error = error};
    dr_code code = write_value(&writer, value);
    if (!code) {
        dr_value *message = dr_value_message(VALUE_TYPE_PREFIX "google.protobuf.Value",
                                             writer.data + writer.cap - writer.len, writer.len);
        if (message)
            *ret_message = message;
        else
            code = error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    }
    mem_free(writer.data);
    return code;
}

/* ---- Decoding ---- */

struct reader {
    struct slice rest;
    struct dr_error *error;
    int depth; /* levels still allowed */
};

static dr_code read_value(struct reader *reader, dr_value **ret_value);
static dr_code read_map(struct reader *reader, dr_value **ret_value);
static dr_code read_list(struct reader *reader, dr_value **ret_value);

/* The next field; false where the bytes make no sense. */
static bool read_field(struct reader *reader, struct wire_field *field)
{
    return wire_read_field(&reader->rest, field) == WIRE_READ_FIELD;
}

static bool field_is(const struct wire_field *field, uint32_t number, enum wire_type type)
{
    return field->number == number && field->type == type;
}

static dr_code read_failed(const struct reader *reader)
{
    return error_set(reader->error, DR_INVALID_ARGUMENT, "damaged google.protobuf.Value");
}

/* Takes the value that was made, NULL when it could not be. */
static dr_code read_made(const struct reader *reader, dr_value *made, dr_value **ret_value)
{
    if (!made)
        return error_set(reader->error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    *ret_value = made;
    return DR_OK;
}

static dr_code read_text(const struct reader *reader, struct slice text, dr_value **ret_value)
{
    if (!wire_is_utf8(text))
        return read_failed(reader);
    return read_made(reader, dr_value_text_n((const char *)text.data, text.len), ret_value);
}

/* One level down, into a part. */
static dr_code read_part(struct reader *reader, struct slice part, dr_code (*read)(struct reader *, dr_value **),
                         dr_value **ret_value)
{
    if (reader->depth == 0)
        return error_set(reader->error, DR_RESOURCE_EXHAUSTED, "the value is nested deeper than %d",
                         DR_VALUE_DEPTH_MAX);
    struct slice rest = reader->rest;
    reader->rest = part;
    reader->depth--;
    dr_code code = read(reader, ret_value);
    reader->depth++;
    reader->rest = rest;
    return code;
}

static dr_code read_kind(struct reader *reader, const struct wire_field *field, dr_value **ret_value)
{
    double number;
    if (field_is(field, FIELD_NULL, WIRE_VARINT))
        return read_made(reader, dr_value_null(), ret_value);
    if (field_is(field, FIELD_NUMBER, WIRE_FIXED64)) {
        memcpy(&number, &field->number_value, sizeof number);
        return read_made(reader, dr_value_float(number), ret_value);
    }
    if (field_is(field, FIELD_STRING, WIRE_BYTES))
        return read_text(reader, field->bytes, ret_value);
    if (field_is(field, FIELD_BOOL, WIRE_VARINT))
        return read_made(reader, dr_value_bool(field->number_value != 0), ret_value);
    if (field_is(field, FIELD_STRUCT, WIRE_BYTES))
        return read_part(reader, field->bytes, read_map, ret_value);
    if (field_is(field, FIELD_LIST, WIRE_BYTES))
        return read_part(reader, field->bytes, read_list, ret_value);
    return field->number <= FIELD_LIST ? read_failed(reader) : DR_OK; /* a field of the future is skipped */
}

/* The last field wins, as in every oneof; none at all is null. */
static dr_code read_value(struct reader *reader, dr_value **ret_value)
{
    dr_value *value = dr_value_null();
    while (reader->rest.len > 0) {
        struct wire_field field;
        dr_value *next = NULL;
        dr_code code = read_field(reader, &field) ? read_kind(reader, &field, &next) : read_failed(reader);
        if (code) {
            dr_value_unref(value);
            return code;
        }
        if (next) {
            dr_value_unref(value);
            value = next;
        }
    }
    *ret_value = value;
    return DR_OK;
}

static dr_code read_list(struct reader *reader, dr_value **ret_value)
{
    dr_builder *builder = dr_list_begin();
    while (reader->rest.len > 0) {
        struct wire_field field;
        dr_value *item = NULL;
        dr_code code = DR_OK;
        if (!read_field(reader, &field))
            code = read_failed(reader);
        else if (field_is(&field, FIELD_ITEMS, WIRE_BYTES))
            code = read_part(reader, field.bytes, read_value, &item);
        if (code) {
            dr_builder_cancel(builder);
            return code;
        }
        if (item)
            dr_list_add(builder, item);
    }
    return dr_builder_end(builder, ret_value, reader->error);
}

static dr_code read_entry(struct reader *reader, dr_builder *builder)
{
    struct slice key = {0};
    dr_value *value = NULL;
    dr_code code = DR_OK;
    while (!code && reader->rest.len > 0) {
        struct wire_field field;
        dr_value *next = NULL;
        if (!read_field(reader, &field))
            code = read_failed(reader);
        else if (field_is(&field, FIELD_KEY, WIRE_BYTES))
            key = field.bytes;
        else if (field_is(&field, FIELD_VALUE, WIRE_BYTES))
            code = read_part(reader, field.bytes, read_value, &next);
        if (next) {
            dr_value_unref(value);
            value = next;
        }
    }
    if (!code && !wire_is_utf8(key))
        code = read_failed(reader);
    if (code)
        dr_value_unref(value);
    else
        dr_map_add_n(builder, (const char *)key.data, key.len, value ? value : dr_value_null());
    return code;
}

static dr_code read_map(struct reader *reader, dr_value **ret_value)
{
    dr_builder *builder = dr_map_begin();
    while (reader->rest.len > 0) {
        struct wire_field field;
        dr_code code = DR_OK;
        if (!read_field(reader, &field)) {
            code = read_failed(reader);
        } else if (field_is(&field, FIELD_ITEMS, WIRE_BYTES)) {
            struct slice rest = reader->rest;
            reader->rest = field.bytes;
            code = read_entry(reader, builder);
            reader->rest = rest;
        }
        if (code) {
            dr_builder_cancel(builder);
            return code;
        }
    }
    return dr_builder_end(builder, ret_value, reader->error);
}

dr_code value_decode_struct(enum value_struct_form form, struct slice bytes, dr_value **ret_value,
                            struct dr_error *error)
{
    /* A list of scalars is two values and one list deep; the builder holds the exact limit (V1), this one only
     * bounds the recursion. */
    struct reader reader = {.rest = bytes, .error = error, .depth = 2 * DR_VALUE_DEPTH_MAX};
    if (form == VALUE_FORM_STRUCT)
        return read_map(&reader, ret_value);
    return form == VALUE_FORM_LIST ? read_list(&reader, ret_value) : read_value(&reader, ret_value);
}
