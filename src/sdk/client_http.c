/* The client's transport over HTTP: blocking exchanges on http_client.h, whose thread does the work. */
#include "sdk/client_transport.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/http_client.h"
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define USER_AGENT "libdispatchrun"
/* Each waiting thread holds a connection, and a submit should not queue behind them. */
#define CONNECTIONS_MAX 1024
#define N_HEADERS 4
#define HEADER_SIZE 128

struct client_http {
    struct client_transport base;
    struct http_client *http;
    char *api_url;
    char *authorization; /* the header line */
};

/* What a thread waits for, on its stack. */
struct answer {
    pthread_mutex_t lock;
    pthread_cond_t is_ready;
    bool is_done;
    struct http_result result; /* its body is ours once it is done */
};

static void on_done(void *arg, struct http_result *result)
{
    struct answer *answer = arg;
    (void)pthread_mutex_lock(&answer->lock);
    answer->result = *result;
    result->body = NULL;
    answer->is_done = true;
    /* under the lock: the waiting thread must not leave its stack before we are done with it */
    (void)pthread_cond_signal(&answer->is_ready);
    (void)pthread_mutex_unlock(&answer->lock);
}

static dr_code code_of_outcome(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_RESPONDED:
        return DR_OK;
    case HTTP_BAD_REQUEST:
        return DR_INVALID_ARGUMENT;
    case HTTP_DNS_FAILED:
    case HTTP_CONNECT_FAILED:
    case HTTP_TLS_FAILED:
    case HTTP_BROKEN:
        return DR_UNAVAILABLE;
    case HTTP_TIMED_OUT:
        return DR_DEADLINE_EXCEEDED;
    case HTTP_TOO_LARGE:
        return DR_RESOURCE_EXHAUSTED;
    case HTTP_CANCELLED:
        return DR_CANCELED;
    case HTTP_NO_MEMORY:
        return DR_NO_MEMORY;
    default:
        return DR_INTERNAL;
    }
}

static dr_code read_answer(const struct client_http *client, const struct answer *answer, int *ret_http_status,
                           struct buf *body, struct dr_error *error)
{
    const struct http_result *result = &answer->result;
    dr_code code = code_of_outcome(result->outcome);
    if (code)
        return error_set(error, code, "%s: %s", client->api_url, result->message);
    code = buf_append(body, slice_of(result->body, result->len));
    if (code)
        return error_set(error, code, "%s: an answer of %zu bytes: %s", client->api_url, result->len,
                         dr_code_text(code));
    *ret_http_status = result->status;
    return DR_OK;
}

/* Hands the request over; everything is copied. */
static dr_code send_request(struct client_http *client, const struct client_exchange *exchange, const char *url,
                            size_t response_bytes_max, struct answer *answer)
{
    char content_type[HEADER_SIZE];
    char timeout[HEADER_SIZE];
    int64_t timeout_ms = (exchange->server_timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
    (void)snprintf(content_type, sizeof content_type, "Content-Type: %s", exchange->content_type);
    (void)snprintf(timeout, sizeof timeout, "Connect-Timeout-Ms: %lld", (long long)timeout_ms);
    const char *headers[N_HEADERS] = {client->authorization, content_type, "Connect-Protocol-Version: 1", timeout};
    uint8_t *body = NULL;
    if (exchange->body.len > 0) {
        body = mem_alloc(exchange->body.len);
        if (!body)
            return DR_NO_MEMORY;
        memcpy(body, exchange->body.data, exchange->body.len);
    }
    struct http_post post = {
        .url = url,
        .headers = headers,
        .n_headers = N_HEADERS,
        .body = body,
        .len = exchange->body.len,
        .timeout_ns = exchange->timeout_ns,
        .response_bytes_max = response_bytes_max,
        .is_sent_once = exchange->is_sent_once,
        .on_done = on_done,
        .arg = answer,
    };
    return http_client_post(client->http, &post, NULL);
}

static dr_code http_exchange_blocking(struct client_transport *transport, const struct client_exchange *exchange,
                                      int *ret_http_status, struct buf *body, struct dr_error *error)
{
    struct client_http *client = (struct client_http *)transport;
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER, .is_ready = PTHREAD_COND_INITIALIZER};
    struct buf url;
    buf_init(&url, HTTP_CLIENT_URL_BYTES_MAX);
    dr_code code = buf_printf(&url, "%s%s", client->api_url, exchange->path);
    const char *url_text = code ? NULL : buf_text(&url);
    if (!code)
        code = url_text ? send_request(client, exchange, url_text, body->max, &answer) : DR_NO_MEMORY;
    buf_deinit(&url);
    if (code)
        return error_set(error, code, "%s: %s", client->api_url, dr_code_text(code));
    (void)pthread_mutex_lock(&answer.lock);
    while (!answer.is_done)
        (void)pthread_cond_wait(&answer.is_ready, &answer.lock);
    (void)pthread_mutex_unlock(&answer.lock);
    code = read_answer(client, &answer, ret_http_status, body, error);
    mem_free(answer.result.body);
    (void)pthread_cond_destroy(&answer.is_ready);
    (void)pthread_mutex_destroy(&answer.lock);
    return code;
}

static int64_t real_now_ns(struct client_transport *transport)
{
    (void)transport;
    return clock_monotonic_ns();
}

static void real_pause(struct client_transport *transport, int64_t ns)
{
    (void)transport;
    struct timespec pause = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    (void)nanosleep(&pause, NULL); /* woken early by a signal: then we just ask a little earlier */
}

static void client_http_destroy(struct client_transport *transport)
{
    struct client_http *client = (struct client_http *)transport;
    http_client_destroy(client->http);
    mem_free(client->authorization);
    mem_free(client->api_url);
    mem_free(client);
}

static const struct client_transport_methods client_http_methods = {
    .exchange = http_exchange_blocking,
    .now_ns = real_now_ns,
    .pause = real_pause,
    .destroy = client_http_destroy,
};

static char *authorization_of(const char *api_key)
{
    static const char prefix[] = "Authorization: Bearer ";
    size_t size = sizeof prefix + strlen(api_key);
    char *line = mem_alloc(size);
    if (line)
        (void)snprintf(line, size, "%s%s", prefix, api_key);
    return line;
}

dr_code client_http_create(const struct client_target *target, struct client_transport **ret_transport,
                           struct dr_error *error)
{
    struct http_client_config config = {
        .connections_max = CONNECTIONS_MAX,
        .connections_per_host_max = CONNECTIONS_MAX,
        .user_agent = USER_AGENT,
    };
    dr_code code = DR_NO_MEMORY;
    struct client_http *client = mem_zalloc(sizeof *client);
    if (!client)
        return error_set(error, code, "%s", dr_code_text(code));
    client->base.methods = &client_http_methods;
    client->api_url = mem_strndup(target->api_url, strlen(target->api_url));
    client->authorization = authorization_of(target->api_key);
    if (!client->api_url || !client->authorization)
        (void)error_set(error, code, "%s", dr_code_text(code));
    else
        code = http_client_create(&config, &client->http, error);
    if (code) {
        client_http_destroy(&client->base);
        return code;
    }
    *ret_transport = &client->base;
    return DR_OK;
}
