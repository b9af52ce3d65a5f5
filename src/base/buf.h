/* A growable byte buffer with a maximum. One owner; not thread-safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"
#include <dispatchrun/error.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max; /* never grows past this many bytes */
};

/* Empty; allocates nothing yet. */
void buf_init(struct buf *buf, size_t max);
/* Frees; the buffer is as after buf_init with the same max. Accepts a zeroed struct. */
void buf_deinit(struct buf *buf);
/* Keeps the memory, forgets the bytes. */
void buf_clear(struct buf *buf);
/* Room for `extra` more bytes. DR_RESOURCE_EXHAUSTED past max, DR_NO_MEMORY; the bytes so far stay. */
dr_code buf_reserve(struct buf *buf, size_t extra);
dr_code buf_append(struct buf *buf, struct slice bytes);
dr_code buf_append_text(struct buf *buf, const char *text);
dr_code buf_printf(struct buf *buf, const char *format, ...) DR_PRINTF(2, 3);
/* Drops the first n bytes (n <= len) by moving the rest. */
void buf_consume(struct buf *buf, size_t n);
struct slice buf_slice(const struct buf *buf);
/* Adds a NUL behind the bytes (not counted) and returns them as text, borrowed; NULL when out of memory. */
const char *buf_text(struct buf *buf);
/* Hands the memory to the caller (mem_free) and leaves the buffer empty. */
uint8_t *buf_steal(struct buf *buf, size_t *ret_len);

#endif
