#include "base/buf.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum { BUF_FIRST_CAP = 64 };

void buf_init(struct buf *buf, size_t max) { *buf = (struct buf){.max = max}; }

void buf_deinit(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf) { buf->len = 0; }

/* Room for `needed` bytes in all. The NUL of buf_text is not a byte of the buffer, so `needed` may be max + 1. */
static dr_code grow(struct buf *buf, size_t needed)
{
    if (needed <= buf->cap)
        return DR_OK;
    size_t cap = buf->cap ? buf->cap : BUF_FIRST_CAP;
    while (cap < needed)
        cap = cap > SIZE_MAX / 2 ? needed : cap * 2;
    if (cap > buf->max)
        cap = needed > buf->max ? needed : buf->max;
    uint8_t *data = mem_realloc(buf->data, cap);
    if (!data)
        return DR_NO_MEMORY;
    buf->data = data;
    buf->cap = cap;
    return DR_OK;
}

dr_code buf_reserve(struct buf *buf, size_t extra)
{
    if (buf->len > buf->max || extra > buf->max - buf->len)
        return DR_RESOURCE_EXHAUSTED;
    return grow(buf, buf->len + extra);
}

dr_code buf_append(struct buf *buf, struct slice bytes)
{
    dr_code code = buf_reserve(buf, bytes.len);
    if (code != DR_OK)
        return code;
    if (bytes.len > 0)
        memcpy(buf->data + buf->len, bytes.data, bytes.len);
    buf->len += bytes.len;
    return DR_OK;
}

dr_code buf_append_text(struct buf *buf, const char *text) { return buf_append(buf, slice_text(text)); }

dr_code buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    dr_code code = buf_reserve(buf, (size_t)len);
    if (code == DR_OK)
        code = grow(buf, buf->len + (size_t)len + 1); /* vsnprintf writes a NUL that is not ours to keep */
    if (code == DR_OK) {
        (void)vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return code;
}

void buf_consume(struct buf *buf, size_t n)
{
    CHECK(n <= buf->len);
    buf->len -= n;
    if (n > 0 && buf->len > 0)
        memmove(buf->data, buf->data + n, buf->len);
}

struct slice buf_slice(const struct buf *buf) { return slice_of(buf->data, buf->len); }

const char *buf_text(struct buf *buf)
{
    if (grow(buf, buf->len + 1) != DR_OK)
        return NULL;
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

uint8_t *buf_steal(struct buf *buf, size_t *ret_len)
{
    uint8_t *data = buf->data;
    if (ret_len)
        *ret_len = buf->len;
    buf_init(buf, buf->max);
    return data;
}
