/* Results leave the store after their retention (E12). */
#include "engine/engine_private.h"

static int64_t time_to_go(const struct engine *engine, int64_t done_ns)
{
    return time_add(time_add(done_ns, engine->config.retention_ns), ENGINE_PURGE_PAUSE_NS);
}

static void begin_pass(struct engine *engine)
{
    engine->purge_at_ns = INT64_MIN;
    engine->purge_at = (struct id){{0}};
    engine->next_pass_ns = TIME_NEVER;
    engine->n_kept = 0;
}

void purge_recover(struct engine *engine)
{
    begin_pass(engine);
    engine->next_purge_ns = engine->now_ns;
}

void purge_plan(struct engine *engine)
{
    if (engine->next_purge_ns == TIME_NEVER)
        engine->next_purge_ns = time_to_go(engine, engine->now_ns);
}

void purge_maybe(struct engine *engine)
{
    if (engine->is_purging || engine->now_ns < purge_deadline(engine))
        return;
    if (engine->now_ns >= engine->next_pass_ns)
        begin_pass(engine);
    engine->is_purging = true;
    engine->next_purge_ns = TIME_NEVER;
    struct engine_effect *effect = output_effect(engine, ENGINE_PURGE, 0);
    effect->purge.after_done_ns = engine->purge_at_ns;
    effect->purge.after = engine->purge_at;
    effect->purge.done_before_ns = time_add(engine->now_ns, -engine->config.retention_ns);
    effect->purge.limit = ENGINE_PURGE_LIMIT;
}

/* What is needed by a parent that still lives is looked at again after this. */
static int64_t pass_pause_ns(const struct engine *engine)
{
    if (engine->n_kept >= ENGINE_PURGE_PASS_MAX_NS / ENGINE_PURGE_KEPT_NS)
        return ENGINE_PURGE_PASS_MAX_NS;
    int64_t pause_ns = engine->config.retention_ns / ENGINE_PURGE_PASS_PART;
    int64_t kept_ns = (int64_t)engine->n_kept * ENGINE_PURGE_KEPT_NS;
    pause_ns = pause_ns < kept_ns ? kept_ns : pause_ns;
    pause_ns = pause_ns < ENGINE_PURGE_PAUSE_NS ? ENGINE_PURGE_PAUSE_NS : pause_ns;
    return pause_ns < ENGINE_PURGE_PASS_MAX_NS ? pause_ns : ENGINE_PURGE_PASS_MAX_NS;
}

void purge_purged(struct engine *engine, const struct engine_event *event)
{
    const struct purge_result *purged = &event->purged;
    CHECK(engine->is_purging);
    engine->is_purging = false;
    engine->purge_at_ns = purged->reached_done_ns;
    engine->purge_at = purged->reached;
    engine->n_kept += purged->n_kept;
    engine->counts.purged += purged->n_purged;
    if (purged->n_purged + purged->n_kept == ENGINE_PURGE_LIMIT) { /* the pass goes on */
        engine->next_purge_ns = engine->now_ns;
        return;
    }
    if (engine->n_kept > 0 && engine->next_pass_ns == TIME_NEVER)
        engine->next_pass_ns = time_add(engine->now_ns, pass_pause_ns(engine));
    if (purged->next_done_ns == TIME_NEVER)
        return;
    int64_t when = time_to_go(engine, purged->next_done_ns);
    int64_t soonest = time_add(engine->now_ns, ENGINE_PURGE_PAUSE_NS);
    when = when < soonest ? soonest : when;
    engine->next_purge_ns = when < engine->next_purge_ns ? when : engine->next_purge_ns;
}

void purge_failed(struct engine *engine)
{
    CHECK(engine->is_purging);
    engine->is_purging = false;
    engine->next_purge_ns = time_add(engine->now_ns, ENGINE_READ_RETRY_NS);
}

int64_t purge_deadline(const struct engine *engine)
{
    if (engine->is_purging)
        return TIME_NEVER;
    return engine->next_pass_ns < engine->next_purge_ns ? engine->next_pass_ns : engine->next_purge_ns;
}
