#include "base/arena.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdalign.h>
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_HAS_ASAN 1
#endif
#endif

#ifdef ARENA_HAS_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_HIDE(data, size) ASAN_POISON_MEMORY_REGION(data, size)
#define ARENA_SHOW(data, size) ASAN_UNPOISON_MEMORY_REGION(data, size)
#else
#define ARENA_HIDE(data, size) ((void)(data), (void)(size))
#define ARENA_SHOW(data, size) ((void)(data), (void)(size))
#endif

enum {
    ARENA_CHUNK_FIRST = 2048,
    ARENA_CHUNK_MAX = 65536,
    ARENA_ALIGN = alignof(max_align_t),
};

struct arena_chunk {
    struct arena_chunk *next; /* older */
    size_t used;
    size_t size;
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *arena, size_t max_bytes) { *arena = (struct arena){.max_bytes = max_bytes}; }

static void chunk_destroy(struct arena_chunk *chunk)
{
    ARENA_SHOW(chunk->data, chunk->size);
    mem_free(chunk);
}

void arena_deinit(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        chunk_destroy(arena->chunks);
        arena->chunks = next;
    }
    arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *first = arena->chunks;
    while (first && first->next) {
        struct arena_chunk *next = first->next;
        chunk_destroy(first);
        first = next;
    }
    /* One giant first allocation would otherwise stay for as long as the arena is reused. */
    if (first && first->size > ARENA_CHUNK_MAX) {
        chunk_destroy(first);
        first = NULL;
    }
    if (first) {
        first->used = 0;
        ARENA_HIDE(first->data, first->size);
    }
    arena->chunks = first;
    arena->used_bytes = 0;
    arena->is_over = false;
}

static struct arena_chunk *chunk_create(const struct arena *arena, size_t needed)
{
    size_t size = arena->chunks ? arena->chunks->size * 2 : ARENA_CHUNK_FIRST;
    if (size > ARENA_CHUNK_MAX)
        size = ARENA_CHUNK_MAX;
    if (size < needed)
        size = needed;
    struct arena_chunk *chunk = mem_alloc(sizeof(*chunk) + size);
    if (!chunk)
        return NULL;
    chunk->used = 0;
    chunk->size = size;
    ARENA_HIDE(chunk->data, size);
    return chunk;
}

/* A chunk made for one big allocation goes behind the newest, whose free rest stays in use. */
static void chunk_add(struct arena *arena, struct arena_chunk *chunk)
{
    bool is_full_at_once = chunk->size > ARENA_CHUNK_MAX && arena->chunks;
    struct arena_chunk **place = is_full_at_once ? &arena->chunks->next : &arena->chunks;
    chunk->next = *place;
    *place = chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = ((size ? size : 1) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (arena->max_bytes && (arena->used_bytes > arena->max_bytes || size > arena->max_bytes - arena->used_bytes)) {
        arena->is_over = true;
        return NULL;
    }
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < rounded) {
        chunk = chunk_create(arena, rounded);
        if (!chunk)
            return NULL;
        chunk_add(arena, chunk);
    }
    uint8_t *data = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used_bytes += size;
    ARENA_SHOW(data, size);
    return data;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *data = arena_alloc(arena, size);
    if (data)
        memset(data, 0, size);
    return data;
}

char *arena_copy(struct arena *arena, struct slice bytes)
{
    if (bytes.len == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, bytes.len + 1);
    if (!copy)
        return NULL;
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return copy;
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    CHECK(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    if (text)
        (void)vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}
