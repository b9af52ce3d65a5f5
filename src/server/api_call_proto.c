#include "server/api_call.h"

#include "wire/json.h"

#include <dispatch/v1/call.pb-c.h>

#define NOT_UTF8 "(not UTF-8)" /* as in JSON: a reader of protobuf text would refuse the whole message */

static ProtobufCBinaryData borrow(struct slice bytes)
{
    /* protobuf-c only reads what it packs. */
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static ProtobufCBinaryData borrow_text(const struct blob *text)
{
    struct slice bytes = blob_slice(text);
    return borrow(wire_is_utf8(bytes) ? bytes : slice_text(NOT_UTF8));
}

/* NULL when out of memory, as put_id. */
static ProtobufCBinaryData put_endpoint(struct arena *arena, const struct blob *endpoint)
{
    char text[WIRE_ENDPOINT_SHOWN_SIZE];
    struct slice bytes = blob_slice(endpoint);
    struct slice shown = wire_endpoint_shown(bytes, text);
    if (shown.data == bytes.data)
        return borrow_text(endpoint);
    char *copy = arena_copy(arena, shown);
    return borrow(wire_is_utf8(shown) ? slice_of(copy, copy ? shown.len : 0) : slice_text(NOT_UTF8));
}

static ProtobufCBinaryData put_id(struct arena *arena, struct id id)
{
    char *text = id_is_none(id) ? NULL : arena_alloc(arena, ID_TEXT_SIZE);
    return borrow(text ? slice_text(id_format(id, text)) : (struct slice){0});
}

static Google__Protobuf__Timestamp *put_time(struct arena *arena, int64_t ns)
{
    Google__Protobuf__Timestamp *timestamp = ns ? arena_alloc(arena, sizeof(*timestamp)) : NULL;
    if (!timestamp)
        return NULL;
    struct wire_time time = wire_time_of_ns(ns);
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = time.seconds;
    timestamp->nanos = time.nanos;
    return timestamp;
}

static Dispatch__Sdk__V1__Error *put_error(struct arena *arena, const struct error_record *error,
                                           bool has_payloads)
{
    bool is_set = error_record_is_set(error);
    Dispatch__Sdk__V1__Error *pb = is_set ? arena_alloc(arena, sizeof(*pb)) : NULL;
    if (!pb)
        return NULL;
    dispatch__sdk__v1__error__init(pb);
    pb->has_type = error->type != NULL;
    pb->type = borrow_text(error->type);
    pb->has_message = error->message != NULL;
    pb->message = borrow_text(error->message);
    pb->has_value = has_payloads && error->value;
    pb->value = borrow(blob_slice(error->value));
    pb->has_traceback = has_payloads && error->traceback;
    pb->traceback = borrow(blob_slice(error->traceback));
    return pb;
}

static void put_done(Dispatch__V1__Call *pb, const struct call_record *record, bool has_payloads,
                     struct arena *arena)
{
    pb->done_time = put_time(arena, record->done_ns);
    pb->has_status = 1;
    pb->status = (Dispatch__Sdk__V1__Status)record->status;
    pb->error = put_error(arena, &record->error, has_payloads);
    pb->has_output = has_payloads && record->output;
    pb->output = borrow(blob_slice(record->output));
}

static void put_live(Dispatch__V1__Call *pb, const struct driver_call *call)
{
    const struct call_record *record = call->record;
    pb->has_why = call->why_kind != ENGINE_WHY_RUNNING;
    pb->why = borrow(slice_text(call->why));
    pb->has_last_status = record->attempts > 0;
    pb->last_status = (Dispatch__Sdk__V1__Status)record->last_status;
    pb->has_last_error = record->last_error != NULL;
    pb->last_error = borrow_text(record->last_error);
}

static void put_state(Dispatch__V1__Call *pb, const struct call_record *record)
{
    bool is_there = api_call_is_resumable(record) && record->poll_state;
    pb->has_typed_coroutine_state = is_there && record->state_arm == WIRE_STATE_TYPED;
    pb->has_coroutine_state = is_there && record->state_arm == WIRE_STATE_BYTES;
    pb->typed_coroutine_state = pb->coroutine_state = borrow(blob_slice(record->poll_state));
}

struct Dispatch__V1__Call *api_call_to_proto(const struct driver_call *call, enum api_call_detail detail,
                                             struct arena *arena)
{
    const struct call_record *record = call->record;
    bool has_payloads = detail >= API_CALL_PAYLOADS;
    Dispatch__V1__Call *pb = arena_alloc(arena, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__v1__call__init(pb);
    pb->dispatch_id = put_id(arena, record->id);
    pb->has_dispatch_id = 1;
    pb->parent_dispatch_id = put_id(arena, record->parent);
    pb->has_parent_dispatch_id = !id_is_none(record->parent);
    pb->root_dispatch_id = put_id(arena, record->root);
    pb->has_root_dispatch_id = 1;
    pb->has_endpoint = 1;
    pb->endpoint = put_endpoint(arena, record->endpoint);
    pb->has_function = 1;
    pb->function = borrow_text(record->function);
    pb->has_version = record->version != NULL;
    pb->version = borrow_text(record->version);
    pb->has_state = 1;
    pb->state = borrow(slice_text(api_call_state_name(api_call_state(call))));
    pb->has_attempts = 1;
    pb->attempts = record->attempts;
    pb->creation_time = put_time(arena, record->created_ns);
    pb->expiration_time = put_time(arena, record->expires_ns);
    if (record->state == CALL_DONE)
        put_done(pb, record, has_payloads, arena);
    else
        put_live(pb, call);
    pb->has_input = has_payloads && record->input;
    pb->input = borrow(blob_slice(record->input));
    if (detail >= API_CALL_WITH_STATE)
        put_state(pb, record);
    return pb;
}
