/* The reading half of HTTP/1.1: llhttp's callbacks fill the exchange of a connection, within the limits. */
#include "http/http_private.h"

#include <stdio.h>
#include <strings.h>

#define REFUSAL_TEXT_MAX 256

void http1_refuse(struct http_connection *connection, enum http_refusal refusal, int status, dr_code code,
                  const char *text)
{
    struct http_exchange *exchange = &connection->exchange;
    server_refused(connection->server, refusal, connection->peer);
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
    http1_refuse(connection, HTTP_REFUSED_BODY, 413, DR_RESOURCE_EXHAUSTED, text);
}

static void refuse_bytes(struct http_connection *connection)
{
    http1_refuse(connection, HTTP_REFUSED_REQUEST_BYTES, 0, DR_RESOURCE_EXHAUSTED,
                 "too many requests are being received, try again later");
}

static void refuse_head(struct http_connection *connection)
{
    char text[REFUSAL_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "the request headers are larger than the limit of %zu bytes or %d lines",
                   connection->server->config.header_bytes_max, HTTP_HEADERS_MAX);
    http1_refuse(connection, HTTP_REFUSED_HEADERS, 431, DR_RESOURCE_EXHAUSTED, text);
}

/* ---- llhttp's callbacks: 0 goes on, -1 ends the parsing, the reason being in is_refused ---- */

/* Large heads are rare, and cost a peer without a key nothing: all connections share a budget for what is beyond the
 * size of an ordinary one. */
static bool count_head(struct http_connection *connection, size_t head_len)
{
    struct http_server *server = connection->server;
    struct http_exchange *exchange = &connection->exchange;
    if (head_len <= HEAD_FREE_BYTES + exchange->head_counted)
        return true;
    size_t more = head_len - HEAD_FREE_BYTES - exchange->head_counted;
    if (more > HEADS_BYTES_MAX - server->head_bytes)
        return false;
    server->head_bytes += more;
    exchange->head_counted += more;
    return true;
}

static int head_append(struct http_connection *connection, const char *data, size_t len)
{
    struct buf *head = &connection->exchange.head;
    if (head->len + len > connection->server->config.header_bytes_max) {
        refuse_head(connection);
        return -1;
    }
    if (!count_head(connection, head->len + len)) {
        refuse_bytes(connection);
        return -1;
    }
    if (buf_append(head, slice_of(data, len)) == DR_OK)
        return 0;
    http1_refuse(connection, HTTP_REFUSED_REQUEST_BYTES, 0, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
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
            http1_refuse(connection, HTTP_REFUSED_REQUEST_BYTES, 0, code, dr_code_text(code));
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
        http1_refuse(connection, HTTP_REFUSED_MALFORMED, 505, DR_UNIMPLEMENTED, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else if (has_odd_name(exchange))
        http1_refuse(connection, HTTP_REFUSED_MALFORMED, 400, DR_INVALID_ARGUMENT, "malformed HTTP request: invalid header name");
    else if (exchange->is_http10 && exchange->is_chunked) /* RFC 9112 6.1: its framing must be taken to be faulty */
        http1_refuse(connection, HTTP_REFUSED_MALFORMED, 400, DR_INVALID_ARGUMENT,
                     "malformed HTTP request: Transfer-Encoding in HTTP/1.0");
    else if (expect && strcasecmp(expect, "100-continue") != 0)
        http1_refuse(connection, HTTP_REFUSED_MALFORMED, 417, DR_INVALID_ARGUMENT, "only 'Expect: 100-continue' is understood");
    return connection->is_refused;
}

static bool is_body_refused(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    uint64_t length = connection->exchange.content_length;
    if (length > server->config.body_bytes_max)
        refuse_body(connection, length);
    else if (server->buffered + length > server->config.buffered_bytes_max)
        refuse_bytes(connection);
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
        refuse_bytes(connection);
        return -1;
    }
    if (buf_append(body, slice_of(data, len))) {
        http1_refuse(connection, HTTP_REFUSED_REQUEST_BYTES, 0, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
        return -1;
    }
    server_buffered_add(server, (int64_t)len);
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

size_t http1_parse(struct http_connection *connection, const char *data, size_t len)
{
    llhttp_errno_t rc = llhttp_execute(&connection->parser, data, len);
    if (connection->is_message_done)
        return (size_t)(llhttp_get_error_pos(&connection->parser) - data);
    if (rc != HPE_OK && !connection->is_refused) {
        char text[REFUSAL_TEXT_MAX];
        const char *reason = llhttp_get_error_reason(&connection->parser);
        (void)snprintf(text, sizeof(text), "malformed HTTP request: %s", reason ? reason : llhttp_errno_name(rc));
        http1_refuse(connection, HTTP_REFUSED_MALFORMED, 400, DR_INVALID_ARGUMENT, text);
    }
    return len;
}

void http1_parse_init(struct http_connection *connection)
{
    llhttp_init(&connection->parser, HTTP_REQUEST, &settings);
    connection->parser.data = connection;
}
