/* I8: at every moment the engine names the true reason why a call is not running. The model knows the
 * attempts in flight, what is durable, and what time it is; it does not know the engine's phases, so where
 * the engine is about to act it may say so. */
#include "sim/sim_private.h"

struct truth {
    struct call_record record; /* the engine's, when the call is resident; else the durable one */
    bool is_resident;
    uint64_t n_mail; /* results that are there */
    uint64_t n_live; /* children that are not done */
};

/* False when it cannot be known: a child has left the engine's memory, and its last change is not durable
 * yet. */
static bool count_children(struct sim *sim, const struct sim_call *call, struct truth *truth)
{
    bool is_sure = true;
    for (const struct sim_call *child = call->first_child; child; child = child->next_sibling) {
        struct call_record record;
        const struct call_record *seen = engine_peek(sim->server.engine, child->id);
        bool is_stored = sim_shadow(sim, child->id, &record);
        const struct call_record *known = seen ? seen : is_stored ? &record : NULL;
        bool counts =
            known && known->mail == CALL_MAIL_OPEN && known->parent_generation == truth->record.generation;
        if (counts && known->state == CALL_DONE)
            truth->n_mail++;
        else if (counts)
            truth->n_live++;
        is_sure &= seen || sim_store_is_quiet(sim);
        record_deinit(&record);
    }
    return is_sure;
}

static void expect(struct sim *sim, const struct sim_call *call, const struct engine_why *why, bool is_true,
                   const char *truth)
{
    char text[200];
    if (is_true)
        return;
    engine_why_format(why, text, sizeof text);
    sim_violate(sim, "I8: why c%u is not running: \"%s\", but %s", call->number, text, truth);
}

static bool is_near(const struct engine_why *why)
{
    return why->kind == ENGINE_WHY_TURN || why->kind == ENGINE_WHY_CONCURRENCY ||
           why->kind == ENGINE_WHY_ENDPOINT_DOWN;
}

/* Nothing but time can come: its own, or its expiration before that. */
static bool is_later(const struct engine_why *why, const struct call_record *record,
                     enum engine_why_kind kind)
{
    if (record->due_ns >= record->expires_ns)
        return why->kind == ENGINE_WHY_EXPIRATION && why->until_ns == record->expires_ns;
    return why->kind == kind && why->until_ns == record->due_ns;
}

/* Resumed already, which is not persisted (T7): it waits for its turn. */
static bool is_woken(struct sim *sim, const struct truth *truth)
{
    const struct call_record *record = &truth->record;
    uint64_t n_possible = truth->n_mail + truth->n_live;
    uint64_t n_wanted = record->min_results > 1 ? (uint64_t)record->min_results : 1;
    if (record->due_ns <= sim->server.stepped_ns)
        return true;
    return n_possible > 0 && truth->n_mail >= (n_wanted < n_possible ? n_wanted : n_possible);
}

static void check_suspended(struct sim *sim, const struct sim_call *call, const struct engine_why *why,
                            const struct truth *truth)
{
    uint64_t n_possible = truth->n_mail + truth->n_live;
    if (is_woken(sim, truth)) {
        expect(sim, call, why, is_near(why), "it is to be resumed");
        return;
    }
    if (n_possible == 0) {
        expect(sim, call, why, is_later(why, &truth->record, ENGINE_WHY_SLEEP), "it waits for a time");
        return;
    }
    expect(sim, call, why, why->kind == ENGINE_WHY_RESULTS, "it waits for results");
}

static void check_scheduled(struct sim *sim, const struct sim_call *call, const struct engine_why *why,
                            const struct truth *truth)
{
    int64_t now_ns = sim->server.stepped_ns; /* as the engine knows it */
    if (truth->record.due_ns > now_ns) {
        expect(sim, call, why, is_later(why, &truth->record, ENGINE_WHY_RETRY_TIME),
               "it is tried again later");
        return;
    }
    expect(sim, call, why, is_near(why), "it is due");
}

/* As the driver explains a call to people. */
struct engine_why sim_why(struct sim *sim, const struct call_record *record)
{
    struct record_children children;
    struct engine_why why = engine_why(sim->server.engine, record->id);
    if (why.kind != ENGINE_WHY_UNKNOWN_CALL)
        return why;
    CHECK(store_count_children(sim->shadow, record->id, record->generation, (uint64_t)record->min_results,
                               &children, NULL) == DR_OK);
    return engine_why_record(sim->server.engine, record, &children);
}

void sim_check_why(struct sim *sim, const struct sim_call *call)
{
    const struct engine *engine = sim->server.engine;
    struct engine_why why = engine_why(engine, call->id);
    const struct sim_flight *flight = map_get(&sim->server.flights, call->id);
    const struct call_record *peeked = engine_peek(engine, call->id);
    struct truth truth = {.is_resident = peeked && peeked->state != 0};
    if (why.kind == ENGINE_WHY_LOADING || why.kind == ENGINE_WHY_RECORDING)
        return; /* short states, which the engine alone knows */
    if (flight && !flight->is_aborted) {
        expect(sim, call, &why, why.kind == ENGINE_WHY_RUNNING, "an attempt is in flight");
        return;
    }
    expect(sim, call, &why, why.kind != ENGINE_WHY_RUNNING, "no attempt is in flight");
    if (truth.is_resident)
        record_copy(&truth.record, peeked);
    else if (!sim_store_is_quiet(sim) || !sim_shadow(sim, call->id, &truth.record))
        return; /* people are shown what the store says after what it has to do */
    why = sim_why(sim, &truth.record);
    if (truth.record.state == CALL_DONE)
        expect(sim, call, &why, why.kind == ENGINE_WHY_DONE, "it is done");
    else if (truth.record.expires_ns <= sim->server.stepped_ns)
        expect(sim, call, &why, is_near(&why) || why.kind == ENGINE_WHY_EXPIRATION, "it expires");
    else if (truth.record.state == CALL_SUSPENDED) {
        if (count_children(sim, call, &truth))
            check_suspended(sim, call, &why, &truth);
    } else if (truth.record.state == CALL_SCHEDULED)
        check_scheduled(sim, call, &why, &truth);
    record_deinit(&truth.record);
}
