/* The test server as bindings see it: <dispatchrun/test.h>, "The server alone". */
#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "sdk/test_server.h"
#include "server/api_call.h"
#include "wire/wire.h"

#define TRACE_BYTES_MAX 1000000

/* One request until its callback. */
struct submission {
    struct arena arena;
    struct wire_dispatch_request request;
    uint8_t *bytes;
    dr_test_ids_fn *on_ids;
    void *arg;
};

struct waiter {
    dr_test_result_fn *on_result;
    void *arg;
};

struct cancellation {
    dr_test_done_fn *on_done;
    void *arg;
};

dr_code dr_test_server_open(const struct dr_test_options *options, dr_test_server **ret_server, struct dr_error *error)
{
    return test_server_open(options, ret_server, error);
}

void dr_test_server_close(dr_test_server *server)
{
    test_server_close(server);
}

const char *dr_test_server_endpoint(const dr_test_server *server)
{
    return test_server_endpoint(server);
}

const char *dr_test_server_url(const dr_test_server *server)
{
    return test_server_url(server);
}

/* ---- submit ---- */

static void submission_destroy(struct submission *submission)
{
    arena_deinit(&submission->arena);
    mem_free(submission->bytes);
    mem_free(submission);
}

static void on_ids(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    struct submission *submission = arg;
    struct arena arena;
    arena_init(&arena, 0);
    const char **texts = arena_alloc(&arena, (n_ids + 1) * sizeof *texts);
    char(*digits)[ID_TEXT_SIZE] = arena_alloc(&arena, (n_ids + 1) * sizeof *digits);
    if (!code && (!texts || !digits)) {
        code = DR_NO_MEMORY;
        message = "out of memory; the calls have been made";
    }
    for (size_t i = 0; !code && i < n_ids; i++)
        texts[i] = id_format(ids[i], digits[i]);
    submission->on_ids(submission->arg, code, message, texts, code ? 0 : n_ids);
    arena_deinit(&arena);
    submission_destroy(submission);
}

static dr_code read_request(struct submission *submission, const void *request, size_t len, struct dr_error *error)
{
    submission->bytes = mem_alloc(len + 1);
    if (!submission->bytes)
        return error_set(error, DR_NO_MEMORY, "submit: out of memory");
    if (len > 0)
        memcpy(submission->bytes, request, len);
    struct wire_dispatch_request *calls = &submission->request;
    dr_code code = wire_dispatch_request_decode(slice_of(submission->bytes, len), &submission->arena, calls, error);
    for (size_t i = 0; !code && i < calls->n_calls; i++) {
        code = wire_call_validate(&calls->calls[i], true, error);
        if (code && calls->n_calls > 1)
            code = error_wrap(error, "calls[%zu]", i);
    }
    return code;
}

dr_code dr_test_server_submit(dr_test_server *server, const void *request, size_t len, dr_test_ids_fn *callback, void *arg,
                              struct dr_error *error)
{
    struct submission *submission = mem_zalloc(sizeof *submission);
    if (!submission)
        return error_set(error, DR_NO_MEMORY, "submit: out of memory");
    submission->on_ids = callback;
    submission->arg = arg;
    arena_init(&submission->arena, 0);
    dr_code code = read_request(submission, request, len, error);
    if (!code && submission->request.n_calls == 0) {
        on_ids(submission, DR_OK, NULL, NULL, 0);
        return DR_OK;
    }
    struct driver_submit submit = {.project = 1, .request = &submission->request, .on_done = on_ids, .arg = submission,
                                   .n_bytes = len + submission->arena.used_bytes};
    struct driver *driver = test_server_driver(server);
    bool has_turn = !code && test_server_is_inline(server) && driver_turn_begin(driver);
    if (!code)
        code = driver_submit(driver, &submit, error);
    if (code)
        submission_destroy(submission);
    if (has_turn)
        driver_turn_end(driver);
    return code;
}

/* ---- wait, cancel ---- */

static dr_code read_id(const char *text, struct id *ret_id, struct dr_error *error)
{
    if (id_parse(slice_text(text), ret_id))
        return DR_OK;
    return error_set(error, DR_NOT_FOUND, "there is no call '%.64s'", text);
}

static void on_result(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    struct waiter *waiter = arg;
    struct buf bytes;
    buf_init(&bytes, 4 * WIRE_MESSAGE_BYTES_MAX);
    if (!code) {
        struct wire_result result;
        char id_text[ID_TEXT_SIZE];
        api_result_of_record(record, id_text, &result);
        code = wire_result_encode(&result, &bytes, NULL);
        message = code ? "out of memory for the result" : NULL;
    }
    struct slice encoded = buf_slice(&bytes);
    waiter->on_result(waiter->arg, code, message, encoded.data, encoded.len);
    buf_deinit(&bytes);
    mem_free(waiter);
}

dr_code dr_test_server_wait(dr_test_server *server, const char *id, dr_test_result_fn *callback, void *arg,
                            uint64_t *ret_token, struct dr_error *error)
{
    struct driver_wait wait = {.project = 1, .timeout_ns = TIME_NEVER, .on_done = on_result};
    dr_code code = read_id(id, &wait.id, error);
    if (code)
        return code;
    struct waiter *waiter = mem_zalloc(sizeof *waiter);
    if (!waiter)
        return error_set(error, DR_NO_MEMORY, "wait: out of memory");
    *waiter = (struct waiter){callback, arg};
    wait.arg = waiter;
    code = driver_wait(test_server_driver(server), &wait, ret_token, error);
    if (code)
        mem_free(waiter);
    return code;
}

void dr_test_server_abandon(dr_test_server *server, uint64_t token)
{
    driver_wait_abandon(test_server_driver(server), token);
}

static void on_cancelled(void *arg, dr_code code, const char *message)
{
    struct cancellation *cancellation = arg;
    cancellation->on_done(cancellation->arg, code, message);
    mem_free(cancellation);
}

dr_code dr_test_server_cancel(dr_test_server *server, const char *id_text, dr_test_done_fn *on_done, void *arg,
                              struct dr_error *error)
{
    struct id id;
    dr_code code = read_id(id_text, &id, error);
    if (code)
        return code;
    struct cancellation *cancellation = mem_zalloc(sizeof *cancellation);
    if (!cancellation)
        return error_set(error, DR_NO_MEMORY, "cancel: out of memory");
    *cancellation = (struct cancellation){on_done, arg};
    code = driver_cancel(test_server_driver(server), 1, id, on_cancelled, cancellation, error);
    if (code)
        mem_free(cancellation);
    return code;
}

/* ---- clock and trace ---- */

void dr_test_server_hold(dr_test_server *server)
{
    driver_virtual_hold(test_server_driver(server));
}

void dr_test_server_release(dr_test_server *server)
{
    driver_virtual_release(test_server_driver(server));
}

void dr_test_server_advance(dr_test_server *server, int64_t ns, bool with_runs)
{
    driver_advance(test_server_driver(server), ns, with_runs);
}

int64_t dr_test_server_now(const dr_test_server *server)
{
    return driver_now_ns(test_server_driver((struct dr_test_server *)(uintptr_t)server));
}

char *dr_test_server_trace(dr_test_server *server)
{
    struct buf trace;
    size_t len = 0;
    buf_init(&trace, TRACE_BYTES_MAX);
    test_server_trace(server, &trace);
    char *text = buf_text(&trace) ? (char *)buf_steal(&trace, &len) : NULL;
    buf_deinit(&trace);
    return text;
}
