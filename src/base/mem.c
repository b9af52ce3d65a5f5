#include "base/mem.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_ulong fault_countdown; /* 0 = off */
static atomic_int fault_happened;
static bool (*_Atomic fault_hook)(bool is_must);

static int fault_is_due(void)
{
    bool (*hook)(bool) = atomic_load_explicit(&fault_hook, memory_order_relaxed);
    if (hook)
        return hook(false);
    unsigned long left = atomic_load_explicit(&fault_countdown, memory_order_relaxed);
    while (left != 0) {
        if (atomic_compare_exchange_weak(&fault_countdown, &left, left - 1)) {
            if (left != 1)
                return 0;
            atomic_store(&fault_happened, 1);
            return 1;
        }
    }
    return 0;
}

void mem_fault_set(unsigned long nth)
{
    atomic_store(&fault_happened, 0);
    atomic_store(&fault_countdown, nth);
}

void mem_fault_hook(bool (*is_due)(bool is_must)) { atomic_store(&fault_hook, is_due); }

int mem_fault_hit(void) { return atomic_load(&fault_happened); }

/* malloc(0) may be NULL elsewhere; one byte keeps "NULL is failure" true. */
static size_t at_least_one(size_t size) { return size ? size : 1; }

void *mem_alloc(size_t size) { return fault_is_due() ? NULL : malloc(at_least_one(size)); }

void *mem_zalloc(size_t size) { return fault_is_due() ? NULL : calloc(1, at_least_one(size)); }

void *mem_realloc(void *pointer, size_t size)
{
    return fault_is_due() ? NULL : realloc(pointer, at_least_one(size));
}

void mem_free(void *pointer) { free(pointer); }

char *mem_strndup(const char *text, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = mem_alloc(len + 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

/* The must family is outside the countdown: such a sweep would only show that abort aborts. The hook is asked: what
 * is on disk after it is worth a look. */
static int must_fault_is_due(void)
{
    bool (*hook)(bool) = atomic_load_explicit(&fault_hook, memory_order_relaxed);
    return hook && hook(true);
}

static void *must(void *pointer)
{
    CHECK(pointer && "out of memory");
    return pointer;
}

void *mem_must_alloc(size_t size) { return must(must_fault_is_due() ? NULL : malloc(at_least_one(size))); }

void *mem_must_zalloc(size_t size) { return must(must_fault_is_due() ? NULL : calloc(1, at_least_one(size))); }

void *mem_must_realloc(void *pointer, size_t size)
{
    return must(must_fault_is_due() ? NULL : realloc(pointer, at_least_one(size)));
}
