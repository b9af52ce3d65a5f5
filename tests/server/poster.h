/* A blocking HTTP/1.1 client for one connection at a time: POST and read the answer. For tests and benchmarks, which
 * want to know exactly what is sent when; it reads only answers with a Content-Length. Not thread-safe. */
#ifndef TESTS_SERVER_POSTER_H
#define TESTS_SERVER_POSTER_H

#include "base/buf.h"
#include <stdint.h>

struct poster {
    int fd;          /* -1 = not connected; the next post connects */
    uint16_t port;
    const char *api_key;
    struct buf response; /* body of the last answer */
    struct buf raw;
};

/* `url` is http://ADDRESS:PORT on loopback; api_key is borrowed. */
void poster_open(struct poster *poster, const char *url, const char *api_key);
void poster_close(struct poster *poster);
/* HTTP status, its body in poster->response; 0 when the connection broke (then nobody knows what the server did). */
int poster_post(struct poster *poster, const char *path, const char *content_type, struct slice body);
/* The same without a body. */
int poster_get(struct poster *poster, const char *path);

#endif
