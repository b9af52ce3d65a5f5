/* The model of replies: what the record of a call becomes (docs/design/engine.md, "Replies, completely", "Polls", E7,
 * E8), compared with the batch that the engine makes of the reply. */
#include "sim/sim_private.h"

#define DEEP_FAILURES 5 /* from here on a delay is drawn from more than sixteen times the shortest ceiling */
#define DEEP_RETRIES_MIN 12

enum becoming { BECOMES_RETRY, BECOMES_TAIL_CALL, BECOMES_RESTART, BECOMES_POLL, BECOMES_DONE };

struct reply {
    struct sim *sim;
    const struct sim_flight *flight;
    const struct call_record *before;
    const struct engine_event *event;
    const struct wire_run_response *response; /* NULL: there was none */
    const struct batch *batch; /* NULL: none */
    const struct call_record *after; /* the update's groups */
    unsigned fields;
    dr_status status;
    int64_t now_ns;
};

static void expect(const struct reply *reply, bool is_true, const char *what)
{
    if (!is_true)
        sim_violate(reply->sim, "c%u, attempt %u: %s", reply->flight->call->number, reply->flight->attempt, what);
}

static bool is_text(const struct blob *blob, struct slice text)
{
    return slice_equal(blob_slice(blob), text);
}

/* ---- what becomes of it ---- */

static bool is_tail_call_good(const struct wire_call *call)
{
    struct slice kind = slice_text("http://");
    bool is_kept = call->endpoint.len == 0;
    return call->function.len > 0 &&
           (is_kept || (call->endpoint.len > kind.len && memcmp(call->endpoint.data, kind.data, kind.len) == 0));
}

static enum becoming becoming_of(struct reply *reply)
{
    const struct wire_run_response *response = reply->response;
    if (!response)
        return dr_status_is_retryable(reply->status) ? BECOMES_RETRY : BECOMES_DONE;
    bool is_fine = response->status == DR_STATUS_OK || response->status == DR_STATUS_UNSPECIFIED;
    if (response->outcome == WIRE_OUTCOME_EXIT && response->has_tail_call) {
        if (is_tail_call_good(&response->tail_call))
            return BECOMES_TAIL_CALL;
        reply->status = DR_STATUS_INVALID_RESPONSE;
        return BECOMES_DONE;
    }
    if (response->status == DR_STATUS_INCOMPATIBLE_STATE)
        return BECOMES_RESTART;
    if (dr_status_is_retryable(response->status))
        return BECOMES_RETRY;
    if (response->outcome == WIRE_OUTCOME_POLL && is_fine)
        return BECOMES_POLL;
    if (response->outcome != WIRE_OUTCOME_EXIT && is_fine)
        reply->status = DR_STATUS_INVALID_RESPONSE;
    return BECOMES_DONE;
}

/* ---- retries ---- */

/* Full jitter: between nothing and twice as much with each failure; over many the delays must have grown. */
static void check_delay(const struct reply *reply)
{
    struct sim *sim = reply->sim;
    uint32_t failures = reply->before->failures + 1;
    int64_t delay_ns = reply->after->due_ns - reply->now_ns, wish_ns = reply->event->attempt_done.retry_after_ns;
    int64_t ceiling_ns = sim->config.backoff_base_ns;
    if (wish_ns > 0) {
        expect(reply, delay_ns == wish_ns, "T4: the endpoint's wish when to try again was not granted");
        return;
    }
    for (uint32_t i = 1; i < failures && ceiling_ns < sim->config.backoff_max_ns; i++)
        ceiling_ns *= 2;
    if (ceiling_ns > sim->config.backoff_max_ns)
        ceiling_ns = sim->config.backoff_max_ns;
    expect(reply, delay_ns > 0 && delay_ns <= ceiling_ns, "T4: the delay of a retry is out of its bounds");
    if (failures < DEEP_FAILURES)
        return;
    sim->n_deep_retries++;
    sim->n_short_retries += delay_ns <= sim->config.backoff_base_ns;
    sim->n_longest_retries += delay_ns == ceiling_ns;
    bool can_tell = sim->n_deep_retries >= DEEP_RETRIES_MIN;
    expect(reply, !can_tell || sim->n_short_retries < sim->n_deep_retries, "T4: the delays of retries do not grow");
    expect(reply, !can_tell || sim->n_longest_retries < sim->n_deep_retries, "T4: the delays of retries do not differ");
}

static void check_failure(const struct reply *reply)
{
    const struct call_record *after = reply->after;
    expect(reply, after->failures == reply->before->failures + 1, "T4: a failure was not counted");
    expect(reply, after->last_status == (uint8_t)reply->status, "T4: the status of a failure was not kept");
    expect(reply, after->last_error != NULL, "T4: the text of a failure was not kept");
    check_delay(reply);
}

static void check_scheduled(const struct reply *reply, unsigned fields)
{
    const struct call_record *after = reply->after;
    int64_t expires_ns = reply->before->expires_ns;
    expect(reply, after->state == CALL_SCHEDULED && reply->fields == fields, "it is not to be tried again");
    expect(reply, after->attempts == reply->before->attempts + 1, "an attempt was not counted");
    expect(reply, after->wake_ns == (after->due_ns < expires_ns ? after->due_ns : expires_ns),
           "it wakes at another time than it should");
}

/* ---- a new generation ---- */

static void check_begins_anew(const struct reply *reply, const struct wire_call *as)
{
    const struct call_record *after = reply->after;
    check_scheduled(reply, RECORD_PROGRESS | RECORD_CODE | RECORD_POLL);
    expect(reply, after->generation == reply->before->generation + 1, "T5, T9: the generation is not the next");
    expect(reply, !after->is_resume && !after->poll_state && !after->poll_error, "T5, T9: the poll was not forgotten");
    expect(reply, is_text(after->function, as->function), "T5, T9: it goes on with another function");
    expect(reply, is_text(after->endpoint, as->endpoint), "T5, T9: it goes on at another endpoint");
    expect(reply, is_text(after->version, as->version), "T5, T9: it goes on as another version");
    expect(reply, is_text(after->input, as->input), "T5, T9: it goes on with another input");
}

static void check_tail_call(const struct reply *reply)
{
    struct wire_call tail = reply->response->tail_call;
    tail.endpoint = tail.endpoint.len ? tail.endpoint : blob_slice(reply->before->endpoint);
    tail.version = tail.version.len ? tail.version : blob_slice(reply->before->version);
    check_begins_anew(reply, &tail);
    if (dr_status_is_retryable(reply->status)) {
        check_failure(reply);
        return;
    }
    expect(reply, reply->after->failures == 0, "T5: a tail call that went well has failures");
    expect(reply, reply->after->due_ns == reply->now_ns, "T5: a tail call waits");
}

static void check_restart(const struct reply *reply)
{
    const struct call_record *before = reply->before;
    check_begins_anew(reply, &(struct wire_call){.function = blob_slice(before->function),
                                                 .endpoint = blob_slice(before->endpoint),
                                                 .version = blob_slice(before->version),
                                                 .input = blob_slice(before->input)});
    check_failure(reply);
    bool is_swept = reply->after->sweep_below == reply->after->generation || reply->after->sweep_below == UINT32_MAX;
    expect(reply, !before->has_children || is_swept, "E9: a restart does not sweep what it abandons");
}

/* ---- polls ---- */

static const struct batch_op *next_child(const struct reply *reply, size_t *at)
{
    const struct batch *batch = reply->batch;
    while (*at < batch->n_ops) {
        const struct batch_op *op = &batch->ops[(*at)++];
        if (op->kind == BATCH_INSERT && id_equal(op->record.parent, reply->flight->id))
            return op;
    }
    return NULL;
}

static void check_children(const struct reply *reply, size_t n_calls)
{
    size_t at = 0;
    const struct batch_op *op;
    for (size_t i = 0; i < n_calls; i++) {
        op = next_child(reply, &at);
        expect(reply, op != NULL, "I6: a poll made fewer calls than it has");
        if (op)
            sim_check_new(reply->sim, &op->record, &reply->response->poll.calls[i], reply->before);
    }
    expect(reply, !next_child(reply, &at), "I6: a poll made more calls than it may");
}

static bool is_refused(const struct wire_poll *poll)
{
    bool is_refused = false;
    for (size_t i = 0; i < poll->n_calls; i++)
        is_refused |= poll->calls[i].function.len == 0; /* the one reason that programs give */
    return is_refused;
}

static void check_poll(const struct reply *reply)
{
    const struct wire_poll *poll = &reply->response->poll;
    const struct call_record *after = reply->after;
    bool was_refused = is_refused(poll);
    expect(reply, after->state == CALL_SUSPENDED && reply->fields == (RECORD_PROGRESS | RECORD_POLL),
           "T6: it is not suspended");
    expect(reply, after->failures == 0 && !after->last_error, "T6: an attempt that went well has failures");
    expect(reply, after->attempts == reply->before->attempts, "T6: an attempt that polled was counted");
    expect(reply, after->is_resume && after->state_arm == poll->state_arm && is_text(after->poll_state, poll->state),
           "T6: the state was not kept");
    expect(reply, was_refused == (after->poll_error != NULL), "T6: a poll was refused that should not, or the reverse");
    expect(reply, after->min_results == (poll->min_results < 1 ? 1 : poll->min_results), "T6: min_results is another");
    expect(reply, poll->max_results < 1 || after->max_results == poll->max_results, "T6: max_results is another");
    int64_t due_ns = was_refused ? reply->now_ns
                     : poll->has_max_wait ? time_add(reply->now_ns, poll->max_wait_ns)
                                          : TIME_NEVER;
    expect(reply, after->due_ns == due_ns, "T7: it does not wake at max_wait");
    check_children(reply, was_refused ? 0 : poll->n_calls);
}

/* ---- ends ---- */

static void check_done(const struct reply *reply)
{
    const struct call_record *after = reply->after;
    const struct wire_run_response *response = reply->response;
    expect(reply, after->state == CALL_DONE && reply->fields == (RECORD_PROGRESS | RECORD_POLL | RECORD_RESULT),
           "T3: it is not done");
    expect(reply, after->status == (uint8_t)reply->status, "T3: it is done with another status");
    expect(reply, after->attempts == reply->before->attempts + 1, "T3: the last attempt was not counted");
    expect(reply, !after->is_resume && !after->poll_state && !after->poll_error, "T3: the poll was not forgotten");
    bool is_root = id_is_none(reply->before->parent);
    expect(reply, after->mail == (is_root ? CALL_MAIL_NONE : reply->before->mail), "T3: its result is not mailed");
    bool is_failure = reply->status != DR_STATUS_OK && reply->status != DR_STATUS_UNSPECIFIED;
    expect(reply, !is_failure || after->error.type, "T3: a failure without an error");
    if (!response || response->outcome != WIRE_OUTCOME_EXIT || response->status != reply->status)
        return;
    const struct wire_result *result = &response->result;
    expect(reply, is_text(after->output, result->output), "T3: another output than the reply has");
    if (result->has_error)
        expect(reply, is_text(after->error.type, result->error.type) && is_text(after->error.message, result->error.message),
               "T3: another error than the reply has");
}

/* ---- delivered results ---- */

static bool is_among(struct id id, const struct id *ids, size_t n_ids)
{
    for (size_t i = 0; i < n_ids; i++) {
        if (id_equal(ids[i], id))
            return true;
    }
    return false;
}

/* E7: what the attempt had is consumed with its end, by nothing else, and by a retry not at all. */
static void check_consumed(const struct reply *reply, enum becoming becoming)
{
    const struct sim_flight *flight = reply->flight;
    size_t n_delivered = 0, n_others = 0;
    for (size_t i = 0; i < reply->batch->n_ops; i++) {
        const struct batch_op *op = &reply->batch->ops[i];
        const struct sim_call *child = sim_call_find(reply->sim, op->record.id);
        if (op->kind != BATCH_CONSUME || !child || child->parent != flight->call)
            continue;
        if (is_among(op->record.id, flight->delivered.ids, flight->delivered.n_ids))
            n_delivered++;
        else
            n_others++;
    }
    bool is_over = becoming != BECOMES_RETRY;
    bool goes_on = becoming == BECOMES_RETRY || becoming == BECOMES_POLL;
    expect(reply, n_delivered == (is_over ? flight->delivered.n_ids : 0), "E7: what was delivered is not what is consumed");
    expect(reply, n_others == 0 || !goes_on, "E7: a result was consumed that was not delivered");
}

/* ---- the step ---- */

static const struct batch_op *update_of(const struct batch *batch, struct id id)
{
    for (size_t i = 0; batch && i < batch->n_ops; i++) {
        if (batch->ops[i].kind == BATCH_UPDATE && id_equal(batch->ops[i].record.id, id))
            return &batch->ops[i];
    }
    return NULL;
}

static void check_becoming(struct reply *reply)
{
    static void (*const checks[])(const struct reply *reply) = {[BECOMES_TAIL_CALL] = check_tail_call,
                                                                [BECOMES_RESTART] = check_restart,
                                                                [BECOMES_POLL] = check_poll,
                                                                [BECOMES_DONE] = check_done};
    enum becoming becoming = becoming_of(reply);
    check_consumed(reply, becoming);
    if (becoming != BECOMES_RETRY) {
        checks[becoming](reply);
        return;
    }
    check_scheduled(reply, RECORD_PROGRESS);
    check_failure(reply);
}

void sim_check_reply(struct sim *sim, const struct sim_flight *flight, const struct call_record *before,
                     const struct engine_event *event, const struct engine_update *update)
{
    const struct batch_op *op = update_of(update->batch, flight->id);
    const struct wire_run_response *response = event->attempt_done.response;
    struct reply reply = {.sim = sim,
                          .flight = flight,
                          .before = before,
                          .event = event,
                          .response = response,
                          .batch = update->batch,
                          .after = op ? &op->record : NULL,
                          .fields = op ? op->fields : 0,
                          .status = response ? response->status : event->attempt_done.status,
                          .now_ns = sim->server.stepped_ns};
    if (flight->is_aborted || !before)
        expect(&reply, !op, "E8: a reply to an attempt that was called off changes its call");
    else if (before->expires_ns <= reply.now_ns)
        return; /* whichever comes first in the step */
    else if (!op)
        expect(&reply, false, "a reply changes nothing");
    else
        check_becoming(&reply);
}

void sim_check_late_reply(struct sim *sim, struct id id, const struct engine_update *update)
{
    bool is_changed = update_of(update->batch, id) != NULL;
    for (size_t i = 0; i < update->n_effects; i++)
        is_changed |= update->effects[i].kind == ENGINE_START && id_equal(update->effects[i].start.id, id);
    if (is_changed)
        sim_violate(sim, "E8: a late reply changes its call");
}
