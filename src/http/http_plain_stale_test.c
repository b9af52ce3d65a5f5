/* A resolver that hangs, as it does for a name whose servers do not answer: hosts that were resolved before are served. */
#include "http/testing.h"

#include "http/http_plain.h"
#include <netdb.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool is_hanging;
static int n_lookups;

/* libuv's, in place of the system's. Every name is 127.0.0.1. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret_info)
{
    (void)name;
    (void)hints;
    pthread_mutex_lock(&lock);
    n_lookups++;
    pthread_cond_broadcast(&moved);
    while (is_hanging)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    struct both {
        struct addrinfo info;
        struct sockaddr_in address;
    } *both = mem_must_zalloc(sizeof *both);
    both->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(service, NULL, 10)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    both->info = (struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof both->address,
                                   .ai_addr = (struct sockaddr *)&both->address};
    *ret_info = &both->info;
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *info) { mem_free(info); }

static void set_hanging(bool hangs)
{
    pthread_mutex_lock(&lock);
    is_hanging = hangs;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

struct answer {
    bool is_done;
    enum http_outcome outcome;
};

static void on_done(void *arg, struct http_result *result)
{
    struct answer *answer = arg;
    pthread_mutex_lock(&lock);
    answer->outcome = result->outcome;
    answer->is_done = true;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static void post(struct http_plain *plain, struct answer *answer, const char *host, uint16_t port)
{
    char url[64];
    snprintf(url, sizeof url, "http://%s:%u/", host, port);
    uint64_t token;
    struct http_post wanted = {.url = url, .timeout_ns = PATIENCE_S * NS_PER_S, .on_done = on_done, .arg = answer};
    *answer = (struct answer){0};
    assert_int_equal(http_plain_post(plain, &wanted, &token), DR_OK);
}

/* The answer closes the connection, so that the next post needs a new one. */
static enum http_outcome serve(int listener, struct answer *answer)
{
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    socket_patience(fd);
    (void)raw_read_until(fd, "\r\n\r\n", 1);
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    pthread_mutex_lock(&lock);
    while (!answer->is_done)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    close(fd);
    return answer->outcome;
}

static void a_known_host_is_served_while_the_resolver_hangs(void **state)
{
    (void)state;
    uint16_t port;
    int listener = raw_listen(&port);
    struct http_plain *plain = NULL;
    struct http_client_config config = {.resolved_ns = 1};
    struct answer known, unknown;
    assert_int_equal(http_plain_create(&config, &plain, NULL), DR_OK);
    post(plain, &known, "known.test", port);
    assert_int_equal(serve(listener, &known), HTTP_RESPONDED);
    set_hanging(true);
    post(plain, &unknown, "unknown.test", port);
    for (int i = 0; i < 3; i++) {
        post(plain, &known, "known.test", port);
        assert_int_equal(serve(listener, &known), HTTP_RESPONDED);
    }
    pthread_mutex_lock(&lock);
    assert_false(unknown.is_done);
    assert_true(n_lookups >= 2);
    pthread_mutex_unlock(&lock);
    set_hanging(false);
    assert_int_equal(serve(listener, &unknown), HTTP_RESPONDED);
    close(listener);
    http_plain_destroy(plain);
    assert_true(n_lookups >= 3); /* the known one was looked up again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_known_host_is_served_while_the_resolver_hangs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
