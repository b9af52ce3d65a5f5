/* For the tests of this folder: a server to talk to, and raw sockets on loopback to talk with. Reads give up after
 * PATIENCE_S seconds, which fails the test; nothing sleeps. */
#ifndef HTTP_TESTING_H
#define HTTP_TESTING_H

#include "base/testing.h"

#include "base/clock.h"
#include "http/http_server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20

static inline void socket_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    int is_on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &is_on, sizeof(is_on));
}

static inline int raw_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    socket_patience(fd);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* A listening socket; *ret_port gets its port. */
static inline int raw_listen(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    socket_patience(fd);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 64), 0);
    socklen_t len = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* False when the peer does not want more. */
static inline int raw_try_send(int fd, const void *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, (const char *)data + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return 0;
        sent += (size_t)n;
    }
    return 1;
}

static inline void raw_send(int fd, const char *text)
{
    assert_true(raw_try_send(fd, text, strlen(text)));
}

/* Reads until `end` has been seen `times` times; the text read so far, static. Fails at end of file. */
static inline const char *raw_read_until(int fd, const char *end, int times)
{
    static char text[1 << 20];
    size_t len = 0;
    text[0] = '\0';
    for (;;) {
        int seen = 0;
        for (const char *at = text; (at = strstr(at, end)); at += strlen(end))
            seen++;
        if (seen >= times)
            return text;
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n <= 0)
            fail_msg("connection ended (%zd, %s) after: %s", n, strerror(errno), text);
        len += (size_t)n;
        text[len] = '\0';
    }
}

/* Reads to the end of the connection, which must be an orderly one; static. */
static inline const char *raw_read_all(int fd)
{
    static char text[1 << 20];
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n < 0)
            fail_msg("reading: %s", strerror(errno));
        if (n == 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

/* A whole request on a connection of its own; what came back until the server closed. */
static inline const char *raw_ask(uint16_t port, const char *request)
{
    int fd = raw_connect(port);
    raw_send(fd, request);
    const char *text = raw_read_all(fd);
    close(fd);
    return text;
}

#define assert_has(text, part)                                                                                         \
    do {                                                                                                               \
        const char *has_text = (text);                                                                                 \
        if (!strstr(has_text, (part)))                                                                                 \
            fail_msg("no '%s' in: %.2000s", (part), has_text);                                                         \
    } while (0)
#define assert_has_not(text, part)                                                                                     \
    do {                                                                                                               \
        const char *has_text = (text);                                                                                 \
        if (strstr(has_text, (part)))                                                                                  \
            fail_msg("'%s' in: %.2000s", (part), has_text);                                                            \
    } while (0)

#endif
