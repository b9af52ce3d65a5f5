/* dispatch.v1.CallService: look at calls, find them, cancel them. */
#include "server/api_private.h"

#include "base/mem.h"
#include "server/api_call.h"
#include "server/api_encode.h"
#include "wire/json.h"

#include <dispatch/v1/call.pb-c.h>

/* A question on its way through the driver. */
struct look {
    struct api_request request;
    size_t page_size; /* of a list: what the store was asked for */
    enum api_call_state state; /* of a list: only these are shown */
    bool is_resumable; /* of a list: only calls with a state are */
    bool with_state; /* of one call */
};

static struct look *look_create(const struct api_request *request)
{
    struct look *look = mem_zalloc(sizeof(*look));
    if (look)
        look->request = *request;
    return look;
}

static void respond_json(const struct api_request *request, json_t *json)
{
    struct buf body;
    buf_init(&body, API_RESPONSE_BYTES_MAX);
    dr_code code = wire_json_dump(json, &body, NULL);
    api_respond(request, code, &body);
}

static void respond_proto(const struct api_request *request, const ProtobufCMessage *message)
{
    struct buf body;
    buf_init(&body, API_RESPONSE_BYTES_MAX);
    dr_code code = message ? wire_pack(message, &body, NULL) : DR_NO_MEMORY;
    api_respond(request, code, &body);
}

/* Asks the driver about one call; `ask` is driver_get or driver_cancel with its callback. */
typedef dr_code ask_fn(struct look *look, struct id id, struct dr_error *error);

static void ask_about_one(const struct api_request *request, ask_fn *ask)
{
    struct dr_error error = {0};
    struct api_one_question question = {0};
    dr_code code = api_read_one(request, &question, &error);
    struct look *look = code == DR_OK ? look_create(request) : NULL;
    if (look)
        look->with_state = question.with_state;
    if (code == DR_OK)
        code = look ? ask(look, question.id, &error) : DR_NO_MEMORY;
    if (code == DR_OK)
        return;
    api_respond_error(request, code, *error.message ? error.message : NULL);
    mem_free(look);
}

/* ---- GetCall ---- */

static void respond_detail(const struct api_request *request, const struct driver_call *call,
                           enum api_call_detail detail)
{
    if (request->is_json) {
        json_t *json = json_object();
        (void)json_object_set_new(json, "call", api_call_to_json(call, detail));
        respond_json(request, json);
        return;
    }
    struct arena arena;
    arena_init(&arena, 0);
    Dispatch__V1__GetCallResponse response = DISPATCH__V1__GET_CALL_RESPONSE__INIT;
    response.call = api_call_to_proto(call, detail, &arena);
    respond_proto(request, response.call ? &response.base : NULL);
    arena_deinit(&arena);
}

static void respond_call(const struct api_request *request, const struct driver_call *call)
{
    respond_detail(request, call, API_CALL_PAYLOADS);
}

static void respond_call_with_state(const struct api_request *request, const struct driver_call *call)
{
    respond_detail(request, call, API_CALL_WITH_STATE);
}

static void on_call(void *arg, dr_code code, const char *message, const struct driver_call *calls,
                    size_t n_calls, struct id next_before)
{
    (void)next_before;
    struct look *look = arg;
    if (code == DR_OK && n_calls > 0)
        api_respond_with(&look->request, &calls[0], look->with_state ? respond_call_with_state : respond_call);
    else
        api_respond_error(&look->request, code == DR_OK ? DR_NOT_FOUND : code, message);
    mem_free(look);
}

static dr_code ask_get(struct look *look, struct id id, struct dr_error *error)
{
    return driver_get(look->request.api->driver, look->request.project, id, on_call, look, error);
}

void api_get_call(const struct api_request *request)
{
    ask_about_one(request, ask_get);
}

/* ---- CancelCall ---- */

static void on_cancelled(void *arg, dr_code code, const char *message)
{
    struct look *look = arg;
    const Dispatch__V1__CancelCallResponse response = DISPATCH__V1__CANCEL_CALL_RESPONSE__INIT;
    if (code != DR_OK)
        api_respond_error(&look->request, code, message);
    else if (look->request.is_json)
        respond_json(&look->request, json_object());
    else
        respond_proto(&look->request, &response.base);
    mem_free(look);
}

static dr_code ask_cancel(struct look *look, struct id id, struct dr_error *error)
{
    return driver_cancel(look->request.api->driver, look->request.project, id, on_cancelled, look, error);
}

void api_cancel_call(const struct api_request *request)
{
    ask_about_one(request, ask_cancel);
}

/* ---- ListCalls ---- */

/* Whether a call runs is known to the engine only, and the store does not select by a state to go on from: calls of another state
 * than the one asked for are dropped from the page here, and a page may hold fewer calls than its size. */
static bool is_shown(const struct look *look, const struct driver_call *call)
{
    return (look->state == API_CALL_ANY || api_call_state(call) == look->state) &&
           (!look->is_resumable || api_call_is_resumable(call->record));
}

static void respond_page_json(const struct look *look, const struct driver_call *calls, size_t n_calls,
                              const char *next_token)
{
    json_t *json = json_object();
    json_t *array = json_array();
    for (size_t i = 0; i < n_calls; i++)
        if (is_shown(look, &calls[i]))
            (void)json_array_append_new(array, api_call_to_json(&calls[i], API_CALL_HEAD));
    (void)json_object_set_new(json, "calls", array);
    if (*next_token)
        (void)json_object_set_new(json, "nextPageToken", json_string(next_token));
    respond_json(&look->request, json);
}

static void respond_page_proto(const struct look *look, const struct driver_call *calls, size_t n_calls,
                               char *next_token)
{
    struct arena arena;
    arena_init(&arena, 0);
    Dispatch__V1__ListCallsResponse response = DISPATCH__V1__LIST_CALLS_RESPONSE__INIT;
    response.calls = arena_alloc(&arena, n_calls * sizeof(*response.calls));
    bool is_complete = response.calls != NULL;
    for (size_t i = 0; is_complete && i < n_calls; i++) {
        if (!is_shown(look, &calls[i]))
            continue;
        Dispatch__V1__Call *call = api_call_to_proto(&calls[i], API_CALL_HEAD, &arena);
        is_complete = call != NULL;
        response.calls[response.n_calls++] = call;
    }
    response.has_next_page_token = *next_token != '\0';
    response.next_page_token =
        (ProtobufCBinaryData){.data = (uint8_t *)next_token, .len = strlen(next_token)};
    respond_proto(&look->request, is_complete ? &response.base : NULL);
    arena_deinit(&arena);
}

static void on_page(void *arg, dr_code code, const char *message, const struct driver_call *calls,
                    size_t n_calls, struct id next_before)
{
    struct look *look = arg;
    char next_token[ID_TEXT_SIZE] = "";
    if (n_calls > 0 && n_calls == look->page_size)
        next_before = calls[n_calls - 1].record->id;
    if (!id_is_none(next_before))
        (void)id_format(next_before, next_token);
    if (code != DR_OK)
        api_respond_error(&look->request, code, message);
    else if (look->request.is_json)
        respond_page_json(look, calls, n_calls, next_token);
    else
        respond_page_proto(look, calls, n_calls, next_token);
    mem_free(look);
}

void api_list_calls(const struct api_request *request)
{
    struct dr_error error = {0};
    struct api_list_question question;
    dr_code code = api_read_list(request, &question, &error);
    struct look *look = code == DR_OK ? look_create(request) : NULL;
    if (look) {
        look->page_size = question.filter.limit;
        look->state = question.state;
        look->is_resumable = question.is_resumable;
        code = driver_list(request->api->driver, &question.filter, on_page, look, &error);
    } else if (code == DR_OK) {
        code = DR_NO_MEMORY;
    }
    api_list_question_deinit(&question);
    if (code == DR_OK)
        return;
    api_respond_error(request, code, *error.message ? error.message : NULL);
    mem_free(look);
}
