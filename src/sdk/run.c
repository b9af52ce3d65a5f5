/* Making runs, going through journals, suspending and ending. What a function may ask is in run_api.c, what goes to the
 * wire in run_encode.c. */
#include "sdk/run.h"

#include "base/check.h"
#include "base/error.h"
#include "base/mem.h"
#include "sdk/value_wire.h"
#include "wire/wire.h"

#include <stdio.h>

uint64_t run_fingerprint(const dr_function *function)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const char *texts[2] = {function->name, function->version ? function->version : ""};
    for (int i = 0; i < 2; i++)
        for (const char *c = texts[i];; c++) {
            hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
            if (!*c)
                break;
        }
    return hash;
}

static struct dr_call *of_caller(struct caller *caller)
{
    return (struct dr_call *)caller; /* its first member */
}

/* From inside: the run is over, and its stack is dropped. */
static void end_here(struct dr_call *call, enum run_end end)
{
    call->end = end;
    coroutine_suspend(call->coroutine);
    CHECK(!"a run that has ended runs on");
}

static void incompatible(struct dr_call *call, const char *what)
{
    call->error_message = what;
    end_here(call, RUN_INCOMPATIBLE);
}

/* The journal must tell of the same calls as this run has begun. */
static void check_calls(struct dr_call *call, const struct journal_resume *resume)
{
    size_t n_new = call->caller.n_tasks - call->n_sent;
    size_t n_carried = resume->n_unsent <= n_new ? n_new - resume->n_unsent : 0;
    bool is_same = resume->n_calls == call->caller.n_tasks &&
                   resume->n_functions == call->caller.n_tasks - call->n_named &&
                   n_carried <= DR_CALLS_MAX && (n_carried > 0 || n_new == 0) && resume->n_unsent <= n_new;
    for (size_t i = 0; i < resume->n_functions && is_same; i++)
        is_same = strcmp(resume->functions[i], call->caller.tasks[call->n_named + i]->function) == 0;
    if (!is_same)
        incompatible(call, "the function began other calls than its journal tells");
}

struct run_terms run_terms(const struct dr_call *call, size_t n_unsent)
{
    size_t n_outstanding = call->caller.n_tasks - call->caller.n_done;
    size_t n_wanted = call->n_wanted < n_outstanding ? call->n_wanted : n_outstanding;
    if (n_unsent > 0)
        n_wanted = 1; /* come back soon: there are more calls to make */
    if (n_wanted > DR_CALLS_MAX)
        n_wanted = DR_CALLS_MAX;
    return (struct run_terms){.min_results = n_wanted > 0 ? n_wanted : 1,
                              .max_results =
                                  n_outstanding > 0 && n_outstanding < DR_CALLS_MAX ? n_outstanding : DR_CALLS_MAX};
}

/* Gives the function what the next resume of its journal brought. True when it came because the time was over. */
static bool reveal(struct dr_call *call)
{
    const struct journal_resume *resume = &call->journal.resumes[call->n_revealed];
    check_calls(call, resume);
    struct run_terms terms = run_terms(call, resume->n_unsent);
    call->n_named = call->caller.n_tasks;
    call->n_sent = call->caller.n_tasks - resume->n_unsent;
    dr_result **results = call->results[call->n_revealed];
    for (size_t i = 0; i < resume->n_results; i++) {
        dr_result *result = results[i];
        results[i] = NULL;
        (void)caller_set_result(&call->caller, dr_result_correlation_id(result), result); /* a stranger is dropped */
    }
    call->n_revealed++;
    if (resume->poll_error[0]) {
        call->status = DR_STATUS_INVALID_ARGUMENT;
        call->error_type = "PollError";
        call->error_message = resume->poll_error;
        end_here(call, RUN_FAILED);
    }
    return resume->n_results < terms.min_results;
}

/* Before results come: a run that has begun other calls than its poll made would take theirs for its own. */
static void suspend(struct dr_call *call)
{
    if (call->is_restored)
        check_calls(call, &call->journal.pending);
    call->is_restored = false;
    coroutine_suspend(call->coroutine);
}

static bool wait_more(struct caller *caller, size_t n_wanted, int64_t max_wait_ns)
{
    struct dr_call *call = of_caller(caller);
    call->n_wanted = n_wanted;
    call->max_wait_ns = max_wait_ns;
    if (call->n_revealed == call->journal.n_resumes)
        suspend(call);
    bool is_time_over = reveal(call);
    return max_wait_ns >= 0 && is_time_over;
}

static void on_begin(struct caller *caller, struct dr_task *task)
{
    (void)caller;
    (void)task; /* it is sent with the next poll */
}

static void give_up(struct caller *caller, const struct dr_task *task)
{
    struct dr_call *call = of_caller(caller);
    if (!task)
        end_here(call, RUN_NO_MEMORY);
    size_t value_len = 0;
    const void *value = dr_result_error_value(task->result, &value_len);
    call->status = dr_result_status(task->result);
    if (call->status == DR_STATUS_UNSPECIFIED || call->status == DR_STATUS_OK)
        call->status = DR_STATUS_PERMANENT_ERROR; /* the wire does not carry a child's status (protocol 4.7) */
    call->error_type = dr_result_error_type(task->result);
    call->error_message = dr_result_error_message(task->result);
    call->error_value = slice_of(value, value_len);
    call->error_traceback = slice_text(dr_result_traceback(task->result));
    end_here(call, RUN_FAILED);
}

static void fail(struct caller *caller, const char *message)
{
    struct dr_call *call = of_caller(caller);
    call->status = DR_STATUS_PERMANENT_ERROR;
    call->error_type = "AssertionError";
    call->error_message = arena_copy(&caller->arena, slice_text(message));
    end_here(call, call->error_message ? RUN_FAILED : RUN_NO_MEMORY);
}

static int64_t now_ns(const struct caller *caller)
{
    return dr_now((const struct dr_call *)caller);
}

static const struct caller_methods METHODS = {
    .on_begin = on_begin, .wait_more = wait_more, .give_up = give_up, .fail = fail, .now_ns = now_ns};

static void body(void *arg)
{
    struct dr_call *call = arg;
    (void)call->function->run(call);
    if (call->end == RUN_GOES_ON) {
        call->status = DR_STATUS_PERMANENT_ERROR;
        call->error_type = "InvalidResponseError";
        call->error_message = "the function returned without dr_return, dr_fail or dr_become";
        call->end = RUN_FAILED;
    }
}

/* ---- making ---- */

static const char *copy(struct dr_call *call, struct slice text)
{
    return arena_copy(&call->caller.arena, text);
}

static struct dr_call *create(const dr_function *function, const struct wire_run_request *request)
{
    struct dr_call *call = mem_zalloc(sizeof *call);
    if (!call)
        return NULL;
    caller_init(&call->caller, &METHODS);
    call->function = function;
    call->dispatch_id = copy(call, request->dispatch_id);
    call->parent_dispatch_id = copy(call, request->parent_dispatch_id);
    call->root_dispatch_id = copy(call, request->root_dispatch_id);
    call->creation_ns = request->creation_ns;
    call->expiration_ns = request->expiration_ns;
    call->journal.fingerprint = run_fingerprint(function);
    call->random_state = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < request->dispatch_id.len; i++)
        call->random_state = (call->random_state ^ request->dispatch_id.data[i]) * UINT64_C(0x100000001b3);
    bool is_complete = call->dispatch_id && call->parent_dispatch_id && call->root_dispatch_id;
    size_t bytes = function->stack_bytes ? function->stack_bytes : DR_STACK_BYTES_DEFAULT;
    if (!is_complete || coroutine_create(bytes, body, call, &call->coroutine) != DR_OK) {
        run_destroy(call);
        return NULL;
    }
    return call;
}

/* Called with arguments, as Python calls: one positional argument alone is the input. */
static dr_code read_arguments(struct dr_call *call, struct dr_error *error)
{
    dr_value *arguments = NULL, *keywords = NULL;
    if (dr_value_kind(call->input) != DR_KIND_MESSAGE)
        return DR_OK;
    dr_code code = dr_value_unpickle_arguments(call->input, &arguments, &keywords, NULL);
    if (code == DR_NO_MEMORY)
        return error_set(error, code, "read the arguments: out of memory");
    if (code)
        return DR_OK; /* some other message: the function gets it as it is */
    call->arguments = arguments;
    call->keywords = keywords;
    dr_value_unref(call->input);
    bool is_single = dr_value_len(arguments) == 1 && dr_value_len(keywords) == 0;
    call->input = dr_value_ref(is_single ? dr_value_at(arguments, 0) : arguments);
    return DR_OK;
}

static dr_code read_input(struct dr_call *call, struct slice any, struct dr_error *error)
{
    if (any.data) {
        char *kept = arena_copy(&call->caller.arena, any);
        if (!kept)
            return error_set(error, DR_NO_MEMORY, "read the input: out of memory");
        call->journal.input = slice_of(kept, any.len);
    }
    dr_code code = value_decode_any(any, &call->input, error);
    return code ? code : read_arguments(call, error);
}

struct dr_call *run_create(const dr_function *function, const struct wire_run_request *request,
                           struct dr_error *error)
{
    struct dr_call *call = create(function, request);
    if (!call) {
        error_set(error, DR_NO_MEMORY, "run %s: out of memory", function->name);
        return NULL;
    }
    if (read_input(call, request->input, error) != DR_OK) {
        run_destroy(call);
        return NULL;
    }
    return call;
}

static dr_code decode_results(struct dr_call *call, const struct journal_resume *resume, dr_result ***ret_results,
                              struct dr_error *error)
{
    dr_result **results = arena_zalloc(&call->caller.arena, (resume->n_results + 1) * sizeof *results);
    dr_code code = results ? DR_OK : error_set(error, DR_NO_MEMORY, "read results: out of memory");
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < resume->n_results && !code; i++) {
        struct wire_result wire;
        code = wire_result_decode(resume->results[i], &arena, &wire, error);
        if (!code)
            code = result_create(&wire, DR_STATUS_UNSPECIFIED, &results[i], error);
    }
    arena_deinit(&arena);
    if (results)
        *ret_results = results;
    return code;
}

/* Decodes the results of the resumes that are not decoded yet. */
static dr_code decode_new(struct dr_call *call, size_t n_known, struct dr_error *error)
{
    size_t n = call->journal.n_resumes;
    dr_result ***grown = arena_zalloc(&call->caller.arena, (n + 1) * sizeof *grown);
    if (!grown)
        return error_set(error, DR_NO_MEMORY, "read results: out of memory");
    if (n_known)
        memcpy(grown, call->results, n_known * sizeof *grown);
    call->results = grown;
    dr_code code = DR_OK;
    for (size_t i = n_known; i < n && !code; i++)
        code = decode_results(call, &call->journal.resumes[i], &call->results[i], error);
    return code;
}

dr_code run_restore(const dr_function *function, const struct wire_run_request *request, struct dr_call **ret_call,
                    struct dr_error *error)
{
    struct dr_call *call = create(function, request);
    if (!call)
        return error_set(error, DR_NO_MEMORY, "run %s: out of memory", function->name);
    struct slice state = request->poll_result.state;
    char *kept = request->poll_result.state_arm == WIRE_STATE_TYPED ? arena_copy(&call->caller.arena, state) : NULL;
    struct journal journal = {0};
    dr_code code = kept ? journal_decode(slice_of(kept, state.len), &call->caller.arena, &journal, error)
                        : error_set(error, DR_FAILED_PRECONDITION, "the state is not a journal of a C function");
    if (!code && journal.fingerprint != run_fingerprint(function))
        code = error_set(error, DR_FAILED_PRECONDITION, "the journal is of another version of %s", function->name);
    if (!code) {
        call->journal = journal;
        call->is_restored = true;
        code = decode_new(call, 0, error);
    }
    if (!code)
        code = read_input(call, journal.input, error);
    if (code)
        run_destroy(call);
    else
        *ret_call = call;
    return code;
}

static bool copy_results(struct dr_call *call, const struct wire_poll_result *poll, struct journal_resume *resume)
{
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    resume->results = arena_zalloc(&call->caller.arena, (poll->n_results + 1) * sizeof *resume->results);
    bool is_fine = resume->results != NULL;
    for (size_t i = 0; i < poll->n_results && is_fine; i++) {
        buf_clear(&buf);
        is_fine = wire_result_encode(&poll->results[i], &buf, NULL) == DR_OK;
        const char *bytes = is_fine ? arena_copy(&call->caller.arena, buf_slice(&buf)) : NULL;
        is_fine = bytes != NULL;
        resume->results[i] = slice_of(bytes, buf.len);
    }
    resume->n_results = is_fine ? poll->n_results : 0;
    buf_deinit(&buf);
    return is_fine;
}

dr_code run_note_suspension(struct dr_call *call, struct dr_error *error)
{
    size_t n = call->caller.n_tasks - call->n_named;
    const char **functions = arena_alloc(&call->caller.arena, (n + 1) * sizeof *functions);
    if (!functions)
        return error_set(error, DR_NO_MEMORY, "suspend: out of memory");
    for (size_t i = 0; i < n; i++)
        functions[i] = call->caller.tasks[call->n_named + i]->function;
    call->journal.pending = (struct journal_resume){
        .n_calls = (uint32_t)call->caller.n_tasks, .functions = functions, .n_functions = n, .poll_error = ""};
    return DR_OK;
}

dr_code run_add_resume(struct dr_call *call, const struct wire_poll_result *poll, int64_t resume_now_ns,
                       struct dr_error *error)
{
    struct journal_resume *resume = journal_add(&call->journal, &call->caller.arena);
    if (!resume)
        return error_set(error, DR_NO_MEMORY, "resume: out of memory");
    *resume = call->journal.pending;
    resume->now_ns = resume_now_ns;
    resume->poll_error = "";
    if (poll->has_error) {
        struct slice message = poll->error.message.len ? poll->error.message : slice_text("the poll was refused");
        resume->poll_error = arena_copy(&call->caller.arena, message);
    }
    bool is_complete = resume->poll_error && copy_results(call, poll, resume);
    if (!resume->poll_error)
        resume->poll_error = "";
    if (!is_complete)
        return error_set(error, DR_NO_MEMORY, "resume: out of memory");
    return decode_new(call, call->journal.n_resumes - 1, error);
}

void run_continue(struct dr_call *call)
{
    CHECK(call->end == RUN_GOES_ON);
    struct caller *before = caller_set_current(&call->caller);
    bool is_over = coroutine_resume(call->coroutine);
    caller_set_current(before);
    CHECK(!is_over || call->end != RUN_GOES_ON);
}

void run_destroy(struct dr_call *call)
{
    if (!call)
        return;
    caller_run_defers(&call->caller); /* while the stack they may point to is there */
    coroutine_destroy(call->coroutine);
    for (size_t i = 0; call->results && i < call->journal.n_resumes; i++)
        for (size_t k = 0; call->results[i] && k < call->journal.resumes[i].n_results; k++)
            dr_result_unref(call->results[i][k]);
    dr_value_unref(call->input);
    dr_value_unref(call->arguments);
    dr_value_unref(call->keywords);
    dr_value_unref(call->output);
    mem_free(call->state);
    caller_deinit(&call->caller);
    mem_free(call);
}
