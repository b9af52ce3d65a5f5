/* Endpoints that send much and never finish: what they hold is bounded, and others have their part. */
#include "base/testing.h"

#include "base/clock.h"
#include "http/http_client.h"
#include "http/testing.h"
#include "server/transport_http.h"

#define ROOM_BYTES 1250000u
#define BIG_BYTES 450000u   /* held in a buffer of 512 KiB: two have no room */
#define OTHER_BYTES 100000u

/* A run, and the socket on which its endpoint answers. */
struct held {
    struct transport_run run;
    char endpoint[64];
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_done;
    struct transport_result result;
};

static void on_done(void *arg, struct transport_run *run, struct transport_result *result)
{
    struct held *held = arg;
    (void)run;
    pthread_mutex_lock(&held->lock);
    held->result = *result;
    result->body = NULL;
    held->is_done = true;
    pthread_cond_signal(&held->came);
    pthread_mutex_unlock(&held->lock);
}

static dr_status await_result(struct held *held)
{
    pthread_mutex_lock(&held->lock);
    while (!held->is_done)
        pthread_cond_wait(&held->came, &held->lock);
    pthread_mutex_unlock(&held->lock);
    close(held->fd);
    return held->result.status;
}

static void forget(struct held *held)
{
    mem_free(held->result.body);
    room_give(&held->result.hold);
}

/* Reads what was posted; the answer is announced with BIG_BYTES. */
static void begin(struct held *held, struct transport *transport, const char *before, const char *host)
{
    uint16_t port;
    int listener = raw_listen(&port);
    *held = (struct held){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    snprintf(held->endpoint, sizeof held->endpoint, "http://%s%s:%u", before, host, port);
    held->run = (struct transport_run){.attempt = 1, .endpoint = slice_text(held->endpoint),
                                       .timeout_ns = 60 * NS_PER_S, .on_done = on_done, .arg = held};
    uint8_t *request = mem_must_alloc(4);
    memcpy(request, "\x0a\x02go", 4);
    transport_start(transport, &held->run, request, 4);
    held->fd = accept(listener, NULL, NULL);
    assert_true(held->fd >= 0);
    socket_patience(held->fd);
    close(listener);
    (void)raw_read_until(held->fd, "go", 1);
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: %u\r\n\r\n",
             BIG_BYTES);
    raw_send(held->fd, head);
}

static void send_bytes(struct held *held, size_t n)
{
    static const char zeros[BIG_BYTES];
    (void)raw_try_send(held->fd, zeros, n); /* refused in the middle, perhaps */
}

/* Two connections in one process cannot tell which bytes the client has read: so the first is whole and not given back. */
static void check_room(const char *before)
{
    struct transport *transport = NULL;
    struct transport_http_config config = {.reply_bytes_max = ROOM_BYTES};
    struct held first, second, third, fourth;
    assert_int_equal(transport_http_create(&config, &transport, NULL), DR_OK);
    begin(&first, transport, before, "127.0.0.1");
    send_bytes(&first, BIG_BYTES);
    assert_int_equal(await_result(&first), DR_STATUS_OK);
    assert_true(first.result.hold.n_bytes >= BIG_BYTES);

    /* every port is a host of its own: it has its part, but not as much */
    begin(&second, transport, before, "127.0.0.1");
    send_bytes(&second, BIG_BYTES);
    assert_int_equal(await_result(&second), DR_STATUS_THROTTLED);
    assert_non_null(strstr(second.result.message, "no room"));
    assert_int_equal(second.result.hold.n_bytes, 0);

    begin(&third, transport, before, "127.0.0.1");
    send_bytes(&third, OTHER_BYTES); /* never whole */
    forget(&first);
    begin(&fourth, transport, before, "127.0.0.1");
    send_bytes(&fourth, OTHER_BYTES);
    send_bytes(&fourth, BIG_BYTES - OTHER_BYTES);
    assert_int_equal(await_result(&fourth), DR_STATUS_OK); /* what was given back is there again */
    transport_abort(transport, &third.run);
    assert_int_equal(await_result(&third), DR_STATUS_TIMEOUT);
    forget(&fourth);
    transport_destroy(transport); /* checks that all was given back */
}

static void a_reply_without_room_is_throttled(void **state)
{
    (void)state;
    check_room("");
}

/* User information in the URL is for libcurl. */
static void a_reply_without_room_is_throttled_by_libcurl_too(void **state)
{
    (void)state;
    check_room("user:password@");
}

static void small_replies_take_no_room(void **state)
{
    (void)state;
    static const char *const before[] = {"", "user:password@"};
    struct transport *transport = NULL;
    struct transport_http_config config = {.reply_bytes_max = 1};
    assert_int_equal(transport_http_create(&config, &transport, NULL), DR_OK);
    for (size_t i = 0; i < 2; i++) {
        struct held held;
        begin(&held, transport, before[i], "127.0.0.1");
        send_bytes(&held, 1000);
        send_bytes(&held, HTTP_CLIENT_BODY_FREE_BYTES - 1000);
        close(held.fd); /* too short: but not for lack of room */
        held.fd = -1;
        assert_int_equal(await_result(&held), DR_STATUS_HTTP_ERROR);
        forget(&held);
    }
    transport_destroy(transport);
}

static void requests_without_room_are_throttled(void **state)
{
    (void)state;
    enum { BYTES = TRANSPORT_REQUEST_FREE_BYTES + 1 };
    struct transport *transport = NULL;
    struct transport_http_config config = {.request_bytes_max = 3 * BYTES};
    struct held runs[2];
    assert_int_equal(transport_http_create(&config, &transport, NULL), DR_OK);
    uint16_t port;
    int listener = raw_listen(&port); /* nobody reads */
    for (size_t i = 0; i < 2; i++) {
        struct held *held = &runs[i];
        *held = (struct held){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER, .fd = -1};
        snprintf(held->endpoint, sizeof held->endpoint, "http://127.0.0.1:%u", port);
        held->run = (struct transport_run){.attempt = 1, .endpoint = slice_text(held->endpoint),
                                           .timeout_ns = 60 * NS_PER_S, .on_done = on_done, .arg = held};
        transport_start(transport, &held->run, mem_must_zalloc(BYTES), BYTES);
    }
    assert_int_equal(await_result(&runs[1]), DR_STATUS_THROTTLED);
    transport_abort(transport, &runs[0].run);
    assert_int_equal(await_result(&runs[0]), DR_STATUS_TIMEOUT);
    close(listener);
    transport_destroy(transport);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_without_room_is_throttled),
        cmocka_unit_test(a_reply_without_room_is_throttled_by_libcurl_too),
        cmocka_unit_test(small_replies_take_no_room),
        cmocka_unit_test(requests_without_room_are_throttled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
