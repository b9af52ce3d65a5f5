/* dispatch.v1.CallService: look at calls, find them, cancel them. JSON only: it is there for people and their
 * tools. */
#include "server/api_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/api_call_json.h"
#include "wire/json.h"

struct look {
    struct api_request request;
    size_t page_size; /* of a list: what the store was asked for */
    enum api_call_state state; /* of a list: only these are shown */
};

static struct look *look_create(const struct api_request *request)
{
    struct look *look = mem_zalloc(sizeof(*look));
    if (look)
        look->request = *request;
    else
        api_respond_error(request, DR_NO_MEMORY, NULL);
    return look;
}

static void respond_json(const struct api_request *request, json_t *json)
{
    struct buf body;
    buf_init(&body, API_RESPONSE_BYTES_MAX);
    dr_code code = wire_json_dump(json, &body, NULL);
    api_respond(request, code, &body);
}

/* Answers itself and returns false when the body holds no id. */
static bool read_id(const struct api_request *request, struct id *ret_id)
{
    json_t *json;
    if (!api_load_json(request, &json))
        return false;
    struct dr_error error = {0};
    struct slice text;
    dr_code code = api_json_text(json, "dispatch_id", &text, &error) ? DR_OK : DR_INVALID_ARGUMENT;
    if (code == DR_OK && text.len == 0)
        code = error_set(&error, DR_INVALID_ARGUMENT, "dispatch_id is missing");
    if (code == DR_OK && !id_parse(text, ret_id))
        code = error_set(&error, DR_NOT_FOUND, "there is no call with this id");
    json_decref(json);
    if (code != DR_OK)
        api_respond_error(request, code, error.message);
    return code == DR_OK;
}

/* ---- GetCall ---- */

static void on_call(void *arg, dr_code code, const char *message, const struct driver_call *calls,
                    size_t n_calls)
{
    struct look *look = arg;
    if (code != DR_OK) {
        api_respond_error(&look->request, code, message);
    } else if (n_calls == 0) {
        api_respond_error(&look->request, DR_NOT_FOUND, "there is no call with this id");
    } else {
        json_t *json = json_object();
        (void)json_object_set_new(json, "call", api_call_to_json(&calls[0], true));
        respond_json(&look->request, json);
    }
    mem_free(look);
}

void api_get_call(const struct api_request *request)
{
    struct id id;
    struct look *look = read_id(request, &id) ? look_create(request) : NULL;
    if (!look)
        return;
    struct dr_error error = {0};
    dr_code code = driver_get(request->api->driver, request->project, id, on_call, look, &error);
    if (code == DR_OK)
        return;
    api_respond_error(request, code, error.message);
    mem_free(look);
}

/* ---- CancelCall ---- */

static void on_cancelled(void *arg, dr_code code, const char *message)
{
    struct look *look = arg;
    if (code == DR_OK)
        respond_json(&look->request, json_object());
    else
        api_respond_error(&look->request, code, message);
    mem_free(look);
}

void api_cancel_call(const struct api_request *request)
{
    struct id id;
    struct look *look = read_id(request, &id) ? look_create(request) : NULL;
    if (!look)
        return;
    struct dr_error error = {0};
    dr_code code = driver_cancel(request->api->driver, request->project, id, on_cancelled, look, &error);
    if (code == DR_OK)
        return;
    api_respond_error(request, code, error.message);
    mem_free(look);
}

/* ---- ListCalls ---- */

/* Whether a call runs is known to the engine only, so the store cannot select by it: calls of another state
 * than the one asked for are dropped from the page here, and a page may hold fewer calls than its size. */
static void on_page(void *arg, dr_code code, const char *message, const struct driver_call *calls,
                    size_t n_calls)
{
    struct look *look = arg;
    if (code != DR_OK) {
        api_respond_error(&look->request, code, message);
        mem_free(look);
        return;
    }
    json_t *json = json_object();
    json_t *array = json_array();
    for (size_t i = 0; i < n_calls; i++)
        if (look->state == API_CALL_ANY || api_call_state(&calls[i]) == look->state)
            (void)json_array_append_new(array, api_call_to_json(&calls[i], false));
    (void)json_object_set_new(json, "calls", array);
    char token[ID_TEXT_SIZE];
    if (n_calls == look->page_size)
        (void)json_object_set_new(json, "nextPageToken",
                                  json_string(id_format(calls[n_calls - 1].record->id, token)));
    respond_json(&look->request, json);
    mem_free(look);
}

static dr_code read_id_filter(const json_t *json, const char *name, struct id *ret_id, struct dr_error *error)
{
    struct slice text;
    if (!api_json_text(json, name, &text, error))
        return DR_INVALID_ARGUMENT;
    if (text.len > 0 && !id_parse(text, ret_id))
        return error_set(error, DR_INVALID_ARGUMENT, "%s is not 32 hexadecimal digits", name);
    return DR_OK;
}

static dr_code read_page_size(const json_t *json, size_t *ret_size, struct dr_error *error)
{
    const json_t *field = wire_json_get(json, "page_size");
    int64_t size = 0;
    if (field && (!wire_json_signed(field, &size) || size < 0 || size > API_PAGE_SIZE_MAX))
        return error_set(error, DR_INVALID_ARGUMENT, "page_size is not a number from 0 to %u",
                         API_PAGE_SIZE_MAX);
    *ret_size = size ? (size_t)size : API_PAGE_SIZE_DEFAULT;
    return DR_OK;
}

static dr_code read_status(const json_t *json, int *ret_status, struct dr_error *error)
{
    const json_t *field = wire_json_get(json, "status");
    *ret_status = -1;
    if (field && !wire_json_status(field, ret_status))
        return error_set(error, DR_INVALID_ARGUMENT, "status is not a status such as \"STATUS_OK\"");
    return DR_OK;
}

static dr_code read_state(const json_t *json, enum api_call_state *ret_state, struct dr_error *error)
{
    struct slice text;
    if (!api_json_text(json, "state", &text, error))
        return DR_INVALID_ARGUMENT;
    if (text.len > 0 && !api_call_state_parse(text, ret_state))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "state is not one of scheduled, running, suspended, done");
    return DR_OK;
}

static int stored_state(enum api_call_state state)
{
    /* A call that runs is stored as what it was before. */
    static const int stored[] = {[API_CALL_SCHEDULED] = CALL_SCHEDULED,
                                 [API_CALL_SUSPENDED] = CALL_SUSPENDED,
                                 [API_CALL_DONE] = CALL_DONE};
    return state == API_CALL_ANY || state == API_CALL_RUNNING ? 0 : stored[state];
}

/* The filter's texts are borrowed from `json`. */
static dr_code read_filter(const json_t *json, struct look *look, struct store_filter *filter,
                           struct dr_error *error)
{
    *filter = (struct store_filter){.project = look->request.project};
    dr_code code = read_page_size(json, &filter->limit, error);
    if (code == DR_OK)
        code = read_state(json, &look->state, error);
    if (code == DR_OK)
        code = read_status(json, &filter->status, error);
    if (code == DR_OK)
        code = read_id_filter(json, "root_dispatch_id", &filter->root, error);
    if (code == DR_OK)
        code = read_id_filter(json, "parent_dispatch_id", &filter->parent, error);
    if (code == DR_OK)
        code = read_id_filter(json, "page_token", &filter->before, error);
    if (code == DR_OK && (!api_json_text(json, "function", &filter->function, error) ||
                          !api_json_text(json, "endpoint", &filter->endpoint, error)))
        code = DR_INVALID_ARGUMENT;
    filter->state = stored_state(look->state);
    look->page_size = filter->limit;
    return code;
}

void api_list_calls(const struct api_request *request)
{
    json_t *json;
    if (!api_load_json(request, &json))
        return;
    struct look *look = look_create(request);
    if (!look) {
        json_decref(json);
        return;
    }
    struct dr_error error = {0};
    struct store_filter filter;
    dr_code code = read_filter(json, look, &filter, &error);
    if (code == DR_OK)
        code = driver_list(request->api->driver, &filter, on_page, look, &error);
    json_decref(json);
    if (code == DR_OK)
        return;
    api_respond_error(request, code, error.message);
    mem_free(look);
}
