/* T1: calls are submitted, all or none. */
#include "engine/engine_private.h"
#include "wire/wire.h"

#include <stdio.h>

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
        creation_record(engine, wire, &record);
        record.correlation_id = 0; /* of a root: ignored (protocol 2.1) */
        record.endpoint = creation_text(wire->endpoint, previous ? previous->endpoint : NULL);
        record.function = creation_text(wire->function, previous ? previous->function : NULL);
        record.version = creation_text(wire->version, previous ? previous->version : NULL);
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
