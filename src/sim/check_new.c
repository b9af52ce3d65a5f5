/* The model of new calls: what T1 and T6 make of a call that was asked for. */
#include "sim/sim_private.h"

static bool is_text(const struct blob *blob, struct slice text)
{
    return slice_equal(blob_slice(blob), text);
}

static int64_t expiration_ns(const struct engine_config *config, int64_t wish_ns)
{
    int64_t span_ns = wish_ns > 0 ? wish_ns : config->default_expiration_ns;
    return span_ns < config->max_expiration_ns ? span_ns : config->max_expiration_ns;
}

void sim_check_new(struct sim *sim, const struct call_record *record, const struct wire_call *wire,
                   const struct call_record *parent)
{
    int64_t now_ns = sim->server.stepped_ns;
    struct slice endpoint = wire->endpoint.len || !parent ? wire->endpoint : blob_slice(parent->endpoint);
    const char *wrong = NULL;
    if (!is_text(record->function, wire->function) || !is_text(record->endpoint, endpoint) ||
        !is_text(record->version, wire->version) || !is_text(record->input, wire->input))
        wrong = "is not what was asked for";
    if (record->state != CALL_SCHEDULED || record->is_resume || record->generation != 1 || record->attempts ||
        record->failures || record->has_children || record->sweep_below)
        wrong = "is not new";
    if (record->created_ns != now_ns || record->due_ns != now_ns || record->wake_ns != now_ns)
        wrong = "does not begin now";
    if (record->expires_ns != time_add(now_ns, expiration_ns(&sim->config, wire->expiration_ns)))
        wrong = "does not expire when it should";
    bool is_root = !parent && id_is_none(record->parent) && id_equal(record->root, record->id) && record->depth == 0 &&
                   record->mail == CALL_MAIL_NONE;
    bool is_child = parent && id_equal(record->parent, parent->id) && id_equal(record->root, parent->root) &&
                    record->project == parent->project && record->depth == parent->depth + 1 &&
                    record->parent_generation == parent->generation && record->mail == CALL_MAIL_OPEN &&
                    record->correlation_id == wire->correlation_id;
    if (!is_root && !is_child)
        wrong = "does not know where it belongs";
    if (wrong)
        sim_violate(sim, "T1, T6: a new call %s", wrong);
}

void sim_check_submit(struct sim *sim, const struct sim_request *request, const struct engine_event *event,
                      const struct batch *batch)
{
    size_t n_made = 0;
    for (size_t i = 0; batch && i < batch->n_ops; i++) {
        const struct call_record *record = &batch->ops[i].record;
        if (batch->ops[i].kind != BATCH_INSERT)
            continue;
        if (n_made < event->submit.n_calls)
            sim_check_new(sim, record, &event->submit.calls[n_made], NULL);
        if (record->project != request->project)
            sim_violate(sim, "T1: a new call belongs to another project");
        n_made++;
    }
    if (n_made != (request->is_bad ? 0 : event->submit.n_calls))
        sim_violate(sim, "I6: %zu calls of operation %u were made, of %zu", n_made, request->number, event->submit.n_calls);
}
