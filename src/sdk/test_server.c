#include "sdk/test_server.h"

#include "base/error.h"
#include "base/mem.h"
#include "sdk/endpoint.h"
#include "sdk/test_transport.h"
#include "server/server.h"
#include "server/transport_local.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHAOS_START_NS (INT64_C(1767225600) * 1000000000) /* 2026-01-01 */
#define PARKED_MAX 1000
#define TRACE_CALLS_MAX 1000

struct dr_test_server {
    struct chaos_options chaos;
    struct transport *transport;  /* in process */
    struct handler *handler;
    struct driver *driver;
    bool is_inline;
    struct server *http;          /* over loopback: owns the driver */
    dr_endpoint *endpoint;
    dr_client *client;
    char url[64];                 /* of the endpoint */
    char api_url[64];             /* "" in process */
};

static int64_t now_ns(void *arg)
{
    struct dr_test_server *server = arg;
    return driver_now_ns(server->driver);
}

static void run_local(void *arg, struct slice request, struct transport_local_reply *reply)
{
    struct dr_test_server *server = arg;
    struct buf body;
    buf_init(&body, WIRE_MESSAGE_BYTES_MAX);
    struct dr_error error = {0};
    dr_code code = handler_run(server->handler, request, &body, &error);
    if (code) {
        reply->status = code == DR_NOT_FOUND           ? DR_STATUS_NOT_FOUND
                        : code == DR_INVALID_ARGUMENT ? DR_STATUS_INVALID_ARGUMENT
                                                      : DR_STATUS_TEMPORARY_ERROR;
        snprintf(reply->message, sizeof reply->message, "%.300s", error.message);
    } else {
        reply->body = buf_steal(&body, &reply->len);
    }
    buf_deinit(&body);
}

/* As if the program had crashed and had been started again. */
static void on_endpoint_crash(void *arg)
{
    test_server_forget_stacks(arg);
}

/* Programs that were built before the members were there do not give them. */
#define HAS_MEMBER(options, member) \
    ((options)->size >= offsetof(struct dr_test_options, member) + sizeof(options)->member)

static bool hands_runs_over(const struct dr_test_options *options)
{
    return HAS_MEMBER(options, on_run_arg) && options->on_run;
}

static dr_code fill_config(struct dr_test_server *server, const struct dr_test_options *options, struct driver_config *config,
                           struct dr_error *error)
{
    config->chaos = server->chaos;
    if (server->chaos.is_on)
        config->virtual_start_ns = CHAOS_START_NS; /* a seed gives the same ids and times */
    config->on_endpoint_crash = on_endpoint_crash;
    config->endpoint_crash_arg = server;
    config->clock = DRIVER_CLOCK_VIRTUAL;
    config->drain_timeout_ns = -1;
    config->engine.seed[0] = options->seed ? options->seed : 1;
    config->engine.retention_ns = TIME_NEVER;
    return store_memory_open(&config->store, error);
}

/* The functions of a registry behind the endpoint. */
static dr_code open_functions(struct dr_test_server *server, const dr_registry *registry, struct dr_error *error)
{
    server->handler = handler_create(&(struct handler_config){
        .registry = registry, .parked_max = PARKED_MAX, .now_ns = now_ns, .now_arg = server});
    if (!server->handler)
        return error_set(error, DR_NO_MEMORY, "test server: out of memory");
    server->transport = transport_local_create(0);
    return transport_local_add(server->transport, slice_text(server->url), run_local, server, error);
}

static dr_code open_local(struct dr_test_server *server, const struct dr_test_options *options, struct dr_error *error)
{
    struct driver_config config = {0};
    snprintf(server->url, sizeof server->url, "%s", DR_TEST_ENDPOINT_URL);
    dr_code code = hands_runs_over(options)
                       ? test_transport_create(options->on_run, options->on_run_arg, &server->transport, error)
                       : open_functions(server, options->registry, error);
    config.transport = server->transport;
    if (!code)
        code = fill_config(server, options, &config, error);
    if (!code)
        code = driver_create(&config, &server->driver, error);
    server->is_inline = !code && hands_runs_over(options) && HAS_MEMBER(options, is_inline) && options->is_inline;
    if (server->is_inline)
        test_transport_set_inline(server->transport, server->driver);
    if (!code)
        code = driver_start(server->driver, error);
    return code;
}

static dr_code open_http(struct dr_test_server *server, const struct dr_test_options *options, struct dr_error *error)
{
    const char *const keys[] = {DR_TEST_API_KEY};
    struct server_config config = {.api_keys = keys, .n_api_keys = 1};
    struct dr_endpoint_options endpoint = {.address = "127.0.0.1:0", .registry = options->registry};
    if (hands_runs_over(options)) {
        endpoint.size = sizeof endpoint;
        endpoint.on_run = options->on_run;
        endpoint.on_run_arg = options->on_run_arg;
    }
    dr_code code = fill_config(server, options, &config.driver, error);
    if (!code)
        code = server_create(&config, &server->http, error);
    if (!code) {
        server->driver = server_driver(server->http);
        code = endpoint_start(&endpoint, now_ns, server, &server->endpoint, error);
    }
    if (!code)
        code = server_start(server->http, error);
    if (code)
        return code;
    snprintf(server->url, sizeof server->url, "%.60s", dr_endpoint_url(server->endpoint));
    snprintf(server->api_url, sizeof server->api_url, "http://127.0.0.1:%u", server_port(server->http));
    return dr_client_open(&(struct dr_client_options){.api_key = DR_TEST_API_KEY, .api_url = server->api_url}, &server->client,
                          error);
}

static const char *chaos_of(const struct dr_test_options *options)
{
    return HAS_MEMBER(options, chaos) && options->chaos ? options->chaos : getenv("DISPATCH_CHAOS");
}

dr_code test_server_open(const struct dr_test_options *options, struct dr_test_server **ret_server, struct dr_error *error)
{
    struct dr_test_options none = {0};
    if (!options)
        options = &none;
    struct dr_test_server *server = mem_zalloc(sizeof *server);
    if (!server)
        return error_set(error, DR_NO_MEMORY, "test server: out of memory");
    dr_code code = chaos_parse(chaos_of(options), &server->chaos, error);
    if (!code)
        code = options->transport == DR_TEST_HTTP ? open_http(server, options, error) : open_local(server, options, error);
    if (code)
        test_server_close(server);
    else
        *ret_server = server;
    return code;
}

void test_server_close(struct dr_test_server *server)
{
    if (!server)
        return;
    dr_client_close(server->client);
    if (server->http) {
        server_stop(server->http);
        dr_endpoint_stop(server->endpoint); /* before the server's end: its functions ask the driver's clock */
        server_destroy(server->http);
    } else {
        if (server->driver)
            driver_stop(server->driver);
        if (server->handler && server->transport)
            transport_local_remove(server->transport, slice_text(server->url));
        driver_destroy(server->driver);
        transport_destroy(server->transport);
        handler_destroy(server->handler);
    }
    mem_free(server);
}

struct driver *test_server_driver(struct dr_test_server *server)
{
    return server->driver;
}

bool test_server_is_inline(const struct dr_test_server *server)
{
    return server->is_inline;
}

const char *test_server_endpoint(const struct dr_test_server *server)
{
    return server->url;
}

const char *test_server_url(const struct dr_test_server *server)
{
    return server->api_url;
}

dr_client *test_server_client(const struct dr_test_server *server)
{
    return server->client;
}

void test_server_forget_stacks(struct dr_test_server *server)
{
    struct handler *handler = server->endpoint ? endpoint_handler(server->endpoint) : server->handler;
    if (handler)
        handler_forget(handler);
}

/* ---- the trace ---- */

struct tracing {
    struct buf *buf;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void trace_line(struct buf *buf, const struct driver_call *call, unsigned depth)
{
    const struct call_record *record = call->record;
    char id[ID_TEXT_SIZE];
    (void)buf_printf(buf, "%*s%s  %s", (int)(2 * depth + 2), "", blob_text(record->function), id_format(record->id, id));
    if (record->state != CALL_DONE)
        (void)buf_printf(buf, "  %s", call->why);
    else
        (void)buf_printf(buf, "  %s", dr_status_text(record->status));
    if (record->attempts > 1)
        (void)buf_printf(buf, ", %u attempts", record->attempts);
    if (error_record_is_set(&record->error))
        (void)buf_printf(buf, ": %s: %s", blob_text(record->error.type), blob_text(record->error.message));
    else if (record->last_error && record->state != CALL_DONE)
        (void)buf_printf(buf, ", last failure: %s", blob_text(record->last_error));
    (void)buf_append_text(buf, "\n");
}

/* Calls come newest first; ids sort by time, so the oldest child is found from the end. */
static void trace_children(struct buf *buf, const struct driver_call *calls, size_t n, struct id parent, unsigned depth)
{
    for (size_t i = n; i-- > 0;) {
        if (!id_equal(calls[i].record->parent, parent))
            continue;
        trace_line(buf, &calls[i], depth);
        if (depth < WIRE_DEPTH_MAX)
            trace_children(buf, calls, n, calls[i].record->id, depth + 1);
    }
}

static void on_calls(void *arg, dr_code code, const char *message, const struct driver_call *calls, size_t n,
                     struct id next_before)
{
    (void)next_before;
    struct tracing *tracing = arg;
    if (code)
        (void)buf_printf(tracing->buf, "  (no trace: %s)\n", message);
    else
        trace_children(tracing->buf, calls, n, (struct id){{0}}, 0);
    pthread_mutex_lock(&tracing->lock);
    tracing->is_done = true;
    pthread_cond_signal(&tracing->done);
    pthread_mutex_unlock(&tracing->lock);
}

void test_server_trace(struct dr_test_server *server, struct buf *buf)
{
    struct tracing tracing = {.buf = buf, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct store_filter filter = {.status = -1, .limit = TRACE_CALLS_MAX};
    struct dr_error error = {0};
    char chaos[CHAOS_TEXT_SIZE];
    if (server->chaos.is_on)
        (void)buf_printf(buf, "  with chaos: %s\n", chaos_format(&server->chaos, chaos));
    if (driver_list(server->driver, &filter, on_calls, &tracing, &error) != DR_OK) {
        (void)buf_printf(buf, "  (no trace: %s)\n", error.message);
        return;
    }
    pthread_mutex_lock(&tracing.lock);
    while (!tracing.is_done)
        pthread_cond_wait(&tracing.done, &tracing.lock);
    pthread_mutex_unlock(&tracing.lock);
}
