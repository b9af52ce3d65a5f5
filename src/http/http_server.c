#include "http/http_private.h"
#include "http/http_loop.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include <signal.h>

static uint64_t ms_of(int64_t ns)
{
    return ns <= 0 ? 0 : (uint64_t)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

static int64_t time_or(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static void config_fill(struct http_server_config *config)
{
    config->host = config->host ? config->host : "127.0.0.1";
    config->body_bytes_max = config->body_bytes_max ? config->body_bytes_max : HTTP_BODY_BYTES_MAX;
    config->header_bytes_max = config->header_bytes_max ? config->header_bytes_max : HTTP_HEADER_BYTES_MAX;
    config->buffered_bytes_max = config->buffered_bytes_max ? config->buffered_bytes_max : (size_t)256 << 20;
    config->answer_bytes_max = config->answer_bytes_max ? config->answer_bytes_max : (size_t)512 << 20;
    config->connections_max = config->connections_max ? config->connections_max : 10000;
    config->exchanges_max = config->exchanges_max ? config->exchanges_max : 65536;
    config->header_timeout_ns = time_or(config->header_timeout_ns, 10 * NS_PER_S);
    config->body_timeout_ns = time_or(config->body_timeout_ns, 60 * NS_PER_S);
    config->write_timeout_ns = time_or(config->write_timeout_ns, 60 * NS_PER_S);
    config->idle_timeout_ns = time_or(config->idle_timeout_ns, 120 * NS_PER_S);
}

/* ---- the timer: one for all connections, armed for the earliest deadline that matters ---- */

static void on_timer(uv_timer_t *timer);

void server_timer_need(struct http_server *server, uint64_t deadline_ms)
{
    if (server->is_closing || (server->timer_ms && server->timer_ms <= deadline_ms))
        return;
    uint64_t now_ms = uv_now(&server->loop);
    server->timer_ms = deadline_ms;
    (void)uv_timer_start(&server->timer, on_timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0);
}

/* A connection that left the phase in time leaves the timer as it was: it then fires once for nothing. That is dearer
 * once a timeout and cheaper at every request than setting it anew. */
static void on_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    server->timer_ms = 0;
    uint64_t now_ms = uv_now(&server->loop);
    if (server->is_stopping && server->stop_ms <= now_ms) {
        server_stop_check(server);
        return;
    }
    if (server->is_stopping)
        server_timer_need(server, server->stop_ms);
    listener_go_on(server);
    for (int phase = 0; phase < N_PHASES; phase++) {
        while (server->timeouts_ms[phase] && !list_is_empty(&server->phases[phase])) {
            struct http_connection *connection =
                container_of(server->phases[phase].next, struct http_connection, node);
            if (connection->deadline_ms > now_ms) {
                server_timer_need(server, connection->deadline_ms);
                break;
            }
            connection_expired(connection);
        }
    }
}

/* ---- answers from other threads, and stop ---- */

static void answers_take(struct http_server *server)
{
    struct list answered;
    list_init(&answered);
    pthread_mutex_lock(&server->lock);
    for (struct list *node; (node = list_pop_front(&server->answered));)
        list_push_back(&answered, node);
    pthread_mutex_unlock(&server->lock);
    for (struct list *node; (node = list_pop_front(&answered));)
        http1_on_answered(container_of(node, struct http_exchange, node)->connection);
}

static void phase_close_all(struct http_server *server, enum http_phase phase)
{
    struct list *list = &server->phases[phase];
    while (!list_is_empty(list))
        connection_close(container_of(list->next, struct http_connection, node));
}

static void handles_close(struct http_server *server)
{
    if (server->is_closing)
        return;
    server->is_closing = true;
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->async, NULL);
}

/* Ends the loop when nothing is left to wait for, and at the deadline of the stop. */
void server_stop_check(struct http_server *server)
{
    if (!server->is_stopping)
        return;
    bool is_late = server->stop_ms <= uv_now(&server->loop);
    if (!is_late && (server->n_connections || server->n_out))
        return;
    for (int phase = 0; phase < PHASE_CLOSING; phase++)
        phase_close_all(server, (enum http_phase)phase);
    if (server->n_connections == 0)
        handles_close(server);
}

static void stop_begin(struct http_server *server, int64_t timeout_ns)
{
    server->is_stopping = true;
    uv_update_time(&server->loop);
    server->stop_ms = uv_now(&server->loop) + ms_of(timeout_ns);
    listener_close(server);
    phase_close_all(server, PHASE_IDLE);
    /* a request that is not complete was never accepted */
    phase_close_all(server, PHASE_HEADERS);
    phase_close_all(server, PHASE_BODY);
    server_timer_need(server, server->stop_ms);
    server_stop_check(server);
}

static void on_async(uv_async_t *async)
{
    struct http_server *server = async->data;
    answers_take(server);
    pthread_mutex_lock(&server->lock);
    bool is_stop_asked = server->is_stop_asked;
    int64_t timeout_ns = server->stop_timeout_ns;
    pthread_mutex_unlock(&server->lock);
    if (is_stop_asked && !server->is_stopping)
        stop_begin(server, timeout_ns);
    else
        server_stop_check(server);
}

void server_connection_closed(struct http_server *server)
{
    server->n_connections--;
    atomic_fetch_sub(&server->stats.connections, 1);
    listener_go_on(server);
    server_stop_check(server);
}

static void *loop_main(void *arg)
{
    struct http_server *server = arg;
    server->loop_thread = pthread_self();
    (void)pthread_setname_np(pthread_self(), "http-server");
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    pthread_mutex_lock(&server->lock);
    server->is_loop_gone = true;
    pthread_mutex_unlock(&server->lock);
    /* answered between the last look and now: their connections are closed already */
    answers_take(server);
    return NULL;
}

/* ---- life ---- */

static void server_free(struct http_server *server)
{
    (void)uv_loop_close(&server->loop);
    pthread_mutex_destroy(&server->lock);
    mem_free(server->read_buffer);
    mem_free(server);
}

void server_unref(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool is_last = --server->n_refs == 0;
    pthread_mutex_unlock(&server->lock);
    if (is_last)
        server_free(server);
}

static dr_code loop_open(struct http_server *server, struct dr_error *error)
{
    int rc = http_loop_init(&server->loop);
    if (rc)
        return error_set(error, DR_UNAVAILABLE, "event loop: %s", uv_strerror(rc));
    rc = uv_async_init(&server->loop, &server->async, on_async);
    if (rc) {
        (void)uv_loop_close(&server->loop);
        return error_set(error, DR_UNAVAILABLE, "event loop: %s", uv_strerror(rc));
    }
    (void)uv_timer_init(&server->loop, &server->timer);
    server->async.data = server->timer.data = server;
    return DR_OK;
}

dr_code http_server_create(const struct http_server_config *config, struct http_server **ret_server,
                           struct dr_error *error)
{
    CHECK(config->on_request);
    struct http_server *server = mem_zalloc(sizeof(*server));
    char *read_buffer = mem_alloc(READ_BYTES);
    dr_code code = DR_NO_MEMORY;
    if (!server || !read_buffer)
        goto cleanup;
    server->config = *config;
    config_fill(&server->config);
    server->timeouts_ms[PHASE_IDLE] = ms_of(server->config.idle_timeout_ns);
    server->timeouts_ms[PHASE_HEADERS] = ms_of(server->config.header_timeout_ns);
    server->timeouts_ms[PHASE_BODY] = ms_of(server->config.body_timeout_ns);
    server->timeouts_ms[PHASE_WRITING] = ms_of(server->config.write_timeout_ns);
    server->timeouts_ms[PHASE_DRAINING] = DRAIN_MS;
    for (int phase = 0; phase < N_PHASES; phase++)
        list_init(&server->phases[phase]);
    list_init(&server->answered);
    code = loop_open(server, error);
    if (code)
        goto cleanup;
    code = listener_open(server, error);
    if (code) {
        handles_close(server);
        (void)uv_run(&server->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&server->loop);
        goto cleanup;
    }
    server->config.host = NULL;
    server->read_buffer = read_buffer;
    server->n_refs = 1;
    (void)pthread_mutex_init(&server->lock, NULL);
    *ret_server = server;
    return DR_OK;
cleanup:
    mem_free(server);
    mem_free(read_buffer);
    return code == DR_NO_MEMORY ? error_set(error, code, "HTTP server: out of memory") : code;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

dr_code http_server_start(struct http_server *server, struct dr_error *error)
{
    CHECK(!server->is_started);
    /* The application's signals are not ours; SIGPIPE, which a write to a dead peer raises in this thread, is not
     * anybody's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&server->thread, NULL, loop_main, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return error_set(error, DR_UNAVAILABLE, "HTTP server: cannot start a thread");
    server->is_started = true;
    return DR_OK;
}

dr_code http_server_stop(struct http_server *server, int64_t timeout_ns)
{
    if (server->is_joined)
        return DR_OK;
    server->is_joined = true;
    if (!server->is_started) {
        listener_close(server);
        handles_close(server);
        (void)uv_run(&server->loop, UV_RUN_DEFAULT);
        return DR_OK;
    }
    CHECK(!pthread_equal(server->thread, pthread_self()));
    pthread_mutex_lock(&server->lock);
    server->is_stop_asked = true;
    server->stop_timeout_ns = timeout_ns;
    pthread_mutex_unlock(&server->lock);
    (void)uv_async_send(&server->async);
    (void)pthread_join(server->thread, NULL);
    pthread_mutex_lock(&server->lock);
    bool is_open = server->n_refs > 1;
    pthread_mutex_unlock(&server->lock);
    return is_open ? DR_DEADLINE_EXCEEDED : DR_OK;
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    (void)http_server_stop(server, 0);
    server_unref(server);
}
