/* google.protobuf.Value, Struct and ListValue between protobuf and JSON.
 *
 *     Value     { oneof { NullValue null_value = 1; double number_value = 2; string string_value = 3;
 *                         bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6; } }
 *     Struct    { map<string, Value> fields = 1; }     a map entry is { string key = 1; Value value = 2; }
 *     ListValue { repeated Value values = 1; }
 *
 * By hand, because generated code recurses without bound and cuts text at a NUL. */
#include "wire/json.h"
#include "wire/reader.h"
#include "wire/writer.h"

#include <math.h>

/* Integers above it have holes between them; below it a double prints as an integer. */
#define EXACT_INTEGER_MAX 9007199254740992.0

static json_t *struct_to_json(struct slice bytes, unsigned depth);
static json_t *list_to_json(struct slice bytes, unsigned depth);

static json_t *text_to_json(struct slice text)
{
    return json_stringn((const char *)text.data, text.len);
}

static json_t *number_to_json(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof(number));
    if (!isfinite(number))
        return NULL;
    bool is_integer =
        fabs(number) < EXACT_INTEGER_MAX && number == floor(number) && !(number == 0 && signbit(number));
    return is_integer ? json_integer((json_int_t)number) : json_real(number);
}

static json_t *arm_to_json(const struct wire_field *field, unsigned depth)
{
    static const enum wire_type types[] = {[1] = WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES,
                                           WIRE_VARINT,       WIRE_BYTES,   WIRE_BYTES};
    if (field->type != types[field->number])
        return NULL;
    switch (field->number) {
    case 1:
        return json_null();
    case 2:
        return number_to_json(field->number_value);
    case 3:
        return text_to_json(field->bytes);
    case 4:
        return json_boolean(field->number_value != 0);
    case 5:
        return struct_to_json(field->bytes, depth);
    default:
        return list_to_json(field->bytes, depth);
    }
}

/* A Value without an arm is null. */
static json_t *value_to_json(struct slice bytes, unsigned depth)
{
    if (depth > WIRE_DEPTH_MAX)
        return NULL;
    json_t *json = json_null();
    struct wire_field field;
    enum wire_read read;
    while (json && (read = wire_read_field(&bytes, &field)) != WIRE_READ_END) {
        if (read == WIRE_READ_FIELD && field.number > 6)
            continue;
        json_decref(json);
        json = read == WIRE_READ_FIELD ? arm_to_json(&field, depth) : NULL;
    }
    return json;
}

static json_t *list_to_json(struct slice bytes, unsigned depth)
{
    json_t *list = json_array();
    struct wire_field field;
    enum wire_read read;
    while (list && (read = wire_read_field(&bytes, &field)) != WIRE_READ_END) {
        if (read == WIRE_READ_FIELD && field.number != 1)
            continue;
        bool is_good = read == WIRE_READ_FIELD && field.type == WIRE_BYTES;
        if (!is_good || json_array_append_new(list, value_to_json(field.bytes, depth + 1)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool add_entry(json_t *object, struct slice entry, unsigned depth)
{
    struct slice key = slice_of("", 0), value = slice_of("", 0);
    struct wire_field field;
    enum wire_read read;
    while ((read = wire_read_field(&entry, &field)) == WIRE_READ_FIELD) {
        if (field.number > 2)
            continue;
        if (field.type != WIRE_BYTES)
            return false;
        *(field.number == 1 ? &key : &value) = field.bytes;
    }
    return read == WIRE_READ_END && json_object_setn_new(object, (const char *)key.data, key.len,
                                                         value_to_json(value, depth + 1)) == 0;
}

static json_t *struct_to_json(struct slice bytes, unsigned depth)
{
    json_t *object = json_object();
    struct wire_field field;
    enum wire_read read;
    while (object && (read = wire_read_field(&bytes, &field)) != WIRE_READ_END) {
        if (read == WIRE_READ_FIELD && field.number != 1)
            continue;
        bool is_good = read == WIRE_READ_FIELD && field.type == WIRE_BYTES;
        if (!is_good || !add_entry(object, field.bytes, depth)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *wire_value_to_json(enum wire_value_form form, struct slice bytes)
{
    if (form == WIRE_FORM_STRUCT)
        return struct_to_json(bytes, 1);
    return form == WIRE_FORM_LIST ? list_to_json(bytes, 1) : value_to_json(bytes, 1);
}

/* ---- From JSON; the depth is bounded by wire_json_load ---- */

static dr_code value_from_json(const json_t *json, struct buf *buf);

static dr_code list_from_json(const json_t *json, struct buf *buf)
{
    dr_code code = DR_OK;
    for (size_t i = 0; i < json_array_size(json) && code == DR_OK; i++) {
        struct wire_mark mark;
        code = wire_write_begin(buf, 1, &mark);
        if (code == DR_OK)
            code = value_from_json(json_array_get(json, i), buf);
        if (code == DR_OK)
            code = wire_write_end(buf, mark);
    }
    return code;
}

static dr_code entry_from_json(struct slice key, const json_t *json, struct buf *buf)
{
    struct wire_mark value;
    dr_code code = wire_write_bytes_field(buf, 1, key);
    if (code == DR_OK)
        code = wire_write_begin(buf, 2, &value);
    if (code == DR_OK)
        code = value_from_json(json, buf);
    return code == DR_OK ? wire_write_end(buf, value) : code;
}

static dr_code struct_from_json(const json_t *json, struct buf *buf)
{
    dr_code code = DR_OK;
    json_t *object = (json_t *)(uintptr_t)json; /* jansson's iterators are not const */
    for (void *at = json_object_iter(object); at && code == DR_OK; at = json_object_iter_next(object, at)) {
        struct wire_mark entry;
        struct slice key = slice_of(json_object_iter_key(at), json_object_iter_key_len(at));
        code = wire_write_begin(buf, 1, &entry);
        if (code == DR_OK)
            code = entry_from_json(key, json_object_iter_value(at), buf);
        if (code == DR_OK)
            code = wire_write_end(buf, entry);
    }
    return code;
}

static dr_code number_from_json(const json_t *json, struct buf *buf)
{
    double number = json_number_value(json);
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return wire_write_fixed64_field(buf, 2, bits);
}

static dr_code value_from_json(const json_t *json, struct buf *buf)
{
    struct wire_mark mark;
    dr_code code;
    switch (json_typeof(json)) {
    case JSON_NULL:
        return wire_write_varint_field(buf, 1, 0);
    case JSON_INTEGER:
    case JSON_REAL:
        return number_from_json(json, buf);
    case JSON_STRING:
        return wire_write_bytes_field(buf, 3, slice_of(json_string_value(json), json_string_length(json)));
    case JSON_TRUE:
    case JSON_FALSE:
        return wire_write_varint_field(buf, 4, json_is_true(json));
    case JSON_OBJECT:
        code = wire_write_begin(buf, 5, &mark);
        if (code == DR_OK)
            code = struct_from_json(json, buf);
        return code == DR_OK ? wire_write_end(buf, mark) : code;
    case JSON_ARRAY:
        code = wire_write_begin(buf, 6, &mark);
        if (code == DR_OK)
            code = list_from_json(json, buf);
        return code == DR_OK ? wire_write_end(buf, mark) : code;
    }
    return DR_INTERNAL;
}

dr_code wire_value_from_json(enum wire_value_form form, const json_t *json, struct buf *buf)
{
    if (form == WIRE_FORM_VALUE)
        return value_from_json(json, buf);
    if (form == WIRE_FORM_STRUCT)
        return json_is_object(json) ? struct_from_json(json, buf) : DR_INVALID_ARGUMENT;
    return json_is_array(json) ? list_from_json(json, buf) : DR_INVALID_ARGUMENT;
}
