/* I8: a call that is not done always has a reason it is not running, and this names it. */
#include "engine/engine_private.h"

#include <stdio.h>
#include <time.h>

/* Nothing of its own keeps it: its group does, or the others of its tree. */
static struct engine_why why_due(const struct engine *engine, const struct call_record *record)
{
    struct engine_why why = {.kind = ENGINE_WHY_TURN};
    struct scheduler_group_view group;
    if (!scheduler_group_view(engine->scheduler, record->project, blob_slice(record->endpoint), &group))
        return why;
    why.in_flight = group.in_flight;
    why.limit = group.limit;
    if (group.is_paused)
        return (struct engine_why){.kind = ENGINE_WHY_ENDPOINT_DOWN, .until_ns = group.probe_ns};
    if (group.in_flight >= group.limit) {
        why.kind = ENGINE_WHY_CONCURRENCY;
    } else if (scheduler_in_flight(engine->scheduler) >= engine->config.in_flight_max) {
        why.kind = ENGINE_WHY_CONCURRENCY;
        why.in_flight = (uint32_t)scheduler_in_flight(engine->scheduler);
        why.limit = engine->config.in_flight_max;
    }
    return why;
}

/* Waits for a time: `kind` names it, but for expiration, which may come first. */
static struct engine_why why_later(const struct call_record *record, enum engine_why_kind kind)
{
    if (record->due_ns >= record->expires_ns)
        return (struct engine_why){.kind = ENGINE_WHY_EXPIRATION, .until_ns = record->expires_ns};
    return (struct engine_why){.kind = kind, .until_ns = record->due_ns};
}

static struct engine_why why_results(const struct call_record *record, uint64_t n_done, uint64_t n_wanted)
{
    struct engine_why why = {.kind = ENGINE_WHY_RESULTS, .n_results = (uint32_t)n_done};
    why.n_results_wanted = (uint32_t)n_wanted;
    why.until_ns = record->due_ns < record->expires_ns ? record->due_ns : TIME_NEVER;
    return why;
}

struct engine_why engine_why_record(const struct engine *engine, const struct call_record *record,
                                    const struct record_children *children)
{
    if (record->state == CALL_DONE)
        return (struct engine_why){.kind = ENGINE_WHY_DONE};
    if (record->expires_ns <= engine->now_ns) /* whatever else it waited for */
        return (struct engine_why){.kind = ENGINE_WHY_EXPIRATION, .until_ns = record->expires_ns};
    if (record->due_ns <= engine->now_ns)
        return why_due(engine, record);
    if (record->state == CALL_SCHEDULED)
        return why_later(record, ENGINE_WHY_RETRY_TIME);
    uint64_t n_wanted = (uint64_t)record->min_results;
    if (!children && record->has_children)
        return why_results(record, 0, n_wanted);
    uint64_t n_possible = children ? children->n_done + children->n_outstanding : 0;
    if (n_possible == 0)
        return why_later(record, ENGINE_WHY_SLEEP);
    n_wanted = n_wanted < n_possible ? n_wanted : n_possible;
    return children->n_done >= n_wanted ? why_due(engine, record) : why_results(record, children->n_done, n_wanted);
}

struct engine_why engine_why(const struct engine *engine, struct id id)
{
    const struct call *call = resident_get(engine, id);
    if (!call)
        return (struct engine_why){.kind = ENGINE_WHY_UNKNOWN_CALL};
    switch (call->phase) {
    case PHASE_LOADING:
        return (struct engine_why){.kind = ENGINE_WHY_LOADING};
    case PHASE_RECORDING:
        return (struct engine_why){.kind = ENGINE_WHY_RECORDING};
    case PHASE_RUNNING:
        return (struct engine_why){.kind = ENGINE_WHY_RUNNING};
    case PHASE_READY:
        return why_due(engine, &call->record);
    case PHASE_IDLE:
        break;
    }
    struct record_children children = {.n_done = call->n_mail, .n_outstanding = call->n_outstanding};
    return engine_why_record(engine, &call->record, &children);
}

static void format_time(int64_t when_ns, char *text, size_t size)
{
    time_t seconds = (time_t)(when_ns / NS_PER_S);
    struct tm parts;
    if (when_ns == TIME_NEVER || !gmtime_r(&seconds, &parts)) {
        snprintf(text, size, "never");
        return;
    }
    size_t len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, size - len, ".%03dZ", (int)(when_ns % NS_PER_S / NS_PER_MS));
}

void engine_why_format(const struct engine_why *why, char *text, size_t size)
{
    char when[40];
    format_time(why->until_ns, when, sizeof when);
    switch (why->kind) {
    case ENGINE_WHY_UNKNOWN_CALL:
        snprintf(text, size, "not in memory");
        return;
    case ENGINE_WHY_RUNNING:
        snprintf(text, size, "an attempt is running");
        return;
    case ENGINE_WHY_RECORDING:
        snprintf(text, size, "is being recorded");
        return;
    case ENGINE_WHY_TURN:
        snprintf(text, size, "waits for its turn");
        return;
    case ENGINE_WHY_CONCURRENCY:
        snprintf(text, size, "waits for its endpoint: %u attempts in flight, %u allowed now", why->in_flight, why->limit);
        return;
    case ENGINE_WHY_ENDPOINT_DOWN:
        snprintf(text, size, "its endpoint cannot be reached; tried again at %s", when);
        return;
    case ENGINE_WHY_RETRY_TIME:
        snprintf(text, size, "next attempt at %s", when);
        return;
    case ENGINE_WHY_RESULTS:
        if (why->until_ns != 0 && why->until_ns != TIME_NEVER)
            snprintf(text, size, "waits for results: %u of %u are there; resumes at the latest at %s", why->n_results,
                     why->n_results_wanted, when);
        else
            snprintf(text, size, "waits for results: %u of %u are there", why->n_results, why->n_results_wanted);
        return;
    case ENGINE_WHY_SLEEP:
        snprintf(text, size, "sleeps until %s", when);
        return;
    case ENGINE_WHY_EXPIRATION:
        snprintf(text, size, "waits for nothing; expires at %s", when);
        return;
    case ENGINE_WHY_LOADING:
        snprintf(text, size, "is being read from the store");
        return;
    case ENGINE_WHY_DONE:
        snprintf(text, size, "done");
        return;
    }
}
