/* Stacks for coroutines: mapped, with a guard below, so that an overflow is a fault and never silent. A few that were
 * released are kept for the next, because mapping costs more than a short function. Any thread. */
#ifndef SDK_STACK_H
#define SDK_STACK_H

#include <dispatchrun/error.h>
#include <stddef.h>

#define STACK_BYTES_MIN (64 * 1024)
#define STACKS_KEPT_MAX 64
/* Address space only. A frame larger than this could step over it, unless its code is compiled with
 * -fstack-clash-protection. */
#define STACK_GUARD_BYTES (256 * 1024)

struct stack {
    void *start;           /* lowest address of what can be used */
    size_t bytes;
    unsigned valgrind_id;
};

/* At least `bytes`. What is on it is undefined. DR_NO_MEMORY. */
dr_code stack_take(size_t bytes, struct stack *ret_stack);
void stack_release(struct stack *stack);

#endif
