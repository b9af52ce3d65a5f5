/* What a strange endpoint answers, to the client that sends Run requests: each post must end, with a response inside its
 * limits or a reason in one line. Client and listener stay between the inputs. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/mem.h"
#include "http/http_plain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RESPONSE_BYTES_MAX = 1000, PATIENCE_MS = 20000 };

static struct http_plain *client;
static int listener, done;
static char url[64];

static void stop_client(void)
{
    http_plain_destroy(client);
    close(listener);
    close(done);
}

static void start_client(void)
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
    CHECK(http_plain_create(&(struct http_client_config){0}, &client, NULL) == DR_OK);
    CHECK(atexit(stop_client) == 0);
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
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    (void)recv(fd, scrap, sizeof(scrap), 0);
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    (void)shutdown(fd, SHUT_WR);
    (void)recv(fd, scrap, sizeof(scrap), 0); /* until the client is done with it */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_at_close, sizeof(reset_at_close));
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const headers[] = {"Content-Type: application/proto"};
    if (!client)
        start_client();
    struct http_post post = {.url = url, .headers = headers, .n_headers = 1, .timeout_ns = INT64_C(30000000000),
                             .response_bytes_max = RESPONSE_BYTES_MAX, .on_done = on_done};
    CHECK(http_plain_post(client, &post, NULL) == DR_OK);
    for (;;) {
        struct pollfd sockets[] = {{.fd = listener, .events = POLLIN}, {.fd = done, .events = POLLIN}};
        CHECK(poll(sockets, 2, PATIENCE_MS) > 0);
        if (sockets[1].revents)
            break;
        answer(slice_of(data, size));
    }
    uint64_t one;
    CHECK(read(done, &one, sizeof(one)) == sizeof(one));
    return 0;
}
