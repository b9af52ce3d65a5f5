#include "fuzz/http_reply.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RESPONSE_BYTES_MAX = 1000, PATIENCE_MS = 20000 };

static void (*destroy_client)(void);
static int listener, done;
static char url[64];

static void stop(void)
{
    destroy_client();
    close(listener);
    close(done);
}

static void start(const struct http_reply_client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    done = eventfd(0, 0);
    CHECK(listener >= 0 && done >= 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(listener, 16) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/run", ntohs(address.sin_port));
    client->create(&(struct http_client_config){0});
    destroy_client = client->destroy;
    CHECK(atexit(stop) == 0);
}

static void on_done(void *arg, struct http_result *result)
{
    (void)arg;
    bool has_response = result->outcome == HTTP_RESPONDED;
    CHECK(result->outcome != HTTP_TIMED_OUT && result->outcome != HTTP_CANCELLED);
    CHECK(has_response == (result->message[0] == '\0'));
    CHECK(!strchr(result->message, '\n'));
    CHECK(!has_response || (result->status >= 100 && result->status <= 999));
    CHECK(has_response || !result->body);
    CHECK(result->len <= RESPONSE_BYTES_MAX);
    CHECK(result->retry_after_ns >= 0 && result->retry_after_ns <= HTTP_CLIENT_RETRY_AFTER_MAX_NS);
    uint64_t one = 1;
    CHECK(write(done, &one, sizeof(one)) == sizeof(one));
}

/* Reads the request, sends the bytes, closes. */
static void answer(struct slice bytes)
{
    struct linger reset_at_close = {.l_onoff = 1}; /* thousands of sockets in TIME_WAIT would use up the ports */
    char scrap[4096];
    int fd = TEMP_FAILURE_RETRY(accept(listener, NULL, NULL));
    CHECK(fd >= 0);
    (void)TEMP_FAILURE_RETRY(recv(fd, scrap, sizeof(scrap), 0));
    while (bytes.len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(send(fd, bytes.data, bytes.len, MSG_NOSIGNAL));
        if (n <= 0)
            break;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    (void)shutdown(fd, SHUT_WR);
    /* until the client is done with it; one that keeps connections may not look at it again */
    struct pollfd ends[] = {{.fd = fd, .events = POLLIN}, {.fd = done, .events = POLLIN}};
    CHECK(TEMP_FAILURE_RETRY(poll(ends, 2, PATIENCE_MS)) > 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_at_close, sizeof(reset_at_close));
    close(fd);
}

void http_reply_feed(const struct http_reply_client *client, struct slice reply)
{
    static const char *const headers[] = {"Content-Type: application/proto"};
    if (!destroy_client)
        start(client);
    struct http_post post = {.url = url, .headers = headers, .n_headers = 1, .timeout_ns = INT64_C(30000000000),
                             .response_bytes_max = RESPONSE_BYTES_MAX, .on_done = on_done};
    client->post(&post);
    for (;;) {
        struct pollfd sockets[] = {{.fd = listener, .events = POLLIN}, {.fd = done, .events = POLLIN}};
        CHECK(TEMP_FAILURE_RETRY(poll(sockets, 2, PATIENCE_MS)) > 0);
        if (sockets[1].revents)
            break;
        answer(reply);
    }
    uint64_t one;
    CHECK(TEMP_FAILURE_RETRY(read(done, &one, sizeof(one))) == sizeof(one));
}
