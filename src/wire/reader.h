/* Reads the fields of a protobuf message one by one, without a schema. For code that must look at bytes
 * before or instead of protobuf-c: the scan for hostile messages, Anys, google.protobuf.Value. Inside
 * src/wire only. */
#ifndef WIRE_READER_H
#define WIRE_READER_H

#include "base/slice.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t number_value; /* VARINT, FIXED64, FIXED32 */
    struct slice bytes; /* BYTES: borrowed; data is never NULL */
};

enum wire_read { WIRE_READ_FIELD, WIRE_READ_END, WIRE_READ_CUT, WIRE_READ_BAD };

/* Takes the next field off the front of *bytes. CUT: the message ends inside the field. BAD: field number 0,
 * a group or another wire type that does not exist, a number of more than 10 bytes. After CUT and BAD *bytes
 * is unchanged. */
enum wire_read wire_read_field(struct slice *bytes, struct wire_field *ret_field);

#endif
