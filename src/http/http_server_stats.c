/* What a server counts of itself. The counters are relaxed: each is right, together they are of no one moment. */
#include "http/http_private.h"

void server_refused(struct http_server *server, enum http_refusal refusal, const char *peer)
{
    atomic_fetch_add_explicit(&server->stats.refused[refusal], 1, memory_order_relaxed);
    if (server->config.on_refused)
        server->config.on_refused(server->config.refused_arg, refusal, peer ? peer : "");
}

void http_server_stats(const struct http_server *server, struct http_server_stats *ret_stats)
{
    *ret_stats = (struct http_server_stats){
        .connections = atomic_load_explicit(&server->stats.connections, memory_order_relaxed),
        .buffered_bytes = atomic_load_explicit(&server->stats.buffered, memory_order_relaxed),
        .answer_bytes = atomic_load_explicit(&server->answer_bytes, memory_order_relaxed),
        .accepted = atomic_load_explicit(&server->stats.accepted, memory_order_relaxed),
        .requests = atomic_load_explicit(&server->stats.requests, memory_order_relaxed),
    };
    for (size_t i = 0; i < N_HTTP_REFUSALS; i++)
        ret_stats->refused[i] = atomic_load_explicit(&server->stats.refused[i], memory_order_relaxed);
}

void http_exchange_server_stats(const struct http_exchange *exchange, struct http_server_stats *ret_stats)
{
    http_server_stats(exchange->connection->server, ret_stats);
}

const char *http_refusal_name(enum http_refusal refusal)
{
    static const char *const names[N_HTTP_REFUSALS] = {
        [HTTP_REFUSED_MALFORMED] = "malformed",
        [HTTP_REFUSED_HEADERS] = "headers_too_large",
        [HTTP_REFUSED_BODY] = "body_too_large",
        [HTTP_REFUSED_SLOW] = "request_too_slow",
        [HTTP_REFUSED_EXCHANGES] = "too_many_requests",
        [HTTP_REFUSED_REQUEST_BYTES] = "too_many_request_bytes",
        [HTTP_REFUSED_ANSWER_BYTES] = "too_many_answer_bytes",
        [HTTP_REFUSED_READER] = "reader_too_slow",
        [HTTP_REFUSED_CONNECTIONS] = "too_many_connections",
        [HTTP_REFUSED_DESCRIPTORS] = "no_descriptor",
    };
    return names[refusal];
}
