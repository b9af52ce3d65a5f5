/* HTTP/1.1 on a connection: bytes to exchanges and answers to bytes, one exchange at a time.
 *
 * on_bytes parses until a message is whole (llhttp pauses), keeps what lies behind it as `pending`, and hands the
 * exchange out. When its answer is written, http1_advance goes on with the pending bytes. */
#include "http/http_private.h"

static bool is_receiving(const struct http_connection *connection)
{
    return connection->phase == PHASE_IDLE || connection->phase == PHASE_HEADERS || connection->phase == PHASE_BODY;
}

/* ---- from bytes to exchanges ---- */

static void hand_out(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct http_exchange *exchange = &connection->exchange;
    connection->is_out = true;
    server->n_out++;
    pthread_mutex_lock(&server->lock);
    server->n_refs++;
    pthread_mutex_unlock(&server->lock);
    connection_phase(connection, PHASE_HANDLING);
    exchange->is_in_callback = true;
    server->config.on_request(server->config.arg, exchange);
    /* if another thread has it by now, this thread may only look at what the loop alone writes */
    exchange->is_in_callback = false;
    if (exchange->is_answered_inside)
        http1_on_answered(connection);
}

/* After parsing: what the bytes have led to. */
static void settle(struct http_connection *connection)
{
    if (connection->phase == PHASE_CLOSING)
        return;
    if (connection->is_message_done)
        atomic_fetch_add_explicit(&connection->server->stats.requests, 1, memory_order_relaxed);
    if (connection->is_refused || (connection->is_message_done && connection->exchange.is_answered_inside)) {
        http1_on_answered(connection);
    } else if (connection->is_message_done) {
        if (connection->server->n_out >= connection->server->config.exchanges_max) {
            http1_refuse(connection, HTTP_REFUSED_EXCHANGES, 0, DR_RESOURCE_EXHAUSTED,
                         "too many requests are being handled, try again later");
            connection->is_refused = false; /* it was read to its end: the connection may stay */
            http1_on_answered(connection);
        } else {
            hand_out(connection);
        }
    } else {
        connection_phase(connection, connection->is_headers_done ? PHASE_BODY : PHASE_HEADERS);
    }
}

static void pending_forget(struct http_connection *connection)
{
    server_buffered_add(connection->server, -(int64_t)connection->pending.len);
    connection->pending_at = 0;
    buf_deinit(&connection->pending);
}

/* No more is read while something is pending, so one read is the most there can be. */
static void pending_keep(struct http_connection *connection, const char *data, size_t len)
{
    struct http_server *server = connection->server;
    if (len == 0)
        return;
    if (len > server->config.buffered_bytes_max - server->buffered ||
        buf_append(&connection->pending, slice_of(data, len))) {
        server_refused(server, HTTP_REFUSED_REQUEST_BYTES, connection->peer);
        connection_close(connection);
        return;
    }
    server_buffered_add(server, (int64_t)len);
    connection_read(connection, false);
}

/* Goes on with pending bytes. Answers given from inside a callback come back here, hence the guard: the outermost
 * caller does the work. */
static void http1_advance(struct http_connection *connection)
{
    if (connection->is_advancing)
        return;
    connection->is_advancing = true;
    struct buf *pending = &connection->pending;
    while (is_receiving(connection) && connection->pending_at < pending->len) {
        connection->pending_at += http1_parse(connection, (const char *)pending->data + connection->pending_at,
                                        pending->len - connection->pending_at);
        settle(connection);
    }
    connection->is_advancing = false;
    if (pending->len && connection->pending_at == pending->len) {
        pending_forget(connection);
        connection_read(connection, true);
    }
    bool is_in_the_way = connection->phase == PHASE_IDLE && listener_waits_for_connections(connection->server);
    if (is_in_the_way || (connection->is_eof && is_receiving(connection)))
        connection_close(connection);
}

void http1_on_bytes(struct http_connection *connection, const char *data, size_t len)
{
    if (!is_receiving(connection)) {
        pending_keep(connection, data, len);
        return;
    }
    size_t used = http1_parse(connection, data, len);
    pending_keep(connection, data + used, len - used);
    connection->is_advancing = true;
    settle(connection);
    connection->is_advancing = false;
    http1_advance(connection);
}

void http1_on_eof(struct http_connection *connection)
{
    if (connection->is_out)
        exchange_abort(&connection->exchange);
    /* what came before the end is still answered: some peers send, shut down and then read */
    http1_advance(connection);
}

void http1_on_timeout(struct http_connection *connection)
{
    http1_refuse(connection, HTTP_REFUSED_SLOW, 408, DR_DEADLINE_EXCEEDED, "the request did not arrive in time");
    http1_on_answered(connection);
}

/* ---- from answers to bytes ---- */

static void answer_send(struct http_connection *connection)
{
    struct http_exchange *exchange = &connection->exchange;
    struct http_answer *answer = exchange->answer;
    if (!answer) {
        connection_close(connection);
        return;
    }
    if (answer->is_last || connection->is_refused || connection->server->is_stopping)
        exchange->is_keep_alive = false;
    const char *tail = "\r\n";
    if (!exchange->is_keep_alive)
        tail = "Connection: close\r\n\r\n";
    else if (exchange->is_http10)
        tail = "Connection: keep-alive\r\n\r\n";
    uv_buf_t bufs[3] = {
        uv_buf_init(answer->bytes, (unsigned)answer->head_len),
        uv_buf_init((char *)tail, (unsigned)strlen(tail)),
        uv_buf_init(answer->bytes + answer->head_len, (unsigned)answer->body_len),
    };
    connection_write(connection, bufs, exchange->is_head || answer->body_len == 0 ? 2 : 3);
}

void http1_on_answered(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->is_out) {
        connection->is_out = false;
        server->n_out--;
        exchange_release(&connection->exchange);
        server_unref(server);
    }
    if (connection->phase == PHASE_CLOSING)
        connection_free_if_over(connection);
    else
        answer_send(connection);
}

static void next_message(struct http_connection *connection)
{
    exchange_reset(&connection->exchange);
    llhttp_reset(&connection->parser);
    connection->line_state = LINE_NONE;
    connection->is_headers_done = connection->is_message_done = connection->is_refused = false;
    connection_phase(connection, PHASE_IDLE);
    http1_advance(connection);
}

void http1_on_written(struct http_connection *connection)
{
    if (connection->exchange.is_keep_alive && !connection->server->is_stopping)
        next_message(connection);
    else if (connection->is_refused)
        connection_drain(connection);
    else
        connection_close(connection);
}

void http1_init(struct http_connection *connection)
{
    exchange_init(&connection->exchange, connection);
    buf_init(&connection->pending, READ_BYTES);
    http1_parse_init(connection);
}

void http1_deinit(struct http_connection *connection)
{
    buf_deinit(&connection->pending);
    exchange_deinit(&connection->exchange);
}
