/* Appends protobuf fields to a buffer without a schema; the counterpart of reader.h. Inside src/wire only. */
#ifndef WIRE_WRITER_H
#define WIRE_WRITER_H

#include "base/buf.h"

dr_code wire_write_varint_field(struct buf *buf, uint32_t number, uint64_t value);
dr_code wire_write_fixed32_field(struct buf *buf, uint32_t number, uint32_t value);
dr_code wire_write_fixed64_field(struct buf *buf, uint32_t number, uint64_t value);
dr_code wire_write_bytes_field(struct buf *buf, uint32_t number, struct slice bytes);

/* A sub-message in place: what is appended between begin and end becomes field `number`. `mark` is the
 * caller's. */
struct wire_mark {
    size_t start;
};
dr_code wire_write_begin(struct buf *buf, uint32_t number, struct wire_mark *ret_mark);
dr_code wire_write_end(struct buf *buf, struct wire_mark mark);

#endif
