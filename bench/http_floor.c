/* What an HTTP exchange costs, apart from what it is for: CPU time of our server and of our client, each against a bare
 * counterpart on loopback (fixed bytes, epoll, no parsing), and of two bare ones as the floor.
 *
 *     http_floor [EXCHANGES]
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/http_client.h"
#include "http/http_server.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXCHANGES_DEFAULT 200000
#define N_SERVER_CONNECTIONS 8
#define N_IN_FLIGHT 64
#define BODY_SIZE 160
#define EVENTS_MAX 128
#define BYTES_MAX 4096

static const char reply_bytes[] = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                  "Content-Type: application/proto\r\nContent-Length: 60\r\n\r\n"
                                  "012345678901234567890123456789012345678901234567890123456789";

static double cpu_us(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- bare counterparts ---- */

struct bare_server {
    int listener, wake, epoll;
    uint16_t port;
    size_t request_size;
    double cpu_us;
    pthread_t thread;
};

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Answers whenever a request's worth of bytes is there; the requests of this program fit into one read. */
static void *bare_serve(void *arg)
{
    struct bare_server *server = arg;
    double start_us = cpu_us(RUSAGE_THREAD);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(server->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            char bytes[BYTES_MAX];
            if (fd == server->wake) {
                server->cpu_us = cpu_us(RUSAGE_THREAD) - start_us;
                return NULL;
            }
            if (fd == server->listener) {
                int accepted = accept(fd, NULL, NULL), is_on = 1;
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &is_on, sizeof(is_on));
                watch(server->epoll, accepted);
            } else if (recv(fd, bytes, sizeof(bytes), 0) <= 0) {
                close(fd);
            } else {
                (void)!send(fd, reply_bytes, sizeof(reply_bytes) - 1, MSG_NOSIGNAL);
            }
        }
    }
}

static void bare_start(struct bare_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(server->listener, (struct sockaddr *)&address, len) == 0 && listen(server->listener, 128) == 0);
    CHECK(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    server->epoll = epoll_create1(0);
    server->wake = eventfd(0, 0);
    watch(server->epoll, server->listener);
    watch(server->epoll, server->wake);
    CHECK(pthread_create(&server->thread, NULL, bare_serve, server) == 0);
}

static void bare_stop(struct bare_server *server)
{
    uint64_t one = 1;
    CHECK(write(server->wake, &one, sizeof(one)) == sizeof(one));
    pthread_join(server->thread, NULL);
    close(server->listener);
    close(server->epoll);
    close(server->wake);
}

/* n_connections connections, each with one request in flight. */
static void bare_ask(uint16_t port, int n_connections, unsigned long n_exchanges)
{
    char request[BYTES_MAX], bytes[BYTES_MAX];
    int len = snprintf(request, sizeof(request),
                       "POST /dispatch.sdk.v1.FunctionService/Run HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                       "Content-Type: application/proto\r\nContent-Length: %d\r\n\r\n%0*d",
                       port, BODY_SIZE, BODY_SIZE, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int epoll = epoll_create1(0);
    int fds[N_IN_FLIGHT];
    unsigned long n_sent = 0, n_done = 0;
    for (int i = 0; i < n_connections; i++, n_sent++) {
        int is_on = 1;
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(fds[i], (struct sockaddr *)&address, sizeof(address)) == 0);
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &is_on, sizeof(is_on));
        watch(epoll, fds[i]);
        CHECK(send(fds[i], request, (size_t)len, 0) == len);
    }
    while (n_done < n_exchanges) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            CHECK(recv(events[i].data.fd, bytes, sizeof(bytes), 0) > 0);
            n_done++;
            if (n_sent++ < n_exchanges)
                CHECK(send(events[i].data.fd, request, (size_t)len, 0) == len);
        }
    }
    for (int i = 0; i < n_connections; i++)
        close(fds[i]);
    close(epoll);
}

/* ---- ours ---- */

static void on_request(void *arg, struct http_exchange *exchange)
{
    (void)arg;
    struct slice body = http_exchange_body(exchange);
    if (strcmp(http_exchange_path(exchange), "/none") != 0 && http_exchange_header(exchange, "Content-Type"))
        body.len = 60;
    http_exchange_respond(
        exchange, &(struct http_response){.status = 200, .content_type = "application/proto", .body = body});
}

struct asking {
    struct http_client *client;
    char url[128];
    unsigned long n_left, n_open; /* the client's thread alone changes them */
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
};

static void on_done(void *arg, struct http_result *result);

static void ask(struct asking *asking)
{
    static const char *const headers[] = {"Content-Type: application/proto"};
    struct http_post post = {.url = asking->url,
                             .headers = headers,
                             .n_headers = 1,
                             .body = mem_zalloc(BODY_SIZE),
                             .len = BODY_SIZE,
                             .timeout_ns = 600 * NS_PER_S,
                             .on_done = on_done,
                             .arg = asking};
    CHECK(http_client_post(asking->client, &post, NULL) == DR_OK);
}

static void on_done(void *arg, struct http_result *result)
{
    struct asking *asking = arg;
    CHECK(result->outcome == HTTP_RESPONDED && result->len == 60);
    if (asking->n_left > 0) {
        asking->n_left--;
        ask(asking);
    } else if (--asking->n_open == 0) {
        pthread_mutex_lock(&asking->lock);
        asking->is_over = true;
        pthread_cond_signal(&asking->over);
        pthread_mutex_unlock(&asking->lock);
    }
}

/* ---- the three runs ---- */

static void report(const char *what, unsigned long n, double us, int64_t start_ns)
{
    double seconds = (double)(clock_monotonic_ns() - start_ns) / (double)NS_PER_S;
    printf("%-44s %6.2f us CPU per exchange, %8.0f exchanges/s\n", what, us / (double)n, (double)n / seconds);
}

static void run_bare(unsigned long n)
{
    struct bare_server server = {0};
    bare_start(&server);
    int64_t start_ns = clock_monotonic_ns();
    double start_us = cpu_us(RUSAGE_THREAD);
    bare_ask(server.port, N_IN_FLIGHT, n);
    double client_us = cpu_us(RUSAGE_THREAD) - start_us;
    bare_stop(&server);
    report("bare server (floor)", n, server.cpu_us, start_ns);
    report("bare client, 64 connections (floor)", n, client_us, start_ns);
}

static void run_server(unsigned long n)
{
    struct http_server *server = NULL;
    struct http_server_config config = {.on_request = on_request};
    CHECK(http_server_create(&config, &server, NULL) == DR_OK && http_server_start(server, NULL) == DR_OK);
    int64_t start_ns = clock_monotonic_ns();
    double all_us = cpu_us(RUSAGE_SELF), mine_us = cpu_us(RUSAGE_THREAD);
    bare_ask(http_server_port(server), N_SERVER_CONNECTIONS, n);
    mine_us = cpu_us(RUSAGE_THREAD) - mine_us;
    all_us = cpu_us(RUSAGE_SELF) - all_us;
    report("HTTP server, 8 connections", n, all_us - mine_us, start_ns);
    http_server_destroy(server);
}

static void run_client(unsigned long n)
{
    struct bare_server server = {0};
    bare_start(&server);
    struct asking asking = {.n_left = n - N_IN_FLIGHT, .n_open = N_IN_FLIGHT};
    pthread_mutex_init(&asking.lock, NULL);
    pthread_cond_init(&asking.over, NULL);
    (void)snprintf(asking.url, sizeof(asking.url), "http://127.0.0.1:%u/dispatch.sdk.v1.FunctionService/Run",
                   server.port);
    struct http_client_config config = {0};
    CHECK(http_client_create(&config, &asking.client, NULL) == DR_OK);
    int64_t start_ns = clock_monotonic_ns();
    double all_us = cpu_us(RUSAGE_SELF);
    for (int i = 0; i < N_IN_FLIGHT; i++)
        ask(&asking);
    pthread_mutex_lock(&asking.lock);
    while (!asking.is_over)
        pthread_cond_wait(&asking.over, &asking.lock);
    pthread_mutex_unlock(&asking.lock);
    http_client_destroy(asking.client);
    bare_stop(&server);
    all_us = cpu_us(RUSAGE_SELF) - all_us;
    report("HTTP client, 64 in flight", n, all_us - server.cpu_us, start_ns);
    pthread_mutex_destroy(&asking.lock);
    pthread_cond_destroy(&asking.over);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : EXCHANGES_DEFAULT;
    if (n <= N_IN_FLIGHT) {
        (void)fprintf(stderr, "usage: http_floor [EXCHANGES]\n");
        return 2;
    }
    run_bare((unsigned long)n);
    run_server((unsigned long)n);
    run_client((unsigned long)n);
    return 0;
}
