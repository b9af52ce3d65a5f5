#include "poster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESPONSE_BYTES_MAX 20000000

void poster_open(struct poster *poster, const char *url, const char *api_key)
{
    const char *colon = strrchr(url, ':');
    poster->fd = -1;
    poster->port = (uint16_t)strtoul(colon ? colon + 1 : "0", NULL, 10);
    poster->api_key = api_key;
    buf_init(&poster->response, RESPONSE_BYTES_MAX);
    buf_init(&poster->raw, RESPONSE_BYTES_MAX);
}

static void disconnect(struct poster *poster)
{
    if (poster->fd >= 0)
        close(poster->fd);
    poster->fd = -1;
}

void poster_close(struct poster *poster)
{
    disconnect(poster);
    buf_deinit(&poster->response);
    buf_deinit(&poster->raw);
}

static bool connect_now(struct poster *poster)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(poster->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poster->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (poster->fd < 0 || connect(poster->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        disconnect(poster);
        return false;
    }
    int yes = 1;
    (void)setsockopt(poster->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return true;
}

static bool send_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

static bool receive_more(struct poster *poster)
{
    struct buf *raw = &poster->raw;
    if (buf_reserve(raw, 65536))
        return false;
    ssize_t n;
    do
        n = recv(poster->fd, raw->data + raw->len, 65536, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    raw->len += (size_t)n;
    return true;
}

/* Value of Content-Length; -1 when there is none. */
static long content_length(const char *head)
{
    const char *line = strcasestr(head, "\r\ncontent-length:");
    return line ? strtol(line + strlen("\r\ncontent-length:"), NULL, 10) : -1;
}

static int receive_answer(struct poster *poster)
{
    const char *end;
    buf_clear(&poster->raw);
    while (!(end = memmem(poster->raw.data ? (void *)poster->raw.data : "", poster->raw.len, "\r\n\r\n", 4))) {
        if (!receive_more(poster))
            return 0;
    }
    size_t head_len = (size_t)(end - (const char *)poster->raw.data) + 4;
    char head[8192];
    snprintf(head, sizeof head, "%.*s", (int)head_len, (const char *)poster->raw.data);
    long length = content_length(head);
    if (length < 0)
        return 0;
    while (poster->raw.len < head_len + (size_t)length) {
        if (!receive_more(poster))
            return 0;
    }
    buf_clear(&poster->response);
    if (buf_append(&poster->response, slice_of(poster->raw.data + head_len, (size_t)length)))
        return 0;
    if (strcasestr(head, "\r\nconnection: close"))
        disconnect(poster);
    return (int)strtol(head + strcspn(head, " "), NULL, 10);
}

static int exchange(struct poster *poster, struct slice head, struct slice body)
{
    if (poster->fd < 0 && !connect_now(poster))
        return 0;
    int status = send_all(poster->fd, head) && send_all(poster->fd, body) ? receive_answer(poster) : 0;
    if (status == 0)
        disconnect(poster);
    return status;
}

int poster_post(struct poster *poster, const char *path, const char *content_type, struct slice body)
{
    char head[1024];
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       path, poster->api_key, content_type, body.len);
    return exchange(poster, slice_of(head, (size_t)len), body);
}

int poster_get(struct poster *poster, const char *path)
{
    char head[1024];
    int len = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", path,
                       poster->api_key);
    return exchange(poster, slice_of(head, (size_t)len), slice_of(NULL, 0));
}
