#include "server/metrics.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/scheduler.h"
#include <stdatomic.h>
#include <stdio.h>

/* Refusals that have a log line of their own: the front's, then the API's by code. */
#define N_LOGGED (N_HTTP_REFUSALS + METRICS_CODES)

struct log_pause {
    _Atomic int64_t until_ns; /* monotonic; 0 = nothing logged yet */
    atomic_uint_fast64_t n_silent;
};

struct metrics {
    bool is_logging;
    atomic_uint_fast64_t answers[N_METRICS_METHODS][METRICS_CODES];
    struct log_pause pauses[N_LOGGED];
};

static const char *const method_names[N_METRICS_METHODS] = {
    [METRICS_NONE] = "none",           [METRICS_DISPATCH] = "Dispatch",     [METRICS_WAIT] = "Wait",
    [METRICS_GET_CALL] = "GetCall",    [METRICS_LIST_CALLS] = "ListCalls",  [METRICS_CANCEL_CALL] = "CancelCall",
    [METRICS_METRICS] = "Metrics",
};

dr_code metrics_create(bool is_logging, struct metrics **ret_metrics, struct dr_error *error)
{
    struct metrics *metrics = mem_zalloc(sizeof *metrics);
    if (!metrics)
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    metrics->is_logging = is_logging;
    *ret_metrics = metrics;
    return DR_OK;
}

void metrics_destroy(struct metrics *metrics) { mem_free(metrics); }

/* ---- the log ---- */

static void log_refusal(struct metrics *metrics, size_t index, const char *what, const char *name, const char *peer)
{
    struct log_pause *pause = &metrics->pauses[index];
    int64_t now_ns = clock_monotonic_ns();
    int64_t until_ns = atomic_load(&pause->until_ns);
    bool is_turn = now_ns >= until_ns &&
                   atomic_compare_exchange_strong(&pause->until_ns, &until_ns, now_ns + METRICS_LOG_PAUSE_NS);
    if (!is_turn) {
        atomic_fetch_add(&pause->n_silent, 1);
        return;
    }
    char before[24];
    (void)snprintf(before, sizeof before, "%llu", (unsigned long long)atomic_exchange(&pause->n_silent, 0));
    log_write(LOG_WARN, what, "kind", name, "peer", peer && *peer ? peer : "-", "more_before", before, NULL);
}

/* What a client does wrong all day is counted, not logged; a limit, a wrong key or a fault is. */
static bool is_worth_a_line(dr_code code)
{
    return code == DR_RESOURCE_EXHAUSTED || code == DR_NO_MEMORY || code == DR_UNAUTHENTICATED ||
           code == DR_INTERNAL || code == DR_DATA_LOSS || code == DR_UNKNOWN;
}

void metrics_answered(struct metrics *metrics, enum metrics_method method, dr_code code, const char *peer)
{
    if (!metrics)
        return;
    size_t index = (size_t)code < METRICS_CODES ? (size_t)code : DR_UNKNOWN;
    atomic_fetch_add_explicit(&metrics->answers[method][index], 1, memory_order_relaxed);
    if (metrics->is_logging && is_worth_a_line((dr_code)index))
        log_refusal(metrics, N_HTTP_REFUSALS + index, "a request was refused", dr_code_name((dr_code)index), peer);
}

void metrics_http_refused(void *arg, enum http_refusal refusal, const char *peer)
{
    struct metrics *metrics = arg;
    if (metrics && metrics->is_logging)
        log_refusal(metrics, refusal, "a connection was refused", http_refusal_name(refusal), peer);
}

/* ---- the text ---- */

/* Remembers the first failure, so that the functions below read straight. */
struct text {
    struct buf *buf;
    dr_code code;
};

static void head(struct text *text, const char *name, const char *type, const char *help)
{
    if (text->code == DR_OK)
        text->code = buf_printf(text->buf, "# HELP dispatch_%s %s\n# TYPE dispatch_%s %s\n", name, help, name, type);
}

static void line(struct text *text, const char *name, const char *labels, uint64_t value)
{
    if (text->code == DR_OK)
        text->code = buf_printf(text->buf, "dispatch_%s%s %llu\n", name, labels, (unsigned long long)value);
}

static void single(struct text *text, const char *name, const char *type, const char *help, uint64_t value)
{
    head(text, name, type, help);
    line(text, name, "", value);
}

static void write_answers(struct text *text, const struct metrics *metrics)
{
    char labels[80];
    head(text, "api_answers_total", "counter", "Answers of the API, by method and Connect code.");
    for (size_t method = 0; method < N_METRICS_METHODS; method++) {
        for (size_t code = 0; code < METRICS_CODES; code++) {
            uint64_t n = atomic_load_explicit(&metrics->answers[method][code], memory_order_relaxed);
            bool is_double = code == DR_NO_MEMORY; /* its name is another code's */
            (void)snprintf(labels, sizeof labels, "{method=\"%s\",code=\"%s\"}", method_names[method],
                           is_double ? "no_memory" : dr_code_name((dr_code)code));
            if (n > 0)
                line(text, "api_answers_total", labels, n);
        }
    }
}

static void write_http(struct text *text, const struct http_server_stats *http)
{
    char labels[80];
    single(text, "http_connections", "gauge", "Open connections.", http->connections);
    single(text, "http_connections_accepted_total", "counter", "Connections taken.", http->accepted);
    single(text, "http_requests_total", "counter", "Whole requests.", http->requests);
    single(text, "http_request_bytes", "gauge", "Request bodies held.", http->buffered_bytes);
    single(text, "http_answer_bytes", "gauge", "Answers made and not sent.", http->answer_bytes);
    head(text, "http_refused_total", "counter", "What went over a limit of the HTTP front, by kind.");
    for (int i = 0; i < N_HTTP_REFUSALS; i++) {
        (void)snprintf(labels, sizeof labels, "{kind=\"%s\"}", http_refusal_name((enum http_refusal)i));
        line(text, "http_refused_total", labels, http->refused[i]);
    }
}

static void write_calls(struct text *text, const struct driver_stats *driver)
{
    const struct engine_counts *engine = &driver->engine;
    single(text, "calls_resident", "gauge", "Calls in memory.", engine->resident);
    single(text, "calls_ready", "gauge", "Calls that could start now.", engine->ready);
    single(text, "calls_done_total", "counter", "Calls that ended.", engine->done);
    single(text, "calls_cancelled_total", "counter", "Calls that were cancelled.", engine->cancelled);
    single(text, "calls_expired_total", "counter", "Calls that expired.", engine->expired);
    single(text, "calls_restarted_total", "counter", "Calls that began anew because their state did not fit the code.",
           engine->restarted);
    single(text, "calls_purged_total", "counter", "Calls deleted after their retention.", engine->purged);
    single(text, "attempts_in_flight", "gauge", "Attempts that run.", engine->in_flight);
    head(text, "attempts_total", "counter", "Attempts that ended, by status.");
    for (int status = 0; status < DRIVER_STATUSES; status++) {
        char labels[80];
        (void)snprintf(labels, sizeof labels, "{status=\"%s\"}", dr_status_name((dr_status)status));
        line(text, "attempts_total", labels, driver->attempts[status]);
    }
    if (driver->has_chaos)
        head(text, "chaos_total", "counter", "Faults made on purpose (--chaos), by kind.");
    for (int kind = 0; driver->has_chaos && kind < CHAOS_KINDS; kind++) {
        char labels[80];
        (void)snprintf(labels, sizeof labels, "{kind=\"%s\"}", chaos_kind_name((enum chaos_kind)kind));
        line(text, "chaos_total", labels, driver->chaos[kind]);
    }
    single(text, "clock_ahead_seconds", "gauge", "The server's time is so far ahead of the wall clock, which was set back.",
           (uint64_t)(driver->clock_ahead_ns / NS_PER_S));
    single(text, "clock_jumped_seconds_total", "counter", "The wall clock was set forward by so much.",
           (uint64_t)(driver->clock_jumped_ns / NS_PER_S));
    single(text, "waits", "gauge", "Open Waits.", driver->waits);
    single(text, "submits", "gauge", "Submits that are not recorded yet.", driver->submits);
    single(text, "submit_bytes", "gauge", "What they hold.", driver->submit_bytes);
}

static void write_store(struct text *text, const struct driver_stats *driver)
{
    single(text, "store_batches_total", "counter", "Batches made durable.", driver->batches);
    single(text, "store_batches_waiting", "gauge", "Batches not durable yet.", driver->batches_waiting);
    single(text, "replies_waiting", "gauge", "Replies of endpoints that wait for the store.", driver->replies_waiting);
    single(text, "store_failures_total", "counter", "Times that commits began to fail.", driver->store_failures);
    single(text, "store_read_failures_total", "counter", "Reads for the engine that failed.", driver->store_read_failures);
    single(text, "store_damaged_calls", "gauge", "Calls found damaged, of the first 1,000.", driver->store_damaged);
    single(text, "store_failing", "gauge", "1 while commits fail and are tried again.", driver->is_store_failing);
}

/* A host is what users put into endpoints; a label's text ends at a quote. */
static void host_label(struct slice host, char *label, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < host.len && used + 2 < size; i++) {
        uint8_t c = host.data[i];
        label[used++] = c <= ' ' || c >= 0x7f || c == '"' || c == '\\' ? '?' : (char)c;
    }
    label[used] = '\0';
}

static void write_groups(struct text *text, const struct driver_stats *driver)
{
    static const struct {
        const char *name, *help;
    } values[] = {{"group_limit", "Attempts allowed at a time now."},
                  {"group_in_flight", "Attempts that run."},
                  {"group_ready", "Calls that could start if the limit allowed."},
                  {"group_down", "1 while the endpoint cannot be reached and is probed."}};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        head(text, values[v].name, "gauge", values[v].help);
        for (size_t i = 0; i < driver->n_groups; i++) {
            const struct scheduler_group_view *group = &driver->groups[i];
            uint64_t numbers[] = {group->limit, group->in_flight, group->ready, group->is_paused};
            char host[264];
            char labels[320];
            host_label(group->host, host, sizeof host);
            (void)snprintf(labels, sizeof labels, "{project=\"%u\",host=\"%s\"}", group->project, host);
            line(text, values[v].name, labels, numbers[v]);
        }
    }
    single(text, "groups_left_out", "gauge", "1 when there are more groups than are shown.", driver->has_more_groups);
}

dr_code metrics_write(const struct metrics *metrics, const struct driver_stats *driver,
                      const struct http_server_stats *http, struct buf *buf)
{
    struct text text = {.buf = buf};
    write_answers(&text, metrics);
    write_http(&text, http);
    write_calls(&text, driver);
    write_store(&text, driver);
    write_groups(&text, driver);
    return text.code;
}
