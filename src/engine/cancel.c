/* T8: a call is cancelled or expires, and its descendants with it (E9). */
#include "engine/engine_private.h"
#include "wire/wire.h"

#include <stdio.h>

static void end_call(struct engine *engine, struct call *call, dr_status status, const char *type, const char *message,
                     bool is_mailed)
{
    struct id id = call->record.id;
    bool has_children = call->record.has_children;
    struct outcome outcome = {.status = status};
    outcome.error.type = slice_text(type);
    outcome.error.message = slice_text(message);
    call->record.sweep_below = has_children ? UINT32_MAX : 0;
    finish_call(engine, call, &outcome, is_mailed);
    if (has_children)
        sweep_add(engine, id, UINT32_MAX);
}

void cancel_call(struct engine *engine, struct call *call, const char *message, bool is_mailed)
{
    engine->counts.cancelled++;
    end_call(engine, call, DR_STATUS_PERMANENT_ERROR, "CanceledError", message, is_mailed);
}

void cancel_expire(struct engine *engine, struct call *call)
{
    enum { REASON_BYTES_MAX = 200 };
    const struct call_record *record = &call->record;
    double seconds = (double)(record->expires_ns - record->created_ns) / (double)NS_PER_S;
    struct slice reason = wire_utf8_prefix(blob_slice(record->last_error), REASON_BYTES_MAX);
    char message[320];
    if (reason.len)
        snprintf(message, sizeof message, "the call expired %.6g s after its creation; last failure: %.*s", seconds,
                 (int)reason.len, (const char *)reason.data);
    else
        snprintf(message, sizeof message, "the call expired %.6g s after its creation", seconds);
    engine->counts.expired++;
    end_call(engine, call, DR_STATUS_TIMEOUT, "TimeoutError", message, true);
}

static void answer(struct engine *engine, uint64_t token, dr_code code, const char *message)
{
    /* depends on what this step may have written; nothing written = the store says so already */
    uint64_t after_batch = engine->batch ? engine->batch->sequence : 0;
    struct held *held = output_hold(engine, ENGINE_ANSWER_CANCEL, token, after_batch);
    held->code = code;
    snprintf(held->message, sizeof held->message, "%s", message);
}

static bool is_foreign(const struct call *call, uint32_t project)
{
    return project != 0 && call->record.project != project;
}

void cancel_asked(struct engine *engine, const struct engine_event *event)
{
    struct call *call = resident_get(engine, event->ask.id);
    if (!call)
        call = resident_placeholder(engine, event->ask.id);
    if (call->phase == PHASE_LOADING) {
        struct ask *ask = mem_must_zalloc(sizeof *ask);
        list_init(&ask->node);
        ask->token = event->ask.token;
        ask->project = event->ask.project;
        list_push_back(&call->asks, &ask->node);
        return;
    }
    if (is_foreign(call, event->ask.project)) {
        answer(engine, event->ask.token, DR_NOT_FOUND, "there is no call with this id");
        return;
    }
    cancel_call(engine, call, "the call was cancelled", true);
    answer(engine, event->ask.token, DR_OK, "");
}

static bool is_found(const struct call *call)
{
    return call->record.state != 0;
}

void cancel_refuse_asks(struct engine *engine, struct call *call, dr_code code, const char *message)
{
    struct list *node;
    while ((node = list_pop_front(&call->asks))) {
        struct ask *ask = container_of(node, struct ask, node);
        answer(engine, ask->token, code, message);
        mem_free(ask);
    }
}

/* The placeholder has been filled, or there is no such call. A live call ends here when anyone who may asked for it. */
void cancel_answer_asks(struct engine *engine, struct call *call)
{
    bool is_cancelled = false;
    struct list asks;
    list_init(&asks);
    struct list *node;
    while ((node = list_pop_front(&call->asks)))
        list_push_back(&asks, node);
    struct call_record *record = &call->record;
    bool is_missing = !is_found(call);
    bool is_done = record->state == CALL_DONE;
    uint32_t project = record->project;
    for (node = asks.next; node != &asks; node = node->next) {
        const struct ask *ask = container_of(node, struct ask, node);
        is_cancelled |= !is_missing && !is_done && (ask->project == 0 || ask->project == project);
    }
    if (is_cancelled)
        cancel_call(engine, call, "the call was cancelled", true);
    else if (!is_missing && !is_done)
        resident_place(engine, call);
    while ((node = list_pop_front(&asks))) {
        struct ask *ask = container_of(node, struct ask, node);
        if (is_missing || (ask->project != 0 && ask->project != project))
            answer(engine, ask->token, DR_NOT_FOUND, "there is no call with this id");
        else if (is_done)
            answer(engine, ask->token, DR_FAILED_PRECONDITION, "the call is done already");
        else
            answer(engine, ask->token, DR_OK, "");
        mem_free(ask);
    }
}
