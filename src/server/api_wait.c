/* DispatchService/Wait: a long poll for the result of a call. */
#include "server/api_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/api_encode.h"
#include "wire/json.h"
#include "wire/wire.h"

/* Freed by on_release, which comes after the answer, from whichever thread. */
struct waiter {
    struct api_request request;
    uint64_t token;
};

static void respond_result(const struct api_request *request, const struct driver_call *call)
{
    struct wire_result result;
    char id_text[ID_TEXT_SIZE];
    api_result_of_record(call->record, id_text, &result);
    struct buf body;
    buf_init(&body, API_RESPONSE_BYTES_MAX);
    dr_code code = request->is_json ? wire_result_json_encode(&result, &body, NULL)
                                    : wire_result_encode(&result, &body, NULL);
    api_respond(request, code, &body);
}

static void on_result(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    struct waiter *waiter = arg;
    if (code == DR_OK)
        api_respond_with(&waiter->request, &(struct driver_call){.record = record}, respond_result);
    else
        api_respond_error(&waiter->request, code, message);
}

/* On the HTTP loop thread, as the handler that wrote the token. */
static void on_abort(void *arg)
{
    struct waiter *waiter = arg;
    driver_wait_abandon(waiter->request.api->driver, waiter->token);
}

static void on_release(void *arg)
{
    struct waiter *waiter = arg;
    atomic_fetch_sub(&waiter->request.api->n_waiters, 1);
    mem_free(waiter);
}

static bool take_waiter_slot(struct api *api)
{
    if (atomic_fetch_add(&api->n_waiters, 1) < api->waiters_max)
        return true;
    atomic_fetch_sub(&api->n_waiters, 1);
    return false;
}

static int64_t shorter(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static void start_wait(const struct api_request *request, struct id id, int64_t timeout_ns)
{
    struct api *api = request->api;
    if (!take_waiter_slot(api)) {
        api_respond_error(request, DR_RESOURCE_EXHAUSTED, "too many requests are waiting for results");
        return;
    }
    struct waiter *waiter = mem_zalloc(sizeof(*waiter));
    if (!waiter) {
        atomic_fetch_sub(&api->n_waiters, 1);
        api_respond_error(request, DR_NO_MEMORY, NULL);
        return;
    }
    waiter->request = *request;
    http_exchange_on_abort(request->exchange, on_abort, on_release, waiter);
    struct driver_wait wait = {
        .project = request->project,
        .id = id,
        .timeout_ns = shorter(shorter(timeout_ns, request->timeout_ns), API_WAIT_MAX_NS),
        .on_done = on_result,
        .arg = waiter,
    };
    struct dr_error error = {0};
    dr_code code = driver_wait(api->driver, &wait, &waiter->token, &error);
    if (code != DR_OK)
        api_respond_error(request, code, error.message);
}

/* "30s", as protobuf's JSON writes durations, or a number of seconds. */
static bool parse_timeout(const json_t *field, int64_t *ret_timeout_ns)
{
    struct wire_time time;
    if (json_is_string(field) &&
        wire_duration_parse(slice_of(json_string_value(field), json_string_length(field)), &time)) {
        *ret_timeout_ns = wire_time_ns(time);
        return *ret_timeout_ns >= 0;
    }
    double seconds = json_number_value(field);
    if (!json_is_number(field) || !(seconds >= 0 && seconds <= 1e9))
        return false;
    *ret_timeout_ns = (int64_t)(seconds * 1e9);
    return true;
}

static dr_code read_json(const json_t *json, struct slice *ret_id, int64_t *ret_timeout_ns,
                         struct dr_error *error)
{
    dr_code code = api_json_text(json, "dispatch_id", ret_id, error);
    if (code != DR_OK)
        return code;
    const json_t *timeout = wire_json_get(json, "timeout");
    if (timeout && !parse_timeout(timeout, ret_timeout_ns))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "timeout is not a duration such as \"30s\" or a number of seconds");
    return DR_OK;
}

/* A command line often leaves a newline behind the id. */
static struct slice trim(struct slice text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) && text.data[text.len - 1])
        text.len--;
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) && text.data[0])
        text = slice_of(text.data + 1, text.len - 1);
    return text;
}

void api_wait(const struct api_request *request)
{
    struct dr_error error = {0};
    struct slice text = trim(http_exchange_body(request->exchange));
    int64_t timeout_ns =
        request->timeout_ns == TIME_NEVER ? request->api->wait_default_ns : request->timeout_ns;
    json_t *json = NULL;
    dr_code code = request->is_json ? wire_json_load(text, &json, &error) : DR_OK;
    if (json)
        code = read_json(json, &text, &timeout_ns, &error);
    struct id id;
    if (code == DR_OK && text.len == 0)
        code = error_set(&error, DR_INVALID_ARGUMENT, "the dispatch id is missing");
    /* Ids are opaque to users: a text that cannot be one is an id that does not exist. */
    if (code == DR_OK && !id_parse(text, &id))
        code = error_set(&error, DR_NOT_FOUND, "there is no call with this id");
    json_decref(json);
    if (code == DR_OK)
        start_wait(request, id, timeout_ns);
    else
        api_respond_error(request, code, error.message);
}
