/* The HTTP client: POST requests to many hosts, on libcurl's multi interface and one thread. User: the HTTP transport
 * of Run requests, and the SDK's client. Connections are kept alive and reused; at rest the thread is blocked.
 *
 * Not done, on purpose: redirects are not followed (a 3xx is a response), no Accept-Encoding (Go endpoints would
 * compress), no Expect: 100-continue, no chunked requests (Python endpoints refuse them: protocol Q12). Replies in
 * HTTP/1.0 that end with the connection are read. Proxies: the environment (http_proxy, https_proxy, all_proxy,
 * no_proxy, read at create), but never for loopback. Only http and https.
 *
 * What frames a body (chunk sizes and extensions, trailers) may be as large as a body; without TLS and proxy that ends a
 * post, with them its timeout does.
 *
 * A kept-alive connection that the peer closes before the first byte of a reply leaves it unknown whether the request
 * was read: it is then sent once more on a fresh connection, within the same post, unless that says `is_sent_once`.
 *
 * Threads: post and cancel from any thread, never blocking. Callbacks come from the client's thread, one at a time,
 * never from inside post or cancel; they must not block, and may post and cancel. */
#ifndef HTTP_HTTP_CLIENT_H
#define HTTP_HTTP_CLIENT_H

#include "base/room.h"
#include "base/slice.h"
#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CLIENT_RESPONSE_HEADER_BYTES_MAX (64 * 1024)
#define HTTP_CLIENT_URL_BYTES_MAX 8192
#define HTTP_CLIENT_CONTENT_TYPE_SIZE 128
#define HTTP_CLIENT_MESSAGE_SIZE 256
/* A Retry-After is not believed beyond this. */
#define HTTP_CLIENT_RETRY_AFTER_MAX_NS (INT64_C(86400) * 1000000000)

#define HTTP_NO_ROOM_TEXT "there is no room for a response of this size now"

struct http_client;

/* Zero members mean the default in brackets. */
struct http_client_config {
    uint32_t posts_max;          /* unfinished posts; more are refused [4,096] */
    uint32_t connections_max;    /* open at once; further posts wait while their time runs [posts_max] */
    uint32_t connections_per_host_max; /* [connections_max] */
    int64_t resolved_ns;         /* an answer of the resolver is believed so long; http_plain.h only [60 s] */
    int64_t connect_timeout_ns;  /* part of a post's own timeout [10 s] */
    const char *user_agent;      /* borrowed during create [none is sent] */
    const char *ca_file;         /* PEM; borrowed during create [the system's] */
};

enum http_outcome {
    HTTP_RESPONDED,     /* there is a whole response, whatever its status */
    HTTP_BAD_REQUEST,   /* the URL is malformed or not http(s), nothing was sent */
    HTTP_DNS_FAILED,    /* the name of host or proxy does not resolve */
    HTTP_CONNECT_FAILED,/* refused, unreachable, reset: TCP */
    HTTP_TLS_FAILED,    /* handshake or certificate */
    HTTP_TIMED_OUT,     /* connecting included */
    HTTP_BROKEN,        /* not HTTP, headers too large, or the connection ended inside the response */
    HTTP_TOO_LARGE,     /* body above response_bytes_max */
    HTTP_NO_ROOM,       /* the post's `hold` could not cover the body */
    HTTP_CANCELLED,     /* http_client_cancel, or the client is being destroyed */
    HTTP_NO_MEMORY,
    HTTP_FAILED,        /* anything else */
};

/* Borrowed until the callback returns, but for `body`. */
struct http_result {
    enum http_outcome outcome;
    int status;                 /* 0 unless HTTP_RESPONDED, HTTP_TOO_LARGE, or a part of a response arrived */
    char content_type[HTTP_CLIENT_CONTENT_TYPE_SIZE]; /* as sent, cut when longer; "" when absent */
    int64_t retry_after_ns;     /* from now, of a Retry-After header (seconds or HTTP date); 0 = none, past, odd */
    uint8_t *body;              /* NULL when empty or not HTTP_RESPONDED; the callback may take it (mem_free) by
                                 * setting it to NULL, otherwise it is freed */
    size_t len;
    struct room_hold hold;      /* what the body takes; whoever takes the body takes this too (room_move) */
    char message[HTTP_CLIENT_MESSAGE_SIZE]; /* one line that says what failed; "" with HTTP_RESPONDED */
};

typedef void http_done_fn(void *arg, struct http_result *result);

struct http_post {
    const char *url;            /* copied; at most HTTP_CLIENT_URL_BYTES_MAX */
    const char *const *headers; /* whole lines "Name: value" without CR LF; copied */
    size_t n_headers;
    uint8_t *body;              /* taken (mem_free), also when the post is refused; NULL when len is 0 */
    size_t len;
    int64_t timeout_ns;         /* for everything, from now; must be > 0 */
    size_t response_bytes_max;  /* body; 0 = HTTP_CLIENT_RESPONSE_BYTES_MAX */
    struct room_hold hold;      /* of nothing: where the body's room comes from, if it has more than
                                 * HTTP_CLIENT_BODY_FREE_BYTES; zeroed = from nowhere */
    bool is_sent_once;          /* HTTP_BROKEN instead; must have a body. http_plain.h knows nothing of it */
    http_done_fn *on_done;      /* exactly once if the post was accepted */
    void *arg;
};

#define HTTP_CLIENT_RESPONSE_BYTES_MAX 16000000
#define HTTP_CLIENT_BODY_FREE_BYTES 65536 /* a smaller body takes no room */

/* Starts the thread. DR_NO_MEMORY, DR_UNAVAILABLE. */
dr_code http_client_create(const struct http_client_config *config, struct http_client **ret_client,
                           struct dr_error *error);
/* Ends every post with HTTP_CANCELLED (callbacks run before it returns), then the thread. Not from a callback. No
 * other thread may use the client any more. Accepts NULL. */
void http_client_destroy(struct http_client *client);

/* Sends. *ret_token (may be NULL) names the post for http_client_cancel; never 0. On failure on_done is not called:
 * DR_RESOURCE_EXHAUSTED (posts_max, the URL is too long, the client is being destroyed), DR_NO_MEMORY. */
dr_code http_client_post(struct http_client *client, const struct http_post *post, uint64_t *ret_token);
/* Its result is HTTP_CANCELLED, soon, unless it has one already. An old or unknown token is harmless. */
void http_client_cancel(struct http_client *client, uint64_t token);

/* "tls_failed" and so on, for logs and tests. Static. */
const char *http_outcome_name(enum http_outcome outcome);

#endif
