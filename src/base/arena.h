/* An arena: many small allocations, one free. One owner; not thread-safe. Memory is aligned for any type. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"
#include <dispatchrun/error.h>
#include <stdarg.h>

struct arena {
    struct arena_chunk *chunks;
    size_t used_bytes; /* given out so far, for limits */
    size_t max_bytes;  /* 0 = no limit */
    bool is_over;      /* something was refused for max_bytes, not for lack of memory */
};

void arena_init(struct arena *arena, size_t max_bytes);
void arena_deinit(struct arena *arena); /* frees all; accepts a zeroed struct */
void arena_reset(struct arena *arena);  /* keeps the first chunk */
/* NULL when out of memory or past max_bytes. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
/* Copies; adds a NUL behind. */
char *arena_copy(struct arena *arena, struct slice bytes);
char *arena_vprintf(struct arena *arena, const char *format, va_list args);
char *arena_printf(struct arena *arena, const char *format, ...) DR_PRINTF(2, 3);

#endif
