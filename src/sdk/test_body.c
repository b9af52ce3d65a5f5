/* A test's body: the caller that blocks instead of suspending. It runs on a stack of its own only so that a failed check
 * can leave it in the middle. */
#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "sdk/caller.h"
#include "sdk/coroutine.h"
#include "sdk/test_server.h"
#include "sdk/value_wire.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define TEST_STACK_BYTES (1024 * 1024)
#define TRACE_BYTES_MAX 1000000

struct test_body {
    struct caller caller;
    struct dr_test_server *server;
    struct coroutine *coroutine;
    void (*body)(void *arg);
    void *arg;
    bool has_failed;
    char failure[DR_ERROR_MESSAGE_SIZE];

    /* what callbacks of the driver bring, under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n_waiting;        /* waits whose callback is to come */
    size_t n_arrived;
};

struct waiting {
    struct test_body *test;
    struct dr_task *task;
    uint64_t token;
    dr_result *result;       /* what arrived; under the lock */
    bool is_over;
};

struct submitting {
    struct test_body *test;
    bool is_over;
    dr_code code;
    char message[200];
    char *id;
};

static struct test_body *of_caller(const struct caller *caller)
{
    return (struct test_body *)(uintptr_t)caller; /* its first member */
}

static void leave(struct test_body *test)
{
    test->has_failed = true;
    coroutine_suspend(test->coroutine);
}

static void fail(struct caller *caller, const char *message)
{
    struct test_body *test = of_caller(caller);
    if (!test->has_failed) /* the first failure is the verdict */
        snprintf(test->failure, sizeof test->failure, "%s", message);
    leave(test);
}

/* ---- submitting ---- */

static void on_ids(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    struct submitting *submitting = arg;
    struct test_body *test = submitting->test;
    pthread_mutex_lock(&test->lock);
    submitting->code = code;
    if (message)
        snprintf(submitting->message, sizeof submitting->message, "%s", message);
    if (!code && n_ids == 1)
        id_format(ids[0], submitting->id);
    submitting->is_over = true;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
}

static dr_code submit_here(struct test_body *test, const struct dr_task *task, const dr_value *input, char *ret_id,
                           struct dr_error *error)
{
    struct buf any;
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = value_encode_any(input, &any, error);
    const char *endpoint = task->endpoint ? task->endpoint : test_server_endpoint(test->server);
    struct wire_call call = {.endpoint = slice_text(endpoint), .function = slice_text(task->function),
                             .input = buf_slice(&any), .expiration_ns = task->expiration_ns,
                             .version = slice_text(task->version)};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    struct submitting submitting = {.test = test, .id = ret_id};
    struct driver_submit submit = {.project = 1, .request = &request, .n_bytes = any.len, .on_done = on_ids,
                                   .arg = &submitting};
    if (!code)
        code = driver_submit(test_server_driver(test->server), &submit, error);
    if (!code) {
        pthread_mutex_lock(&test->lock);
        while (!submitting.is_over)
            pthread_cond_wait(&test->changed, &test->lock);
        pthread_mutex_unlock(&test->lock);
        code = submitting.code;
        if (code)
            error_set(error, code, "%s", submitting.message);
    }
    buf_deinit(&any);
    return code;
}

static dr_code submit(struct test_body *test, const struct dr_task *task, char *ret_id, struct dr_error *error)
{
    dr_client *client = test_server_client(test->server);
    const char *endpoint = task->endpoint ? task->endpoint : test_server_endpoint(test->server);
    struct dr_call_options call = {.function = task->function, .endpoint = endpoint,
                                   .expiration_ns = task->expiration_ns, .version = task->version};
    dr_value *input = NULL;
    dr_code code = caller_pack_input(task->input, task->is_python, &input, error);
    call.input = input;
    if (!code)
        code = client ? dr_client_submit(client, &call, ret_id, error) : submit_here(test, task, input, ret_id, error);
    dr_value_unref(input);
    return code;
}

static void on_begin(struct caller *caller, struct dr_task *task)
{
    struct dr_error error = {0};
    if (submit(of_caller(caller), task, task->id, &error) == DR_OK)
        return;
    char message[DR_ERROR_MESSAGE_SIZE];
    snprintf(message, sizeof message, "call %s: %.400s", task->function, error.message);
    fail(caller, message);
}

/* ---- waiting ---- */

static dr_result *result_of(const struct call_record *record)
{
    struct wire_result wire = {.output = record->output ? blob_slice(record->output) : (struct slice){0}};
    char id[ID_TEXT_SIZE];
    wire.dispatch_id = slice_text(id_format(record->id, id));
    wire.has_error = error_record_is_set(&record->error);
    wire.error.type = blob_slice(record->error.type);
    wire.error.message = blob_slice(record->error.message);
    wire.error.value = blob_slice(record->error.value);
    wire.error.traceback = blob_slice(record->error.traceback);
    dr_result *result = NULL;
    (void)result_create(&wire, record->status, &result, NULL);
    return result;
}

static void on_done(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    (void)message;
    struct waiting *waiting = arg;
    struct test_body *test = waiting->test;
    dr_result *result = code == DR_OK ? result_of(record) : NULL;
    pthread_mutex_lock(&test->lock);
    waiting->result = result;
    waiting->is_over = true;
    test->n_waiting--;
    test->n_arrived += result != NULL;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
}

/* Waits are made only while the test blocks, because a pending wait is what lets the virtual clock move. */
static bool block(struct test_body *test, struct waiting *waits, size_t n)
{
    struct driver *driver = test_server_driver(test->server);
    struct dr_error error = {0};
    dr_code code = DR_OK;
    test->n_arrived = 0;
    for (size_t i = 0; i < n && !code; i++) {
        struct driver_wait wait = {.timeout_ns = TIME_NEVER, .on_done = on_done, .arg = &waits[i]};
        (void)id_parse(slice_text(waits[i].task->id), &wait.id);
        pthread_mutex_lock(&test->lock);
        test->n_waiting++;
        pthread_mutex_unlock(&test->lock);
        code = driver_wait(driver, &wait, &waits[i].token, &error);
        if (code) {
            pthread_mutex_lock(&test->lock);
            test->n_waiting--;
            waits[i].is_over = true;
            pthread_mutex_unlock(&test->lock);
        }
    }
    pthread_mutex_lock(&test->lock);
    while (!code && test->n_arrived == 0 && test->n_waiting > 0)
        pthread_cond_wait(&test->changed, &test->lock);
    for (size_t i = 0; i < n; i++) {
        if (waits[i].is_over || !waits[i].token)
            continue;
        pthread_mutex_unlock(&test->lock);
        driver_wait_abandon(driver, waits[i].token);
        pthread_mutex_lock(&test->lock);
    }
    while (test->n_waiting > 0)
        pthread_cond_wait(&test->changed, &test->lock);
    bool has_arrived = test->n_arrived > 0;
    pthread_mutex_unlock(&test->lock);
    return has_arrived;
}

static bool wait_more(struct caller *caller, size_t n_wanted, int64_t max_wait_ns)
{
    (void)n_wanted;
    struct test_body *test = of_caller(caller);
    if (max_wait_ns >= 0) {
        driver_advance(test_server_driver(test->server), max_wait_ns, true);
        return true;
    }
    size_t n = 0;
    struct waiting *waits = mem_zalloc((caller->n_tasks + 1) * sizeof *waits);
    if (!waits)
        fail(caller, "out of memory");
    for (size_t i = 0; i < caller->n_tasks; i++)
        if (!caller->tasks[i]->result)
            waits[n++] = (struct waiting){.test = test, .task = caller->tasks[i]};
    bool has_arrived = block(test, waits, n);
    for (size_t i = 0; i < n; i++)
        if (waits[i].result)
            (void)caller_set_result(caller, waits[i].task->number, waits[i].result);
    mem_free(waits);
    if (!has_arrived)
        fail(caller, "the test server is gone");
    return false;
}

static void give_up(struct caller *caller, const struct dr_task *task)
{
    char message[DR_ERROR_MESSAGE_SIZE] = "out of memory";
    if (task)
        snprintf(message, sizeof message, "call %.100s failed: %.90s: %.280s", task->function,
                 dr_result_error_type(task->result), dr_result_error_message(task->result));
    fail(caller, message);
}

static int64_t now_ns(const struct caller *caller)
{
    return driver_now_ns(test_server_driver(of_caller(caller)->server));
}

static const struct caller_methods METHODS = {
    .on_begin = on_begin, .wait_more = wait_more, .give_up = give_up, .fail = fail, .now_ns = now_ns};

/* ---- running ---- */

static void body(void *arg)
{
    struct test_body *test = arg;
    test->body(test->arg);
    caller_run_defers(&test->caller);
}

static void defers_body(void *arg)
{
    struct test_body *test = arg;
    caller_run_defers(&test->caller);
}

/* What is left after a failure. It may fail, too, and leave: so it runs on a stack of its own. */
static void run_defers(struct test_body *test)
{
    struct coroutine *first = test->coroutine;
    while (test->caller.defers && coroutine_create(TEST_STACK_BYTES, defers_body, test, &test->coroutine) == DR_OK) {
        (void)coroutine_resume(test->coroutine);
        coroutine_destroy(test->coroutine);
    }
    test->coroutine = first;
}

static void run(struct test_body *test, struct buf *trace)
{
    struct caller *before = caller_set_current(&test->caller);
    (void)coroutine_resume(test->coroutine);
    if (test->has_failed)
        test_server_trace(test->server, trace);
    run_defers(test);
    caller_set_current(before);
    caller_run_defers(&test->caller); /* without memory for a stack: calls and checks in it do nothing */
}

static dr_code verdict(const struct test_body *test, struct buf *trace, char **ret_trace, struct dr_error *error)
{
    size_t len = 0;
    if (!test->has_failed)
        return DR_OK;
    if (ret_trace && buf_text(trace)) /* its NUL stands behind the bytes */
        *ret_trace = (char *)buf_steal(trace, &len);
    return error_set(error, DR_ABORTED, "%s", test->failure);
}

dr_code dr_test_run(const struct dr_test_options *options, void (*function)(void *arg), void *arg, char **ret_trace,
                    struct dr_error *error)
{
    struct test_body test = {.body = function, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};
    struct buf trace;
    buf_init(&trace, TRACE_BYTES_MAX);
    dr_code code = test_server_open(options, &test.server, error);
    if (code)
        return code;
    caller_init(&test.caller, &METHODS);
    code = coroutine_create(TEST_STACK_BYTES, body, &test, &test.coroutine);
    if (code) {
        error_set(error, code, "run the test: out of memory");
    } else {
        run(&test, &trace);
        code = verdict(&test, &trace, ret_trace, error);
    }
    test_server_close(test.server);
    caller_deinit(&test.caller);
    coroutine_destroy(test.coroutine);
    buf_deinit(&trace);
    return code;
}

void dr_test_trace_free(char *trace)
{
    mem_free(trace);
}

/* ---- inside ---- */

static struct test_body *current(void)
{
    struct caller *caller = caller_current();
    return caller && caller->methods == &METHODS ? of_caller(caller) : NULL;
}

void dr_test_advance(int64_t ns)
{
    struct test_body *test = current();
    if (test)
        driver_advance(test_server_driver(test->server), ns, true);
}

int64_t dr_test_now(void)
{
    struct test_body *test = current();
    return test ? driver_now_ns(test_server_driver(test->server)) : 0;
}

void *dr_test_alloc(size_t size)
{
    struct test_body *test = current();
    void *memory = test ? arena_zalloc(&test->caller.arena, size) : NULL;
    if (test && !memory)
        fail(&test->caller, "out of memory");
    return memory;
}

void dr_test_defer(void (*fn)(void *arg), void *arg)
{
    struct test_body *test = current();
    if (test)
        (void)caller_defer(&test->caller, fn, arg);
    else
        fn(arg);
}

void dr_test_forget_stacks(void)
{
    struct test_body *test = current();
    if (test)
        test_server_forget_stacks(test->server);
}

void dr_test_submit_value(const dr_function *function, dr_value *input, char *ret_id)
{
    dr_task *task = dr_begin_value(function, input);
    snprintf(ret_id, DR_ID_SIZE, "%s", task ? task->id : "");
}

void dr_check_failed(const char *file, int line, const char *format, ...)
{
    char what[400], message[DR_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *slash = strrchr(file, '/');
    snprintf(message, sizeof message, "%.90s:%d: %s", slash ? slash + 1 : file, line, what);
    struct caller *caller = caller_current();
    if (caller)
        caller->methods->fail(caller, message);
}

void dr_check_equal_values(const char *file, int line, const char *what, dr_value *got, dr_value *wanted)
{
    char got_text[150], wanted_text[150];
    (void)dr_value_format(got, got_text, sizeof got_text);
    (void)dr_value_format(wanted, wanted_text, sizeof wanted_text);
    bool is_equal = dr_value_equal(got, wanted);
    dr_value_unref(got);
    dr_value_unref(wanted);
    if (!is_equal)
        dr_check_failed(file, line, "%.80s is %s, not %s", what, got_text, wanted_text);
}
