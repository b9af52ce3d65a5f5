/* HTTP/1.1 on a connection: bytes to exchanges and answers to bytes, one exchange at a time.
 *
 * on_bytes parses until a message is whole (llhttp pauses), keeps what lies behind it as `pending`, and hands the
 * exchange out. When its answer is written, http1_advance goes on with the pending bytes. */
#include "http/http_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdio.h>
#include <strings.h>

#define REFUSAL_TEXT_MAX 256

static bool is_receiving(const struct http_connection *connection)
{
    return connection->phase == PHASE_IDLE || connection->phase == PHASE_HEADERS || connection->phase == PHASE_BODY;
}

/* Answers for the server itself. What is still to come of the request will not be read. */
static void refuse(struct http_connection *connection, int status, dr_code code, const char *text)
{
    struct http_exchange *exchange = &connection->exchange;
    connection->is_refused = true;
    exchange->is_in_callback = true;
    http_exchange_respond_error(exchange, status, code, text);
    exchange->is_in_callback = false;
}

static void refuse_body(struct http_connection *connection, uint64_t length)
{
    size_t limit = connection->server->config.body_bytes_max;
    char text[REFUSAL_TEXT_MAX];
    if (connection->exchange.has_content_length)
        (void)snprintf(text, sizeof(text), "the request body of %llu bytes is larger than the limit of %zu bytes",
                       (unsigned long long)length, limit);
    else
        (void)snprintf(text, sizeof(text), "the request body is larger than the limit of %zu bytes", limit);
    refuse(connection, 413, DR_RESOURCE_EXHAUSTED, text);
}

static void refuse_head(struct http_connection *connection)
{
    char text[REFUSAL_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "the request headers are larger than the limit of %zu bytes or %d lines",
                   connection->server->config.header_bytes_max, HTTP_HEADERS_MAX);
    refuse(connection, 431, DR_RESOURCE_EXHAUSTED, text);
}

/* ---- llhttp's callbacks: 0 goes on, -1 ends the parsing, the reason being in is_refused ---- */

static int head_append(struct http_connection *connection, const char *data, size_t len)
{
    struct buf *head = &connection->exchange.head;
    if (head->len + len > connection->server->config.header_bytes_max) {
        refuse_head(connection);
        return -1;
    }
    if (buf_append(head, slice_of(data, len)) == DR_OK)
        return 0;
    refuse(connection, 0, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
    return -1;
}

static int on_url(llhttp_t *parser, const char *data, size_t len)
{
    return head_append(parser->data, data, len);
}

static int on_url_complete(llhttp_t *parser)
{
    return head_append(parser->data, "", 1);
}

static int value_open(struct http_connection *connection)
{
    if (connection->line_state != LINE_NAME)
        return 0;
    connection->line_state = LINE_VALUE;
    struct http_exchange *exchange = &connection->exchange;
    if (head_append(connection, "", 1))
        return -1;
    exchange->lines[exchange->n_lines].value = (uint32_t)exchange->head.len;
    return 0;
}

static int line_close(struct http_connection *connection)
{
    struct http_exchange *exchange = &connection->exchange;
    if (value_open(connection))
        return -1;
    if (connection->line_state == LINE_NONE)
        return 0;
    connection->line_state = LINE_NONE;
    struct buf *head = &exchange->head;
    while (head->len > exchange->lines[exchange->n_lines].value &&
           (head->data[head->len - 1] == ' ' || head->data[head->len - 1] == '\t'))
        head->len--;
    exchange->n_lines++;
    return head_append(connection, "", 1);
}

static int on_header_field(llhttp_t *parser, const char *data, size_t len)
{
    struct http_connection *connection = parser->data;
    if (connection->is_headers_done)
        return 0; /* a trailer must not pass for a header */
    if (connection->line_state == LINE_VALUE && line_close(connection))
        return -1;
    if (connection->line_state == LINE_NONE) {
        dr_code code = exchange_line_start(&connection->exchange);
        if (code == DR_RESOURCE_EXHAUSTED)
            refuse_head(connection);
        else if (code)
            refuse(connection, 0, code, dr_code_text(code));
        if (code)
            return -1;
        connection->line_state = LINE_NAME;
    }
    return head_append(connection, data, len);
}

static int on_header_value(llhttp_t *parser, const char *data, size_t len)
{
    struct http_connection *connection = parser->data;
    if (connection->is_headers_done)
        return 0;
    return value_open(connection) ? -1 : head_append(connection, data, len);
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct http_connection *connection = parser->data;
    return connection->is_headers_done ? 0 : value_open(connection);
}

/* Those that llhttp lets through although RFC 9110 5.1 forbids them; a proxy may read such a line differently. */
static bool has_odd_name(const struct http_exchange *exchange)
{
    for (uint32_t i = 0; i < exchange->n_lines; i++) {
        const char *name = (const char *)exchange->head.data + exchange->lines[i].name;
        if (*name == '\0' || strchr(name, ' '))
            return true;
    }
    return false;
}

static void exchange_describe(struct http_exchange *exchange, llhttp_t *parser)
{
    exchange_split_url(exchange);
    exchange->method = llhttp_method_name((llhttp_method_t)parser->method);
    exchange->is_head = parser->method == HTTP_HEAD;
    exchange->is_http10 = parser->http_minor == 0;
    exchange->is_keep_alive = llhttp_should_keep_alive(parser);
    exchange->has_content_length = parser->flags & F_CONTENT_LENGTH;
    exchange->content_length = exchange->has_content_length ? parser->content_length : 0;
    exchange->is_chunked = parser->flags & F_CHUNKED;
}

/* The checks that come before on_headers. */
static bool is_refused_early(struct http_connection *connection)
{
    struct http_exchange *exchange = &connection->exchange;
    const char *expect = http_exchange_header(exchange, "Expect");
    if (connection->parser.http_major != 1)
        refuse(connection, 505, DR_UNIMPLEMENTED, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else if (has_odd_name(exchange))
        refuse(connection, 400, DR_INVALID_ARGUMENT, "malformed HTTP request: invalid header name");
    else if (expect && strcasecmp(expect, "100-continue") != 0)
        refuse(connection, 417, DR_INVALID_ARGUMENT, "only 'Expect: 100-continue' is understood");
    return connection->is_refused;
}

static bool is_body_refused(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    uint64_t length = connection->exchange.content_length;
    if (length > server->config.body_bytes_max)
        refuse_body(connection, length);
    else if (server->buffered + length > server->config.buffered_bytes_max)
        refuse(connection, 0, DR_RESOURCE_EXHAUSTED, "too many requests are being received, try again later");
    return connection->is_refused;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_connection *connection = parser->data;
    struct http_server *server = connection->server;
    struct http_exchange *exchange = &connection->exchange;
    if (line_close(connection))
        return -1;
    connection->is_headers_done = true;
    exchange_describe(exchange, parser);
    parser->upgrade = 0; /* to no other protocol: an offer that the server may ignore */
    if (is_refused_early(connection))
        return -1;
    bool has_body = exchange->content_length > 0 || exchange->is_chunked;
    if (server->config.on_headers) {
        exchange->is_in_callback = true;
        server->config.on_headers(server->config.arg, exchange);
        exchange->is_in_callback = false;
        connection->is_refused = exchange->is_answered_inside && has_body;
        if (connection->is_refused)
            return -1;
    }
    if (is_body_refused(connection))
        return -1;
    if (has_body && !exchange->is_http10 && http_exchange_header(exchange, "Expect"))
        connection_write_now(connection, "HTTP/1.1 100 Continue\r\n\r\n");
    return 0;
}

static int on_body(llhttp_t *parser, const char *data, size_t len)
{
    struct http_connection *connection = parser->data;
    struct http_server *server = connection->server;
    struct buf *body = &connection->exchange.body;
    if (len > server->config.body_bytes_max - body->len) {
        refuse_body(connection, body->len + len);
        return -1;
    }
    if (len > server->config.buffered_bytes_max - server->buffered) {
        refuse(connection, 0, DR_RESOURCE_EXHAUSTED, "too many requests are being received, try again later");
        return -1;
    }
    if (buf_append(body, slice_of(data, len))) {
        refuse(connection, 0, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
        return -1;
    }
    server->buffered += len;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_connection *connection = parser->data;
    connection->is_message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- from bytes to exchanges ---- */

/* Returns how many bytes belong to the message so far. */
static size_t parse(struct http_connection *connection, const char *data, size_t len)
{
    llhttp_errno_t rc = llhttp_execute(&connection->parser, data, len);
    if (connection->is_message_done)
        return (size_t)(llhttp_get_error_pos(&connection->parser) - data);
    if (rc != HPE_OK && !connection->is_refused) {
        char text[REFUSAL_TEXT_MAX];
        const char *reason = llhttp_get_error_reason(&connection->parser);
        (void)snprintf(text, sizeof(text), "malformed HTTP request: %s", reason ? reason : llhttp_errno_name(rc));
        refuse(connection, 400, DR_INVALID_ARGUMENT, text);
    }
    return len;
}

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
    if (connection->is_refused || (connection->is_message_done && connection->exchange.is_answered_inside)) {
        http1_on_answered(connection);
    } else if (connection->is_message_done) {
        if (connection->server->n_out >= connection->server->config.exchanges_max) {
            refuse(connection, 0, DR_RESOURCE_EXHAUSTED, "too many requests are being handled, try again later");
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
    connection->server->buffered -= connection->pending.len;
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
        connection_close(connection);
        return;
    }
    server->buffered += len;
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
        connection->pending_at += parse(connection, (const char *)pending->data + connection->pending_at,
                                        pending->len - connection->pending_at);
        settle(connection);
    }
    connection->is_advancing = false;
    if (pending->len && connection->pending_at == pending->len) {
        pending_forget(connection);
        connection_read(connection, true);
    }
    bool is_in_the_way = connection->phase == PHASE_IDLE && connection->server->is_accept_waiting;
    if (is_in_the_way || (connection->is_eof && is_receiving(connection)))
        connection_close(connection);
}

void http1_on_bytes(struct http_connection *connection, const char *data, size_t len)
{
    if (!is_receiving(connection)) {
        pending_keep(connection, data, len);
        return;
    }
    size_t used = parse(connection, data, len);
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
    refuse(connection, 408, DR_DEADLINE_EXCEEDED, "the request did not arrive in time");
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
    llhttp_init(&connection->parser, HTTP_REQUEST, &settings);
    connection->parser.data = connection;
}

void http1_deinit(struct http_connection *connection)
{
    buf_deinit(&connection->pending);
    exchange_deinit(&connection->exchange);
}
