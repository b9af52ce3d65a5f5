/* I8: a call that is not done always has a reason it is not running, and this names it. */
#include "engine/engine_private.h"

#include <stdio.h>
#include <time.h>

static struct engine_why why_idle(const struct call_record *record)
{
    struct engine_why why = {.kind = ENGINE_WHY_RETRY_TIME, .until_ns = record->due_ns};
    if (record->state == CALL_SUSPENDED) {
        why.kind = record->due_ns == TIME_NEVER ? ENGINE_WHY_EXPIRATION : ENGINE_WHY_SLEEP;
        why.until_ns = record->due_ns == TIME_NEVER ? record->expires_ns : record->due_ns;
    }
    return why;
}

struct engine_why engine_why_record(const struct call_record *record)
{
    if (record->state == CALL_DONE)
        return (struct engine_why){.kind = ENGINE_WHY_DONE};
    if (record->state == CALL_SUSPENDED && record->has_children && record->due_ns == TIME_NEVER)
        return (struct engine_why){.kind = ENGINE_WHY_RESULTS, .n_results_wanted = (uint32_t)record->min_results};
    if (record->state == CALL_SCHEDULED && record->failures == 0)
        return (struct engine_why){.kind = ENGINE_WHY_TURN};
    return why_idle(record);
}

static struct engine_why why_suspended(const struct call *call)
{
    uint64_t n_possible = call->n_mail + call->n_outstanding;
    if (n_possible == 0)
        return why_idle(&call->record);
    struct engine_why why = {.kind = ENGINE_WHY_RESULTS, .n_results = call->n_mail, .until_ns = call->record.due_ns};
    uint64_t n_wanted = (uint64_t)call->record.min_results < n_possible ? (uint64_t)call->record.min_results : n_possible;
    why.n_results_wanted = (uint32_t)n_wanted;
    return why;
}

static struct engine_why why_ready(const struct engine *engine, const struct call *call)
{
    struct engine_why why = {.kind = ENGINE_WHY_TURN};
    struct scheduler_group_view group;
    if (scheduler_group_view(engine->scheduler, call->record.project, blob_slice(call->record.endpoint), &group)) {
        why.in_flight = group.in_flight;
        why.limit = group.limit;
        if (group.is_paused)
            why = (struct engine_why){.kind = ENGINE_WHY_ENDPOINT_DOWN, .until_ns = group.probe_ns};
        else if (group.in_flight >= group.limit)
            why.kind = ENGINE_WHY_CONCURRENCY;
    }
    return why;
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
        return why_ready(engine, call);
    case PHASE_IDLE:
        break;
    }
    return call->record.state == CALL_SUSPENDED ? why_suspended(call) : why_idle(&call->record);
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
