#include "wire/writer.h"

#include "wire/reader.h"

#define VARINT_BYTES_MAX 10

static size_t format_varint(uint64_t value, uint8_t bytes[VARINT_BYTES_MAX])
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    return n;
}

static dr_code write_varint(struct buf *buf, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    return buf_append(buf, slice_of(bytes, format_varint(value, bytes)));
}

static dr_code write_tag(struct buf *buf, uint32_t number, enum wire_type type)
{
    return write_varint(buf, (uint64_t)number << 3 | (uint64_t)type);
}

static dr_code write_fixed(struct buf *buf, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return buf_append(buf, slice_of(bytes, n));
}

dr_code wire_write_varint_field(struct buf *buf, uint32_t number, uint64_t value)
{
    dr_code code = write_tag(buf, number, WIRE_VARINT);
    return code == DR_OK ? write_varint(buf, value) : code;
}

dr_code wire_write_fixed32_field(struct buf *buf, uint32_t number, uint32_t value)
{
    dr_code code = write_tag(buf, number, WIRE_FIXED32);
    return code == DR_OK ? write_fixed(buf, value, 4) : code;
}

dr_code wire_write_fixed64_field(struct buf *buf, uint32_t number, uint64_t value)
{
    dr_code code = write_tag(buf, number, WIRE_FIXED64);
    return code == DR_OK ? write_fixed(buf, value, 8) : code;
}

dr_code wire_write_bytes_field(struct buf *buf, uint32_t number, struct slice bytes)
{
    dr_code code = write_tag(buf, number, WIRE_BYTES);
    if (code == DR_OK)
        code = write_varint(buf, bytes.len);
    return code == DR_OK ? buf_append(buf, bytes) : code;
}

dr_code wire_write_begin(struct buf *buf, uint32_t number, struct wire_mark *ret_mark)
{
    dr_code code = write_tag(buf, number, WIRE_BYTES);
    ret_mark->start = buf->len;
    return code;
}

/* The length is known only now: the sub-message moves up by as many bytes as its length takes. */
dr_code wire_write_end(struct buf *buf, struct wire_mark mark)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t len = buf->len - mark.start;
    size_t n = format_varint(len, bytes);
    dr_code code = buf_reserve(buf, n);
    if (code != DR_OK)
        return code;
    memmove(buf->data + mark.start + n, buf->data + mark.start, len);
    memcpy(buf->data + mark.start, bytes, n);
    buf->len += n;
    return DR_OK;
}
