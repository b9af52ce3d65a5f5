/* Functions: named code that Dispatch calls, and what it may do while it runs.
 *
 *     DR_FUNCTION(greet)
 *     {
 *         return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
 *     }
 *
 * A function is plain C on a stack of its own. Where it awaits, it is *suspended*: the server remembers what it has
 * awaited so far (the journal), and resumes it when the results are there, hours later or in another process. While the
 * process lives, the stack is kept and nothing is run again. When it is gone, the function runs again from its
 * beginning and every await that was answered before is answered from the journal at once. So between awaits a function
 * must do the same thing each time: time comes from dr_now, randomness from dr_random, and what has an effect outside
 * belongs into a call of its own. A function that was changed so that its journal no longer fits starts afresh.
 *
 * Memory: texts and values that a function is given (dr_input, dr_await, dr_format, ...) live until its run ends. A run
 * that is suspended may never return, so what it holds by itself it registers with dr_defer.
 *
 * Errors: a call that failed ends the function that awaits it, with the same error; dr_try hands the failure out instead.
 *
 * Where functions are called from: inside a function, and inside a test (test.h). A program that only submits uses
 * client.h. Outside of both, begin gives NULL and the awaits return at once with nothing. */
#ifndef DISPATCHRUN_FUNCTION_H
#define DISPATCHRUN_FUNCTION_H

#include <dispatchrun/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One run of a function; what its code gets as `call`. One thread at a time. */
typedef struct dr_call dr_call;
/* How a run ended; made by dr_return, dr_fail and dr_become only. */
typedef struct dr_outcome {
    int kind;
} dr_outcome;
/* A call that was begun and can be awaited; lives as long as the run that began it. */
typedef struct dr_task dr_task;

/* Zero-initialise; must stay valid while it is registered. */
typedef struct dr_function {
    size_t size;                    /* sizeof(dr_function), or 0 for its first version */
    const char *name;               /* on the wire */
    dr_outcome (*run)(dr_call *call);
    const char *version;            /* NULL or a text: change it when suspended calls must start afresh */
    const char *endpoint;           /* where it is served, if not where its caller is; may be NULL */
    size_t stack_bytes;             /* 0 = DR_STACK_BYTES_DEFAULT */
    bool is_python;                 /* see DR_PYTHON_FUNCTION */
    struct dr_function *next;       /* the default registry's */
} dr_function;

/* Address space; memory is what a run touches of it. Enough for values as deep as they can be. */
#define DR_STACK_BYTES_DEFAULT (1024 * 1024)

/* Defines a function and registers it in the default registry before main. */
#define DR_FUNCTION(function_name)                                                                \
    static dr_outcome function_name##_run(dr_call *call);                                         \
    dr_function function_name = {sizeof(dr_function), #function_name, function_name##_run, 0, 0, 0, 0, 0}; \
    __attribute__((constructor)) static void function_name##_register(void)                       \
    {                                                                                             \
        dr_function_register(&function_name);                                                     \
    }                                                                                             \
    static dr_outcome function_name##_run(__attribute__((unused)) dr_call *call)

/* Puts a function into the default registry; the first of a name wins. For DR_FUNCTION. Borrows for ever. */
DR_API void dr_function_register(dr_function *function);
/* A function that is served elsewhere: only its name (and endpoint) are known here. */
#define DR_EXTERN_FUNCTION(c_name, wire_name, url) \
    static dr_function c_name = {sizeof(dr_function), wire_name, 0, 0, url, 0, 0, 0}
/* The same for a function of the Python SDK, which takes arguments: the input goes as its only argument, the null value as
 * none, and what dr_value_pickle_arguments made as it is. */
#define DR_PYTHON_FUNCTION(c_name, wire_name, url) \
    static dr_function c_name = {sizeof(dr_function), wire_name, 0, 0, url, 0, 1, 0}

/* ---- What a run knows ---- */

/* The input. From Python: its only argument, or the list of them. Borrowed; NULL (the null value) without input. */
DR_API const dr_value *dr_input(const dr_call *call);
/* Positional and keyword arguments of a call that was made with arguments, as Python does; else argument 0 is the input. */
DR_API const dr_value *dr_argument(const dr_call *call, size_t i);
DR_API const dr_value *dr_keyword(const dr_call *call, const char *name);
DR_API const char *dr_dispatch_id(const dr_call *call);
DR_API const char *dr_parent_dispatch_id(const dr_call *call); /* "" for a root */
DR_API const char *dr_root_dispatch_id(const dr_call *call);
/* ns since 1970: when the call was created, and when it expires. */
DR_API int64_t dr_creation_time(const dr_call *call);
DR_API int64_t dr_expiration_time(const dr_call *call);
/* The time of the last resume, or of the creation before the first one; the same in every run from the journal. */
DR_API int64_t dr_now(const dr_call *call);
/* 64 random bits that are the same in every run of this call. Not for secrets. */
DR_API uint64_t dr_random(dr_call *call);

/* ---- Memory of a run ----
 * When there is none left, the run ends here with a retryable failure (DR_STATUS_TEMPORARY_ERROR): it need not check for
 * NULL. Only in what was deferred they give NULL. */

DR_API void *dr_alloc(dr_call *call, size_t size);
DR_API const char *dr_format(dr_call *call, const char *format, ...) DR_PRINTF(2, 3);
/* Runs fn(arg) when the run ends, whichever way: returned, failed, dropped. Last in, first out. DR_NO_MEMORY: then fn has
 * been called already. */
DR_API dr_code dr_defer(dr_call *call, void (*fn)(void *arg), void *arg);
/* The run owns the value from now on (NULL passes through), so it may be forgotten. */
DR_API const dr_value *dr_keep(dr_call *call, dr_value *value);

/* ---- How a run ends ---- */

/* Takes the value. Status OK. */
DR_API dr_outcome dr_return_value(dr_call *call, dr_value *value);
/* Ends with a status, and a message if the status is a failure. A retryable status makes another attempt. */
DR_API dr_outcome dr_fail(dr_call *call, dr_status status, const char *type, const char *format, ...) DR_PRINTF(4, 5);
/* The status that fits errno, an HTTP status or a failure of TLS, with `what` was done and its text; `reason` is that of
 * the TLS library. */
DR_API dr_outcome dr_fail_errno(dr_call *call, int error_number, const char *what);
DR_API dr_outcome dr_fail_http(dr_call *call, int http_status, const char *what);
DR_API dr_outcome dr_fail_tls(dr_call *call, const char *reason, const char *what);
/* Tail call: this call becomes one of `function`, with the same id; nothing of this run remains. Takes the input. */
DR_API dr_outcome dr_become_value(dr_call *call, const dr_function *function, dr_value *input);

/* ---- Calling other functions ---- */

/* Begins a call without waiting for it; it is made when the run next awaits. Takes the input; one that is NULL (it could
 * not be made) counts as out of memory, which ends the caller. NULL outside of functions and tests only. */
DR_API dr_task *dr_begin_value(const dr_function *function, dr_value *input);
/* The same, whatever options it needs (expiration, version, another endpoint); function and input are in `options`. */
DR_API dr_task *dr_begin_call(const struct dr_call_options *options);
/* Waits until all are done. One that failed ends the caller, except for dr_try_all. */
DR_API void dr_gather(dr_task *const *tasks, size_t n);
DR_API void dr_try_all(dr_task *const *tasks, size_t n);
/* Waits for the first success and returns its index; if all fail, the last failure ends the caller. */
DR_API size_t dr_any(dr_task *const *tasks, size_t n);
/* Waits for the first to end, success or failure (a failure ends the caller), and returns its index. */
DR_API size_t dr_race(dr_task *const *tasks, size_t n);
/* After waiting: the output, and the whole result; NULL before. Borrowed. */
DR_API const dr_value *dr_task_value(const dr_task *task);
DR_API const dr_result *dr_task_result(const dr_task *task);
/* Begin and wait for one call: its output. */
DR_API const dr_value *dr_await_value(const dr_function *function, dr_value *input);
/* ... its result, failed or not. */
DR_API const dr_result *dr_try_value(const dr_function *function, dr_value *input);
/* A durable timer: costs no thread and no memory, survives restarts. */
DR_API void dr_sleep(int64_t ns);

#ifdef __cplusplus
}
#else
/* With any C value: dr_await(&greet, "World"), dr_return(call, 42). */
#define dr_return(call, x) dr_return_value((call), dr_value_of(x))
#define dr_become(call, function, x) dr_become_value((call), (function), dr_value_of(x))
#define dr_begin(function, x) dr_begin_value((function), dr_value_of(x))
#define dr_await(function, x) dr_await_value((function), dr_value_of(x))
#define dr_try(function, x) dr_try_value((function), dr_value_of(x))
#endif
#endif
