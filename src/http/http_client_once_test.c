/* What the client does with a request whose kept-alive connection ends before the first byte of a reply. */
#include "http/testing.h"

#include "base/mem.h"
#include "http/http_client.h"
#include <poll.h>

#define TIMEOUT_NS (INT64_C(60) * 1000000000)
#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct reply {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
    enum http_outcome outcome;
    char message[HTTP_CLIENT_MESSAGE_SIZE];
};

struct world {
    struct http_client *client;
    int listener, connection;
    char url[64];
};

static void on_done(void *arg, struct http_result *result)
{
    struct reply *reply = arg;
    pthread_mutex_lock(&reply->lock);
    reply->outcome = result->outcome;
    memcpy(reply->message, result->message, sizeof reply->message);
    reply->is_done = true;
    pthread_cond_signal(&reply->changed);
    pthread_mutex_unlock(&reply->lock);
}

static void post(struct world *world, struct reply *reply, bool is_sent_once)
{
    *reply = (struct reply){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct http_post post = {.url = world->url, .len = 4, .timeout_ns = TIMEOUT_NS, .is_sent_once = is_sent_once,
                             .on_done = on_done, .arg = reply};
    post.body = (uint8_t *)mem_strndup("ping", 4);
    assert_int_equal(http_client_post(world->client, &post, NULL), DR_OK);
}

static void await_reply(struct reply *reply)
{
    pthread_mutex_lock(&reply->lock);
    while (!reply->is_done)
        pthread_cond_wait(&reply->changed, &reply->lock);
    pthread_mutex_unlock(&reply->lock);
}

static void take_request(struct world *world)
{
    assert_has(raw_read_until(world->connection, "ping", 1), "Content-Length: 4\r\n");
}

/* One post is answered; its connection is kept. */
static void open_world(struct world *world, bool is_sent_once)
{
    uint16_t port;
    struct reply reply;
    assert_int_equal(http_client_create(&(struct http_client_config){0}, &world->client, NULL), DR_OK);
    world->listener = raw_listen(&port);
    (void)snprintf(world->url, sizeof world->url, "http://127.0.0.1:%u/", port);
    post(world, &reply, is_sent_once);
    world->connection = accept(world->listener, NULL, NULL);
    take_request(world);
    raw_send(world->connection, OK_REPLY);
    await_reply(&reply);
    assert_int_equal(reply.outcome, HTTP_RESPONDED);
}

static void close_world(struct world *world)
{
    http_client_destroy(world->client);
    close(world->connection);
    close(world->listener);
}

static void sends_again_what_may_be_sent_again(void **state)
{
    (void)state;
    struct world world;
    struct reply reply;
    open_world(&world, false);
    post(&world, &reply, false);
    take_request(&world);
    close(world.connection);
    world.connection = accept(world.listener, NULL, NULL);
    take_request(&world);
    raw_send(world.connection, OK_REPLY);
    await_reply(&reply);
    assert_int_equal(reply.outcome, HTTP_RESPONDED);
    close_world(&world);
}

static void never_sends_again_what_is_sent_once(void **state)
{
    (void)state;
    struct world world;
    struct reply reply;
    open_world(&world, true);
    post(&world, &reply, true);
    take_request(&world);
    close(world.connection);
    await_reply(&reply);
    assert_int_equal(reply.outcome, HTTP_BROKEN);
    assert_string_equal(reply.message, "the connection ended before the response");
    /* the client may have opened another connection; nothing comes on it */
    struct pollfd waiting = {.fd = world.listener, .events = POLLIN};
    world.connection = poll(&waiting, 1, 0) == 1 ? accept(world.listener, NULL, NULL) : -1;
    http_client_destroy(world.client);
    world.client = NULL;
    char byte;
    assert_true(world.connection < 0 || recv(world.connection, &byte, 1, 0) <= 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_again_what_may_be_sent_again),
        cmocka_unit_test(never_sends_again_what_is_sent_once),
    };
    return cmocka_run_group_tests_name("http_client sends once", tests, NULL, NULL);
}
