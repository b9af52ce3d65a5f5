/* A caller: whoever may begin calls and wait for them. Two kinds: a run of a function (run.h), which suspends, and a test
 * (test_body.h), which blocks. This file is what they share: tasks, memory, and the waiting of function.h.
 *
 * The caller of the present thread is found through a thread-local pointer, so that dr_await needs no argument. */
#ifndef SDK_CALLER_H
#define SDK_CALLER_H

#include "base/arena.h"
#include "sdk/result.h"
#include <dispatchrun/function.h>

struct caller;

struct dr_task {
    uint64_t number;        /* 1, 2, 3, ... in order of beginning: the correlation id */
    const char *function;
    const char *endpoint;   /* NULL = where the caller is */
    const char *version;
    int64_t expiration_ns;
    dr_value *input;        /* owned by the caller */
    bool is_python;         /* takes arguments */
    dr_result *result;      /* owned; NULL until it is there */
    char id[DR_ID_SIZE];    /* where the kind of caller knows it */
};

struct caller_methods {
    /* A task was begun; may send it. */
    void (*on_begin)(struct caller *caller, struct dr_task *task);
    /* Returns once more results may be there: n_wanted of them if that many can come, or max_wait_ns (< 0: none) over. True
     * when the time is over. */
    bool (*wait_more)(struct caller *caller, size_t n_wanted, int64_t max_wait_ns);
    /* Ends the caller because of this task (NULL: out of memory). Does not return. */
    void (*give_up)(struct caller *caller, const struct dr_task *task);
    /* A check failed inside it. Does not return. */
    void (*fail)(struct caller *caller, const char *message);
    int64_t (*now_ns)(const struct caller *caller);
};

struct caller {
    const struct caller_methods *methods;
    struct arena arena;
    struct dr_task **tasks; /* by number - 1 */
    size_t n_tasks, cap_tasks;
    size_t n_done;
    dr_value **kept;
    size_t n_kept, cap_kept;
    struct caller_defer *defers; /* last first */
};

void caller_init(struct caller *caller, const struct caller_methods *methods);
/* Runs what was deferred, then frees. */
void caller_deinit(struct caller *caller);
/* Runs what was deferred; harmless the second time. */
void caller_run_defers(struct caller *caller);
dr_code caller_defer(struct caller *caller, void (*fn)(void *arg), void *arg);
/* Takes the value; NULL passes through. NULL when out of memory. */
const dr_value *caller_keep(struct caller *caller, dr_value *value);
/* What travels as the input: an owned reference to it, or for Python the message of its arguments. DR_INVALID_ARGUMENT for
 * what cannot be pickled; DR_NO_MEMORY. On the stack of a thread (value_wire.h). */
dr_code caller_pack_input(const dr_value *input, bool is_python, dr_value **ret_packed, struct dr_error *error);
/* Takes the result. False when there is no such task, or it has one already. */
bool caller_set_result(struct caller *caller, uint64_t number, dr_result *result);

/* Of the present thread; NULL outside. Never inlined, because a coroutine may have changed threads. */
struct caller *caller_current(void);
/* Returns the one before. */
struct caller *caller_set_current(struct caller *caller);

#endif
