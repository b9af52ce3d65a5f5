/* What a stranger sends over a connection, to a server that runs in this process: the connection must end, what comes
 * back must be HTTP, and the server must still answer the next one. The one server stays between the inputs. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_S = 20, BODY_BYTES_MAX = 1000, HEADER_BYTES_MAX = 2000 };

static struct http_server *server;

static void on_request(void *arg, struct http_exchange *exchange)
{
    (void)arg;
    char body[128];
    uint64_t length = 0;
    struct http_header header;
    size_t n_headers = 0;
    while (http_exchange_header_at(exchange, n_headers, &header)) {
        CHECK(strlen(header.name) + strlen(header.value) <= HEADER_BYTES_MAX);
        n_headers++;
    }
    CHECK(n_headers <= HTTP_HEADERS_MAX);
    CHECK(http_exchange_path(exchange)[0] != '\0');
    CHECK(http_exchange_body(exchange).len <= BODY_BYTES_MAX);
    if (http_exchange_content_length(exchange, &length))
        CHECK(length == http_exchange_body(exchange).len);
    (void)snprintf(body, sizeof(body), "%.10s %.50s %zu\n", http_exchange_method(exchange),
                   http_exchange_path(exchange), http_exchange_body(exchange).len);
    http_exchange_respond(exchange, &(struct http_response){.status = 200, .content_type = "text/plain",
                                                            .body = slice_text(body)});
}

static void stop_server(void) { http_server_destroy(server); }

static void start_server(void)
{
    struct http_server_config config = {.body_bytes_max = BODY_BYTES_MAX,
                                        .header_bytes_max = HEADER_BYTES_MAX,
                                        .on_request = on_request};
    CHECK(http_server_create(&config, &server, NULL) == DR_OK);
    CHECK(http_server_start(server, NULL) == DR_OK);
    CHECK(atexit(stop_server) == 0);
}

static int connect_to_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct linger reset_at_close = {.l_onoff = 1}; /* thousands of sockets in TIME_WAIT would use up the ports */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_at_close, sizeof(reset_at_close)) == 0);
    CHECK(TEMP_FAILURE_RETRY(connect(fd, (struct sockaddr *)&address, sizeof(address))) == 0);
    return fd;
}

/* Sends, says that there will be no more, and reads until the server closes. Returns how much came. */
static size_t talk(struct slice bytes, char *answer, size_t size)
{
    int fd = connect_to_server();
    size_t len = 0;
    while (bytes.len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(send(fd, bytes.data, bytes.len, MSG_NOSIGNAL));
        if (n <= 0)
            break;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    (void)shutdown(fd, SHUT_WR);
    for (;;) {
        char scrap[4096];
        ssize_t n = TEMP_FAILURE_RETRY(recv(fd, scrap, sizeof(scrap), 0));
        CHECK(n >= 0 || errno == ECONNRESET);
        if (n <= 0)
            break;
        size_t kept = len + (size_t)n < size ? (size_t)n : size - len;
        memcpy(answer + len, scrap, kept);
        len += kept;
    }
    close(fd);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char plain[] = "GET /plain HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    static unsigned n_inputs;
    char answer[64];
    if (!server)
        start_server();
    size_t len = talk(slice_of(data, size), answer, sizeof(answer));
    CHECK(len == 0 || (len >= 12 && memcmp(answer, "HTTP/1.", 7) == 0));
    if (n_inputs++ % 100 == 0) {
        len = talk(slice_of(plain, sizeof(plain) - 1), answer, sizeof(answer));
        CHECK(len >= 15 && memcmp(answer, "HTTP/1.1 200 OK", 15) == 0);
    }
    return 0;
}
