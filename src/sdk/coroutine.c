#include "sdk/coroutine.h"

#include "base/check.h"
#include "base/mem.h"
#include "sdk/context.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(feature) 0 /* gcc says it with macros */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HAS_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define HAS_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define HAS_TSAN 0
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

#define STACK_BYTES_MIN (64 * 1024)

struct coroutine {
    struct context inside;
    struct context outside;
    void (*body)(void *arg);
    void *arg;
    void *mapping;       /* guard page, then the stack */
    size_t mapping_bytes;
    size_t guard_bytes;
    unsigned valgrind_id;
    bool is_over;
#if HAS_ASAN
    void *inside_fake, *outside_fake;
    const void *outside_stack;
    size_t outside_bytes;
#endif
#if HAS_TSAN
    void *inside_fiber, *outside_fiber;
#endif
};

static void *stack_of(const struct coroutine *coroutine)
{
    return (char *)coroutine->mapping + coroutine->guard_bytes;
}

static size_t stack_bytes(const struct coroutine *coroutine)
{
    return coroutine->mapping_bytes - coroutine->guard_bytes;
}

static void enter(struct coroutine *coroutine)
{
#if HAS_TSAN
    coroutine->outside_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(coroutine->inside_fiber, 0);
#endif
#if HAS_ASAN
    __sanitizer_start_switch_fiber(&coroutine->outside_fake, stack_of(coroutine), stack_bytes(coroutine));
#endif
    context_switch(&coroutine->outside, &coroutine->inside);
#if HAS_ASAN
    __sanitizer_finish_switch_fiber(coroutine->outside_fake, NULL, NULL);
#endif
}

static void leave(struct coroutine *coroutine)
{
#if HAS_TSAN
    __tsan_switch_to_fiber(coroutine->outside_fiber, 0);
#endif
#if HAS_ASAN
    __sanitizer_start_switch_fiber(coroutine->is_over ? NULL : &coroutine->inside_fake, coroutine->outside_stack,
                                   coroutine->outside_bytes);
#endif
    context_switch(&coroutine->inside, &coroutine->outside);
#if HAS_ASAN
    __sanitizer_finish_switch_fiber(coroutine->inside_fake, &coroutine->outside_stack, &coroutine->outside_bytes);
#endif
}

static void start(void *arg)
{
    struct coroutine *coroutine = arg;
#if HAS_ASAN
    __sanitizer_finish_switch_fiber(NULL, &coroutine->outside_stack, &coroutine->outside_bytes);
#endif
    coroutine->body(coroutine->arg);
    coroutine->is_over = true;
    leave(coroutine);
    CHECK(!"a coroutine that is over runs on");
}

dr_code coroutine_create(size_t bytes, void (*body)(void *arg), void *arg, struct coroutine **ret_coroutine)
{
    struct coroutine *coroutine = mem_zalloc(sizeof *coroutine);
    if (!coroutine)
        return DR_NO_MEMORY;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes < STACK_BYTES_MIN)
        bytes = STACK_BYTES_MIN;
    coroutine->guard_bytes = page;
    coroutine->mapping_bytes = (bytes + page - 1) / page * page + page;
    coroutine->mapping = mmap(NULL, coroutine->mapping_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (coroutine->mapping == MAP_FAILED) {
        mem_free(coroutine);
        return DR_NO_MEMORY;
    }
    if (mprotect(coroutine->mapping, page, PROT_NONE) != 0 ||
        context_prepare(&coroutine->inside, stack_of(coroutine), stack_bytes(coroutine), start, coroutine) != DR_OK) {
        munmap(coroutine->mapping, coroutine->mapping_bytes);
        mem_free(coroutine);
        return DR_NO_MEMORY;
    }
    coroutine->body = body;
    coroutine->arg = arg;
    coroutine->valgrind_id = VALGRIND_STACK_REGISTER(stack_of(coroutine), (char *)stack_of(coroutine) + stack_bytes(coroutine));
#if HAS_TSAN
    coroutine->inside_fiber = __tsan_create_fiber(0);
#endif
    *ret_coroutine = coroutine;
    return DR_OK;
}

void coroutine_destroy(struct coroutine *coroutine)
{
    if (!coroutine)
        return;
#if HAS_TSAN
    __tsan_destroy_fiber(coroutine->inside_fiber);
#endif
#if HAS_ASAN
    /* frames that were dropped leave marks of their variables, and the next mapping may be here */
    ASAN_UNPOISON_MEMORY_REGION(stack_of(coroutine), stack_bytes(coroutine));
#endif
    VALGRIND_STACK_DEREGISTER(coroutine->valgrind_id);
    munmap(coroutine->mapping, coroutine->mapping_bytes);
    mem_free(coroutine);
}

bool coroutine_resume(struct coroutine *coroutine)
{
    CHECK(!coroutine->is_over);
    enter(coroutine);
    return coroutine->is_over;
}

void coroutine_suspend(struct coroutine *coroutine)
{
    leave(coroutine);
}
