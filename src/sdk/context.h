/* A context: a place to go on from, on some stack. Below coroutine.h, which knows about stacks and sanitizers.
 *
 * x86_64 and aarch64 switch in some 20 to 40 instructions; elsewhere, and under shadow stacks, ucontext does it, with two
 * system calls each. */
#ifndef SDK_CONTEXT_H
#define SDK_CONTEXT_H

#include <dispatchrun/error.h>
#include <stddef.h>

#if (defined(__x86_64__) && !defined(__CET__) && !defined(__ILP32__)) || \
    (defined(__aarch64__) && !defined(__ARM_FEATURE_GCS_DEFAULT) && !defined(__ILP32__) && !defined(__AARCH64EB__))
#define CONTEXT_IS_ASSEMBLY 1
struct context {
    void *stack_pointer; /* what else belongs to it lies there */
};
#else
#define CONTEXT_IS_ASSEMBLY 0
#include <ucontext.h>
struct context {
    ucontext_t ucontext;
};
#endif

/* Makes a context that will run start(arg), which must not return, on this stack. DR_INTERNAL. */
dr_code context_prepare(struct context *context, void *stack, size_t stack_bytes, void (*start)(void *arg), void *arg);
/* Keeps this place in *here and goes on at *there. Returns when somebody switches to *here, maybe on another thread. The
 * signal mask stays the thread's. */
void context_switch(struct context *here, struct context *there);

#endif
