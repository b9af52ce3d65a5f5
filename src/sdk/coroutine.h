/* Stacks to run on: a body runs on its own stack, switches back in the middle, and goes on later, on any thread.
 *
 * One thread at a time uses a coroutine. A coroutine that is destroyed before its end is dropped: nothing on its stack
 * runs any more. An overflow of its stack is a fault and never silent.
 * Sanitizers are told of every switch. */
#ifndef SDK_COROUTINE_H
#define SDK_COROUTINE_H

#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>

struct coroutine;

/* body runs at the first resume and must not return but by coroutine_finish at its very end (done by the caller of
 * body). DR_NO_MEMORY. */
dr_code coroutine_create(size_t stack_bytes, void (*body)(void *arg), void *arg, struct coroutine **ret_coroutine);
void coroutine_destroy(struct coroutine *coroutine); /* accepts NULL; not from inside */
/* Runs it until it suspends or ends; true when it has ended. */
bool coroutine_resume(struct coroutine *coroutine);
/* From inside: back to who resumed it. Returns at the next resume, maybe on another thread: keep nothing of the thread
 * (errno, thread-local variables) across it. */
void coroutine_suspend(struct coroutine *coroutine);

#endif
