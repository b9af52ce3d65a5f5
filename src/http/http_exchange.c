#include "http/http_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include <stdio.h>
#include <strings.h>
#include <time.h>

#define LINES_FIRST 16
#define STATUS_LINE_MAX 64
#define FIXED_HEADERS_MAX 128 /* Date and Content-Length with their names */
#define DATE_SIZE 40
#define ERROR_BODY_MAX 16384

void exchange_init(struct http_exchange *exchange, struct http_connection *connection)
{
    *exchange = (struct http_exchange){.connection = connection, .method = "", .path = "", .query = ""};
    list_init(&exchange->node);
    /* a NUL behind every name and value comes on top of what the peer sent */
    buf_init(&exchange->head, connection->server->config.header_bytes_max + 2 * HTTP_HEADERS_MAX + 2);
    buf_init(&exchange->body, connection->server->config.body_bytes_max);
}

void answer_free(struct http_server *server, struct http_answer *answer)
{
    if (answer)
        atomic_fetch_sub(&server->answer_bytes, answer->counted);
    mem_free(answer);
}

void exchange_uncount(struct http_exchange *exchange)
{
    exchange->connection->server->head_bytes -= exchange->head_counted;
    exchange->head_counted = 0;
}

void exchange_deinit(struct http_exchange *exchange)
{
    answer_free(exchange->connection->server, exchange->answer);
    mem_free(exchange->lines);
    buf_deinit(&exchange->head);
    buf_deinit(&exchange->body);
}

/* Many idle connections hold nothing but themselves. */
static void buf_recycle(struct http_server *server, struct buf *buf, size_t kept_bytes)
{
    if (buf->cap > kept_bytes || server->n_connections > KEPT_CONNECTIONS_MAX)
        buf_deinit(buf);
    else
        buf_clear(buf);
}

void exchange_reset(struct http_exchange *exchange)
{
    struct http_server *server = exchange->connection->server;
    server_buffered_add(server, -(int64_t)exchange->body.len);
    exchange_uncount(exchange);
    buf_recycle(server, &exchange->head, KEPT_HEAD_BYTES);
    buf_recycle(server, &exchange->body, KEPT_BODY_BYTES);
    answer_free(server, exchange->answer);
    exchange->answer = NULL;
    exchange->is_answered = false;
    exchange->is_in_callback = exchange->is_answered_inside = false;
    exchange->method = exchange->path = exchange->query = "";
    exchange->n_lines = 0;
    exchange->content_length = 0;
    exchange->has_content_length = exchange->is_chunked = false;
    exchange->is_head = exchange->is_http10 = exchange->is_keep_alive = false;
    exchange->on_abort = NULL;
    exchange->on_release = NULL;
}

dr_code exchange_line_start(struct http_exchange *exchange)
{
    if (exchange->n_lines == HTTP_HEADERS_MAX)
        return DR_RESOURCE_EXHAUSTED;
    if (exchange->n_lines == exchange->cap_lines) {
        uint32_t cap = exchange->cap_lines ? exchange->cap_lines * 2 : LINES_FIRST;
        struct header_line *lines = mem_realloc(exchange->lines, cap * sizeof(*lines));
        if (!lines)
            return DR_NO_MEMORY;
        exchange->lines = lines;
        exchange->cap_lines = cap;
    }
    exchange->lines[exchange->n_lines].name = (uint32_t)exchange->head.len;
    exchange->lines[exchange->n_lines].value = 0;
    return DR_OK;
}

void exchange_split_url(struct http_exchange *exchange)
{
    char *url = (char *)exchange->head.data;
    char *fragment = strchr(url, '#');
    if (fragment)
        *fragment = '\0';
    char *query = strchr(url, '?');
    if (query)
        *query++ = '\0';
    exchange->query = query ? query : "";
    /* a proxy may send the absolute form, http://host/path (RFC 9112 3.2.2) */
    char *authority = url[0] == '/' ? NULL : strstr(url, "://");
    if (authority) {
        char *path = strchr(authority + 3, '/');
        exchange->path = path ? path : "/";
    } else {
        exchange->path = url;
    }
    while (exchange->path[0] == '/' && exchange->path[1] == '/')
        exchange->path++;
}

void exchange_abort(struct http_exchange *exchange)
{
    http_abort_fn *on_abort = exchange->on_abort;
    exchange->on_abort = NULL;
    if (on_abort)
        on_abort(exchange->abort_arg);
}

void exchange_release(struct http_exchange *exchange)
{
    http_release_fn *on_release = exchange->on_release;
    exchange->on_release = NULL;
    exchange->on_abort = NULL;
    if (on_release)
        on_release(exchange->abort_arg);
}

const char *http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_exchange_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

const char *http_exchange_query(const struct http_exchange *exchange)
{
    return exchange->query;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    const char *head = (const char *)exchange->head.data;
    for (uint32_t i = 0; i < exchange->n_lines; i++)
        if (strcasecmp(head + exchange->lines[i].name, name) == 0)
            return head + exchange->lines[i].value;
    return NULL;
}

bool http_exchange_header_at(const struct http_exchange *exchange, size_t index, struct http_header *ret_header)
{
    if (index >= exchange->n_lines)
        return false;
    const char *head = (const char *)exchange->head.data;
    ret_header->name = head + exchange->lines[index].name;
    ret_header->value = head + exchange->lines[index].value;
    return true;
}

struct slice http_exchange_body(const struct http_exchange *exchange)
{
    return buf_slice(&exchange->body);
}

bool http_exchange_content_length(const struct http_exchange *exchange, uint64_t *ret_length)
{
    if (exchange->has_content_length)
        *ret_length = exchange->content_length;
    return exchange->has_content_length;
}

bool http_exchange_is_chunked(const struct http_exchange *exchange)
{
    return exchange->is_chunked;
}

const char *http_exchange_peer(const struct http_exchange *exchange)
{
    return exchange->connection->peer;
}

void http_exchange_on_abort(struct http_exchange *exchange, http_abort_fn *on_abort, http_release_fn *on_release,
                            void *arg)
{
    CHECK(exchange->is_in_callback && !exchange->on_abort && !exchange->on_release);
    exchange->on_abort = on_abort;
    exchange->on_release = on_release;
    exchange->abort_arg = arg;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT"; made once a second and thread, as it is wanted for every answer. */
static const char *date_text(void)
{
    static _Thread_local char text[DATE_SIZE];
    static _Thread_local int64_t text_s = -1;
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t now_s = clock_real_ns() / NS_PER_S;
    if (now_s != text_s) {
        time_t seconds = (time_t)now_s;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        (void)snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                       months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
        text_s = now_s;
    }
    return text;
}

/* Peers go by the number; the words are for people with a packet dump. */
static const char *reason_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"},
        {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
        {408, "Request Timeout"}, {409, "Conflict"}, {413, "Content Too Large"}, {415, "Unsupported Media Type"},
        {417, "Expectation Failed"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"}, {500, "Internal Server Error"}, {501, "Not Implemented"},
        {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Status";
}

/* Appends without a check: the caller has counted. */
static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

static char *put_header(char *at, const char *name, const char *value)
{
    at = put(at, name);
    at = put(at, ": ");
    at = put(at, value);
    return put(at, "\r\n");
}

static size_t head_bytes_max(const struct http_response *response)
{
    size_t bytes = STATUS_LINE_MAX + FIXED_HEADERS_MAX;
    if (response->content_type)
        bytes += sizeof("Content-Type: \r\n") + strlen(response->content_type);
    for (size_t i = 0; i < response->n_headers; i++)
        bytes += strlen(response->headers[i].name) + strlen(response->headers[i].value) + 4;
    return bytes;
}

/* Counts what an answer will hold; false when that is too much beside the others. */
static bool count_answer(struct http_server *server, size_t body_len)
{
    size_t limit = server->config.answer_bytes_max;
    size_t before = atomic_fetch_add(&server->answer_bytes, body_len);
    if (body_len <= ANSWER_FREE_BYTES || (before <= limit && body_len <= limit - before))
        return true;
    atomic_fetch_sub(&server->answer_bytes, body_len);
    return false;
}

bool http_exchange_has_room(const struct http_exchange *exchange, size_t body_len)
{
    struct http_server *server = exchange->connection->server;
    size_t used = atomic_load(&server->answer_bytes);
    size_t limit = server->config.answer_bytes_max;
    return body_len <= ANSWER_FREE_BYTES || (used <= limit && body_len <= limit - used);
}

static struct http_answer *answer_create(struct http_server *server, const struct http_response *response)
{
    static const char refusal[] = "{\"code\":\"resource_exhausted\",\"message\":\"too many bytes of answers are on "
                                  "their way to slow readers, try again later\"}";
    struct http_response refused = {.status = 429, .content_type = "application/json", .body = slice_text(refusal)};
    if (!count_answer(server, response->body.len)) {
        server_refused(server, HTTP_REFUSED_ANSWER_BYTES, NULL);
        response = &refused;
        (void)count_answer(server, response->body.len);
    }
    struct http_answer *answer = mem_alloc(sizeof(*answer) + head_bytes_max(response) + response->body.len);
    if (!answer) {
        atomic_fetch_sub(&server->answer_bytes, response->body.len);
        return NULL;
    }
    answer->counted = response->body.len;
    char number[24];
    (void)snprintf(number, sizeof(number), "%d ", response->status);
    char *at = put(answer->bytes, "HTTP/1.1 ");
    at = put(at, number);
    at = put(at, reason_text(response->status));
    at = put(at, "\r\n");
    at = put_header(at, "Date", date_text());
    if (response->content_type)
        at = put_header(at, "Content-Type", response->content_type);
    for (size_t i = 0; i < response->n_headers; i++)
        at = put_header(at, response->headers[i].name, response->headers[i].value);
    bool has_body = response->status != 204 && response->status != 304;
    if (has_body) {
        (void)snprintf(number, sizeof(number), "%zu", response->body.len);
        at = put_header(at, "Content-Length", number);
    }
    answer->head_len = (size_t)(at - answer->bytes);
    answer->body_len = has_body ? response->body.len : 0;
    answer->is_last = response->is_last;
    if (answer->body_len)
        memcpy(at, response->body.data, answer->body_len);
    return answer;
}

void http_exchange_respond(struct http_exchange *exchange, const struct http_response *response)
{
    CHECK(response->status >= 200 && response->status <= 599);
    CHECK(response->n_headers <= HTTP_RESPONSE_HEADERS_MAX);
    struct http_server *server = exchange->connection->server;
    exchange->answer = answer_create(server, response);
    /* is_in_callback belongs to the loop thread */
    if (pthread_equal(server->loop_thread, pthread_self()) && exchange->is_in_callback) {
        CHECK(!exchange->is_answered_inside);
        exchange->is_answered_inside = true;
        return;
    }
    pthread_mutex_lock(&server->lock);
    CHECK(!exchange->is_answered);
    exchange->is_answered = true;
    bool is_orphan = server->is_loop_gone;
    bool is_first = list_is_empty(&server->answered);
    if (!is_orphan)
        list_push_back(&server->answered, &exchange->node);
    /* under the lock: the handle is closed only after the loop has seen the list under it */
    if (!is_orphan && is_first)
        (void)uv_async_send(&server->async);
    pthread_mutex_unlock(&server->lock);
    if (is_orphan) {
        exchange_release(exchange);
        connection_free(exchange->connection);
        server_unref(server);
    }
}

/* JSON text of `message`, without quotes, cut at the buffer's limit. */
static void append_json_text(struct buf *buf, const char *message)
{
    for (const unsigned char *p = (const unsigned char *)message; *p && buf->len + 8 < ERROR_BODY_MAX; p++) {
        if (*p == '"' || *p == '\\')
            (void)buf_printf(buf, "\\%c", *p);
        else if (*p < 0x20)
            (void)buf_printf(buf, "\\u%04x", *p);
        else
            (void)buf_append(buf, slice_of(p, 1));
    }
}

void http_exchange_respond_error(struct http_exchange *exchange, int http_status, dr_code code, const char *message)
{
    struct buf body;
    buf_init(&body, ERROR_BODY_MAX);
    (void)buf_printf(&body, "{\"code\":\"%s\",\"message\":\"", dr_code_name(code));
    append_json_text(&body, message);
    (void)buf_append_text(&body, "\"}");
    http_exchange_respond(exchange, &(struct http_response){
                                        .status = http_status ? http_status : error_http_status(code),
                                        .content_type = "application/json",
                                        .body = buf_slice(&body),
                                    });
    buf_deinit(&body);
}
