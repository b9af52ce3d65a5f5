/* For the tests of the HTTP server: a server whose answers a test can hold back, and counts of what happened. */
#ifndef HTTP_HTTP_SERVER_TESTING_H
#define HTTP_HTTP_SERVER_TESTING_H

#include "http/testing.h"

#define PARKED_MAX 16

/* What the server of a test does by path: /echo answers the body, /show describes the request, /later parks it for the
 * test to answer, /thread has it answered by another thread. */
struct fixture {
    struct http_server *server;
    uint16_t port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_exchange *parked[PARKED_MAX];
    int n_parked, n_requests, n_aborted, n_released, n_refused;
    int is_early;
};

static inline void on_abort(void *arg)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->n_aborted++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static inline void on_release(void *arg)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->n_released++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static inline void on_refused(void *arg, enum http_refusal refusal, const char *peer)
{
    struct fixture *fixture = arg;
    (void)peer;
    assert_non_null(http_refusal_name(refusal));
    pthread_mutex_lock(&fixture->lock);
    fixture->n_refused++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static inline void respond_text(struct http_exchange *exchange, int status, struct slice body)
{
    struct http_header extra = {"X-Extra", "yes"};
    http_exchange_respond(exchange, &(struct http_response){.status = status,
                                                            .content_type = "text/plain",
                                                            .headers = &extra,
                                                            .n_headers = 1,
                                                            .body = body});
}

static inline void show(struct http_exchange *exchange)
{
    char text[4096];
    uint64_t length = 0;
    bool has_length = http_exchange_content_length(exchange, &length);
    struct slice body = http_exchange_body(exchange);
    int len = snprintf(text, sizeof(text), "%s path=%s query=%s length=%s%llu chunked=%d body=%.*s",
                       http_exchange_method(exchange), http_exchange_path(exchange), http_exchange_query(exchange),
                       has_length ? "" : "none", (unsigned long long)length, http_exchange_is_chunked(exchange),
                       (int)body.len, (const char *)body.data);
    struct http_header header;
    for (size_t i = 0; http_exchange_header_at(exchange, i, &header); i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, " [%s=%s]", header.name, header.value);
    (void)snprintf(text + len, sizeof(text) - (size_t)len, "\n");
    respond_text(exchange, 200, slice_text(text));
}

static inline void *answer_elsewhere(void *arg)
{
    struct http_exchange *exchange = arg;
    respond_text(exchange, 200, http_exchange_body(exchange));
    return NULL;
}

static inline void on_request(void *arg, struct http_exchange *exchange)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->n_requests++;
    pthread_mutex_unlock(&fixture->lock);
    const char *path = http_exchange_path(exchange);
    if (strcmp(path, "/echo") == 0) {
        respond_text(exchange, 200, http_exchange_body(exchange));
    } else if (strcmp(path, "/later") == 0) {
        http_exchange_on_abort(exchange, on_abort, on_release, fixture);
        pthread_mutex_lock(&fixture->lock);
        fixture->parked[fixture->n_parked++] = exchange;
        pthread_cond_broadcast(&fixture->changed);
        pthread_mutex_unlock(&fixture->lock);
    } else if (strcmp(path, "/thread") == 0) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, answer_elsewhere, exchange), 0);
        pthread_detach(thread);
    } else if (strcmp(path, "/error") == 0) {
        http_exchange_respond_error(exchange, 0, DR_NOT_FOUND, "no \"such\"\nthing");
    } else if (strcmp(path, "/empty") == 0) {
        http_exchange_respond(exchange, &(struct http_response){.status = 204});
    } else if (strcmp(path, "/last") == 0) {
        http_exchange_respond(exchange, &(struct http_response){.status = 200, .is_last = true});
    } else {
        show(exchange);
    }
}

static inline void on_headers(void *arg, struct http_exchange *exchange)
{
    struct fixture *fixture = arg;
    uint64_t length = 0;
    if (!fixture->is_early)
        return;
    if (!http_exchange_content_length(exchange, &length) || length == 0)
        http_exchange_respond_error(exchange, 400, DR_INVALID_ARGUMENT, "content length is required");
    else if (length > 100)
        http_exchange_respond_error(exchange, 400, DR_INVALID_ARGUMENT, "content length is too large");
}

static inline void fixture_start_with(struct fixture *fixture, struct http_server_config config)
{
    *fixture = (struct fixture){0};
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    config.on_request = on_request;
    config.on_headers = on_headers;
    config.arg = fixture;
    struct dr_error error = {0};
    assert_int_equal(http_server_create(&config, &fixture->server, &error), DR_OK);
    assert_int_equal(http_server_start(fixture->server, &error), DR_OK);
    fixture->port = http_server_port(fixture->server);
    assert_true(fixture->port != 0);
}

static inline void fixture_start(struct fixture *fixture)
{
    fixture_start_with(fixture, (struct http_server_config){0});
}

static inline void fixture_end(struct fixture *fixture)
{
    http_server_destroy(fixture->server);
    pthread_mutex_destroy(&fixture->lock);
    pthread_cond_destroy(&fixture->changed);
}

/* Waits for *value (guarded by the lock) to become `want`. */
static inline void await_count(struct fixture *fixture, const int *value, int want)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&fixture->lock);
    int rc = 0;
    while (*value < want && rc == 0)
        rc = pthread_cond_timedwait(&fixture->changed, &fixture->lock, &until);
    int is = *value;
    pthread_mutex_unlock(&fixture->lock);
    assert_int_equal(is, want);
}

#endif
