#include "http/testing.h"

#include "http/http_client.h"

#define URL_SIZE 128
#define LONG_NS (PATIENCE_S * NS_PER_S)

/* What on_done was told, for the test to wait for. */
struct reply {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n_done;
    struct http_result result; /* its body taken */
    uint64_t token;
};

static void reply_init(struct reply *reply)
{
    *reply = (struct reply){0};
    pthread_mutex_init(&reply->lock, NULL);
    pthread_cond_init(&reply->changed, NULL);
}

static void reply_deinit(struct reply *reply)
{
    mem_free(reply->result.body);
    pthread_mutex_destroy(&reply->lock);
    pthread_cond_destroy(&reply->changed);
}

static void on_done(void *arg, struct http_result *result)
{
    struct reply *reply = arg;
    pthread_mutex_lock(&reply->lock);
    mem_free(reply->result.body);
    reply->result = *result;
    result->body = NULL;
    reply->n_done++;
    pthread_cond_broadcast(&reply->changed);
    pthread_mutex_unlock(&reply->lock);
}

static const struct http_result *await_reply(struct reply *reply)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2 * PATIENCE_S;
    pthread_mutex_lock(&reply->lock);
    int rc = 0;
    while (!reply->n_done && rc == 0)
        rc = pthread_cond_timedwait(&reply->changed, &reply->lock, &until);
    pthread_mutex_unlock(&reply->lock);
    assert_int_equal(rc, 0);
    assert_int_equal(reply->n_done, 1);
    return &reply->result;
}

static struct http_client *client_start_with(struct http_client_config config)
{
    struct http_client *client = NULL;
    struct dr_error error = {0};
    assert_int_equal(http_client_create(&config, &client, &error), DR_OK);
    return client;
}

static struct http_client *client_start(void)
{
    return client_start_with((struct http_client_config){0});
}

static void post_to(struct http_client *client, struct reply *reply, const char *url, const char *body,
                    int64_t timeout_ns, size_t bytes_max)
{
    static const char *const headers[] = {"Content-Type: application/proto", "X-Test: 1"};
    struct http_post post = {.url = url,
                             .headers = headers,
                             .n_headers = 2,
                             .len = strlen(body),
                             .timeout_ns = timeout_ns,
                             .response_bytes_max = bytes_max,
                             .on_done = on_done,
                             .arg = reply};
    post.body = post.len ? (uint8_t *)mem_strndup(body, post.len) : NULL;
    reply_init(reply);
    assert_int_equal(http_client_post(client, &post, &reply->token), DR_OK);
}

static const char *url_of(uint16_t port)
{
    static char url[URL_SIZE];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/run/x//y", port);
    return url;
}

static int raw_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    socket_patience(fd);
    return fd;
}

/* Posts "ping" to a raw server that answers with `answer` and closes. */
static void ask(struct http_client *client, struct reply *reply, const char *answer, size_t bytes_max)
{
    uint16_t port;
    int listener = raw_listen(&port);
    post_to(client, reply, url_of(port), "ping", LONG_NS, bytes_max);
    int fd = raw_accept(listener);
    raw_read_until(fd, "ping", 1);
    (void)raw_try_send(fd, answer, strlen(answer));
    close(fd);
    (void)await_reply(reply);
    close(listener);
}

static void assert_body(const struct http_result *result, const char *text)
{
    assert_int_equal(result->len, strlen(text));
    assert_true(slice_equal(slice_of(result->body, result->len), slice_text(text)));
}

/* ---- what is sent ---- */

static void sends_exactly_the_headers_that_endpoints_understand(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply reply;
    post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
    int fd = raw_accept(listener);
    char want[512];
    (void)snprintf(want, sizeof(want),
                   "POST /run/x//y HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/proto\r\nX-Test: 1\r\n"
                   "Content-Length: 4\r\n\r\nping",
                   port);
    assert_string_equal(raw_read_until(fd, "ping", 1), want);
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 4\r\n\r\npong");
    const struct http_result *result = await_reply(&reply);
    assert_int_equal(result->outcome, HTTP_RESPONDED);
    assert_int_equal(result->status, 200);
    assert_string_equal(result->content_type, "application/proto");
    assert_string_equal(result->message, "");
    assert_int_equal(result->retry_after_ns, 0);
    assert_body(result, "pong");
    close(fd);
    close(listener);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void sends_an_empty_body_with_a_length(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply reply;
    post_to(client, &reply, url_of(port), "", LONG_NS, 0);
    int fd = raw_accept(listener);
    assert_has(raw_read_until(fd, "\r\n\r\n", 1), "\r\nContent-Length: 0\r\n");
    raw_send(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    const struct http_result *result = await_reply(&reply);
    assert_int_equal(result->status, 204);
    assert_null(result->body);
    close(fd);
    close(listener);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void sends_large_bodies_without_asking_first(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    static char body[3000001], got[4096];
    memset(body, 'x', sizeof(body) - 1);
    struct reply reply;
    post_to(client, &reply, url_of(port), body, LONG_NS, 0);
    int fd = raw_accept(listener);
    size_t len = 0;
    ssize_t n = 0;
    while (len < 3000000 && (n = recv(fd, got, sizeof(got) - 1, 0)) > 0) {
        got[n] = '\0';
        assert_has_not(got, "Expect");
        assert_has_not(got, "chunked");
        len += (size_t)n;
    }
    assert_true(n > 0);
    raw_send(fd, "HTTP/1.0 200 OK\r\n\r\n");
    close(fd);
    close(listener);
    (void)await_reply(&reply);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void leaves_the_default_port_out_of_host(void **state)
{
    (void)state;
    /* A proxy shows what would be sent to a host that is not there. */
    uint16_t port;
    int listener = raw_listen(&port);
    setenv("http_proxy", url_of(port), 1);
    setenv("no_proxy", "elsewhere.invalid", 1);
    struct http_client *client = client_start();
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    struct reply reply;
    post_to(client, &reply, "http://app.invalid:80/x", "ping", LONG_NS, 0);
    int fd = raw_accept(listener);
    const char *text = raw_read_until(fd, "ping", 1);
    assert_has(text, "POST http://app.invalid/x HTTP/1.1\r\n");
    assert_has(text, "\r\nHost: app.invalid\r\n");
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(await_reply(&reply)->outcome, HTTP_RESPONDED);
    reply_deinit(&reply);
    /* but loopback, and what no_proxy names, is asked directly */
    uint16_t direct_port;
    int direct = raw_listen(&direct_port);
    post_to(client, &reply, url_of(direct_port), "ping", LONG_NS, 0);
    int direct_fd = raw_accept(direct);
    assert_has(raw_read_until(direct_fd, "ping", 1), "POST /run/x//y HTTP/1.1\r\n");
    raw_send(direct_fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(await_reply(&reply)->outcome, HTTP_RESPONDED);
    reply_deinit(&reply);
    post_to(client, &reply, "http://elsewhere.invalid/", "ping", LONG_NS, 0);
    assert_int_equal(await_reply(&reply)->outcome, HTTP_DNS_FAILED);
    reply_deinit(&reply);
    close(direct_fd);
    close(direct);
    close(fd);
    close(listener);
    http_client_destroy(client);
}

static void uses_a_connection_again(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply reply;
    int fd = -1;
    for (int i = 0; i < 5; i++) {
        post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
        if (i == 0)
            fd = raw_accept(listener);
        raw_read_until(fd, "ping", 1);
        raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_body(await_reply(&reply), "ok");
        reply_deinit(&reply);
    }
    /* the peer closes it while it is idle: the next post takes a new one */
    close(fd);
    post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
    fd = raw_accept(listener);
    raw_read_until(fd, "ping", 1);
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_body(await_reply(&reply), "ok");
    reply_deinit(&reply);
    close(fd);
    close(listener);
    http_client_destroy(client);
}

/* ---- what comes back ---- */

static void reads_all_framings_of_a_reply(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    static const char *const answers[] = {
        "HTTP/1.0 200 OK\r\nContent-Type: application/proto\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo"
        "\r\n0\r\nTrailer: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 5\r\n\r\nhello",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct reply reply;
        ask(client, &reply, answers[i], 0);
        if (reply.result.outcome != HTTP_RESPONDED)
            fail_msg("'%s' is %s", answers[i], reply.result.message);
        assert_int_equal(reply.result.status, 200);
        assert_string_equal(reply.result.content_type, "application/proto");
        assert_body(&reply.result, "hello");
        reply_deinit(&reply);
    }
    http_client_destroy(client);
}

static void reads_a_reply_split_at_every_byte(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    const char *answer = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "2\r\nhi\r\n0\r\n\r\n";
    int fd = -1;
    for (size_t cut = 1; cut < strlen(answer); cut++) {
        struct reply reply;
        post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
        if (fd < 0)
            fd = raw_accept(listener);
        raw_read_until(fd, "ping", 1);
        assert_true(raw_try_send(fd, answer, cut));
        raw_send(fd, answer + cut);
        assert_body(await_reply(&reply), "hi");
        assert_string_equal(reply.result.content_type, "a/b");
        reply_deinit(&reply);
    }
    close(fd);
    close(listener);
    http_client_destroy(client);
}

static void reports_statuses_and_does_not_follow_redirects(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    struct reply reply;
    ask(client, &reply, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\ngone", 0);
    assert_int_equal(reply.result.outcome, HTTP_RESPONDED);
    assert_int_equal(reply.result.status, 302);
    assert_body(&reply.result, "gone");
    reply_deinit(&reply);
    ask(client, &reply, "HTTP/1.1 500 Oops\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n", 0);
    assert_int_equal(reply.result.status, 500);
    assert_string_equal(reply.result.content_type, "text/plain; charset=utf-8");
    reply_deinit(&reply);
    ask(client, &reply, "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n", 0);
    assert_int_equal(reply.result.outcome, HTTP_RESPONDED);
    assert_int_equal(reply.result.status, 401);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void leaves_encoded_bodies_as_they_are(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    struct reply reply;
    ask(client, &reply, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nblob", 0);
    assert_int_equal(reply.result.outcome, HTTP_RESPONDED);
    assert_body(&reply.result, "blob");
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void reads_retry_after_as_seconds_or_date(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t least_s, most_s;
    } cases[] = {
        {"7", 7, 7},
        {"120", 120, 120},
        {"2024", 2024, 2024},
        {"0", 0, 0},
        {"-5", 0, 0},
        {"soon", 0, 0},
        {"99999999999999999999", 0, 86400},
        {"1000000", 86400, 86400},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0, 0},
    };
    struct http_client *client = client_start();
    char answer[256];
    struct reply reply;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(answer, sizeof(answer), "HTTP/1.1 429 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
                       cases[i].value);
        ask(client, &reply, answer, 0);
        if (reply.result.retry_after_ns < cases[i].least_s * NS_PER_S ||
            reply.result.retry_after_ns > cases[i].most_s * NS_PER_S)
            fail_msg("'%s' is %lld ns", cases[i].value, (long long)reply.result.retry_after_ns);
        reply_deinit(&reply);
    }
    time_t then = time(NULL) + 100;
    struct tm tm;
    gmtime_r(&then, &tm);
    char date[64];
    assert_true(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
    (void)snprintf(answer, sizeof(answer), "HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    ask(client, &reply, answer, 0);
    assert_in_range(reply.result.retry_after_ns, 60 * NS_PER_S, 100 * NS_PER_S);
    reply_deinit(&reply);
    http_client_destroy(client);
}

/* ---- what goes wrong ---- */

static void calls_what_is_not_http_broken(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "garbage",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 \r\n\r\n",
        "HTTP/2 -04\r\n\r\n",
    };
    struct http_client *client = client_start();
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct reply reply;
        ask(client, &reply, answers[i], 0);
        if (reply.result.outcome != HTTP_BROKEN || !reply.result.message[0] || reply.result.body)
            fail_msg("'%s' is %s: %s", answers[i], http_outcome_name(reply.result.outcome), reply.result.message);
        reply_deinit(&reply);
    }
    http_client_destroy(client);
}

/* libcurl before 8.1 looks for the line that it continues in the handle's reply before, which is freed. */
static void survives_a_reply_that_begins_with_a_continued_line(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    for (int i = 0; i < 20; i++) { /* now and then a post gets another handle than the one before */
        struct reply reply;
        ask(client, &reply, "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0);
        assert_int_equal(reply.result.outcome, HTTP_RESPONDED);
        reply_deinit(&reply);
        ask(client, &reply, "HTTP/1.1 200 OK\r\n c: d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0);
        assert_int_equal(reply.result.outcome, HTTP_BROKEN);
        reply_deinit(&reply);
    }
    http_client_destroy(client);
}

static void bounds_the_headers_of_a_reply(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    static char answer[200000];
    int len = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n");
    while (len < 150000)
        len += snprintf(answer + len, sizeof(answer) - (size_t)len, "X: %0100d\r\n", 1);
    (void)snprintf(answer + len, sizeof(answer) - (size_t)len, "Content-Length: 0\r\n\r\n");
    struct reply reply;
    ask(client, &reply, answer, 0);
    assert_int_equal(reply.result.outcome, HTTP_BROKEN);
    assert_has(reply.result.message, "headers are larger than the limit of 65536 bytes");
    reply_deinit(&reply);
    /* interim answers without end */
    len = 0;
    while (len < 150000)
        len += snprintf(answer + len, sizeof(answer) - (size_t)len, "HTTP/1.1 100 Continue\r\n\r\n");
    ask(client, &reply, answer, 0);
    assert_int_equal(reply.result.outcome, HTTP_BROKEN);
    reply_deinit(&reply);
    /* one line without end */
    memset(answer, 'x', sizeof(answer) - 1);
    memcpy(answer, "HTTP/1.1 200 OK\r\nX: ", 20);
    ask(client, &reply, answer, 0);
    assert_int_equal(reply.result.outcome, HTTP_BROKEN);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void bounds_the_body_of_a_reply(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n01234567890",
    };
    struct http_client *client = client_start();
    struct reply reply;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        ask(client, &reply, answers[i], 10);
        assert_int_equal(reply.result.outcome, HTTP_TOO_LARGE);
        assert_int_equal(reply.result.status, 200);
        assert_has(reply.result.message, "larger than the limit of 10 bytes");
        assert_null(reply.result.body);
        reply_deinit(&reply);
    }
    ask(client, &reply, "HTTP/1.0 200 OK\r\n\r\n0123456789", 10);
    assert_body(&reply.result, "0123456789");
    reply_deinit(&reply);
    /* without end */
    uint16_t port;
    int listener = raw_listen(&port);
    post_to(client, &reply, url_of(port), "ping", LONG_NS, 100000);
    int fd = raw_accept(listener);
    raw_send(fd, "HTTP/1.0 200 OK\r\n\r\n");
    char block[4096] = {0};
    while (raw_try_send(fd, block, sizeof(block)))
        ;
    assert_int_equal(await_reply(&reply)->outcome, HTTP_TOO_LARGE);
    close(fd);
    close(listener);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void tells_refused_from_unknown_names_and_bad_urls(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    close(raw_listen(&port));
    struct reply reply;
    post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
    assert_int_equal(await_reply(&reply)->outcome, HTTP_CONNECT_FAILED);
    assert_has(reply.result.message, "127.0.0.1");
    reply_deinit(&reply);
    post_to(client, &reply, "http://no-such-host.invalid/", "ping", LONG_NS, 0);
    assert_int_equal(await_reply(&reply)->outcome, HTTP_DNS_FAILED);
    assert_has(reply.result.message, "no-such-host.invalid");
    reply_deinit(&reply);
    static const char *const urls[] = {"", "http://", "file:///etc/passwd", "ftp://127.0.0.1/", "http://a b/",
                                       "http://h:99999/", "gopher://127.0.0.1:1/", "://"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        post_to(client, &reply, urls[i], "ping", LONG_NS, 0);
        if (await_reply(&reply)->outcome != HTTP_BAD_REQUEST)
            fail_msg("'%s' is %s: %s", urls[i], http_outcome_name(reply.result.outcome), reply.result.message);
        reply_deinit(&reply);
    }
    http_client_destroy(client);
}

static void calls_a_reset_before_the_reply_a_tcp_failure(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply reply;
    post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
    int fd = raw_accept(listener);
    raw_read_until(fd, "ping", 1);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    assert_int_equal(await_reply(&reply)->outcome, HTTP_CONNECT_FAILED);
    reply_deinit(&reply);
    close(listener);
    http_client_destroy(client);
}

static void fails_a_handshake_with_what_is_not_tls(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    char url[URL_SIZE];
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
    struct reply reply;
    post_to(client, &reply, url, "ping", LONG_NS, 0);
    int fd = raw_accept(listener);
    raw_send(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(await_reply(&reply)->outcome, HTTP_TLS_FAILED);
    reply_deinit(&reply);
    close(fd);
    close(listener);
    http_client_destroy(client);
}

static void times_out_on_silence_and_on_slow_bytes(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply reply;
    post_to(client, &reply, url_of(port), "ping", 50 * NS_PER_MS, 0);
    int fd = raw_accept(listener);
    assert_int_equal(await_reply(&reply)->outcome, HTTP_TIMED_OUT);
    assert_string_equal(reply.result.message, "no complete response within 50 ms");
    close(fd);
    reply_deinit(&reply);
    post_to(client, &reply, url_of(port), "ping", 50 * NS_PER_MS, 0);
    fd = raw_accept(listener);
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 15000000\r\n\r\n");
    struct timeval little = {.tv_usec = 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &little, sizeof(little));
    char sink[256];
    do
        (void)!recv(fd, sink, sizeof(sink), 0); /* a pause of 1 ms */
    while (raw_try_send(fd, "x", 1));
    assert_int_equal(await_reply(&reply)->outcome, HTTP_TIMED_OUT);
    close(fd);
    close(listener);
    reply_deinit(&reply);
    http_client_destroy(client);
}

static void counts_the_wait_for_a_connection_into_the_timeout(void **state)
{
    (void)state;
    struct http_client *client = client_start_with((struct http_client_config){.connections_max = 1});
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply first, second, third;
    post_to(client, &first, url_of(port), "ping", LONG_NS, 0);
    int fd = raw_accept(listener);
    raw_read_until(fd, "ping", 1);
    post_to(client, &second, url_of(port), "ping", 50 * NS_PER_MS, 0);
    post_to(client, &third, url_of(port), "ping", LONG_NS, 0);
    assert_int_equal(await_reply(&second)->outcome, HTTP_TIMED_OUT);
    assert_int_equal(first.n_done, 0);
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    assert_body(await_reply(&first), "first");
    raw_read_until(fd, "ping", 1);
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthird");
    assert_body(await_reply(&third), "third");
    close(fd);
    close(listener);
    reply_deinit(&first);
    reply_deinit(&second);
    reply_deinit(&third);
    http_client_destroy(client);
}

/* ---- cancel, limits, end ---- */

static void cancels_a_post_in_flight_once(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply reply;
    post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
    int fd = raw_accept(listener);
    raw_read_until(fd, "ping", 1);
    http_client_cancel(client, reply.token);
    http_client_cancel(client, reply.token);
    assert_int_equal(await_reply(&reply)->outcome, HTTP_CANCELLED);
    assert_string_equal(raw_read_all(fd), "");
    http_client_cancel(client, reply.token);
    http_client_cancel(client, 0);
    http_client_cancel(client, UINT64_MAX);
    close(fd);
    reply_deinit(&reply);
    /* at once, wherever the post is just then */
    for (int i = 0; i < 200; i++) {
        post_to(client, &reply, url_of(port), "ping", LONG_NS, 0);
        http_client_cancel(client, reply.token);
        assert_int_equal(await_reply(&reply)->outcome, HTTP_CANCELLED);
        reply_deinit(&reply);
    }
    close(listener);
    http_client_destroy(client);
}

static void refuses_more_posts_than_allowed(void **state)
{
    (void)state;
    struct http_client *client = client_start_with((struct http_client_config){.posts_max = 2});
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply first, second;
    post_to(client, &first, url_of(port), "ping", LONG_NS, 0);
    post_to(client, &second, url_of(port), "ping", LONG_NS, 0);
    struct http_post post = {.url = url_of(port), .timeout_ns = LONG_NS, .on_done = on_done};
    post.body = mem_zalloc(5);
    post.len = 5;
    assert_int_equal(http_client_post(client, &post, NULL), DR_RESOURCE_EXHAUSTED);
    http_client_cancel(client, first.token);
    (void)await_reply(&first);
    http_client_destroy(client);
    assert_int_equal(await_reply(&second)->outcome, HTTP_CANCELLED);
    close(listener);
    reply_deinit(&first);
    reply_deinit(&second);
}

static void destroy_ends_every_post(void **state)
{
    (void)state;
    struct http_client *client = client_start();
    uint16_t port;
    int listener = raw_listen(&port);
    struct reply replies[20];
    for (int i = 0; i < 20; i++)
        post_to(client, &replies[i], i % 2 ? url_of(port) : "http://no-such-host.invalid/", "ping", LONG_NS, 0);
    http_client_destroy(client);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(replies[i].n_done, 1);
        assert_in_set(replies[i].result.outcome, ((unsigned long[]){HTTP_CANCELLED, HTTP_DNS_FAILED}), 2);
        reply_deinit(&replies[i]);
    }
    close(listener);
    http_client_destroy(NULL);
}

/* ---- with our own server, many at once ---- */

static void on_echo(void *arg, struct http_exchange *exchange)
{
    (void)arg;
    http_exchange_respond(exchange, &(struct http_response){.status = 200,
                                                            .content_type = "application/proto",
                                                            .body = http_exchange_body(exchange)});
}

#define POSTERS 4
#define POSTS_EACH 250

struct poster {
    struct http_client *client;
    uint16_t port;
};

static void *post_many(void *arg)
{
    struct poster *poster = arg;
    char url[URL_SIZE];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", poster->port);
    for (int i = 0; i < POSTS_EACH; i += 10) {
        struct reply replies[10];
        for (int k = 0; k < 10; k++) {
            char body[32];
            (void)snprintf(body, sizeof(body), "%d-%d", i, k);
            post_to(poster->client, &replies[k], url, body, LONG_NS, 0);
            if (k % 5 == 4)
                http_client_cancel(poster->client, replies[k].token);
        }
        for (int k = 0; k < 10; k++) {
            char body[32];
            (void)snprintf(body, sizeof(body), "%d-%d", i, k);
            if (await_reply(&replies[k])->outcome == HTTP_RESPONDED)
                assert_body(&replies[k].result, body);
            else
                assert_int_equal(k % 5, 4);
            reply_deinit(&replies[k]);
        }
    }
    return NULL;
}

static void serves_many_threads_at_once(void **state)
{
    (void)state;
    struct http_server *server = NULL;
    struct http_server_config config = {.on_request = on_echo};
    assert_int_equal(http_server_create(&config, &server, NULL), DR_OK);
    assert_int_equal(http_server_start(server, NULL), DR_OK);
    struct poster poster = {client_start(), http_server_port(server)};
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &poster), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    http_client_destroy(poster.client);
    http_server_destroy(server);
}

/* localhost has two addresses, of which only one is listened on; and sockets that never connect, many at once. */
static void survives_sockets_that_do_not_connect(void **state)
{
    (void)state;
    struct http_server *server = NULL;
    struct http_server_config config = {.on_request = on_echo};
    assert_int_equal(http_server_create(&config, &server, NULL), DR_OK);
    assert_int_equal(http_server_start(server, NULL), DR_OK);
    struct http_client *client = client_start();
    uint16_t refused_port;
    close(raw_listen(&refused_port));
    char localhost[URL_SIZE];
    (void)snprintf(localhost, sizeof(localhost), "http://localhost:%u/", http_server_port(server));
    for (int round = 0; round < 10; round++) {
        struct reply replies[30];
        for (int i = 0; i < 30; i++)
            post_to(client, &replies[i], i % 3 ? url_of(refused_port) : localhost, "ping", LONG_NS, 0);
        http_client_cancel(client, replies[round].token);
        for (int i = 0; i < 30; i++) {
            enum http_outcome outcome = await_reply(&replies[i])->outcome;
            if (outcome != HTTP_CANCELLED || i != round)
                assert_int_equal(outcome, i % 3 ? HTTP_CONNECT_FAILED : HTTP_RESPONDED);
            reply_deinit(&replies[i]);
        }
    }
    http_client_destroy(client);
    http_server_destroy(server);
}

/* Whichever allocation fails, the post has one result and the next one works. */
static void survives_allocation_faults(void **state)
{
    (void)state;
    struct http_server *server = NULL;
    struct http_server_config config = {.on_request = on_echo};
    assert_int_equal(http_server_create(&config, &server, NULL), DR_OK);
    assert_int_equal(http_server_start(server, NULL), DR_OK);
    char url[URL_SIZE];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", http_server_port(server));
    int is_hit = 1;
    for (unsigned long nth = 1; is_hit; nth++) {
        assert_true(nth < 1000);
        struct http_client *client = NULL;
        struct http_client_config client_config = {.user_agent = "test"};
        struct reply reply;
        reply_init(&reply);
        struct http_post post = {.url = url, .timeout_ns = LONG_NS, .on_done = on_done, .arg = &reply};
        mem_fault_set(nth);
        dr_code code = http_client_create(&client_config, &client, NULL);
        if (code == DR_OK && (code = http_client_post(client, &post, NULL)) == DR_OK)
            (void)await_reply(&reply);
        http_client_destroy(client);
        is_hit = mem_fault_hit();
        mem_fault_set(0);
        if (!is_hit)
            assert_int_equal(reply.result.outcome, HTTP_RESPONDED);
        reply_deinit(&reply);
    }
    http_server_destroy(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_exactly_the_headers_that_endpoints_understand),
        cmocka_unit_test(sends_an_empty_body_with_a_length),
        cmocka_unit_test(sends_large_bodies_without_asking_first),
        cmocka_unit_test(leaves_the_default_port_out_of_host),
        cmocka_unit_test(uses_a_connection_again),
        cmocka_unit_test(reads_all_framings_of_a_reply),
        cmocka_unit_test(reads_a_reply_split_at_every_byte),
        cmocka_unit_test(reports_statuses_and_does_not_follow_redirects),
        cmocka_unit_test(leaves_encoded_bodies_as_they_are),
        cmocka_unit_test(reads_retry_after_as_seconds_or_date),
        cmocka_unit_test(calls_what_is_not_http_broken),
        cmocka_unit_test(survives_a_reply_that_begins_with_a_continued_line),
        cmocka_unit_test(bounds_the_headers_of_a_reply),
        cmocka_unit_test(bounds_the_body_of_a_reply),
        cmocka_unit_test(tells_refused_from_unknown_names_and_bad_urls),
        cmocka_unit_test(calls_a_reset_before_the_reply_a_tcp_failure),
        cmocka_unit_test(fails_a_handshake_with_what_is_not_tls),
        cmocka_unit_test(times_out_on_silence_and_on_slow_bytes),
        cmocka_unit_test(counts_the_wait_for_a_connection_into_the_timeout),
        cmocka_unit_test(cancels_a_post_in_flight_once),
        cmocka_unit_test(refuses_more_posts_than_allowed),
        cmocka_unit_test(destroy_ends_every_post),
        cmocka_unit_test(serves_many_threads_at_once),
        cmocka_unit_test(survives_sockets_that_do_not_connect),
        cmocka_unit_test(survives_allocation_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
