/* What the HTTP server refuses: by size, by number, by time. */
#include "http/http_server_testing.h"
#include <poll.h>

#include <sys/resource.h>

/* ---- refusals ---- */

static void refuses_malformed_requests_with_400(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    static const char *const requests[] = {
        "garbage\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
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

static void headers_that_take_long_make_room_when_others_wait(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.connections_max = 2, .header_timeout_ns = 3600 * NS_PER_S});
    int slow[2];
    for (int i = 0; i < 2; i++) {
        slow[i] = raw_connect(fixture.port);
        raw_send(slow[i], "GET / HTTP/1.1\r\nA: b");
    }
    for (int i = 0; i < 2; i++)
        assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "200 OK");
    struct pollfd gone[2] = {{.fd = slow[0], .events = POLLIN}, {.fd = slow[1], .events = POLLIN}};
    assert_true(poll(gone, 2, PATIENCE_S * 1000) >= 1);
    close(slow[0]);
    close(slow[1]);
    fixture_end(&fixture);
}

#define N_WAITING 8

/* No descriptor for anybody but those that have one. */
static rlim_t descriptors_limit(rlim_t limit)
{
    struct rlimit descriptors;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    rlim_t before = descriptors.rlim_cur;
    descriptors.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    return before;
}

static void without_descriptors_connections_wait_and_those_that_are_there_are_served(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int served = raw_connect(fixture.port);
    raw_send(served, "GET /show HTTP/1.1\r\n\r\n");
    raw_read_until(served, "\n", 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int waiting[N_WAITING];
    for (int i = 0; i < N_WAITING; i++)
        waiting[i] = socket(AF_INET, SOCK_STREAM, 0);
    rlim_t before = descriptors_limit(3);
    for (int i = 0; i < N_WAITING; i++) {
        assert_int_equal(connect(waiting[i], (struct sockaddr *)&address, sizeof(address)), 0);
        raw_send(waiting[i], "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n");
    }
    struct http_server_stats stats;
    do
        http_server_stats(fixture.server, &stats);
    while (stats.refused[HTTP_REFUSED_DESCRIPTORS] < 2);
    raw_send(served, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_has(raw_read_all(served), "200 OK");
    (void)descriptors_limit(before);
    for (int i = 0; i < N_WAITING; i++) {
        assert_has(raw_read_all(waiting[i]), "200 OK");
        close(waiting[i]);
    }
    close(served);
    fixture_end(&fixture);
}

/* ---- peers that leave, and stop ---- */

/* ---- bytes of all connections together ---- */

static void holds_no_more_answer_bytes_than_allowed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.answer_bytes_max = 10000000});
    static char body[9000000];
    int slow = raw_connect(fixture.port);
    raw_send(slow, "POST /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    int other = raw_connect(fixture.port);
    raw_send(other, "POST /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 2);
    assert_true(http_exchange_has_room(fixture.parked[1], sizeof(body)));
    respond_text(fixture.parked[0], 200, slice_of(body, sizeof(body))); /* nobody reads it */
    assert_false(http_exchange_has_room(fixture.parked[1], sizeof(body)));
    respond_text(fixture.parked[1], 200, slice_of(body, sizeof(body)));
    assert_has(raw_read_until(other, "try again later", 1), "HTTP/1.1 429 ");
    /* small answers go on, and large ones do when the slow reader is gone */
    assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "200 OK");
    close(slow);
    raw_send(other, "POST /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 3);
    struct http_server_stats stats;
    do
        http_server_stats(fixture.server, &stats);
    while (stats.answer_bytes > 1000000);
    assert_true(http_exchange_has_room(fixture.parked[2], sizeof(body)));
    assert_int_equal(stats.refused[HTTP_REFUSED_ANSWER_BYTES], 1);
    respond_text(fixture.parked[2], 200, slice_text("done"));
    raw_read_until(other, "done", 1);
    close(other);
    fixture_end(&fixture);
}

/* 64 MiB beside 8 KiB a connection: peers without a key must not fill the memory with headers that never end. */
static void holds_no_more_large_heads_than_allowed(void **state)
{
    (void)state;
    enum { CONNECTIONS = 1300, LINE = 60000 };
    static int fds[CONNECTIONS];
    static char head[LINE];
    struct fixture fixture;
    fixture_start(&fixture);
    int len = snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nA: ");
    memset(head + len, 'x', sizeof(head) - (size_t)len);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connect(fixture.port);
        (void)raw_try_send(fds[i], head, sizeof(head));
    }
    struct http_server_stats stats;
    do
        http_server_stats(fixture.server, &stats);
    while (stats.refused[HTTP_REFUSED_REQUEST_BYTES] == 0);
    assert_true(stats.refused[HTTP_REFUSED_REQUEST_BYTES] < CONNECTIONS / 2);
    assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "200 OK");
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    do /* what they held counts no more */
        http_server_stats(fixture.server, &stats);
    while (stats.connections > 0);
    int fd = raw_connect(fixture.port);
    assert_true(raw_try_send(fd, head, sizeof(head)));
    raw_send(fd, "\r\nConnection: close\r\n\r\n");
    assert_has(raw_read_all(fd), "200 OK");
    close(fd);
    fixture_end(&fixture);
}

static void counts_and_tells_what_it_refuses(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start_with(&fixture, (struct http_server_config){.body_bytes_max = 10, .on_refused = on_refused,
                                                             .refused_arg = &fixture});
    (void)raw_ask(fixture.port, "rubbish\r\n\r\n");
    (void)raw_ask(fixture.port, "POST /echo HTTP/1.1\r\nContent-Length: 11\r\n\r\n");
    (void)raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n");
    struct http_server_stats stats;
    http_server_stats(fixture.server, &stats);
    assert_int_equal(stats.refused[HTTP_REFUSED_MALFORMED], 1);
    assert_int_equal(stats.refused[HTTP_REFUSED_BODY], 1);
    assert_int_equal(stats.refused[HTTP_REFUSED_SLOW], 0);
    assert_int_equal(stats.accepted, 3);
    assert_int_equal(stats.requests, 1);
    await_count(&fixture, &fixture.n_refused, 2);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(headers_that_take_long_make_room_when_others_wait),
        cmocka_unit_test(without_descriptors_connections_wait_and_those_that_are_there_are_served),
        cmocka_unit_test(holds_no_more_answer_bytes_than_allowed),
        cmocka_unit_test(holds_no_more_large_heads_than_allowed),
        cmocka_unit_test(counts_and_tells_what_it_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
