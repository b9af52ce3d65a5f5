#include "wire/reader.h"

#define VARINT_BYTES_MAX 10
#define FIELD_NUMBER_MAX 0x1fffffffu

static enum wire_read read_varint(struct slice *bytes, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < VARINT_BYTES_MAX; i++) {
        if (i == bytes->len)
            return WIRE_READ_CUT;
        uint8_t byte = bytes->data[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret_value = value;
            *bytes = slice_of(bytes->data + i + 1, bytes->len - i - 1);
            return WIRE_READ_FIELD;
        }
    }
    return WIRE_READ_BAD;
}

static enum wire_read read_fixed(struct slice *bytes, size_t n, uint64_t *ret_value)
{
    if (bytes->len < n)
        return WIRE_READ_CUT;
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bytes->data[i] << (8 * i);
    *ret_value = value;
    *bytes = slice_of(bytes->data + n, bytes->len - n);
    return WIRE_READ_FIELD;
}

static enum wire_read read_bytes(struct slice *bytes, struct slice *ret_bytes)
{
    uint64_t len;
    enum wire_read read = read_varint(bytes, &len);
    if (read != WIRE_READ_FIELD)
        return read;
    if (len > bytes->len)
        return WIRE_READ_CUT;
    *ret_bytes = slice_of(bytes->data, (size_t)len);
    *bytes = slice_of(bytes->data + len, bytes->len - (size_t)len);
    return WIRE_READ_FIELD;
}

enum wire_read wire_read_field(struct slice *bytes, struct wire_field *ret_field)
{
    if (bytes->len == 0)
        return WIRE_READ_END;
    struct slice rest = *bytes;
    uint64_t tag;
    enum wire_read read = read_varint(&rest, &tag);
    if (read != WIRE_READ_FIELD)
        return read;
    if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return WIRE_READ_BAD;

    struct wire_field field = {.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    switch (field.type) {
    case WIRE_VARINT:
        read = read_varint(&rest, &field.number_value);
        break;
    case WIRE_FIXED64:
        read = read_fixed(&rest, 8, &field.number_value);
        break;
    case WIRE_FIXED32:
        read = read_fixed(&rest, 4, &field.number_value);
        break;
    case WIRE_BYTES:
        read = read_bytes(&rest, &field.bytes);
        break;
    default:
        return WIRE_READ_BAD;
    }
    if (read == WIRE_READ_FIELD) {
        *bytes = rest;
        *ret_field = field;
    }
    return read;
}
