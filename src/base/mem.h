/* Memory: the only door to the heap, so that a test can make the n-th allocation fail.
 *
 * mem_alloc, mem_realloc: NULL on failure; the caller reports DR_NO_MEMORY. Use them wherever the
 * size comes from outside or the code is part of libdispatchrun.
 * mem_must_*: abort on failure. For the small fixed-size objects of engine and server only: the
 * process is crash-only, and a restart reads everything back (docs/decisions). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t size);                 /* uninitialised; size 0 gives a unique pointer */
void *mem_zalloc(size_t size);                /* zeroed */
void *mem_realloc(void *pointer, size_t size);/* pointer survives a failure */
void mem_free(void *pointer);                 /* accepts NULL */
char *mem_strndup(const char *text, size_t len); /* adds the final NUL; NULL on failure */

void *mem_must_alloc(size_t size);
void *mem_must_zalloc(size_t size);
void *mem_must_realloc(void *pointer, size_t size);

/* Tests only: make the n-th allocation from now (1 = the next) fail, once; 0 switches off.
 * Per process, atomic. mem_fault_hit() tells whether it has happened. */
void mem_fault_set(unsigned long nth);
int mem_fault_hit(void);
/* Tests only: an allocation fails when is_due() says so (any thread asks; is_must: it will abort); NULL switches off. */
void mem_fault_hook(bool (*is_due)(bool is_must));

#endif
