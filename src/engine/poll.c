/* T6: a coroutine suspends and makes calls. T7: their results wake it. */
#include "engine/engine_private.h"
#include "wire/wire.h"

void poll_wake_if_satisfied(struct engine *engine, struct call *call)
{
    if (call->phase == PHASE_IDLE && call->record.state == CALL_SUSPENDED && mail_satisfies_poll(call))
        resident_set_ready(engine, call);
}

void poll_deliver(struct engine *engine, const struct call_record *child, uint64_t after_batch)
{
    struct call *parent = resident_get(engine, child->parent);
    if (!parent)
        parent = resident_placeholder(engine, child->parent);
    if (parent->phase == PHASE_LOADING) {
        mail_add(engine, parent, mail_create(child, after_batch)); /* merged when it is loaded (E6) */
        return;
    }
    if (child->parent_generation != parent->record.generation)
        return; /* abandoned by a tail call or a restart */
    mail_add(engine, parent, mail_create(child, after_batch));
    CHECK(parent->n_outstanding > 0);
    parent->n_outstanding--;
    if (parent->phase == PHASE_IDLE && parent->after_batch < after_batch)
        parent->after_batch = after_batch;
    poll_wake_if_satisfied(engine, parent);
}

/* Why a poll is refused as a whole (protocol 5.2); NULL when it is not. */
static const char *refusal(struct engine *engine, const struct call *call, const struct wire_poll *poll)
{
    uint64_t n_open = call->n_mail + call->n_outstanding + poll->n_calls;
    if (poll->n_calls > WIRE_CALLS_MAX)
        return arena_printf(&engine->arena, "%zu calls in one poll, at most %u are allowed", poll->n_calls,
                            WIRE_CALLS_MAX);
    if (n_open > ENGINE_MAIL_MAX)
        return arena_printf(&engine->arena, "%llu results outstanding, at most %u are allowed",
                            (unsigned long long)n_open, ENGINE_MAIL_MAX);
    if (poll->n_calls > 0 && call->record.depth + 1 > WIRE_DEPTH_MAX)
        return arena_printf(&engine->arena, "the call tree is %u calls deep, more are not allowed", WIRE_DEPTH_MAX);
    for (size_t i = 0; i < poll->n_calls; i++) {
        struct wire_call wire = poll->calls[i];
        struct dr_error error = {0};
        if (wire.endpoint.len == 0)
            wire.endpoint = blob_slice(call->record.endpoint); /* Q4 */
        if (wire_call_validate(&wire, true, &error) != DR_OK)
            return arena_printf(&engine->arena, "call %zu of the poll: %s", i, error.message);
    }
    return NULL;
}

static void make_children(struct engine *engine, struct call *call, const struct wire_poll *poll, struct call **children)
{
    const struct call_record *parent = &call->record;
    for (size_t i = 0; i < poll->n_calls; i++) {
        const struct wire_call *wire = &poll->calls[i];
        struct call_record record = {.project = parent->project};
        creation_record(engine, wire, &record);
        record.parent = parent->id;
        record.root = parent->root;
        record.parent_generation = parent->generation;
        record.depth = parent->depth + 1;
        record.mail = CALL_MAIL_OPEN;
        record.endpoint = wire->endpoint.len ? creation_text(wire->endpoint, parent->endpoint) : blob_ref(parent->endpoint);
        record.function = creation_text(wire->function, i > 0 ? children[i - 1]->record.function : parent->function);
        record.version = creation_text(wire->version, parent->version);
        uint64_t sequence = output_write(engine, BATCH_INSERT, 0, &record);
        children[i] = resident_create(engine, &record);
        children[i]->after_batch = sequence;
    }
    call->n_outstanding += poll->n_calls;
}

static void set_terms(struct engine *engine, struct call_record *record, const struct wire_poll *poll, const char *refused)
{
    record->is_resume = true;
    record->state_arm = (uint8_t)poll->state_arm;
    blob_set(&record->poll_state, engine_blob(poll->state));
    blob_set(&record->poll_error, refused ? engine_blob_text(refused) : NULL);
    record->min_results = poll->min_results < 1 ? 1 : poll->min_results;
    record->max_results = poll->max_results < 1 || poll->max_results > (int32_t)ENGINE_RESULTS_MAX
                              ? (int32_t)ENGINE_RESULTS_MAX
                              : poll->max_results;
    record->due_ns = TIME_NEVER;
    if (refused)
        record->due_ns = engine->now_ns; /* resumes at once */
    else if (poll->has_max_wait)
        record->due_ns = time_add(engine->now_ns, poll->max_wait_ns > 0 ? poll->max_wait_ns : 0);
}

void poll_suspend(struct engine *engine, struct call *call, const struct wire_poll *poll)
{
    struct call_record *record = &call->record;
    const char *refused = refusal(engine, call, poll);
    size_t n_calls = refused ? 0 : poll->n_calls;
    struct call **children = n_calls ? mem_must_alloc(n_calls * sizeof(struct call *)) : NULL;

    engine->counts.polled++;
    mail_consume(engine, call, call->n_delivering);
    if (n_calls > 0) {
        make_children(engine, call, poll, children);
        record->has_children = true;
    }
    set_terms(engine, record, poll, refused);
    record->state = CALL_SUSPENDED;
    record->failures = 0;
    record->last_status = DR_STATUS_OK;
    blob_set(&record->last_error, NULL);
    record->wake_ns = record->due_ns < record->expires_ns ? record->due_ns : record->expires_ns;
    call->after_batch = output_write(engine, BATCH_UPDATE, RECORD_PROGRESS | RECORD_POLL, record);
    resident_place(engine, call);
    for (size_t i = 0; i < n_calls; i++)
        resident_place(engine, children[i]);
    mem_free(children);
}
