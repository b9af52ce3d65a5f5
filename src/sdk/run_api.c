/* What a function may ask of its run, and how it ends it: the parts of <dispatchrun/function.h> that take a `call`. */
#include "sdk/run.h"

#include <stdarg.h>
#include <string.h>

const dr_value *dr_input(const dr_call *call)
{
    return call->input;
}

const dr_value *dr_argument(const dr_call *call, size_t i)
{
    if (call->arguments)
        return dr_value_at(call->arguments, i);
    return i == 0 ? call->input : NULL;
}

const dr_value *dr_keyword(const dr_call *call, const char *name)
{
    return dr_value_get(call->keywords, name);
}

const char *dr_dispatch_id(const dr_call *call)
{
    return call->dispatch_id;
}

const char *dr_parent_dispatch_id(const dr_call *call)
{
    return call->parent_dispatch_id;
}

const char *dr_root_dispatch_id(const dr_call *call)
{
    return call->root_dispatch_id;
}

int64_t dr_creation_time(const dr_call *call)
{
    return call->creation_ns;
}

int64_t dr_expiration_time(const dr_call *call)
{
    return call->expiration_ns;
}

int64_t dr_now(const dr_call *call)
{
    return call->n_revealed ? call->journal.resumes[call->n_revealed - 1].now_ns : call->creation_ns;
}

uint64_t dr_random(dr_call *call)
{
    /* splitmix64: any state is a good one, and it starts from the dispatch id */
    uint64_t z = call->random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A run that is out of memory ends there, to be attempted again: no function has to check for NULL. What was deferred runs
 * outside of the run and gets the NULL. */
static void need(dr_call *call, const void *pointer)
{
    if (!pointer && caller_current() == &call->caller)
        call->caller.methods->give_up(&call->caller, NULL);
}

void *dr_alloc(dr_call *call, size_t size)
{
    void *memory = arena_alloc(&call->caller.arena, size);
    need(call, memory);
    return memory;
}

const char *dr_format(dr_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(&call->caller.arena, format, args);
    va_end(args);
    need(call, text);
    return text;
}

dr_code dr_defer(dr_call *call, void (*fn)(void *arg), void *arg)
{
    return caller_defer(&call->caller, fn, arg);
}

const dr_value *dr_keep(dr_call *call, dr_value *value)
{
    const dr_value *kept = caller_keep(&call->caller, value);
    if (value)
        need(call, kept);
    return kept;
}

static dr_outcome end(dr_call *call, enum run_end how)
{
    call->end = how;
    return (dr_outcome){.kind = (int)how};
}

dr_outcome dr_return_value(dr_call *call, dr_value *value)
{
    if (!value)
        return end(call, RUN_NO_MEMORY); /* a value that could not be made */
    dr_value_unref(call->output);
    call->output = value;
    call->status = DR_STATUS_OK;
    return end(call, RUN_RETURNED);
}

dr_outcome dr_fail(dr_call *call, dr_status status, const char *type, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call->error_message = arena_vprintf(&call->caller.arena, format, args);
    va_end(args);
    call->error_type = arena_copy(&call->caller.arena, slice_text(type ? type : "Error"));
    call->status = status == DR_STATUS_OK ? DR_STATUS_PERMANENT_ERROR : status;
    call->error_value = call->error_traceback = (struct slice){0};
    return end(call, call->error_message && call->error_type ? RUN_FAILED : RUN_NO_MEMORY);
}

dr_outcome dr_fail_errno(dr_call *call, int error_number, const char *what)
{
    char text[128] = "";
    const char *message = strerror_r(error_number, text, sizeof text);
    return dr_fail(call, dr_status_of_errno(error_number), "OSError", "%s: %s", what, message);
}

dr_outcome dr_fail_http(dr_call *call, int http_status, const char *what)
{
    return dr_fail(call, dr_status_of_http(http_status), "HTTPError", "%s: HTTP status %d", what, http_status);
}

dr_outcome dr_fail_tls(dr_call *call, const char *reason, const char *what)
{
    return dr_fail(call, DR_STATUS_TLS_ERROR, "TLSError", "%s: %s", what, reason);
}

dr_outcome dr_become_value(dr_call *call, const dr_function *function, dr_value *input)
{
    if (!input)
        return end(call, RUN_NO_MEMORY);
    dr_value_unref(call->output);
    call->output = input;
    call->status = DR_STATUS_OK;
    call->tail_function = function->name;
    call->tail_endpoint = function->endpoint;
    call->tail_is_python = function->is_python;
    return end(call, RUN_BECAME);
}
