/* What CallService is asked, in JSON or protobuf. */
#include "server/api_private.h"

#include "server/api_call.h"
#include "wire/json.h"

#include <dispatch/v1/call.pb-c.h>

/* The fields of a ListCallsRequest as they came; texts borrowed from the message. */
struct list_fields {
    int64_t page_size;
    bool has_status;
    bool is_resumable;
    int32_t status;
    struct slice function, endpoint, state, root, parent, page_token;
};

static struct slice proto_text(protobuf_c_boolean is_present, ProtobufCBinaryData text)
{
    return is_present ? slice_of(text.data, text.len) : (struct slice){0};
}

/* ---- The question about one call ---- */

static dr_code id_of_text(struct slice text, struct id *ret_id, struct dr_error *error)
{
    if (text.len == 0)
        return error_set(error, DR_INVALID_ARGUMENT, "dispatch_id is missing");
    /* Ids are opaque to users: a text that cannot be one is an id that does not exist. */
    if (!id_parse(text, ret_id))
        return error_set(error, DR_NOT_FOUND, "there is no call with this id");
    return DR_OK;
}

static dr_code read_json_bool(const json_t *json, const char *name, bool *ret_value, struct dr_error *error)
{
    const json_t *value = wire_json_get(json, name);
    *ret_value = json_is_true(value);
    if (value && !json_is_boolean(value))
        return error_set(error, DR_INVALID_ARGUMENT, "%s is not true or false", name);
    return DR_OK;
}

static dr_code read_json_one(struct slice body, struct api_one_question *question, struct dr_error *error)
{
    json_t *json;
    struct slice text;
    dr_code code = wire_json_load(body, &json, error);
    if (code != DR_OK)
        return code;
    code = api_json_text(json, "dispatch_id", &text, error);
    if (code == DR_OK)
        code = read_json_bool(json, "with_state", &question->with_state, error);
    if (code == DR_OK)
        code = id_of_text(text, &question->id, error);
    json_decref(json);
    return code;
}

/* A CancelCallRequest is a GetCallRequest that says less. */
static dr_code read_proto_one(struct slice body, struct api_one_question *question, struct dr_error *error)
{
    struct arena arena;
    struct ProtobufCMessage *message;
    arena_init(&arena, 0);
    dr_code code = wire_unpack(&dispatch__v1__get_call_request__descriptor, body, &arena, &message, error);
    if (code == DR_OK) {
        const Dispatch__V1__GetCallRequest *pb = (const Dispatch__V1__GetCallRequest *)message;
        code = id_of_text(proto_text(pb->has_dispatch_id, pb->dispatch_id), &question->id, error);
        question->with_state = pb->with_state;
    }
    arena_deinit(&arena);
    return code;
}

dr_code api_read_one(const struct api_request *request, struct api_one_question *ret_question,
                     struct dr_error *error)
{
    struct slice body = http_exchange_body(request->exchange);
    return request->is_json ? read_json_one(body, ret_question, error) : read_proto_one(body, ret_question, error);
}

/* ---- The question about many ---- */

static dr_code read_json_fields(const json_t *json, struct list_fields *fields, struct dr_error *error)
{
    const struct {
        const char *name;
        struct slice *text;
    } texts[] = {
        {"function", &fields->function},
        {"endpoint", &fields->endpoint},
        {"state", &fields->state},
        {"root_dispatch_id", &fields->root},
        {"parent_dispatch_id", &fields->parent},
        {"page_token", &fields->page_token},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        dr_code code = api_json_text(json, texts[i].name, texts[i].text, error);
        if (code != DR_OK)
            return code;
    }
    const json_t *page_size = wire_json_get(json, "page_size");
    if (page_size && !wire_json_signed(page_size, &fields->page_size))
        return error_set(error, DR_INVALID_ARGUMENT, "page_size is not a number");
    const json_t *status = wire_json_get(json, "status");
    fields->has_status = status != NULL;
    if (status && !wire_json_status(status, &fields->status))
        return error_set(error, DR_INVALID_ARGUMENT, "status is not a status such as \"STATUS_OK\"");
    return read_json_bool(json, "resumable", &fields->is_resumable, error);
}

static struct list_fields proto_fields(const Dispatch__V1__ListCallsRequest *pb)
{
    return (struct list_fields){
        .page_size = pb->page_size,
        .has_status = pb->has_status,
        .status = (int32_t)pb->status,
        .is_resumable = pb->resumable,
        .function = proto_text(pb->has_function, pb->function),
        .endpoint = proto_text(pb->has_endpoint, pb->endpoint),
        .state = proto_text(pb->has_state, pb->state),
        .root = proto_text(pb->has_root_dispatch_id, pb->root_dispatch_id),
        .parent = proto_text(pb->has_parent_dispatch_id, pb->parent_dispatch_id),
        .page_token = proto_text(pb->has_page_token, pb->page_token),
    };
}

static dr_code take_id(const char *name, struct slice text, struct id *ret_id, struct dr_error *error)
{
    if (text.len > 0 && !id_parse(text, ret_id))
        return error_set(error, DR_INVALID_ARGUMENT, "%s is not 32 hexadecimal digits", name);
    return DR_OK;
}

static dr_code take_fields(const struct list_fields *fields, struct api_list_question *question,
                           struct dr_error *error)
{
    /* A call that runs is stored as what it was before. */
    static const int stored[] = {[API_CALL_SCHEDULED] = CALL_SCHEDULED,
                                 [API_CALL_RUNNING] = 0,
                                 [API_CALL_SUSPENDED] = CALL_SUSPENDED,
                                 [API_CALL_DONE] = CALL_DONE};
    struct store_filter *filter = &question->filter;
    if (fields->page_size < 0 || fields->page_size > API_PAGE_SIZE_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "page_size is not a number from 0 to %u",
                         API_PAGE_SIZE_MAX);
    if (fields->state.len > 0 && !api_call_state_parse(fields->state, &question->state))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "state is not one of scheduled, running, suspended, done");
    filter->limit = fields->page_size ? (size_t)fields->page_size : API_PAGE_SIZE_DEFAULT;
    filter->state = stored[question->state];
    filter->is_live = question->is_resumable = fields->is_resumable;
    filter->status = fields->has_status ? fields->status : -1;
    filter->function = fields->function;
    filter->endpoint = fields->endpoint;
    dr_code code = take_id("root_dispatch_id", fields->root, &filter->root, error);
    if (code == DR_OK)
        code = take_id("parent_dispatch_id", fields->parent, &filter->parent, error);
    return code == DR_OK ? take_id("page_token", fields->page_token, &filter->before, error) : code;
}

dr_code api_read_list(const struct api_request *request, struct api_list_question *question,
                      struct dr_error *error)
{
    struct slice body = http_exchange_body(request->exchange);
    struct list_fields fields = {0};
    struct ProtobufCMessage *message;
    dr_code code;
    *question = (struct api_list_question){.filter.project = request->project};
    arena_init(&question->arena, 0);
    if (request->is_json) {
        code = wire_json_load(body, &question->json, error);
        if (code == DR_OK)
            code = read_json_fields(question->json, &fields, error);
    } else {
        code = wire_unpack(&dispatch__v1__list_calls_request__descriptor, body, &question->arena, &message,
                           error);
        if (code == DR_OK)
            fields = proto_fields((const Dispatch__V1__ListCallsRequest *)message);
    }
    return code == DR_OK ? take_fields(&fields, question, error) : code;
}

void api_list_question_deinit(struct api_list_question *question)
{
    json_decref(question->json);
    arena_deinit(&question->arena);
}
