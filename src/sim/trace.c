/* What happened, as text: kept when somebody wants to read it, digested always. */
#include "sim/sim_private.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_SIZE = 400 };

static const char *const DEEDS[] = {
#define X(name, text) text,
    SIM_DEED_TABLE(X)
#undef X
};

const char *sim_deed_name(enum sim_deed deed)
{
    return DEEDS[deed];
}

/* FNV-1a over the line. */
static void digest(struct sim *sim, const char *line)
{
    for (const char *at = line; *at; at++)
        sim->digest = (sim->digest ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
}

static void add(struct sim *sim, const char *line)
{
    digest(sim, line);
    if (sim->options->has_trace)
        (void)buf_append_text(&sim->report->trace, line); /* a full trace keeps its beginning */
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    char line[LINE_SIZE];
    int64_t us = (sim->now_ns - SIM_START_NS) / NS_PER_US;
    int n =
        snprintf(line, sizeof line, "%6lld.%06lld ", (long long)(us / 1000000), (long long)(us % 1000000));
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    size_t len = (size_t)n + (more > 0 ? (size_t)more : 0);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len] = '\n';
    line[len + 1] = '\0';
    add(sim, line);
}

bool sim_is_violated(const struct sim *sim)
{
    return sim->report->violation[0] != '\0';
}

void sim_violate(struct sim *sim, const char *format, ...)
{
    if (sim_is_violated(sim))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(sim->report->violation, sizeof sim->report->violation, format, args);
    va_end(args);
    sim_trace(sim, "VIOLATION %s", sim->report->violation);
}

void sim_did(struct sim *sim, enum sim_deed deed)
{
    sim->report->deeds[deed]++;
}
