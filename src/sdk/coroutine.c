#include "sdk/coroutine.h"

#include "base/check.h"
#include "base/mem.h"
#include "sdk/context.h"
#include "sdk/stack.h"

#ifndef __has_feature
#define __has_feature(feature) 0 /* gcc says it with macros */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HAS_ASAN 1
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

struct coroutine {
    struct context inside;
    struct context outside;
    void (*body)(void *arg);
    void *arg;
    struct stack stack;
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

static void enter(struct coroutine *coroutine)
{
#if HAS_TSAN
    coroutine->outside_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(coroutine->inside_fiber, 0);
#endif
#if HAS_ASAN
    __sanitizer_start_switch_fiber(&coroutine->outside_fake, coroutine->stack.start,
                                   coroutine->stack.bytes);
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
    coroutine->body = body;
    coroutine->arg = arg;
    if (stack_take(bytes, &coroutine->stack) != DR_OK) {
        mem_free(coroutine);
        return DR_NO_MEMORY;
    }
    if (context_prepare(&coroutine->inside, coroutine->stack.start, coroutine->stack.bytes, start, coroutine) != DR_OK) {
        stack_release(&coroutine->stack);
        mem_free(coroutine);
        return DR_NO_MEMORY;
    }
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
    stack_release(&coroutine->stack);
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
