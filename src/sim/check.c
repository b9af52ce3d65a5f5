/* The reference model and the invariants: what the outside may see, compared after every event with what it
 * does see. */
#include "sim/sim_private.h"

/* When a server has lived so long on a disk that works, and its store has done so much for each sweep there ever was
 * (they take turns), a sweep has reached everything. */
#define SWEEP_GRACE_NS (10 * NS_PER_S)
#define SWEEP_GRACE_JOBS 20

/* ---- what clients saw ---- */

static void check_order(struct sim *sim, const struct sim_call *call)
{
    if (call->live_ns > call->done_ns)
        sim_violate(sim, "I7: c%u was seen done, and not done afterwards", call->number);
}

void sim_check_seen_live(struct sim *sim, struct sim_call *call, int64_t began_ns)
{
    if (began_ns > call->live_ns)
        call->live_ns = began_ns;
    check_order(sim, call);
}

void sim_check_seen_done(struct sim *sim, struct sim_call *call)
{
    if (sim->now_ns < call->done_ns)
        call->done_ns = sim->now_ns;
    check_order(sim, call);
}

void sim_check_seen_result(struct sim *sim, struct sim_call *call, uint64_t result)
{
    if (call->has_seen_result && call->seen_result != result)
        sim_violate(sim, "I1: c%u was seen with two results", call->number);
    call->has_seen_result = true;
    call->seen_result = result;
}

/* ---- ends ---- */

/* Somebody above ended by T8, or began anew by T9 after this call was made. */
static bool is_swept(const struct sim_call *call, uint32_t parent_generation)
{
    const struct sim_call *above = call->parent;
    if (above && above->n_restarts > 0 && parent_generation < above->generation)
        return true;
    for (; above; above = above->parent) {
        if (above->is_ended_by_server || above->n_restarts > 0)
            return true;
    }
    return false;
}

static void check_lost(struct sim *sim, struct sim_call *call, const struct call_record *record,
                       bool is_expired)
{
    sim_did(sim, is_expired ? SIM_T8_EXPIRE : SIM_T8_CANCEL);
    if (is_expired && record->done_ns < record->expires_ns)
        sim_violate(sim, "T8: c%u expired before its time", call->number);
    if (!is_expired && !call->is_cancel_asked && !is_swept(call, record->parent_generation))
        sim_violate(sim, "T8: c%u was cancelled, and nobody asked for it", call->number);
    call->is_ended_by_server = true;
    call->ended_ns = sim->now_ns;
    call->ended_jobs = sim->n_jobs;
    if (!program_expected(call->input).is_lost)
        sim->n_lost++;
}

static void check_exit(struct sim *sim, struct sim_call *call, const struct call_record *record)
{
    struct program_result result;
    dr_status odd_status = program_odd_status(call->input);
    sim_did(sim, SIM_T3);
    if (odd_status && record->status == odd_status)
        return;
    if (record->status == DR_STATUS_INVALID_RESPONSE) {
        sim->n_lost++;
        if (!call->is_spoiled)
            sim_violate(sim, "T3: c%u ended with a response that nobody sent", call->number);
        return;
    }
    bool is_read = program_read_result(blob_slice(record->output), blob_slice(record->error.type),
                                       blob_slice(record->error.message), &result);
    dr_status status = result.is_error ? DR_STATUS_PERMANENT_ERROR : DR_STATUS_OK;
    if (!is_read || record->status != status || !program_may_end(call->input, &result))
        sim_violate(sim, "T3: c%u ended with a result that its program does not give", call->number);
    if (is_read && result.is_tainted && sim->n_lost == 0)
        sim_violate(sim, "I2: c%u lacks a result, and no call was lost", call->number);
}

void sim_check_durable_end(struct sim *sim, struct sim_call *call, const struct call_record *update)
{
    struct call_record record; /* the update has the changed groups only */
    CHECK(sim_shadow(sim, call->id, &record));
    bool is_cancelled = slice_equal(blob_slice(record.error.type), slice_text("CanceledError"));
    bool is_expired = slice_equal(blob_slice(record.error.type), slice_text("TimeoutError"));
    sim_trace(sim, "c%u is done: status %d", call->number, record.status);
    if (is_cancelled || is_expired)
        check_lost(sim, call, &record, is_expired);
    else
        check_exit(sim, call, &record);
    if (!sim->has_clock_jumped && update->done_sequence <= sim->last_done_sequence)
        sim_violate(sim, "the order of completion does not rise at c%u", call->number);
    sim->last_done_sequence = update->done_sequence;
    record_deinit(&record);
}

/* ---- starts ---- */

static bool is_id_text(struct slice text, struct id id)
{
    char digits[ID_TEXT_SIZE];
    if (id_is_none(id))
        return text.len == 0;
    return slice_equal(text, slice_text(id_format(id, digits)));
}

static void check_result(struct sim *sim, const struct sim_call *call, const struct call_record *record,
                         const struct wire_result *result, uint64_t *last_sequence)
{
    struct id id;
    struct call_record child;
    if (!id_parse(result->dispatch_id, &id) || !sim_shadow(sim, id, &child)) {
        sim_violate(sim, "I2: c%u gets a result of a call that is not recorded", call->number);
        return;
    }
    bool is_its = id_equal(child.parent, call->id) && child.parent_generation == record->generation &&
                  child.correlation_id == result->correlation_id;
    if (!is_its || child.mail != CALL_MAIL_OPEN)
        sim_violate(sim, "I2: c%u gets a result that is not its own, or again", call->number);
    bool is_same = child.state == CALL_DONE && slice_equal(blob_slice(child.output), result->output) &&
                   slice_equal(blob_slice(child.error.type), result->error.type) &&
                   slice_equal(blob_slice(child.error.message), result->error.message);
    if (!is_same)
        sim_violate(sim, "I7: c%u gets a result that is not durable", call->number);
    if (child.done_sequence <= *last_sequence)
        sim_violate(sim, "c%u gets results out of the order of completion", call->number);
    *last_sequence = child.done_sequence;
    record_deinit(&child);
}

static bool is_open_mail(struct sim *sim, const struct sim_call *child, uint32_t generation,
                         uint64_t *ret_sequence)
{
    struct call_record record;
    if (!sim_shadow(sim, child->id, &record))
        return false;
    bool is_open =
        record.state == CALL_DONE && record.mail == CALL_MAIL_OPEN && record.parent_generation == generation;
    *ret_sequence = record.done_sequence;
    record_deinit(&record);
    return is_open;
}

/* Oldest first: nothing older was left behind. */
static void check_oldest(struct sim *sim, const struct sim_call *call, uint32_t generation, size_t n_results,
                         uint64_t last_sequence)
{
    size_t n_older = 0;
    uint64_t sequence;
    for (const struct sim_call *child = call->first_child; child; child = child->next_sibling)
        n_older += is_open_mail(sim, child, generation, &sequence) && sequence <= last_sequence;
    if (n_older != n_results)
        sim_violate(sim, "c%u gets %zu results, %zu are as old", call->number, n_results, n_older);
}

static void check_directive(struct sim *sim, const struct sim_call *call, const struct call_record *record,
                            const struct wire_run_request *request)
{
    const struct wire_poll_result *poll = &request->poll_result;
    uint64_t last_sequence = 0;
    if (record->is_resume != (request->directive == WIRE_DIRECTIVE_POLL_RESULT)) {
        sim_violate(sim, "c%u is not started from where it stands", call->number);
        return;
    }
    if (record->is_resume && request->input.len > 0)
        sim_violate(sim, "c%u is resumed with its input", call->number);
    if (!record->is_resume) {
        if (!slice_equal(request->input, blob_slice(record->input)))
            sim_violate(sim, "c%u is started with another input", call->number);
        return;
    }
    if (!slice_equal(poll->state, blob_slice(record->poll_state)))
        sim_violate(sim, "c%u is resumed with another state", call->number);
    for (size_t i = 0; i < poll->n_results; i++)
        check_result(sim, call, record, &poll->results[i], &last_sequence);
    check_oldest(sim, call, record->generation, poll->n_results, last_sequence);
}

static bool is_long_ago(const struct sim *sim, int64_t when_ns, uint64_t jobs)
{
    int64_t since_ns = when_ns > sim->server.started_ns ? when_ns : sim->server.started_ns;
    if (since_ns < sim->disk_trouble_ns)
        since_ns = sim->disk_trouble_ns;
    const uint64_t *deeds = sim->report->deeds;
    uint64_t n_sweeps = deeds[SIM_T8_CANCEL] + deeds[SIM_T8_EXPIRE] + deeds[SIM_T9];
    return sim->now_ns - since_ns > SWEEP_GRACE_NS && sim->n_jobs - jobs > SWEEP_GRACE_JOBS * (n_sweeps + 1);
}

static void check_swept(struct sim *sim, const struct sim_call *call, uint32_t parent_generation)
{
    const struct sim_call *parent = call->parent;
    bool is_abandoned = parent && parent->n_restarts > 0 && parent_generation < parent->generation &&
                        is_long_ago(sim, parent->restarted_ns, parent->restarted_jobs);
    for (const struct sim_call *above = parent; above; above = above->parent) {
        if (above->is_done && !above->is_ended_by_server)
            break; /* children of a finished call run on */
        is_abandoned |= above->is_ended_by_server && is_long_ago(sim, above->ended_ns, above->ended_jobs);
    }
    if (is_abandoned)
        sim_violate(sim, "T8, T9: c%u runs, and what it was made for ended long ago", call->number);
}

void sim_check_start(struct sim *sim, const struct sim_call *call, const struct engine_effect *effect)
{
    const struct wire_run_request *request = &effect->start.request;
    struct call_record record;
    if (!sim_shadow(sim, call->id, &record) || record.state == CALL_DONE) {
        sim_violate(sim, "I4: c%u starts, and is %s", call->number,
                    call->is_durable ? "done" : "not durable");
        record_deinit(&record);
        return;
    }
    int64_t left_ns = record.expires_ns - sim_server_now(sim);
    bool is_related = is_id_text(request->dispatch_id, record.id) &&
                      is_id_text(request->root_dispatch_id, record.root) &&
                      is_id_text(request->parent_dispatch_id, record.parent);
    if (!is_related || !slice_equal(request->function, blob_slice(record.function)) ||
        !slice_equal(effect->start.endpoint, blob_slice(record.endpoint)))
        sim_violate(sim, "c%u is started as somebody else", call->number);
    if (request->creation_ns != record.created_ns || request->expiration_ns != record.expires_ns)
        sim_violate(sim, "c%u is started with other times", call->number);
    if (effect->start.timeout_ns <= 0 || effect->start.timeout_ns > left_ns ||
        effect->start.timeout_ns > sim->config.run_timeout_ns)
        sim_violate(sim, "c%u may run for %lld ns, it has %lld", call->number,
                    (long long)effect->start.timeout_ns, (long long)left_ns);
    check_directive(sim, call, &record, request);
    check_swept(sim, call, record.parent_generation);
    record_deinit(&record);
}

/* ---- answers in time ---- */

#define ANSWER_GRACE_NS (20 * NS_PER_S)

static bool has_trouble_since(const struct sim *sim, int64_t when_ns)
{
    return sim->disk_trouble_ns >= when_ns || sim->server.started_ns >= when_ns || sim->disk_full_until_ns > 0;
}

/* A client gives up a minute after the time of its wait is over; half of that may go by on the way to the server. */
void sim_check_unanswered(struct sim *sim, const struct sim_request *request)
{
    if (!has_trouble_since(sim, request->sent_ns - ANSWER_GRACE_NS))
        sim_violate(sim, "operation %u has no answer in time", request->number);
}

void sim_check_wait(struct sim *sim, const struct sim_request *request)
{
    const struct sim_call *call = request->call;
    if (request->code != DR_DEADLINE_EXCEEDED)
        return;
    if (sim->server.stepped_ns < request->deadline_ns)
        sim_violate(sim, "a wait of operation %u ended before its time", request->number);
    bool is_late = call && call->is_done && !call->is_purged && call->finished_ns + ANSWER_GRACE_NS < sim->now_ns;
    if (is_late && !has_trouble_since(sim, call->finished_ns))
        sim_violate(sim, "operation %u waits for c%u, which was done, and is not told", request->number, call->number);
}
