#include "sdk/stack.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(feature) 0 /* gcc says it with macros */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define FRAME_GROWTH 4 /* guarded variables make frames larger */
#else
#define FRAME_GROWTH 1
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes) (void)(start)
#endif

/* Valgrind would take a stack beside a thread's for a part of it. */
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stack kept[STACKS_KEPT_MAX];
static unsigned n_kept;

static dr_code map(size_t bytes, struct stack *ret_stack)
{
    char *mapping = mmap(NULL, STACK_GUARD_BYTES + bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return DR_NO_MEMORY;
    if (mprotect(mapping, STACK_GUARD_BYTES, PROT_NONE) != 0) {
        munmap(mapping, STACK_GUARD_BYTES + bytes);
        return DR_NO_MEMORY;
    }
    *ret_stack = (struct stack){.start = mapping + STACK_GUARD_BYTES, .bytes = bytes};
    ret_stack->valgrind_id = VALGRIND_STACK_REGISTER(ret_stack->start, mapping + STACK_GUARD_BYTES + bytes);
    return DR_OK;
}

dr_code stack_take(size_t bytes, struct stack *ret_stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes < STACK_BYTES_MIN)
        bytes = STACK_BYTES_MIN;
    if (bytes > SIZE_MAX / 8)
        return DR_NO_MEMORY;
    bytes = (FRAME_GROWTH * bytes + page - 1) / page * page;
    pthread_mutex_lock(&lock);
    unsigned i = n_kept;
    while (i > 0 && kept[i - 1].bytes != bytes)
        i--;
    if (i > 0) { /* the one released last is still in the caches */
        *ret_stack = kept[i - 1];
        kept[i - 1] = kept[--n_kept];
    }
    pthread_mutex_unlock(&lock);
    return i > 0 ? DR_OK : map(bytes, ret_stack);
}

void stack_release(struct stack *stack)
{
    /* frames that were dropped leave marks of their variables */
    ASAN_UNPOISON_MEMORY_REGION(stack->start, stack->bytes);
    pthread_mutex_lock(&lock);
    int is_kept = n_kept < STACKS_KEPT_MAX;
    if (is_kept)
        kept[n_kept++] = *stack;
    pthread_mutex_unlock(&lock);
    if (is_kept)
        return;
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    munmap((char *)stack->start - STACK_GUARD_BYTES, STACK_GUARD_BYTES + stack->bytes);
}
