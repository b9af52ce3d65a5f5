/* Writing pickles, byte for byte as CPython's pickler does for the same data (except that equal texts are written
 * again where CPython may refer to the first one). */
#include "sdk/pickle.h"
#include "sdk/pickle_op.h"
#include "sdk/value.h"

#include "base/error.h"
#include "wire/wire.h"

#define FRAME_HEAD_BYTES 9
/* CPython leaves the frame away below this many bytes. */
#define FRAME_BYTES_MIN 4
/* Items between a mark and the opcode that adds them. */
#define BATCH_MAX 1000

struct pickler {
    struct buf *buf;
    struct dr_error *error;
    dr_code failed; /* the first failure; nothing is written after it */
    size_t frame;   /* where the frame's head stands */
};

static void put_value(struct pickler *pickler, const dr_value *value);

static void put(struct pickler *pickler, const void *bytes, size_t len)
{
    if (pickler->failed)
        return;
    pickler->failed = buf_append(pickler->buf, slice_of(bytes, len));
    if (pickler->failed)
        (void)error_set(pickler->error, pickler->failed, "%s", dr_code_text(pickler->failed));
}

static void put_op(struct pickler *pickler, enum pickle_op op)
{
    uint8_t byte = (uint8_t)op;
    put(pickler, &byte, 1);
}

/* An opcode and its little-endian argument. */
static void put_op_number(struct pickler *pickler, enum pickle_op op, uint64_t argument, size_t n_bytes)
{
    uint8_t bytes[9] = {(uint8_t)op};
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i + 1] = (uint8_t)(argument >> (8 * i));
    put(pickler, bytes, n_bytes + 1);
}

static void refuse(struct pickler *pickler, const char *what)
{
    if (!pickler->failed)
        pickler->failed = error_set(pickler->error, DR_INVALID_ARGUMENT, "%s cannot be pickled", what);
}

/* Two's complement in as few bytes as hold the sign. */
static void put_long(struct pickler *pickler, uint64_t bits, bool is_negative)
{
    uint8_t bytes[9];
    size_t n = 0;
    uint8_t fill = is_negative ? 0xff : 0;
    for (; n < 8; n++)
        bytes[n] = (uint8_t)(bits >> (8 * n));
    bytes[n++] = fill;
    while (n > 1 && bytes[n - 1] == fill && (bytes[n - 2] & 0x80) == (fill & 0x80))
        n--;
    put_op_number(pickler, PICKLE_LONG1, n, 1);
    put(pickler, bytes, n);
}

static void put_integer(struct pickler *pickler, int64_t integer)
{
    if (integer >= 0 && integer <= UINT8_MAX)
        put_op_number(pickler, PICKLE_BININT1, (uint64_t)integer, 1);
    else if (integer >= 0 && integer <= UINT16_MAX)
        put_op_number(pickler, PICKLE_BININT2, (uint64_t)integer, 2);
    else if (integer >= INT32_MIN && integer <= INT32_MAX)
        put_op_number(pickler, PICKLE_BININT, (uint64_t)integer, 4);
    else
        put_long(pickler, (uint64_t)integer, integer < 0);
}

static void put_float(struct pickler *pickler, double number)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, &number, sizeof bits);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(bits >> (56 - 8 * i));
    put_op(pickler, PICKLE_BINFLOAT);
    put(pickler, bytes, sizeof bytes);
}

static void put_bytes(struct pickler *pickler, enum pickle_op short_op, enum pickle_op long_op, struct slice bytes)
{
    if (bytes.len <= UINT8_MAX)
        put_op_number(pickler, short_op, bytes.len, 1);
    else
        put_op_number(pickler, long_op, bytes.len, 4);
    put(pickler, bytes.data, bytes.len);
    put_op(pickler, PICKLE_MEMOIZE);
}

static void put_text(struct pickler *pickler, struct slice text)
{
    if (wire_is_utf8(text))
        put_bytes(pickler, PICKLE_SHORT_BINUNICODE, PICKLE_BINUNICODE, text);
    else
        refuse(pickler, "a text that is not UTF-8");
}

/* ---- Containers ---- */

static void put_items(struct pickler *pickler, const dr_value *container, size_t from, size_t n)
{
    for (size_t i = from; i < from + n && !pickler->failed; i++) {
        if (container->kind == DR_KIND_MAP)
            put_text(pickler, value_slice(container->map.entries[i].key));
        put_value(pickler, dr_value_at(container, i));
    }
}

/* A lone item is added by `one_op`, more by `many_op` in batches. */
static void put_batches(struct pickler *pickler, const dr_value *container, enum pickle_op one_op,
                        enum pickle_op many_op)
{
    size_t len = container->list.len;
    if (len == 1 && one_op != many_op) {
        put_items(pickler, container, 0, 1);
        put_op(pickler, one_op);
        return;
    }
    for (size_t from = 0; from < len && !pickler->failed; from += BATCH_MAX) {
        put_op(pickler, PICKLE_MARK);
        put_items(pickler, container, from, len - from < BATCH_MAX ? len - from : BATCH_MAX);
        put_op(pickler, many_op);
    }
}

static void put_tuple(struct pickler *pickler, const dr_value *list)
{
    static const enum pickle_op ops[] = {PICKLE_EMPTY_TUPLE, PICKLE_TUPLE1, PICKLE_TUPLE2, PICKLE_TUPLE3};
    size_t len = dr_value_len(list);
    if (len > 3)
        put_op(pickler, PICKLE_MARK);
    if (len > 0)
        put_items(pickler, list, 0, len);
    put_op(pickler, len > 3 ? PICKLE_TUPLE : ops[len]);
    if (len > 0)
        put_op(pickler, PICKLE_MEMOIZE);
}

static void put_list(struct pickler *pickler, const dr_value *list)
{
    if (list->flavour == VALUE_TUPLE) {
        put_tuple(pickler, list);
        return;
    }
    bool is_set = list->flavour == VALUE_SET;
    put_op(pickler, is_set ? PICKLE_EMPTY_SET : PICKLE_EMPTY_LIST);
    put_op(pickler, PICKLE_MEMOIZE);
    put_batches(pickler, list, is_set ? PICKLE_ADDITEMS : PICKLE_APPEND, is_set ? PICKLE_ADDITEMS : PICKLE_APPENDS);
}

static void put_map(struct pickler *pickler, const dr_value *map)
{
    put_op(pickler, PICKLE_EMPTY_DICT);
    put_op(pickler, PICKLE_MEMOIZE);
    if (map)
        put_batches(pickler, map, PICKLE_SETITEM, PICKLE_SETITEMS);
}

static void put_value(struct pickler *pickler, const dr_value *value)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_NULL:
        put_op(pickler, PICKLE_NONE);
        break;
    case DR_KIND_BOOL:
        put_op(pickler, value->boolean ? PICKLE_NEWTRUE : PICKLE_NEWFALSE);
        break;
    case DR_KIND_INT:
        put_integer(pickler, value->integer);
        break;
    case DR_KIND_UINT:
        if (value->unsigned_integer <= INT64_MAX)
            put_integer(pickler, (int64_t)value->unsigned_integer);
        else
            put_long(pickler, value->unsigned_integer, false);
        break;
    case DR_KIND_FLOAT:
        put_float(pickler, value->number);
        break;
    case DR_KIND_TEXT:
        put_text(pickler, value_slice(value));
        break;
    case DR_KIND_BYTES:
        put_bytes(pickler, PICKLE_SHORT_BINBYTES, PICKLE_BINBYTES, value_slice(value));
        break;
    case DR_KIND_LIST:
        put_list(pickler, value);
        break;
    case DR_KIND_MAP:
        put_map(pickler, value);
        break;
    default:
        refuse(pickler, dr_kind_name(dr_value_kind(value)));
        break;
    }
}

/* ---- Whole pickles ---- */

static void begin(struct pickler *pickler)
{
    static const uint8_t no_length[FRAME_HEAD_BYTES] = {PICKLE_FRAME};
    put_op_number(pickler, PICKLE_PROTO, PICKLE_PROTOCOL, 1);
    pickler->frame = pickler->buf->len;
    put(pickler, no_length, sizeof no_length);
}

static dr_code end(struct pickler *pickler)
{
    put_op(pickler, PICKLE_STOP);
    if (pickler->failed)
        return pickler->failed;
    uint8_t *head = pickler->buf->data + pickler->frame;
    uint64_t len = pickler->buf->len - pickler->frame - FRAME_HEAD_BYTES;
    if (len < FRAME_BYTES_MIN) {
        memmove(head, head + FRAME_HEAD_BYTES, (size_t)len);
        pickler->buf->len -= FRAME_HEAD_BYTES;
        return DR_OK;
    }
    for (size_t i = 0; i < 8; i++)
        head[i + 1] = (uint8_t)(len >> (8 * i));
    return DR_OK;
}

dr_code pickle_write_value(struct buf *buf, const dr_value *value, struct dr_error *error)
{
    struct pickler pickler = {.buf = buf, .error = error};
    begin(&pickler);
    put_value(&pickler, value);
    return end(&pickler);
}

dr_code pickle_write_arguments(struct buf *buf, const dr_value *args, const dr_value *kwargs, struct dr_error *error)
{
    struct pickler pickler = {.buf = buf, .error = error};
    if (!dr_is_null(args) && dr_value_kind(args) != DR_KIND_LIST)
        return error_set(error, DR_INVALID_ARGUMENT, "args must be a list, not %s", dr_kind_name(dr_value_kind(args)));
    if (!dr_is_null(kwargs) && dr_value_kind(kwargs) != DR_KIND_MAP)
        return error_set(error, DR_INVALID_ARGUMENT, "kwargs must be a map, not %s",
                         dr_kind_name(dr_value_kind(kwargs)));
    begin(&pickler);
    put_text(&pickler, slice_text(PICKLE_MODULE));
    put_text(&pickler, slice_text(PICKLE_CLASS));
    put_op(&pickler, PICKLE_STACK_GLOBAL);
    put_op(&pickler, PICKLE_MEMOIZE);
    put_op(&pickler, PICKLE_EMPTY_TUPLE);
    put_op(&pickler, PICKLE_NEWOBJ);
    put_op(&pickler, PICKLE_MEMOIZE);
    put_op(&pickler, PICKLE_EMPTY_DICT);
    put_op(&pickler, PICKLE_MEMOIZE);
    put_op(&pickler, PICKLE_MARK);
    put_text(&pickler, slice_text("args"));
    put_tuple(&pickler, args);
    put_text(&pickler, slice_text("kwargs"));
    put_map(&pickler, dr_is_null(kwargs) ? NULL : kwargs);
    put_op(&pickler, PICKLE_SETITEMS);
    put_op(&pickler, PICKLE_BUILD);
    return end(&pickler);
}
