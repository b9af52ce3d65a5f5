/* The step itself: an event goes to the file of its kind, then time, durability, turns and reads are looked after. */
#include "engine/engine_private.h"

#define OR_DEFAULT(member, value)   \
    do {                            \
        if (config.member == 0)     \
            config.member = (value);\
    } while (0)

static struct engine_config with_defaults(struct engine_config config)
{
    OR_DEFAULT(default_expiration_ns, 24 * 3600 * NS_PER_S);
    OR_DEFAULT(max_expiration_ns, 7 * 24 * 3600 * NS_PER_S);
    OR_DEFAULT(run_timeout_ns, 600 * NS_PER_S);
    OR_DEFAULT(retention_ns, 24 * 3600 * NS_PER_S);
    OR_DEFAULT(backoff_base_ns, 100 * NS_PER_MS);
    OR_DEFAULT(backoff_max_ns, 60 * NS_PER_S);
    OR_DEFAULT(in_flight_max, 4096);
    OR_DEFAULT(resident_max, 200000);
    OR_DEFAULT(tree_resident_max, 4096);
    OR_DEFAULT(resident_bytes_max, 256u << 20);
    OR_DEFAULT(waiters_max, 100000);
    return config;
}

/* Spreads the seed over the state: also a seed of small numbers gives good ones from the start, or ids could repeat (I5). */
static void seed_random(struct random *random, const uint64_t seed[4])
{
    random_init(random, 0);
    for (unsigned i = 0; i < 4; i++) {
        struct random part;
        random_init(&part, seed[i] ^ (UINT64_C(0x9e3779b97f4a7c15) * (i + 1)));
        for (unsigned k = 0; k < 4; k++)
            random->state[k] ^= part.state[(k + i) % 4];
    }
}

struct engine *engine_create(const struct engine_config *config)
{
    struct engine *engine = mem_must_zalloc(sizeof *engine);
    engine->config = with_defaults(*config);
    seed_random(&engine->random, config->seed);
    engine->ids.random = &engine->random;
    engine->now_ns = INT64_MIN;
    for (int kind = 0; kind < SCAN_KINDS; kind++)
        engine->scan_retry_ns[kind] = INT64_MIN;
    map_init(&engine->resident);
    map_init(&engine->attempts);
    map_init(&engine->waiters);
    map_init(&engine->waiter_tokens);
    map_init(&engine->gone);
    map_init(&engine->sweep_of);
    heap_init(&engine->timers);
    heap_init(&engine->waiter_timers);
    list_init(&engine->idle);
    list_init(&engine->recording);
    list_init(&engine->held);
    list_init(&engine->shown);
    list_init(&engine->sweeps);
    arena_init(&engine->arena, 0);
    engine->next_batch = 1;
    engine->edge.wake_ns = INT64_MIN;
    engine->far_wake_ns = TIME_NEVER;
    engine->next_purge_ns = TIME_NEVER;
    engine->next_pass_ns = TIME_NEVER;
    engine->purge_at_ns = INT64_MIN;
    struct scheduler_config scheduler = {.in_flight_max = engine->config.in_flight_max,
                                         .group_cap = engine->config.group_cap, .random = &engine->random};
    engine->scheduler = scheduler_create(&scheduler);
    return engine;
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    resident_deinit(engine);
    heap_deinit(&engine->timers);
    wait_deinit(engine);
    sweep_deinit(engine);
    output_deinit(engine);
    scheduler_destroy(engine->scheduler);
    mem_free(engine);
}

/* E10 */
static void recover(struct engine *engine)
{
    engine->far_wake_ns = INT64_MIN;
    engine->has_mail_to_scan = true;
    engine->has_sweeps_to_scan = true;
    purge_recover(engine);
}

static void durable(struct engine *engine, uint64_t sequence)
{
    CHECK(sequence < engine->next_batch && sequence >= engine->durable);
    engine->durable = sequence;
}

static void process(struct engine *engine, const struct engine_event *event)
{
    switch (event->kind) {
    case ENGINE_RECOVER:
        recover(engine);
        return;
    case ENGINE_TICK:
        return;
    case ENGINE_BATCH_DURABLE:
        durable(engine, event->durable_sequence);
        return;
    case ENGINE_SUBMIT:
        submit_calls(engine, event);
        return;
    case ENGINE_ATTEMPT_DONE:
        attempt_done(engine, event);
        return;
    case ENGINE_CANCEL_CALL:
        cancel_asked(engine, event);
        return;
    case ENGINE_WAIT:
        wait_asked(engine, event);
        return;
    case ENGINE_WAIT_ABANDONED:
        wait_abandoned(engine, event->ask.token);
        return;
    case ENGINE_LOADED:
        read_loaded(engine, event);
        return;
    case ENGINE_DUE_SCANNED:
        read_due_scanned(engine, event);
        return;
    case ENGINE_CHILDREN_SCANNED:
        read_children_scanned(engine, event);
        return;
    case ENGINE_MAIL_SCANNED:
        read_mail_scanned(engine, event);
        return;
    case ENGINE_SWEEPS_SCANNED:
        read_sweeps_scanned(engine, event);
        return;
    case ENGINE_PURGED:
        purge_purged(engine, event);
        return;
    case ENGINE_READ_FAILED:
        read_failed(engine, event);
        return;
    }
    CHECK(!"a known event");
}

/* T7 by time, T8 by expiration. */
static void fire_timers(struct engine *engine)
{
    struct heap_node *node;
    while ((node = heap_peek(&engine->timers)) && node->key <= engine->now_ns) {
        struct call *call = container_of(node, struct call, timer);
        if (call->phase == PHASE_LOADING)
            resident_load_again(engine, call);
        else if (call->record.expires_ns <= engine->now_ns)
            cancel_expire(engine, call);
        else
            resident_set_ready(engine, call);
    }
    wait_expire(engine);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_deadline(const struct engine *engine)
{
    const struct heap_node *call = heap_peek(&engine->timers);
    const struct heap_node *waiter = heap_peek(&engine->waiter_timers);
    int64_t when = read_deadline(engine);
    if (!engine->is_paused)
        when = least(when, scheduler_deadline(engine->scheduler));
    if (call)
        when = least(when, call->key);
    if (waiter)
        when = least(when, waiter->key);
    return least(when, purge_deadline(engine));
}

void engine_step(struct engine *engine, const struct engine_event *event, int64_t now_ns,
                 struct engine_update *ret_update)
{
    if (now_ns > engine->now_ns)
        engine->now_ns = now_ns; /* D1; clamped all the same */
    output_begin(engine);
    scheduler_set_time(engine->scheduler, engine->now_ns);
    process(engine, event);
    fire_timers(engine);
    resident_recorded(engine);
    output_release(engine);
    resident_trim(engine);
    read_next_scan(engine);
    purge_maybe(engine);
    attempt_start_all(engine);
    ret_update->next_deadline_ns = next_deadline(engine);
    output_finish(engine, ret_update);
}

void engine_set_paused(struct engine *engine, bool is_paused)
{
    engine->is_paused = is_paused;
}

const struct call_record *engine_peek(const struct engine *engine, struct id id)
{
    const struct call *call = resident_get(engine, id);
    return call && call->phase != PHASE_LOADING ? &call->record : NULL;
}

void engine_counts(const struct engine *engine, struct engine_counts *ret_counts)
{
    *ret_counts = engine->counts;
    ret_counts->resident = engine->resident.len;
    ret_counts->ready = scheduler_ready(engine->scheduler);
    ret_counts->in_flight = scheduler_in_flight(engine->scheduler);
    ret_counts->waiters = engine->waiter_tokens.len;
}

bool engine_group_at(const struct engine *engine, size_t index, struct scheduler_group_view *ret_view)
{
    return scheduler_group_at(engine->scheduler, index, ret_view);
}

bool engine_is_idle(const struct engine *engine, size_t n_attempts)
{
    bool has_reads = engine->n_loading > 0 || engine->scan != SCAN_NONE || engine->is_purging;
    bool has_batches = engine->durable + 1 < engine->next_batch || !list_is_empty(&engine->held);
    bool has_turn = scheduler_has_turn(engine->scheduler) && !engine->is_paused;
    return engine->attempts.len == n_attempts && !has_reads && !has_batches && !has_turn;
}
