/* Endpoints that answer wrongly, late, endlessly or not at all: each becomes the status that protocol 3.5 gives
 * it, and none hurts the server. A raw socket plays the endpoint, so that every byte of an answer is as the test
 * says. */
#include "base/testing.h"

#include "base/clock.h"
#include "server/transport_http.h"
#include "wire/wire.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHORT_NS (300 * NS_PER_MS)
#define LONG_NS (60 * NS_PER_S)

/* ---- the endpoint ------------------------------------------------------------------------------------------------ */

enum ending {
    CLOSES,        /* after the answer */
    HOLDS,         /* until the client leaves */
    GOES_ON        /* repeats `more` until the client leaves */
};

struct hostile {
    int listener;
    pthread_t thread;
    const char *answer;
    size_t answer_len;
    const char *more;
    enum ending ending;
    char url[64];
    char request[65536];  /* what it was sent; read after join */
    size_t request_len;
};

static bool is_request_complete(const struct hostile *hostile)
{
    const char *end = strstr(hostile->request, "\r\n\r\n");
    const char *length = strcasestr(hostile->request, "content-length:");
    if (!end || !length)
        return false;
    size_t body_len = (size_t)strtoul(length + strlen("content-length:"), NULL, 10);
    return hostile->request_len >= (size_t)(end - hostile->request) + 4 + body_len;
}

static void *play(void *arg)
{
    struct hostile *hostile = arg;
    int fd = accept(hostile->listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    while (!is_request_complete(hostile)) {
        ssize_t n = recv(fd, hostile->request + hostile->request_len,
                         sizeof hostile->request - 1 - hostile->request_len, 0);
        if (n <= 0)
            break;
        hostile->request_len += (size_t)n;
    }
    if (hostile->answer_len > 0)
        (void)send(fd, hostile->answer, hostile->answer_len, MSG_NOSIGNAL);
    while (hostile->ending == GOES_ON && send(fd, hostile->more, strlen(hostile->more), MSG_NOSIGNAL) > 0)
        ;
    char byte;
    while (hostile->ending == HOLDS && recv(fd, &byte, 1, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void hostile_open(struct hostile *hostile, const char *answer, size_t len, enum ending ending, const char *more)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t address_len = sizeof address;
    memset(hostile, 0, sizeof *hostile);
    hostile->answer = answer;
    hostile->answer_len = len;
    hostile->ending = ending;
    hostile->more = more;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    hostile->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hostile->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(hostile->listener, 8), 0);
    assert_int_equal(getsockname(hostile->listener, (struct sockaddr *)&address, &address_len), 0);
    snprintf(hostile->url, sizeof hostile->url, "http://127.0.0.1:%u/base/", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&hostile->thread, NULL, play, hostile), 0);
}

static void hostile_close(struct hostile *hostile)
{
    pthread_join(hostile->thread, NULL);
    close(hostile->listener);
}

/* ---- one run ----------------------------------------------------------------------------------------------------- */

struct attempt {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_done;
    struct transport_result result;
};

static void on_done(void *arg, struct transport_run *run, struct transport_result *result)
{
    struct attempt *attempt = arg;
    (void)run;
    pthread_mutex_lock(&attempt->lock);
    assert_false(attempt->is_done);
    attempt->result = *result;
    result->body = NULL;
    attempt->is_done = true;
    pthread_cond_signal(&attempt->came);
    pthread_mutex_unlock(&attempt->lock);
}

static void attempt_wait(struct attempt *attempt)
{
    pthread_mutex_lock(&attempt->lock);
    while (!attempt->is_done)
        pthread_cond_wait(&attempt->came, &attempt->lock);
    pthread_mutex_unlock(&attempt->lock);
}

static struct transport *open_transport(void)
{
    struct transport *transport = NULL;
    struct dr_error error = {0};
    if (transport_http_create(&(struct transport_http_config){0}, &transport, &error))
        fail_msg("%s", error.message);
    return transport;
}

static void start(struct transport *transport, struct transport_run *run, struct attempt *attempt, const char *endpoint,
                  int64_t timeout_ns)
{
    *attempt = (struct attempt){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    *run = (struct transport_run){.id = {{1}}, .attempt = 1, .endpoint = slice_text(endpoint),
                                  .timeout_ns = timeout_ns, .on_done = on_done, .arg = attempt};
    uint8_t *request = mem_must_alloc(4);
    memcpy(request, "\x0a\x02go", 4);
    transport_start(transport, run, request, 4);
}

static struct transport_result run_on(const char *endpoint, int64_t timeout_ns)
{
    struct transport *transport = open_transport();
    struct transport_run run;
    struct attempt attempt;
    start(transport, &run, &attempt, endpoint, timeout_ns);
    attempt_wait(&attempt);
    transport_destroy(transport);
    return attempt.result;
}

static void expect(const struct transport_result *result, dr_status status, const char *text)
{
    if (result->status != status || !strstr(result->message, text))
        fail_msg("%s instead of %s, \"%s\" instead of \"%s\"", dr_status_name(result->status), dr_status_name(status),
                 result->message, text);
    if (status != DR_STATUS_OK)
        assert_null(result->body);
}

static void expect_from_bytes(const char *answer, size_t len, enum ending ending, const char *more, int64_t timeout_ns,
                              dr_status status, const char *text)
{
    static struct hostile hostile;
    hostile_open(&hostile, answer, len, ending, more);
    struct transport_result result = run_on(hostile.url, timeout_ns);
    hostile_close(&hostile);
    expect(&result, status, text);
    mem_free(result.body);
}

static void expect_from(const char *answer, dr_status status, const char *text)
{
    expect_from_bytes(answer, strlen(answer), CLOSES, NULL, LONG_NS, status, text);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void a_good_answer_is_handed_on_untouched(void **state)
{
    (void)state;
    static struct hostile hostile;
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 2\r\n\r\n\x08\x01";
    hostile_open(&hostile, answer, sizeof answer - 1, CLOSES, NULL);
    struct transport_result result = run_on(hostile.url, LONG_NS);
    hostile_close(&hostile);
    expect(&result, DR_STATUS_OK, "");
    assert_int_equal(result.len, 2);
    assert_memory_equal(result.body, "\x08\x01", 2);
    mem_free(result.body);
}

static void the_request_is_what_every_known_endpoint_takes(void **state)
{
    (void)state;
    static struct hostile hostile;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n";
    hostile_open(&hostile, answer, sizeof answer - 1, CLOSES, NULL);
    struct transport_result result = run_on(hostile.url, LONG_NS);
    hostile_close(&hostile);
    static const char line[] = "POST /base/dispatch.sdk.v1.FunctionService/Run HTTP/1.1\r\n";
    assert_int_equal(strncmp(hostile.request, line, strlen(line)), 0);
    assert_non_null(strcasestr(hostile.request, "\r\nContent-Type: application/proto\r\n"));
    assert_non_null(strcasestr(hostile.request, "\r\nContent-Length: 4\r\n"));
    assert_null(strcasestr(hostile.request, "Transfer-Encoding"));
    assert_null(strcasestr(hostile.request, "Expect:"));
    assert_null(strcasestr(hostile.request, "Accept-Encoding: g"));
    mem_free(result.body);
}

static void http_1_0_without_length_is_read_to_its_end(void **state)
{
    (void)state;
    expect_from("HTTP/1.0 200 OK\r\nContent-Type: application/proto\r\n\r\n\x08\x01", DR_STATUS_OK, "");
}

static void an_http_status_becomes_a_status(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        dr_status status;
    } cases[] = {
        {"400 Bad Request", DR_STATUS_INVALID_ARGUMENT}, {"401 Unauthorized", DR_STATUS_UNAUTHENTICATED},
        {"403 Forbidden", DR_STATUS_PERMISSION_DENIED},  {"404 Not Found", DR_STATUS_NOT_FOUND},
        {"408 Timeout", DR_STATUS_TIMEOUT},              {"413 Too Large", DR_STATUS_PERMANENT_ERROR},
        {"429 Too Many", DR_STATUS_THROTTLED},           {"500 Oops", DR_STATUS_TEMPORARY_ERROR},
        {"501 No", DR_STATUS_PERMANENT_ERROR},           {"502 Bad Gateway", DR_STATUS_TEMPORARY_ERROR},
        {"503 Unavailable", DR_STATUS_TEMPORARY_ERROR},  {"504 Timeout", DR_STATUS_TEMPORARY_ERROR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char answer[256];
        char text[16];
        snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 4\r\n\r\nbody", cases[i].line);
        snprintf(text, sizeof text, "HTTP %.3s", cases[i].line);
        expect_from(answer, cases[i].status, text);
    }
}

static void the_text_of_a_connect_error_is_shown(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"
                "{\"code\":\"not_found\",\"message\":\"function 'f' does not exist\"}",
                DR_STATUS_NOT_FOUND, "HTTP 404: not_found: function 'f' does not exist");
}

static void a_text_cannot_forge_a_second_line(void **state)
{
    (void)state;
    static struct hostile hostile;
    static const char answer[] = "HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\na\nb\x1b[2J";
    hostile_open(&hostile, answer, sizeof answer - 1, CLOSES, NULL);
    struct transport_result result = run_on(hostile.url, LONG_NS);
    hostile_close(&hostile);
    assert_int_equal(result.status, DR_STATUS_TEMPORARY_ERROR);
    for (const char *c = result.message; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
}

/* Else the failure could not be told to the parent, nor to who waits. */
static void a_text_that_is_not_utf8_becomes_one_that_is(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: te\xff\xc3xt\r\nContent-Length: 2\r\n\r\n\x08\x01",
                DR_STATUS_INVALID_RESPONSE, "te??xt");
}

static void a_retry_after_is_handed_on(void **state)
{
    (void)state;
    static struct hostile hostile;
    static const char answer[] = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    hostile_open(&hostile, answer, sizeof answer - 1, CLOSES, NULL);
    struct transport_result result = run_on(hostile.url, LONG_NS);
    hostile_close(&hostile);
    expect(&result, DR_STATUS_THROTTLED, "HTTP 429");
    assert_int_equal(result.retry_after_ns, 7 * NS_PER_S);
}

static void a_redirect_is_not_followed(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                DR_STATUS_PERMANENT_ERROR, "redirects are not followed");
}

static void another_content_type_is_no_run_response(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n\x08\x01",
                DR_STATUS_INVALID_RESPONSE, "text/html");
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: application/protobuf\r\nContent-Length: 2\r\n\r\n\x08\x01",
                DR_STATUS_INVALID_RESPONSE, "application/protobuf");
    expect_from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x08\x01", DR_STATUS_INVALID_RESPONSE, "no content type");
    expect_from("HTTP/1.1 204 No Content\r\n\r\n", DR_STATUS_INVALID_RESPONSE, "HTTP 204");
}

static void a_parameter_of_the_content_type_does_no_harm(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: Application/Proto; charset=utf-8\r\nContent-Length: 2\r\n\r\n"
                "\x08\x01", DR_STATUS_OK, "");
}

static void what_is_not_http_is_tried_again(void **state)
{
    (void)state;
    expect_from("SSH-2.0-OpenSSH_9.2\r\n", DR_STATUS_HTTP_ERROR, "");
    expect_from("\x15\x03\x01\x00\x02\x02\x0a", DR_STATUS_HTTP_ERROR, "");
}

static void a_connection_closed_without_answer_is_tried_again(void **state)
{
    (void)state;
    static struct hostile hostile;
    hostile_open(&hostile, "", 0, CLOSES, NULL);
    struct transport_result result = run_on(hostile.url, LONG_NS);
    hostile_close(&hostile);
    assert_true(dr_status_is_retryable(result.status));
}

static void half_an_answer_is_tried_again(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 100\r\n\r\n\x08\x01",
                DR_STATUS_HTTP_ERROR, "");
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: appli", DR_STATUS_HTTP_ERROR, "");
}

static void a_broken_chunk_is_tried_again(void **state)
{
    (void)state;
    expect_from("HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                DR_STATUS_HTTP_ERROR, "");
}

static void an_endless_body_is_cut_off(void **state)
{
    (void)state;
    static char more[65537];
    memset(more, 'x', sizeof more - 1);
    static const char head[] = "HTTP/1.0 200 OK\r\nContent-Type: application/proto\r\n\r\n";
    expect_from_bytes(head, sizeof head - 1, GOES_ON, more, LONG_NS, DR_STATUS_INVALID_RESPONSE, "");
}

static void endless_headers_are_cut_off(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\n";
    static char more[1100];
    memset(more, 'x', sizeof more - 1);
    memcpy(more, "X-More: ", 8);
    memcpy(more + sizeof more - 3, "\r\n", 2);
    expect_from_bytes(head, sizeof head - 1, GOES_ON, more, LONG_NS, DR_STATUS_HTTP_ERROR, "");
}

static void a_body_framed_without_end_is_cut(void **state)
{
    (void)state;
    static const char *const heads[] = {"1;a=", "0\r\n", "0"}; /* a chunk's extension, trailers, digits of a size */
    static char more[60001];
    for (size_t i = 0; i < sizeof more - 1; i += 6)
        memcpy(more + i, "A: b\r\n", 6);
    for (size_t i = 0; i < 3; i++) {
        char head[128];
        int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\n"
                                              "Transfer-Encoding: chunked\r\n\r\n%s", heads[i]);
        if (i != 1)
            memset(more, i == 0 ? 'x' : '0', sizeof more - 1);
        expect_from_bytes(head, (size_t)len, GOES_ON, more, LONG_NS, DR_STATUS_HTTP_ERROR, "");
        for (size_t k = 0; k < sizeof more - 1; k += 6)
            memcpy(more + k, "A: b\r\n", 6);
    }
}

static void an_answer_that_never_ends_times_out(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 9\r\n\r\n\x08";
    expect_from_bytes(head, sizeof head - 1, HOLDS, NULL, SHORT_NS, DR_STATUS_TIMEOUT, "");
    expect_from_bytes("", 0, HOLDS, NULL, SHORT_NS, DR_STATUS_TIMEOUT, "");
}

static void nobody_listening_is_a_tcp_error(void **state)
{
    (void)state;
    struct hostile hostile; /* for a port that is free a moment later */
    hostile_open(&hostile, "", 0, CLOSES, NULL);
    shutdown(hostile.listener, SHUT_RDWR);
    hostile_close(&hostile);
    struct transport_result result = run_on(hostile.url, LONG_NS);
    expect(&result, DR_STATUS_TCP_ERROR, hostile.url);
    assert_string_equal(result.error_type, "TCPError");
}

static void an_unknown_name_is_a_dns_error(void **state)
{
    (void)state;
    struct transport_result result = run_on("http://no-such-host.invalid:1", LONG_NS);
    expect(&result, DR_STATUS_DNS_ERROR, "no-such-host.invalid");
    assert_string_equal(result.error_type, "DNSError");
}

static void plain_text_where_tls_is_expected_is_a_tls_error(void **state)
{
    (void)state;
    static struct hostile hostile;
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    char url[80];
    hostile_open(&hostile, answer, sizeof answer - 1, CLOSES, NULL);
    /* The endpoint would wait for a request with a length: the handshake has none. */
    snprintf(url, sizeof url, "https%s", hostile.url + 4);
    struct transport_result result = run_on(url, SHORT_NS);
    hostile_close(&hostile);
    assert_true(result.status == DR_STATUS_TLS_ERROR || result.status == DR_STATUS_TIMEOUT);
}

static void endpoints_of_other_kinds_are_refused_by_name(void **state)
{
    (void)state;
    struct transport_result result = run_on("bridge://session", LONG_NS);
    expect(&result, DR_STATUS_PERMANENT_ERROR, "bridge://session: bridge sessions are not supported yet");
    result = run_on("arn:aws:lambda:us-east-1:1:function:f", LONG_NS);
    expect(&result, DR_STATUS_PERMANENT_ERROR, "AWS Lambda endpoints are not supported yet");
    result = run_on("ftp://host", LONG_NS);
    expect(&result, DR_STATUS_PERMANENT_ERROR, "an endpoint is an http or https URL");
}

static void an_aborted_run_has_its_result_soon(void **state)
{
    (void)state;
    static struct hostile hostile;
    struct transport *transport = open_transport();
    struct transport_run run;
    struct attempt attempt;
    hostile_open(&hostile, "", 0, HOLDS, NULL);
    start(transport, &run, &attempt, hostile.url, LONG_NS);
    transport_abort(transport, &run);
    attempt_wait(&attempt);
    expect(&attempt.result, DR_STATUS_TIMEOUT, "the attempt was called off");
    transport_abort(transport, &run);
    transport_destroy(transport);
    shutdown(hostile.listener, SHUT_RDWR);
    hostile_close(&hostile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_handed_on_untouched),
        cmocka_unit_test(the_request_is_what_every_known_endpoint_takes),
        cmocka_unit_test(http_1_0_without_length_is_read_to_its_end),
        cmocka_unit_test(an_http_status_becomes_a_status),
        cmocka_unit_test(the_text_of_a_connect_error_is_shown),
        cmocka_unit_test(a_text_cannot_forge_a_second_line),
        cmocka_unit_test(a_text_that_is_not_utf8_becomes_one_that_is),
        cmocka_unit_test(a_retry_after_is_handed_on),
        cmocka_unit_test(a_redirect_is_not_followed),
        cmocka_unit_test(another_content_type_is_no_run_response),
        cmocka_unit_test(a_parameter_of_the_content_type_does_no_harm),
        cmocka_unit_test(what_is_not_http_is_tried_again),
        cmocka_unit_test(a_connection_closed_without_answer_is_tried_again),
        cmocka_unit_test(half_an_answer_is_tried_again),
        cmocka_unit_test(a_broken_chunk_is_tried_again),
        cmocka_unit_test(an_endless_body_is_cut_off),
        cmocka_unit_test(endless_headers_are_cut_off),
        cmocka_unit_test(an_answer_that_never_ends_times_out),
        cmocka_unit_test(nobody_listening_is_a_tcp_error),
        cmocka_unit_test(an_unknown_name_is_a_dns_error),
        cmocka_unit_test(plain_text_where_tls_is_expected_is_a_tls_error),
        cmocka_unit_test(endpoints_of_other_kinds_are_refused_by_name),
        cmocka_unit_test(an_aborted_run_has_its_result_soon),
        cmocka_unit_test(a_body_framed_without_end_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
