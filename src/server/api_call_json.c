#include "server/api_call.h"

#include "base/mem.h"
#include "wire/json.h"

static const char *const state_names[] = {"any", "scheduled", "running", "suspended", "done"};

enum api_call_state api_call_state(const struct driver_call *call)
{
    if (call->record->state == CALL_DONE)
        return API_CALL_DONE;
    if (call->why_kind == ENGINE_WHY_RUNNING)
        return API_CALL_RUNNING;
    return call->record->state == CALL_SUSPENDED ? API_CALL_SUSPENDED : API_CALL_SCHEDULED;
}

const char *api_call_state_name(enum api_call_state state)
{
    return state_names[state];
}

bool api_call_state_parse(struct slice text, enum api_call_state *ret_state)
{
    for (int state = API_CALL_SCHEDULED; state <= API_CALL_DONE; state++) {
        if (slice_equal(text, slice_text(state_names[state]))) {
            *ret_state = (enum api_call_state)state;
            return true;
        }
    }
    return false;
}

bool api_call_is_resumable(const struct call_record *record)
{
    return record->state == CALL_SUSPENDED || (record->state == CALL_SCHEDULED && record->is_resume);
}

/* A failed set loses one field of an answer for people; out of memory shows up again when the text is
 * written. */
static void put(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

static void put_characters(json_t *object, const char *name, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    /* Texts that came from a network or a library need not be UTF-8. */
    if (wire_is_utf8(bytes))
        put(object, name, json_stringn_nocheck((const char *)bytes.data, bytes.len));
    else
        put(object, name, json_string("(not UTF-8)"));
}

static void put_text(json_t *object, const char *name, const struct blob *text)
{
    put_characters(object, name, blob_slice(text));
}

static void put_endpoint(json_t *object, const struct blob *endpoint)
{
    char text[WIRE_ENDPOINT_SHOWN_SIZE];
    put_characters(object, "endpoint", wire_endpoint_shown(blob_slice(endpoint), text));
}

static void put_id(json_t *object, const char *name, struct id id)
{
    char text[ID_TEXT_SIZE];
    if (!id_is_none(id))
        put(object, name, json_string(id_format(id, text)));
}

static void put_time(json_t *object, const char *name, int64_t ns)
{
    char text[WIRE_TIME_TEXT_SIZE];
    if (ns == 0)
        return;
    wire_timestamp_format(wire_time_of_ns(ns), text);
    put(object, name, json_string(text));
}

static void put_bytes(json_t *object, const char *name, const struct blob *bytes)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    struct slice slice = blob_slice(bytes);
    if (slice.len > 0 && wire_base64_encode(slice, &text) == DR_OK)
        put(object, name, json_stringn_nocheck((const char *)text.data, text.len));
    buf_deinit(&text);
}

static void put_error(json_t *object, const struct error_record *error, bool has_payloads)
{
    if (!error_record_is_set(error))
        return;
    json_t *json = json_object();
    put_text(json, "type", error->type);
    put_text(json, "message", error->message);
    if (has_payloads) {
        put_bytes(json, "value", error->value);
        put_bytes(json, "traceback", error->traceback);
    }
    put(object, "error", json);
}

static void put_done(json_t *json, const struct call_record *record, bool has_payloads)
{
    put_time(json, "doneTime", record->done_ns);
    put(json, "status", json_string(dr_status_name((dr_status)record->status)));
    put_error(json, &record->error, has_payloads);
    if (has_payloads && record->output)
        put(json, "output", wire_any_to_json(blob_slice(record->output)));
}

static void put_live(json_t *json, const struct driver_call *call)
{
    const struct call_record *record = call->record;
    if (call->why_kind != ENGINE_WHY_RUNNING)
        put(json, "why", json_string(call->why));
    if (record->attempts > 0)
        put(json, "lastStatus", json_string(dr_status_name((dr_status)record->last_status)));
    put_text(json, "lastError", record->last_error);
}

static void put_state(json_t *json, const struct call_record *record)
{
    if (!api_call_is_resumable(record))
        return;
    if (record->state_arm == WIRE_STATE_TYPED)
        put(json, "typedCoroutineState", wire_any_to_json(blob_slice(record->poll_state)));
    else
        put_bytes(json, "coroutineState", record->poll_state);
}

json_t *api_call_to_json(const struct driver_call *call, enum api_call_detail detail)
{
    const struct call_record *record = call->record;
    bool has_payloads = detail >= API_CALL_PAYLOADS;
    json_t *json = json_object();
    put_id(json, "dispatchId", record->id);
    put_id(json, "parentDispatchId", record->parent);
    put_id(json, "rootDispatchId", record->root);
    put_endpoint(json, record->endpoint);
    put_text(json, "function", record->function);
    put_text(json, "version", record->version);
    put(json, "state", json_string(api_call_state_name(api_call_state(call))));
    put(json, "attempts", json_integer(record->attempts));
    put_time(json, "creationTime", record->created_ns);
    put_time(json, "expirationTime", record->expires_ns);
    if (record->state == CALL_DONE)
        put_done(json, record, has_payloads);
    else
        put_live(json, call);
    if (has_payloads && record->input)
        put(json, "input", wire_any_to_json(blob_slice(record->input)));
    if (detail >= API_CALL_WITH_STATE)
        put_state(json, record);
    return json;
}
