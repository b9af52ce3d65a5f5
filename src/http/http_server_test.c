#include "http/http_server_testing.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
