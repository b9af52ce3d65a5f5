#include "http/testing.h"

#define PARKED_MAX 16

/* What the server of a test does by path: /echo answers the body, /show describes the request, /later parks it for the
 * test to answer, /thread has it answered by another thread. */
struct fixture {
    struct http_server *server;
    uint16_t port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_exchange *parked[PARKED_MAX];
    int n_parked, n_requests, n_aborted, n_released;
    int is_early;
};

static void on_abort(void *arg)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->n_aborted++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static void on_release(void *arg)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->n_released++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static void respond_text(struct http_exchange *exchange, int status, struct slice body)
{
    struct http_header extra = {"X-Extra", "yes"};
    http_exchange_respond(exchange, &(struct http_response){.status = status,
                                                            .content_type = "text/plain",
                                                            .headers = &extra,
                                                            .n_headers = 1,
                                                            .body = body});
}

static void show(struct http_exchange *exchange)
{
    char text[4096];
    uint64_t length = 0;
    bool has_length = http_exchange_content_length(exchange, &length);
    struct slice body = http_exchange_body(exchange);
    int len = snprintf(text, sizeof(text), "%s path=%s query=%s length=%s%llu chunked=%d body=%.*s",
                       http_exchange_method(exchange), http_exchange_path(exchange), http_exchange_query(exchange),
                       has_length ? "" : "none", (unsigned long long)length, http_exchange_is_chunked(exchange),
                       (int)body.len, (const char *)body.data);
    struct http_header header;
    for (size_t i = 0; http_exchange_header_at(exchange, i, &header); i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, " [%s=%s]", header.name, header.value);
    (void)snprintf(text + len, sizeof(text) - (size_t)len, "\n");
    respond_text(exchange, 200, slice_text(text));
}

static void *answer_elsewhere(void *arg)
{
    struct http_exchange *exchange = arg;
    respond_text(exchange, 200, http_exchange_body(exchange));
    return NULL;
}

static void on_request(void *arg, struct http_exchange *exchange)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->n_requests++;
    pthread_mutex_unlock(&fixture->lock);
    const char *path = http_exchange_path(exchange);
    if (strcmp(path, "/echo") == 0) {
        respond_text(exchange, 200, http_exchange_body(exchange));
    } else if (strcmp(path, "/later") == 0) {
        http_exchange_on_abort(exchange, on_abort, on_release, fixture);
        pthread_mutex_lock(&fixture->lock);
        fixture->parked[fixture->n_parked++] = exchange;
        pthread_cond_broadcast(&fixture->changed);
        pthread_mutex_unlock(&fixture->lock);
    } else if (strcmp(path, "/thread") == 0) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, answer_elsewhere, exchange), 0);
        pthread_detach(thread);
    } else if (strcmp(path, "/error") == 0) {
        http_exchange_respond_error(exchange, 0, DR_NOT_FOUND, "no \"such\"\nthing");
    } else if (strcmp(path, "/empty") == 0) {
        http_exchange_respond(exchange, &(struct http_response){.status = 204});
    } else if (strcmp(path, "/last") == 0) {
        http_exchange_respond(exchange, &(struct http_response){.status = 200, .is_last = true});
    } else {
        show(exchange);
    }
}

static void on_headers(void *arg, struct http_exchange *exchange)
{
    struct fixture *fixture = arg;
    uint64_t length = 0;
    if (!fixture->is_early)
        return;
    if (!http_exchange_content_length(exchange, &length) || length == 0)
        http_exchange_respond_error(exchange, 400, DR_INVALID_ARGUMENT, "content length is required");
    else if (length > 100)
        http_exchange_respond_error(exchange, 400, DR_INVALID_ARGUMENT, "content length is too large");
}

static void fixture_start_with(struct fixture *fixture, struct http_server_config config)
{
    *fixture = (struct fixture){0};
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    config.on_request = on_request;
    config.on_headers = on_headers;
    config.arg = fixture;
    struct dr_error error = {0};
    assert_int_equal(http_server_create(&config, &fixture->server, &error), DR_OK);
    assert_int_equal(http_server_start(fixture->server, &error), DR_OK);
    fixture->port = http_server_port(fixture->server);
    assert_true(fixture->port != 0);
}

static void fixture_start(struct fixture *fixture)
{
    fixture_start_with(fixture, (struct http_server_config){0});
}

static void fixture_end(struct fixture *fixture)
{
    http_server_destroy(fixture->server);
    pthread_mutex_destroy(&fixture->lock);
    pthread_cond_destroy(&fixture->changed);
}

/* Waits for *value (guarded by the lock) to become `want`. */
static void await_count(struct fixture *fixture, const int *value, int want)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&fixture->lock);
    int rc = 0;
    while (*value < want && rc == 0)
        rc = pthread_cond_timedwait(&fixture->changed, &fixture->lock, &until);
    int is = *value;
    pthread_mutex_unlock(&fixture->lock);
    assert_int_equal(is, want);
}

/* ---- requests ---- */

static void answers_a_post_with_its_body(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    const char *text = raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                                             "Content-Length: 5\r\n\r\nhello");
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    assert_has(text, "Content-Length: 5\r\n");
    assert_has(text, "Content-Type: text/plain\r\n");
    assert_has(text, "X-Extra: yes\r\n");
    assert_has(text, "Connection: close\r\n");
    assert_has(text, " GMT\r\n");
    assert_has(text, "\r\n\r\nhello");
    fixture_end(&fixture);
}

static void describes_method_path_query_and_headers(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    const char *text = raw_ask(fixture.port, "PUT //a%20b/c?x=1&y=?z HTTP/1.1\r\nHOST:h\r\nEmpty:\r\nTwo:  a b \t \r\n"
                                             "two: second\r\nConnection: close\r\n\r\n");
    assert_has(text, "PUT path=/a%20b/c query=x=1&y=?z length=none0 chunked=0 body= "
                     "[HOST=h] [Empty=] [Two=a b] [two=second] [Connection=close]\n");
    assert_has(raw_ask(fixture.port, "GET http://host:1/p?q HTTP/1.1\r\nConnection: close\r\n\r\n"),
               "GET path=/p query=q ");
    assert_has(raw_ask(fixture.port, "GET http://host?q HTTP/1.1\r\nConnection: close\r\n\r\n"),
               "GET path=/ query=q ");
    assert_has(raw_ask(fixture.port, "OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n"), "OPTIONS path=* ");
    assert_has(raw_ask(fixture.port, "POST / HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
               "length=0 chunked=0");
    fixture_end(&fixture);
}

static void reads_chunked_bodies_and_drops_trailers(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    const char *text = raw_ask(fixture.port, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
                                             "\r\n5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\nAuthorization: evil\r\n\r\n");
    assert_has(text, "length=none0 chunked=1 body=hello! [Transfer-Encoding=chunked] [Connection=close]\n");
    assert_has_not(text, "evil");
    fixture_end(&fixture);
}

static void reads_requests_split_at_every_byte(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    static const char *const requests[] = {
        "POST /a/b?q=1 HTTP/1.1\r\nHost: h\r\nX-Long: one two\r\nEmpty:\r\nContent-Length: 5\r\n\r\nhello",
        "POST /a/b?q=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    };
    int fd = raw_connect(fixture.port);
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(requests[i]);
        for (size_t cut = 1; cut < len; cut++) {
            assert_true(raw_try_send(fd, requests[i], cut));
            assert_true(raw_try_send(fd, requests[i] + cut, len - cut));
            const char *text = raw_read_until(fd, "]\n", 1);
            assert_has(text, "POST path=/a/b query=q=1");
            assert_has(text, "body=hello [");
            if (i == 0)
                assert_has(text, "[Host=h] [X-Long=one two] [Empty=] [Content-Length=5]\n");
        }
        for (size_t at = 0; at < len; at++)
            assert_true(raw_try_send(fd, requests[i] + at, 1));
        assert_has(raw_read_until(fd, "]\n", 1), "body=hello [");
    }
    close(fd);
    fixture_end(&fixture);
}

static void answers_pipelined_requests_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 6\r\n\r\nsecond"
                 "POST /thread HTTP/1.1\r\nContent-Length: 5\r\n\r\nthird"
                 "GET /last HTTP/1.1\r\n\r\nGET /never HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    assert_int_equal(fixture.n_requests, 1);
    respond_text(fixture.parked[0], 200, slice_text("first"));
    const char *text = raw_read_all(fd);
    close(fd);
    const char *first = strstr(text, "\r\n\r\nfirst");
    assert_non_null(first);
    const char *second = strstr(first, "\r\n\r\nsecond");
    assert_non_null(second);
    assert_non_null(strstr(second, "\r\n\r\nthird"));
    assert_has_not(text, "never");
    fixture_end(&fixture);
}

static void answers_a_thousand_pipelined_requests(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    for (int i = 0; i < 1000; i++)
        raw_send(fd, i % 2 ? "POST /thread HTTP/1.1\r\nContent-Length: 4\r\n\r\nDONE"
                           : "GET /nothing HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    const char *text = raw_read_all(fd);
    int n_answers = 0;
    for (const char *at = text; (at = strstr(at, "HTTP/1.1 200 OK")); at++)
        n_answers++;
    assert_int_equal(n_answers, 1000);
    close(fd);
    fixture_end(&fixture);
}

static void closes_for_http10_unless_asked_to_keep_alive(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    assert_has(raw_ask(fixture.port, "GET /show HTTP/1.0\r\n\r\n"), "Connection: close\r\n");
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /show HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_has(raw_read_until(fd, "]\n", 1), "Connection: keep-alive\r\n");
    raw_send(fd, "GET /show HTTP/1.0\r\n\r\n");
    assert_has(raw_read_all(fd), "200 OK");
    close(fd);
    fixture_end(&fixture);
}

static void says_100_continue_when_a_body_is_wanted(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_string_equal(raw_read_until(fd, "\r\n\r\n", 1), "HTTP/1.1 100 Continue\r\n\r\n");
    raw_send(fd, "hello");
    assert_has(raw_read_until(fd, "hello", 1), "HTTP/1.1 200 OK");
    close(fd);
    assert_has(raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nExpect: magic\r\nContent-Length: 5\r\n\r\n"),
               "HTTP/1.1 417 ");
    const char *text = raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\n"
                                             "Content-Length: 16000001\r\n\r\n");
    assert_has_not(text, "100 Continue");
    assert_has(text, "HTTP/1.1 413 ");
    fixture_end(&fixture);
}

static void sends_no_body_for_head_and_204(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    const char *text = raw_ask(fixture.port, "HEAD /error HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_has(text, "404 Not Found");
    assert_has(text, "Content-Length: 55\r\n");
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    text = raw_ask(fixture.port, "GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_has(text, "204 No Content");
    assert_has_not(text, "Content-Length");
    fixture_end(&fixture);
}

static void escapes_the_text_of_errors(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    const char *text = raw_ask(fixture.port, "GET /error HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_has(text, "{\"code\":\"not_found\",\"message\":\"no \\\"such\\\"\\u000athing\"}");
    assert_has(text, "Content-Type: application/json\r\n");
    fixture_end(&fixture);
}

static void carries_large_bodies_both_ways(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.body_bytes_max = 600000});
    static char body[600001];
    memset(body, 'x', 600000);
    int fd = raw_connect(fixture.port);
    for (int round = 0; round < 2; round++) {
        raw_send(fd, "POST /thread HTTP/1.1\r\nContent-Length: 600000\r\n\r\n");
        raw_send(fd, body);
        raw_send(fd, "POST /error HTTP/1.1\r\n\r\n");
        const char *text = raw_read_until(fd, "thing\"}", 1);
        assert_has(text, body);
    }
    close(fd);
    fixture_end(&fixture);
}

/* ---- refusals ---- */

static void refuses_malformed_requests_with_400(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    static const char *const requests[] = {
        "garbage\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01",
        "GET\r\n\r\n",
        "GET / HTTP/9.1\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nA B: c\r\n\r\n",
        "GET / HTTP/1.1\r\n: nameless\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const char *text = raw_ask(fixture.port, requests[i]);
        if (!strstr(text, "HTTP/1.1 400 Bad Request") || !strstr(text, "\"code\":\"invalid_argument\""))
            fail_msg("%s answered: %s", requests[i], text);
    }
    assert_has(raw_ask(fixture.port, "GET / HTTP/2.0\r\n\r\n"), "HTTP/1.1 505 ");
    assert_int_equal(fixture.n_requests, 0);
    fixture_end(&fixture);
}

static void refuses_a_body_over_the_limit_by_size_and_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.body_bytes_max = 100});
    const char *text = raw_ask(fixture.port, "POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n");
    assert_has(text, "HTTP/1.1 413 ");
    assert_has(text, "{\"code\":\"resource_exhausted\",\"message\":\"the request body of 101 bytes is larger than the "
                     "limit of 100 bytes\"}");
    text = raw_ask(fixture.port, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
                                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                                 "0123456789012345678901234567890\r\n0\r\n\r\n");
    assert_has(text, "HTTP/1.1 413 ");
    assert_has(text, "larger than the limit of 100 bytes");
    assert_int_equal(fixture.n_requests, 0);
    fixture_end(&fixture);
}

/* The client sends first and reads afterwards, as simple clients do: the answer must survive what it has sent. */
static void delivers_a_refusal_to_a_peer_that_sends_everything_first(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.body_bytes_max = 1000});
    static char body[8 << 20];
    memset(body, 'x', sizeof(body));
    int fd = raw_connect(fixture.port);
    raw_send(fd, "POST / HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n");
    assert_true(raw_try_send(fd, body, sizeof(body)));
    assert_has(raw_read_all(fd), "HTTP/1.1 413 ");
    close(fd);
    fixture_end(&fixture);
}

static void refuses_headers_over_the_limits(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    static char request[80000];
    memset(request, 'x', sizeof(request) - 1);
    memcpy(request, "GET /", 5);
    assert_has(raw_ask(fixture.port, request), "HTTP/1.1 431 ");
    memcpy(request, "GET / HTTP/1.1\r\nX: ", 19);
    assert_has(raw_ask(fixture.port, request), "HTTP/1.1 431 ");
    memcpy(request, "GET / HTTP/1.1\r\nX", 17);
    assert_has(raw_ask(fixture.port, request), "HTTP/1.1 431 ");
    int len = snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        len += snprintf(request + len, sizeof(request) - (size_t)len, "a: b\r\n");
    (void)snprintf(request + len, sizeof(request) - (size_t)len, "\r\n");
    assert_has(raw_ask(fixture.port, request), "HTTP/1.1 431 ");
    fixture_end(&fixture);
}

static void lets_on_headers_answer_before_the_body_is_read(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.body_bytes_max = 50});
    fixture.is_early = 1;
    const char *text = raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nContent-Length: 101\r\n\r\n");
    assert_has(text, "HTTP/1.1 400 Bad Request");
    assert_has(text, "content length is too large");
    text = raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_has(text, "content length is required");
    int fd = raw_connect(fixture.port);
    raw_send(fd, "POST /echo HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    text = raw_read_until(fd, "hello", 1);
    assert_has(text, "content length is required");
    assert_has(text, "HTTP/1.1 200 OK");
    close(fd);
    assert_int_equal(fixture.n_requests, 1);
    fixture_end(&fixture);
}

static void refuses_more_exchanges_than_allowed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.exchanges_max = 1});
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 429 ");
    respond_text(fixture.parked[0], 200, slice_text("done"));
    raw_read_until(fd, "done", 1);
    assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200 ");
    close(fd);
    fixture_end(&fixture);
}

static void holds_no_more_request_bytes_than_allowed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.buffered_bytes_max = 1000});
    int fd = raw_connect(fixture.port);
    char request[1100];
    memset(request, 'x', sizeof(request));
    int len = snprintf(request, sizeof(request), "POST /later HTTP/1.1\r\nContent-Length: 800\r\n\r\n");
    request[len] = 'x';
    assert_true(raw_try_send(fd, request, (size_t)len + 800));
    await_count(&fixture, &fixture.n_parked, 1);
    assert_has(raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nContent-Length: 300\r\n\r\n"), "HTTP/1.1 429 ");
    respond_text(fixture.parked[0], 200, slice_text("done"));
    raw_read_until(fd, "done", 1);
    assert_true(raw_try_send(fd, request, (size_t)len + 800));
    await_count(&fixture, &fixture.n_parked, 2);
    respond_text(fixture.parked[1], 200, slice_text("done"));
    raw_read_until(fd, "done", 1);
    close(fd);
    fixture_end(&fixture);
}

/* ---- time ---- */

static void refuses_slow_headers_and_bodies_with_408(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.header_timeout_ns = 50 * NS_PER_MS,
                                                             .body_timeout_ns = 50 * NS_PER_MS});
    int slow_body = raw_connect(fixture.port);
    raw_send(slow_body, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    int slow_head = raw_connect(fixture.port);
    raw_send(slow_head, "GET / HTTP/1.1\r\nHost");
    /* a byte now and then does not help */
    while (raw_try_send(slow_head, "x", 1)) {
        char byte;
        if (recv(slow_head, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            break;
    }
    assert_has(raw_read_all(slow_head), "HTTP/1.1 408 ");
    assert_has(raw_read_all(slow_body), "HTTP/1.1 408 ");
    close(slow_head);
    close(slow_body);
    fixture_end(&fixture);
}

static void closes_idle_connections(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.idle_timeout_ns = 30 * NS_PER_MS});
    int fd = raw_connect(fixture.port);
    assert_string_equal(raw_read_all(fd), "");
    close(fd);
    fd = raw_connect(fixture.port);
    raw_send(fd, "GET /show HTTP/1.1\r\n\r\n");
    assert_has(raw_read_all(fd), "GET path=/show");
    close(fd);
    fixture_end(&fixture);
}

static void gives_up_on_a_peer_that_does_not_read(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.write_timeout_ns = 50 * NS_PER_MS});
    static char body[15000000];
    int fd = raw_connect(fixture.port);
    raw_send(fd, "POST /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    respond_text(fixture.parked[0], 200, slice_of(body, sizeof(body)));
    /* the stop has to wait for the answer to be taken or given up */
    assert_int_equal(http_server_stop(fixture.server, PATIENCE_S * NS_PER_S), DR_OK);
    close(fd);
    fixture_end(&fixture);
}

static void makes_room_by_closing_the_longest_idle(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.connections_max = 2});
    int first = raw_connect(fixture.port);
    raw_send(first, "GET /show HTTP/1.1\r\n\r\n");
    raw_read_until(first, "\n", 1);
    int second = raw_connect(fixture.port);
    raw_send(second, "GET /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    int third = raw_connect(fixture.port);
    raw_send(third, "GET /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 2);
    (void)raw_read_all(first);
    /* nobody is idle: the fourth waits until the third has gone */
    int fourth = raw_connect(fixture.port);
    raw_send(fourth, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n");
    respond_text(fixture.parked[1], 200, slice_text("done"));
    assert_has(raw_read_all(third), "done");
    assert_has(raw_read_all(fourth), "200 OK");
    respond_text(fixture.parked[0], 200, slice_text("done"));
    raw_read_until(second, "done", 1);
    close(first);
    close(second);
    close(third);
    close(fourth);
    fixture_end(&fixture);
}

/* ---- peers that leave, and stop ---- */

static void tells_when_the_peer_leaves_and_takes_the_answer_all_the_same(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "POST /later HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    await_count(&fixture, &fixture.n_parked, 1);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    await_count(&fixture, &fixture.n_aborted, 1);
    assert_int_equal(fixture.n_released, 0);
    assert_true(slice_equal(http_exchange_body(fixture.parked[0]), slice_text("hello")));
    respond_text(fixture.parked[0], 200, slice_text("to nobody"));
    await_count(&fixture, &fixture.n_released, 1);
    assert_int_equal(fixture.n_aborted, 1);
    fixture_end(&fixture);
}

static void answers_a_peer_that_has_only_stopped_sending(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    await_count(&fixture, &fixture.n_aborted, 1);
    respond_text(fixture.parked[0], 200, slice_text("done"));
    assert_has(raw_read_all(fd), "\r\n\r\ndone");
    close(fd);
    fixture_end(&fixture);
}

static void releases_an_answered_exchange_without_abort(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    for (int i = 0; i < 3; i++) {
        raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
        await_count(&fixture, &fixture.n_parked, i + 1);
        respond_text(fixture.parked[i], 200, slice_text("done"));
        raw_read_until(fd, "done", 1);
        await_count(&fixture, &fixture.n_released, i + 1);
    }
    close(fd);
    assert_int_equal(http_server_stop(fixture.server, NS_PER_S), DR_OK);
    assert_int_equal(fixture.n_aborted, 0);
    fixture_end(&fixture);
}

struct late_answer {
    struct fixture *fixture;
    int fd;
};

static void *answer_while_stopping(void *arg)
{
    struct late_answer *late = arg;
    /* the idle connection is closed as the stop begins */
    char byte;
    (void)!recv(late->fd, &byte, 1, 0);
    respond_text(late->fixture->parked[0], 200, slice_text("in time"));
    return NULL;
}

static void stop_waits_for_open_exchanges_and_sends_their_answers(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int idle = raw_connect(fixture.port);
    raw_send(idle, "GET /show HTTP/1.1\r\n\r\n");
    raw_read_until(idle, "\n", 6);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\nGET /show HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    struct late_answer late = {&fixture, idle};
    pthread_t thread;
    pthread_create(&thread, NULL, answer_while_stopping, &late);
    assert_int_equal(http_server_stop(fixture.server, PATIENCE_S * NS_PER_S), DR_OK);
    pthread_join(thread, NULL);
    const char *text = raw_read_all(fd);
    assert_has(text, "in time");
    assert_has(text, "Connection: close\r\n");
    assert_int_equal(fixture.n_aborted, 0);
    close(fd);
    close(idle);
    fixture_end(&fixture);
}

static void stop_sends_what_was_answered_before_it(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct fixture fixture;
        fixture_start(&fixture);
        int fd = raw_connect(fixture.port);
        raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
        await_count(&fixture, &fixture.n_parked, 1);
        respond_text(fixture.parked[0], 200, slice_text("at the last moment"));
        assert_int_equal(http_server_stop(fixture.server, 0), DR_OK);
        assert_has(raw_read_all(fd), "at the last moment");
        close(fd);
        fixture_end(&fixture);
    }
}

static void exchanges_outlive_a_stop_and_the_server(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    assert_int_equal(http_server_stop(fixture.server, NS_PER_MS), DR_DEADLINE_EXCEEDED);
    assert_int_equal(fixture.n_aborted, 1);
    assert_string_equal(raw_read_all(fd), "");
    http_server_destroy(fixture.server);
    assert_string_equal(http_exchange_path(fixture.parked[0]), "/later");
    respond_text(fixture.parked[0], 200, slice_text("too late"));
    assert_int_equal(fixture.n_released, 1);
    close(fd);
}

/* Whichever allocation fails, the server answers the next request. */
static void survives_allocation_faults(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int is_hit = 1;
    for (unsigned long nth = 1; is_hit; nth++) {
        assert_true(nth < 1000);
        int fd = raw_connect(fixture.port);
        mem_fault_set(nth);
        raw_send(fd, "POST /echo HTTP/1.1\r\nA: b\r\nContent-Length: 5\r\n\r\nhelloGET /last HTTP/1.1\r\n\r\n");
        char text[4096];
        size_t len = 0;
        ssize_t n;
        while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
            len += (size_t)n;
        text[len] = '\0';
        is_hit = mem_fault_hit();
        mem_fault_set(0);
        close(fd);
        if (!is_hit)
            assert_has(text, "hello");
        assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "200 OK");
    }
    fixture_end(&fixture);
    struct http_server_config config = {.on_request = on_request};
    for (unsigned long nth = 1; nth <= 3; nth++) {
        mem_fault_set(nth);
        dr_code code = http_server_create(&config, &fixture.server, NULL);
        mem_fault_set(0);
        if (code == DR_OK)
            http_server_destroy(fixture.server);
        else
            assert_int_equal(code, DR_NO_MEMORY);
    }
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    struct http_server *other = NULL;
    struct dr_error error = {0};
    struct http_server_config config = {.port = fixture.port, .on_request = on_request};
    assert_int_equal(http_server_create(&config, &other, &error), DR_UNAVAILABLE);
    assert_has(error.message, "address already in use");
    config = (struct http_server_config){.host = "no such host", .on_request = on_request};
    assert_int_equal(http_server_create(&config, &other, &error), DR_INVALID_ARGUMENT);
    assert_has(error.message, "no such host");
    config = (struct http_server_config){.host = "::1", .on_request = on_request};
    if (http_server_create(&config, &other, &error) == DR_OK)
        http_server_destroy(other);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_post_with_its_body),
        cmocka_unit_test(describes_method_path_query_and_headers),
        cmocka_unit_test(reads_chunked_bodies_and_drops_trailers),
        cmocka_unit_test(reads_requests_split_at_every_byte),
        cmocka_unit_test(answers_pipelined_requests_in_order),
        cmocka_unit_test(answers_a_thousand_pipelined_requests),
        cmocka_unit_test(closes_for_http10_unless_asked_to_keep_alive),
        cmocka_unit_test(says_100_continue_when_a_body_is_wanted),
        cmocka_unit_test(sends_no_body_for_head_and_204),
        cmocka_unit_test(escapes_the_text_of_errors),
        cmocka_unit_test(carries_large_bodies_both_ways),
        cmocka_unit_test(refuses_malformed_requests_with_400),
        cmocka_unit_test(refuses_a_body_over_the_limit_by_size_and_limit),
        cmocka_unit_test(delivers_a_refusal_to_a_peer_that_sends_everything_first),
        cmocka_unit_test(refuses_headers_over_the_limits),
        cmocka_unit_test(lets_on_headers_answer_before_the_body_is_read),
        cmocka_unit_test(refuses_more_exchanges_than_allowed),
        cmocka_unit_test(holds_no_more_request_bytes_than_allowed),
        cmocka_unit_test(refuses_slow_headers_and_bodies_with_408),
        cmocka_unit_test(closes_idle_connections),
        cmocka_unit_test(gives_up_on_a_peer_that_does_not_read),
        cmocka_unit_test(makes_room_by_closing_the_longest_idle),
        cmocka_unit_test(tells_when_the_peer_leaves_and_takes_the_answer_all_the_same),
        cmocka_unit_test(answers_a_peer_that_has_only_stopped_sending),
        cmocka_unit_test(releases_an_answered_exchange_without_abort),
        cmocka_unit_test(stop_waits_for_open_exchanges_and_sends_their_answers),
        cmocka_unit_test(stop_sends_what_was_answered_before_it),
        cmocka_unit_test(exchanges_outlive_a_stop_and_the_server),
        cmocka_unit_test(survives_allocation_faults),
        cmocka_unit_test(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
