/* What the server counts for people, as Prometheus text, and the log lines for what it refuses. One per server; the
 * API and the HTTP front reach it by pointer. docs/guide/server.md lists the names.
 *
 * No failure path is silent, and none floods the log: of each kind of refusal at most one line is written in
 * METRICS_LOG_PAUSE_NS, which says how many there were since the one before.
 *
 * Threads: any. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "base/buf.h"
#include "http/http_server.h"
#include "server/driver.h"

#define METRICS_LOG_PAUSE_NS (10 * NS_PER_S)
#define METRICS_TEXT_BYTES_MAX (1u << 20)
#define METRICS_CODES (DR_NO_MEMORY + 1) /* dr_code 0 .. */

/* What an API answer was an answer to. */
enum metrics_method {
    METRICS_NONE, /* refused before it was known */
    METRICS_DISPATCH,
    METRICS_WAIT,
    METRICS_GET_CALL,
    METRICS_LIST_CALLS,
    METRICS_CANCEL_CALL,
    METRICS_METRICS,
    N_METRICS_METHODS
};

struct metrics;

/* DR_NO_MEMORY. is_logging: refusals are logged. */
dr_code metrics_create(bool is_logging, struct metrics **ret_metrics, struct dr_error *error);
void metrics_destroy(struct metrics *metrics); /* accepts NULL */
/* The API answered with DR_OK or a refusal. Accepts NULL, as the next. */
void metrics_answered(struct metrics *metrics, enum metrics_method method, dr_code code, const char *peer);
/* The HTTP front refused; an on_refused of http_server.h with the metrics as arg. */
void metrics_http_refused(void *metrics, enum http_refusal refusal, const char *peer);
/* Appends the text. DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (the buffer's limit). */
dr_code metrics_write(const struct metrics *metrics, const struct driver_stats *driver,
                      const struct http_server_stats *http, struct buf *buf);

#endif
