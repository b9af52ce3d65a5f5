/* Reading a reply: llhttp's callbacks keep what http_result wants to know, within the limits. */
#include "http/http_plain_private.h"

#include "base/clock.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

static struct plain_connection *of(llhttp_t *parser) { return parser->data; }

void plain_reply_init(struct plain_connection *connection)
{
    connection->header_bytes = 0;
    connection->n_bytes = 0;
    connection->are_headers_complete = false;
    connection->is_complete = false;
    connection->failure = HTTP_RESPONDED;
    connection->status = 0;
    connection->field_len = 0;
    connection->value = NULL;
    connection->content_type[0] = '\0';
    connection->retry_after[0] = '\0';
    llhttp_init(&connection->parser, HTTP_RESPONSE, &connection->plain->settings);
    connection->parser.data = connection;
}

static int on_field(llhttp_t *parser, const char *data, size_t len)
{
    struct plain_connection *connection = of(parser);
    connection->value = NULL;
    for (size_t i = 0; i < len; i++) {
        if (connection->field_len < sizeof connection->field - 1)
            connection->field[connection->field_len] = data[i];
        connection->field_len++; /* counts on, so that a longer name is not taken for its beginning */
    }
    return 0;
}

static int on_field_complete(llhttp_t *parser)
{
    struct plain_connection *connection = of(parser);
    size_t len = connection->field_len;
    connection->field_len = 0;
    if (len >= sizeof connection->field || connection->are_headers_complete)
        return 0;
    connection->field[len] = '\0';
    if (strcasecmp(connection->field, "content-type") == 0 && !connection->content_type[0]) {
        connection->value = connection->content_type;
        connection->value_size = sizeof connection->content_type;
    } else if (strcasecmp(connection->field, "retry-after") == 0 && !connection->retry_after[0]) {
        connection->value = connection->retry_after;
        connection->value_size = sizeof connection->retry_after;
    }
    return 0;
}

static int on_value(llhttp_t *parser, const char *data, size_t len)
{
    struct plain_connection *connection = of(parser);
    if (!connection->value)
        return 0;
    size_t used = strlen(connection->value);
    size_t room = connection->value_size - 1 - used;
    size_t n = len < room ? len : room;
    memcpy(connection->value + used, data, n);
    connection->value[used + n] = '\0';
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct plain_connection *connection = of(parser);
    connection->are_headers_complete = true;
    connection->value = NULL;
    connection->status = llhttp_get_status_code(parser);
    if (connection->status < 100) /* llhttp takes "HTTP/1.1 " without a number */
        return -1;
    bool is_announced = parser->flags & F_CONTENT_LENGTH;
    if (!is_announced || parser->content_length <= connection->post->response_bytes_max)
        return 0;
    connection->failure = HTTP_TOO_LARGE;
    return -1;
}

static int on_body(llhttp_t *parser, const char *data, size_t len)
{
    struct plain_connection *connection = of(parser);
    dr_code code = buf_append(&connection->body, slice_of(data, len));
    if (code)
        connection->failure = code == DR_RESOURCE_EXHAUSTED ? HTTP_TOO_LARGE : HTTP_NO_MEMORY;
    else if (connection->body.cap > HTTP_CLIENT_BODY_FREE_BYTES && !room_cover(&connection->hold, connection->body.cap))
        connection->failure = HTTP_NO_ROOM;
    return connection->failure == HTTP_RESPONDED ? 0 : HPE_USER;
}

static int on_message_complete(llhttp_t *parser)
{
    struct plain_connection *connection = of(parser);
    bool is_interim = connection->status >= 100 && connection->status < 200 && connection->status != 101;
    if (is_interim) { /* the reply proper follows */
        connection->are_headers_complete = false;
        connection->content_type[0] = '\0';
        connection->retry_after[0] = '\0';
        return 0;
    }
    connection->is_complete = true;
    return HPE_PAUSED; /* what follows is not ours */
}

void plain_settings_init(llhttp_settings_t *settings)
{
    llhttp_settings_init(settings);
    settings->on_header_field = on_field;
    settings->on_header_field_complete = on_field_complete;
    settings->on_header_value = on_value;
    settings->on_headers_complete = on_headers_complete;
    settings->on_body = on_body;
    settings->on_message_complete = on_message_complete;
}

/* Seconds, or an HTTP date. */
int64_t plain_reply_retry_after_ns(const struct plain_connection *connection)
{
    const char *text = connection->retry_after;
    char *end;
    long long seconds = strtoll(text, &end, 10);
    if (end == text || *end) {
        time_t when = curl_getdate(text, NULL);
        seconds = when > 0 ? (long long)(when - clock_real_ns() / NS_PER_S) : 0;
    }
    if (seconds <= 0)
        return 0;
    bool is_unbelievable = seconds > HTTP_CLIENT_RETRY_AFTER_MAX_NS / NS_PER_S;
    return is_unbelievable ? HTTP_CLIENT_RETRY_AFTER_MAX_NS : seconds * NS_PER_S;
}
