/* One socket: it connects, sends a request, reads the reply, and waits for the next. */
#include "http/http_plain_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdio.h>

/* ---- the end of an exchange -------------------------------------------------------------------------------------- */

/* Takes the post off the connection. */
static struct plain_post *take_post(struct plain_connection *connection)
{
    struct plain_post *post = connection->post;
    connection->post = NULL;
    post->connection = NULL;
    return post;
}

static void make_idle(struct plain_connection *connection)
{
    struct http_plain *plain = connection->plain;
    if (!plain_timer_arm(plain, &connection->timer, time_add(clock_monotonic_ns(), PLAIN_IDLE_TIMEOUT_NS))) {
        plain_connection_close(connection);
        return;
    }
    connection->phase = PLAIN_IDLE;
    list_push_front(&connection->host->idle, &connection->host_node);
    list_push_back(&plain->idle, &connection->idle_node);
    plain->n_idle++;
    plain_host_serve(connection->host);
    if (plain->n_idle > PLAIN_IDLE_MAX)
        plain_connection_close(container_of(plain->idle.next, struct plain_connection, idle_node));
}

static void leave_idle(struct plain_connection *connection)
{
    list_remove(&connection->host_node);
    list_remove(&connection->idle_node);
    connection->plain->n_idle--;
    plain_timer_cancel(connection->plain, &connection->timer);
}

/* The whole reply is there. The connection is given on before the callback, which may take long or post again. */
static void respond(struct plain_connection *connection, bool is_reusable)
{
    struct http_plain *plain = connection->plain;
    struct plain_post *post = take_post(connection);
    struct http_result result = {.outcome = HTTP_RESPONDED, .status = connection->status,
                                 .retry_after_ns = plain_reply_retry_after_ns(connection)};
    snprintf(result.content_type, sizeof result.content_type, "%s", connection->content_type);
    if (connection->body.len > 0)
        result.body = buf_steal(&connection->body, &result.len);
    result.hold = room_move(&connection->hold);
    connection->n_replies++;
    if (is_reusable && !connection->is_write_pending)
        make_idle(connection);
    else
        plain_connection_close(connection);
    plain_post_done(plain, post, &result);
}

static void fail(struct plain_connection *connection, enum http_outcome outcome, const char *text)
{
    struct http_plain *plain = connection->plain;
    int status = connection->status;
    struct plain_post *post = take_post(connection);
    plain_connection_close(connection);
    struct http_result result = {.outcome = outcome, .status = status};
    snprintf(result.message, sizeof result.message, "%s", text);
    plain_post_done(plain, post, &result);
}

/* A kept connection that ends before the first byte of a reply was most likely closed by the peer while it was idle:
 * the request goes out once more, on a fresh connection. */
static void try_again(struct plain_connection *connection)
{
    struct plain_host *host = connection->host;
    struct plain_post *post = take_post(connection);
    plain_connection_close(connection);
    if (!plain_connection_open(host, post))
        plain_post_fail(host->plain, post, HTTP_NO_MEMORY, "out of memory");
}

static void connection_ended(struct plain_connection *connection, int status)
{
    bool is_first_byte_missing = connection->n_bytes == 0;
    if (is_first_byte_missing && connection->n_replies > 0) {
        try_again(connection);
        return;
    }
    /* A reply without length ends with the connection, if that was not torn down. */
    bool may_end_here = status == UV_EOF && connection->are_headers_complete && !connection->is_complete;
    if (may_end_here && llhttp_message_needs_eof(&connection->parser)) {
        respond(connection, false);
        return;
    }
    bool is_reset = status != UV_EOF;
    if (is_first_byte_missing)
        fail(connection, is_reset ? HTTP_CONNECT_FAILED : HTTP_BROKEN,
             is_reset ? uv_strerror(status) : "the connection was closed without a response");
    else
        fail(connection, HTTP_BROKEN, "the connection ended inside the response");
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct plain_connection *connection = handle->data;
    (void)suggested;
    *buf = uv_buf_init(connection->plain->read_buffer, PLAIN_READ_SIZE);
}

static void parse(struct plain_connection *connection, const char *data, size_t len)
{
    bool were_headers_complete = connection->are_headers_complete;
    connection->n_bytes += len;
    llhttp_errno_t rc = llhttp_execute(&connection->parser, data, len);
    if (!were_headers_complete)
        connection->header_bytes += len;
    if (connection->is_complete) {
        const char *end = llhttp_get_error_pos(&connection->parser);
        bool is_all = rc == HPE_PAUSED && end == data + len;
        respond(connection, is_all && connection->status != 101 && llhttp_should_keep_alive(&connection->parser));
    } else if (connection->failure == HTTP_TOO_LARGE) {
        char text[80];
        snprintf(text, sizeof text, "the response is larger than the limit of %zu bytes",
                 connection->post->response_bytes_max);
        fail(connection, HTTP_TOO_LARGE, text);
    } else if (connection->failure != HTTP_RESPONDED) {
        fail(connection, connection->failure,
             connection->failure == HTTP_NO_ROOM ? HTTP_NO_ROOM_TEXT : "out of memory");
    } else if (rc != HPE_OK) {
        bool has_no_status = connection->are_headers_complete && connection->status < 100;
        const char *reason = has_no_status ? "no status" : llhttp_get_error_reason(&connection->parser);
        char text[HTTP_CLIENT_MESSAGE_SIZE];
        snprintf(text, sizeof text, "the response is not HTTP: %s", reason ? reason : llhttp_errno_name(rc));
        fail(connection, HTTP_BROKEN, text);
    } else if (connection->n_bytes - connection->body.len >
               HTTP_CLIENT_RESPONSE_HEADER_BYTES_MAX + connection->post->response_bytes_max) {
        fail(connection, HTTP_BROKEN, "the response has chunks or trailers without end");
    } else if (!connection->are_headers_complete &&
               connection->header_bytes > HTTP_CLIENT_RESPONSE_HEADER_BYTES_MAX) {
        char text[80];
        snprintf(text, sizeof text, "the response headers are larger than the limit of %d bytes",
                 HTTP_CLIENT_RESPONSE_HEADER_BYTES_MAX);
        fail(connection, HTTP_BROKEN, text);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct plain_connection *connection = stream->data;
    if (n == 0 || connection->phase == PLAIN_CLOSING)
        return;
    if (connection->phase != PLAIN_BUSY) /* closed while idle, or talking without being asked */
        plain_connection_close(connection);
    else if (n < 0)
        connection_ended(connection, (int)n);
    else
        parse(connection, buf->base, (size_t)n);
}

static void on_written(uv_write_t *request, int status)
{
    struct plain_connection *connection = request->handle->data;
    (void)status; /* of a failure the reading side knows more: an answer may have come before the peer closed */
    connection->is_write_pending = false;
}

/* The post's bytes live until its end, and its end closes a connection that still writes them. */
static void send_request(struct plain_connection *connection)
{
    struct plain_post *post = connection->post;
    uv_buf_t bufs[2] = {uv_buf_init((char *)post->head.data, (unsigned)post->head.len),
                        uv_buf_init((char *)post->body, (unsigned)post->len)};
    unsigned n_bufs = post->len > 0 ? 2 : 1;
    plain_reply_init(connection);
    connection->hold = post->hold;
    buf_deinit(&connection->body);
    buf_init(&connection->body, post->response_bytes_max);
    connection->phase = PLAIN_BUSY;
    int sent = uv_try_write((uv_stream_t *)&connection->socket, bufs, n_bufs);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0) {
        connection_ended(connection, sent);
        return;
    }
    size_t left = (size_t)sent;
    unsigned first = 0;
    while (first < n_bufs && left >= bufs[first].len)
        left -= bufs[first++].len;
    if (first == n_bufs)
        return;
    bufs[first].base += left;
    bufs[first].len -= left;
    connection->is_write_pending = true;
    int rc = uv_write(&connection->write, (uv_stream_t *)&connection->socket, bufs + first, n_bufs - first, on_written);
    if (rc) {
        connection->is_write_pending = false;
        connection_ended(connection, rc);
    }
}

void plain_connection_use(struct plain_connection *connection, struct plain_post *post)
{
    CHECK(connection->phase == PLAIN_IDLE);
    leave_idle(connection);
    connection->post = post;
    post->connection = connection;
    send_request(connection);
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static void connect_failed(struct plain_connection *connection, const char *cause)
{
    char text[HTTP_CLIENT_MESSAGE_SIZE + PLAIN_HOST_SIZE];
    snprintf(text, sizeof text, "no connection to %s port %u: %s", connection->host->name, connection->host->port,
             cause);
    fail(connection, HTTP_CONNECT_FAILED, text);
}

/* A new socket for the next address, until there is none. */
static void try_next_address(struct plain_connection *connection, const char *cause)
{
    struct plain_host *host = connection->host;
    size_t next = connection->address + 1;
    if (next >= host->n_addresses) {
        connect_failed(connection, cause);
        return;
    }
    struct plain_post *post = take_post(connection);
    plain_connection_close(connection);
    post->address = next;
    if (!plain_connection_open(host, post))
        plain_post_fail(host->plain, post, HTTP_NO_MEMORY, "out of memory");
}

static void on_connected(uv_connect_t *request, int status)
{
    struct plain_connection *connection = request->handle->data;
    if (connection->phase != PLAIN_CONNECTING)
        return; /* closed meanwhile */
    plain_timer_cancel(connection->plain, &connection->timer);
    if (status < 0) {
        try_next_address(connection, uv_strerror(status));
        return;
    }
    connection->post->address = 0;
    (void)uv_tcp_nodelay(&connection->socket, 1);
    if (uv_read_start((uv_stream_t *)&connection->socket, on_alloc, on_read) != 0)
        connect_failed(connection, "out of memory");
    else
        send_request(connection);
}

/* While connecting: too slow. While idle: not used for long. */
static void on_connection_time(struct http_plain *plain, struct plain_timer *timer)
{
    struct plain_connection *connection = container_of(timer, struct plain_connection, timer);
    (void)plain;
    if (connection->phase == PLAIN_CONNECTING)
        try_next_address(connection, "it takes too long");
    else
        plain_connection_close(connection);
}

static void start_connect(struct plain_connection *connection)
{
    struct http_plain *plain = connection->plain;
    const struct sockaddr *address = (const struct sockaddr *)&connection->host->addresses[connection->address];
    int64_t until_ns = time_add(clock_monotonic_ns(), plain->config.connect_timeout_ns);
    if (!plain_timer_arm(plain, &connection->timer, until_ns)) {
        fail(connection, HTTP_NO_MEMORY, "out of memory");
        return;
    }
    int rc = uv_tcp_connect(&connection->connect, &connection->socket, address, on_connected);
    if (rc)
        try_next_address(connection, uv_strerror(rc));
}

bool plain_connection_open(struct plain_host *host, struct plain_post *post)
{
    struct http_plain *plain = host->plain;
    struct plain_connection *connection = mem_zalloc(sizeof *connection);
    if (!connection)
        return false;
    if (uv_tcp_init(&plain->loop, &connection->socket)) {
        mem_free(connection);
        return false;
    }
    connection->socket.data = connection;
    connection->plain = plain;
    connection->host = host;
    list_init(&connection->host_node);
    list_init(&connection->idle_node);
    connection->timer.on_time = on_connection_time;
    connection->phase = PLAIN_CONNECTING;
    connection->address = post->address < host->n_addresses ? post->address : 0;
    connection->post = post;
    post->connection = connection;
    host->n_connections++;
    plain->n_connections++;
    start_connect(connection);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct plain_connection *connection = handle->data;
    struct http_plain *plain = connection->plain;
    buf_deinit(&connection->body);
    room_give(&connection->hold);
    mem_free(connection);
    if (plain->n_waiting > 0)
        plain_serve_all(plain);
}

void plain_connection_close(struct plain_connection *connection)
{
    struct http_plain *plain = connection->plain;
    if (connection->phase == PLAIN_CLOSING)
        return;
    if (connection->phase == PLAIN_IDLE)
        leave_idle(connection);
    plain_timer_cancel(plain, &connection->timer);
    connection->phase = PLAIN_CLOSING;
    connection->host->n_connections--;
    plain->n_connections--;
    uv_close((uv_handle_t *)&connection->socket, on_closed);
}
