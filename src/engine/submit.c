/* T1: calls are submitted, all or none. */
#include "engine/engine_private.h"
#include "wire/wire.h"

#include <stdio.h>

/* Calls of one request mostly share endpoint, function and version: one blob serves a run of equals. */
struct blob *submit_text(struct slice bytes, struct blob *previous)
{
    if (previous && slice_equal(bytes, blob_slice(previous)))
        return blob_ref(previous);
    return bytes.len ? engine_blob(bytes) : NULL;
}

static int64_t expiration(const struct engine *engine, int64_t wished_ns)
{
    int64_t span = wished_ns > 0 ? wished_ns : engine->config.default_expiration_ns;
    if (span > engine->config.max_expiration_ns)
        span = engine->config.max_expiration_ns;
    return time_add(engine->now_ns, span);
}

void submit_record(struct engine *engine, const struct wire_call *wire, struct call_record *ret_record)
{
    struct call_record *record = ret_record;
    record->id = id_next(&engine->ids, engine->now_ns);
    record->root = record->id;
    record->correlation_id = wire->correlation_id;
    record->created_ns = engine->now_ns;
    record->expires_ns = expiration(engine, wire->expiration_ns);
    record->generation = 1;
    record->state = CALL_SCHEDULED;
    record->due_ns = engine->now_ns;
    record->wake_ns = engine->now_ns;
    record->input = engine_blob(wire->input);
}

static struct held *refuse(struct engine *engine, const struct engine_event *event, dr_code code)
{
    /* nothing was written for it: it may be told as soon as what was said before it */
    struct held *held = output_hold(engine, ENGINE_ANSWER_SUBMIT, event->submit.token, 0);
    held->code = code;
    return held;
}

static bool is_acceptable(struct engine *engine, const struct engine_event *event)
{
    if (event->submit.n_calls > WIRE_CALLS_MAX) {
        struct held *held = refuse(engine, event, DR_INVALID_ARGUMENT);
        snprintf(held->message, sizeof held->message, "%zu calls in one request, at most %u are allowed",
                 event->submit.n_calls, WIRE_CALLS_MAX);
        return false;
    }
    for (size_t i = 0; i < event->submit.n_calls; i++) {
        struct dr_error error = {0};
        if (wire_call_validate(&event->submit.calls[i], true, &error) != DR_OK) {
            struct held *held = refuse(engine, event, DR_INVALID_ARGUMENT);
            snprintf(held->message, sizeof held->message, "call %zu: %.120s", i, error.message);
            return false;
        }
    }
    return true;
}

void submit_calls(struct engine *engine, const struct engine_event *event)
{
    if (!is_acceptable(engine, event))
        return;
    size_t n = event->submit.n_calls;
    struct id *ids = n ? mem_must_alloc(n * sizeof *ids) : NULL;
    struct call **calls = n ? mem_must_alloc(n * sizeof(struct call *)) : NULL;
    const struct call_record *previous = NULL;
    uint64_t sequence = 0;
    for (size_t i = 0; i < n; i++) {
        const struct wire_call *wire = &event->submit.calls[i];
        struct call_record record = {.project = event->submit.project};
        submit_record(engine, wire, &record);
        record.correlation_id = 0; /* of a root: ignored (compatibility 2.1) */
        record.endpoint = submit_text(wire->endpoint, previous ? previous->endpoint : NULL);
        record.function = submit_text(wire->function, previous ? previous->function : NULL);
        record.version = submit_text(wire->version, previous ? previous->version : NULL);
        sequence = output_write(engine, BATCH_INSERT, 0, &record);
        ids[i] = record.id;
        calls[i] = resident_create(engine, &record);
        calls[i]->after_batch = sequence;
        previous = &calls[i]->record;
    }
    for (size_t i = 0; i < n; i++)
        resident_place(engine, calls[i]);
    mem_free(calls);
    struct held *held = output_hold(engine, ENGINE_ANSWER_SUBMIT, event->submit.token, sequence);
    held->ids = ids;
    held->n_ids = n;
}
