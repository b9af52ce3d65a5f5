/* A socket of the server. What TLS will need is here and only here: on_read hands bytes to http1_on_bytes, and
 * connection_write takes bytes from it. */
#include "http/http_private.h"

#include "base/check.h"
#include "base/mem.h"
#include <stdio.h>
#include <unistd.h>

static void on_closed(uv_handle_t *handle);

/* ---- accepting ---- */

static void peer_format(struct http_connection *connection)
{
    struct sockaddr_storage address = {0};
    int len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "?";
    if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&address, &len) == 0)
        (void)uv_ip_name((struct sockaddr *)&address, host, sizeof(host));
    unsigned port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    (void)snprintf(connection->peer, sizeof(connection->peer), address.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                   host, port);
}

static struct http_connection *connection_create(struct http_server *server)
{
    struct http_connection *connection = mem_zalloc(sizeof(*connection));
    if (!connection)
        return NULL;
    connection->server = server;
    list_init(&connection->node);
    http1_init(connection);
    if (uv_tcp_init(&server->loop, &connection->tcp)) {
        connection_free(connection);
        return NULL;
    }
    connection->tcp.data = connection;
    server->n_connections++;
    atomic_fetch_add(&server->stats.connections, 1);
    connection->phase = PHASE_HANDLING;
    list_push_back(&server->phases[PHASE_HANDLING], &connection->node);
    return connection;
}

void connection_open(struct http_server *server, int fd)
{
    struct http_connection *connection = connection_create(server);
    if (!connection || uv_tcp_open(&connection->tcp, fd)) {
        server_refused(server, HTTP_REFUSED_DESCRIPTORS, NULL);
        close(fd);
        if (connection)
            connection_close(connection);
        return;
    }
    atomic_fetch_add_explicit(&server->stats.accepted, 1, memory_order_relaxed);
    (void)uv_tcp_nodelay(&connection->tcp, 1);
    peer_format(connection);
    connection_phase(connection, PHASE_IDLE);
    connection_read(connection, true);
}

/* ---- deadlines ---- */

void connection_phase(struct http_connection *connection, enum http_phase phase)
{
    struct http_server *server = connection->server;
    if (connection->phase == phase || connection->phase == PHASE_CLOSING)
        return;
    connection->phase = phase;
    list_remove(&connection->node);
    list_push_back(&server->phases[phase], &connection->node);
    if (server->timeouts_ms[phase]) {
        connection->deadline_ms = uv_now(&server->loop) + server->timeouts_ms[phase];
        server_timer_need(server, connection->deadline_ms);
    }
}

void connection_expired(struct http_connection *connection)
{
    if (connection->phase == PHASE_HEADERS || connection->phase == PHASE_BODY) {
        http1_on_timeout(connection);
        return;
    }
    if (connection->phase == PHASE_WRITING)
        server_refused(connection->server, HTTP_REFUSED_READER, connection->peer);
    connection_close(connection);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct http_connection *connection = handle->data;
    *ret_buf = uv_buf_init(connection->server->read_buffer, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n_read, const uv_buf_t *buf)
{
    struct http_connection *connection = stream->data;
    if (n_read == 0 || connection->phase == PHASE_CLOSING)
        return;
    if (n_read == UV_EOF && connection->phase != PHASE_DRAINING) {
        connection->is_eof = true;
        connection_read(connection, false);
        http1_on_eof(connection);
    } else if (n_read < 0) {
        connection_close(connection);
    } else if (connection->phase != PHASE_DRAINING) {
        http1_on_bytes(connection, buf->base, (size_t)n_read);
    }
}

void connection_read(struct http_connection *connection, bool is_on)
{
    is_on = is_on && !connection->is_eof;
    if (connection->is_reading == is_on || connection->phase == PHASE_CLOSING)
        return;
    connection->is_reading = is_on;
    if (!is_on)
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    else if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read))
        connection_close(connection);
}

/* ---- writing ---- */

static void on_written(uv_write_t *write, int status)
{
    struct http_connection *connection = container_of(write, struct http_connection, write);
    if (connection->phase == PHASE_CLOSING)
        return;
    if (status)
        connection_close(connection);
    else
        http1_on_written(connection);
}

void connection_write(struct http_connection *connection, uv_buf_t *bufs, unsigned n_bufs)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    connection_phase(connection, PHASE_WRITING);
    int rc = uv_try_write(stream, bufs, n_bufs);
    size_t sent = rc > 0 ? (size_t)rc : 0;
    while (n_bufs && sent >= bufs->len) {
        sent -= bufs->len;
        bufs++;
        n_bufs--;
    }
    if (n_bufs == 0) {
        http1_on_written(connection);
        return;
    }
    bufs->base += sent;
    bufs->len -= sent;
    bool is_failed = rc < 0 && rc != UV_EAGAIN;
    if (is_failed || uv_write(&connection->write, stream, bufs, n_bufs, on_written))
        connection_close(connection);
}

void connection_write_now(struct http_connection *connection, const char *text)
{
    uv_buf_t buf = uv_buf_init((char *)text, (unsigned)strlen(text));
    (void)uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);
}

/* ---- ending ---- */

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct http_connection *connection = container_of(shutdown, struct http_connection, shutdown);
    if (status && connection->phase != PHASE_CLOSING)
        connection_close(connection);
}

/* Closing a socket that holds unread bytes makes the kernel send a reset, which would overtake the answer. */
void connection_drain(struct http_connection *connection)
{
    if (connection->phase == PHASE_CLOSING)
        return;
    if (connection->is_eof || uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown)) {
        connection_close(connection);
        return;
    }
    connection_phase(connection, PHASE_DRAINING);
    connection_read(connection, true);
}

void connection_close(struct http_connection *connection)
{
    if (connection->phase == PHASE_CLOSING)
        return;
    connection_phase(connection, PHASE_CLOSING);
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
    if (connection->is_out)
        exchange_abort(&connection->exchange);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_connection *connection = handle->data;
    struct http_server *server = connection->server;
    connection->is_closed = true;
    list_remove(&connection->node);
    connection_free_if_over(connection);
    server_connection_closed(server);
}

void connection_free_if_over(struct http_connection *connection)
{
    if (!connection->is_closed || connection->is_out)
        return;
    server_buffered_add(connection->server, -(int64_t)connection->exchange.body.len - (int64_t)connection->pending.len);
    exchange_uncount(&connection->exchange);
    connection_free(connection);
}

void connection_free(struct http_connection *connection)
{
    CHECK(!list_is_linked(&connection->node));
    http1_deinit(connection);
    mem_free(connection);
}
