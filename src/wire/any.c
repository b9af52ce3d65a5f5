/* google.protobuf.Any { string type_url = 1; bytes value = 2; } */
#include "wire/codec.h"
#include "wire/reader.h"

dr_code wire_any_split(struct slice any, struct slice *ret_type_url, struct slice *ret_value,
                       struct dr_error *error)
{
    struct slice type_url = slice_of("", 0);
    struct slice value = slice_of("", 0);
    for (;;) {
        struct wire_field field;
        enum wire_read read = wire_read_field(&any, &field);
        if (read == WIRE_READ_END)
            break;
        if (read != WIRE_READ_FIELD)
            return error_set(error, DR_INVALID_ARGUMENT, "google.protobuf.Any: malformed");
        if (field.number > 2)
            continue;
        if (field.type != WIRE_BYTES)
            return error_set(error, DR_INVALID_ARGUMENT, "google.protobuf.Any: field %u has the wrong type",
                             (unsigned)field.number);
        *(field.number == 1 ? &type_url : &value) = field.bytes;
    }
    if (!wire_is_utf8(type_url))
        return error_set(error, DR_INVALID_ARGUMENT, "google.protobuf.Any: the type URL is not UTF-8");
    *ret_type_url = type_url;
    *ret_value = value;
    return DR_OK;
}

dr_code wire_any_check(struct slice any, struct dr_error *error)
{
    struct slice type_url, value;
    return wire_any_split(any, &type_url, &value, error);
}

static void put_field(struct buf *buf, uint8_t tag, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    buf->data[buf->len++] = tag;
    size_t len = bytes.len;
    for (; len >= 0x80; len >>= 7)
        buf->data[buf->len++] = (uint8_t)(len | 0x80);
    buf->data[buf->len++] = (uint8_t)len;
    memcpy(buf->data + buf->len, bytes.data, bytes.len);
    buf->len += bytes.len;
}

#define FIELD_HEAD_BYTES_MAX 11

dr_code wire_any_encode(struct slice type_url, struct slice value, struct buf *buf)
{
    if (type_url.len > WIRE_MESSAGE_BYTES_MAX || value.len > WIRE_MESSAGE_BYTES_MAX)
        return DR_RESOURCE_EXHAUSTED;
    /* Near the maximum the reserve may refuse a message that would just fit: a few bytes in 16 MB. */
    dr_code code = buf_reserve(buf, 2 * FIELD_HEAD_BYTES_MAX + type_url.len + value.len);
    if (code != DR_OK)
        return code;
    put_field(buf, 0x0a, type_url);
    put_field(buf, 0x12, value);
    return DR_OK;
}
