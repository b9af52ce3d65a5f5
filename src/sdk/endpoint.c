/* The handler over HTTP. The loop thread takes requests in, the pool runs them. Refusals are those of protocol 3.2,
 * always in valid JSON. */
#include "sdk/endpoint.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/http_server.h"
#include "sdk/pool.h"
#include "sdk/raw.h"
#include "wire/types.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define RUN_PATH "/dispatch.sdk.v1.FunctionService/Run"
#define STOP_TIMEOUT_NS (30 * NS_PER_S)
#define HOST_SIZE 256

struct dr_endpoint {
    struct handler *handler;
    struct http_server *server;
    struct pool *pool;           /* NULL when runs are handed over */
    dr_run_handler *on_run;
    void *on_run_arg;
    char url[HOST_SIZE + 32];
};

/* Before the body is read: what makes no sense to read (protocol 3.4). True when it has answered. */
static bool refuse(struct http_exchange *exchange)
{
    const char *path = http_exchange_path(exchange);
    size_t len = strlen(path), suffix = strlen(RUN_PATH);
    uint64_t length = 0;
    if (len < suffix || strcmp(path + len - suffix, RUN_PATH) != 0) { /* an endpoint may have a path of its own before */
        http_exchange_respond_error(exchange, 404, DR_NOT_FOUND, "path not found");
    } else if (strcmp(http_exchange_method(exchange), "POST") != 0) {
        struct http_response response = {.status = 405, .is_last = true};
        struct http_header allow = {"Allow", "POST"};
        response.headers = &allow;
        response.n_headers = 1;
        http_exchange_respond(exchange, &response);
    } else if (!http_exchange_content_length(exchange, &length) || length == 0) {
        http_exchange_respond_error(exchange, 0, DR_INVALID_ARGUMENT, "content length is required");
    } else if (length > WIRE_MESSAGE_BYTES_MAX) {
        http_exchange_respond_error(exchange, 0, DR_INVALID_ARGUMENT, "content length is too large");
    } else {
        return false;
    }
    return true;
}

static void on_headers(void *arg, struct http_exchange *exchange)
{
    (void)arg;
    (void)refuse(exchange);
}

static void on_request(void *arg, struct http_exchange *exchange)
{
    dr_endpoint *endpoint = arg;
    if (refuse(exchange))
        return;
    if (endpoint->on_run)
        raw_http_hand_over(exchange, endpoint->on_run, endpoint->on_run_arg);
    else if (pool_push(endpoint->pool, exchange) != DR_OK)
        http_exchange_respond_error(exchange, 0, DR_RESOURCE_EXHAUSTED, "too many calls wait for a thread");
}

static void run(void *owner, void *job)
{
    dr_endpoint *endpoint = owner;
    struct http_exchange *exchange = job;
    struct buf body;
    buf_init(&body, WIRE_MESSAGE_BYTES_MAX);
    struct dr_error error = {0};
    dr_code code = handler_run(endpoint->handler, http_exchange_body(exchange), &body, &error);
    if (code) {
        http_exchange_respond_error(exchange, 0, code, error.message);
    } else {
        struct http_response response = {.status = 200, .content_type = "application/proto", .body = buf_slice(&body)};
        http_exchange_respond(exchange, &response);
    }
    buf_deinit(&body);
}

static dr_code read_address(const char *address, char host[HOST_SIZE], uint16_t *ret_port, struct dr_error *error)
{
    if (!address || !*address)
        address = getenv("DISPATCH_ENDPOINT_ADDR");
    if (!address || !*address)
        address = "127.0.0.1:8000";
    const char *colon = strrchr(address, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t len = colon ? (size_t)(colon - address) : 0;
    if (!colon || end == colon + 1 || *end || port > 65535 || len == 0 || len >= HOST_SIZE)
        return error_set(error, DR_INVALID_ARGUMENT, "endpoint address '%s': expected HOST:PORT", address);
    bool is_bracketed = address[0] == '[' && address[len - 1] == ']';
    memcpy(host, address + is_bracketed, len - 2 * is_bracketed);
    host[len - 2 * is_bracketed] = '\0';
    *ret_port = (uint16_t)port;
    return DR_OK;
}

/* Programs that were built before the members were there do not give them. */
static bool has_handler(const struct dr_endpoint_options *options)
{
    return options->size >= offsetof(struct dr_endpoint_options, on_run_arg) + sizeof options->on_run_arg;
}

static dr_code start(dr_endpoint *endpoint, const struct dr_endpoint_options *options, struct dr_error *error)
{
    char host[HOST_SIZE];
    uint16_t port = 0;
    dr_code code = read_address(options->address, host, &port, error);
    unsigned n_threads = options->threads ? options->threads : DR_ENDPOINT_THREADS_DEFAULT;
    if (has_handler(options)) {
        endpoint->on_run = options->on_run;
        endpoint->on_run_arg = options->on_run_arg;
    }
    if (!code && !endpoint->on_run)
        code = pool_create(n_threads, run, endpoint, &endpoint->pool, error);
    struct http_server_config config = {
        .host = host, .port = port, .on_headers = on_headers, .on_request = on_request, .arg = endpoint};
    if (!code)
        code = http_server_create(&config, &endpoint->server, error);
    if (code)
        return code;
    const char *format = strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u";
    snprintf(endpoint->url, sizeof endpoint->url, format, host, http_server_port(endpoint->server));
    return http_server_start(endpoint->server, error);
}

dr_code endpoint_start(const struct dr_endpoint_options *options, int64_t (*now_ns)(void *arg), void *now_arg,
                       dr_endpoint **ret_endpoint, struct dr_error *error)
{
    struct dr_endpoint_options none = {0};
    if (!options)
        options = &none;
    dr_endpoint *endpoint = mem_zalloc(sizeof *endpoint);
    struct handler_config config = {.registry = options->registry,
                                    .parked_max = options->parked_max ? options->parked_max : DR_ENDPOINT_PARKED_DEFAULT,
                                    .now_ns = now_ns,
                                    .now_arg = now_arg};
    if (endpoint)
        endpoint->handler = handler_create(&config);
    if (!endpoint || !endpoint->handler) {
        mem_free(endpoint);
        return error_set(error, DR_NO_MEMORY, "start endpoint: out of memory");
    }
    dr_code code = start(endpoint, options, error);
    if (code)
        dr_endpoint_stop(endpoint);
    else
        *ret_endpoint = endpoint;
    return code;
}

dr_code dr_endpoint_start(const struct dr_endpoint_options *options, dr_endpoint **ret_endpoint, struct dr_error *error)
{
    return endpoint_start(options, NULL, NULL, ret_endpoint, error);
}

struct handler *endpoint_handler(dr_endpoint *endpoint)
{
    return endpoint->handler;
}

const char *dr_endpoint_url(const dr_endpoint *endpoint)
{
    return endpoint->url;
}

void dr_endpoint_stop(dr_endpoint *endpoint)
{
    if (!endpoint)
        return;
    if (endpoint->server)
        (void)http_server_stop(endpoint->server, STOP_TIMEOUT_NS);
    pool_destroy(endpoint->pool);
    http_server_destroy(endpoint->server);
    handler_destroy(endpoint->handler);
    mem_free(endpoint);
}

dr_code dr_serve(const struct dr_endpoint_options *options, struct dr_error *error)
{
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &wanted, &before); /* the threads started below inherit it, so the signal comes here */
    dr_endpoint *endpoint = NULL;
    dr_code code = dr_endpoint_start(options, &endpoint, error);
    int signal_number = 0;
    if (!code)
        (void)sigwait(&wanted, &signal_number);
    dr_endpoint_stop(endpoint);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
