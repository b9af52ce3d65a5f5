/* The HTTP server: HTTP/1.1 and 1.0 on one port, many connections, one loop thread. Users: the server's API, the SDK's
 * endpoint, the bridge. It knows nothing of what the requests mean.
 *
 * Life: create (binds, so the port is known) -> start (the loop thread runs) -> stop -> destroy.
 *
 * Exchange: a request and its response. It is given to on_request once the whole request has arrived, and from then on
 * belongs to the receiver, who answers it *exactly once* with http_exchange_respond, from any thread, at any time, also
 * when the peer has left or the server has been stopped. Until then everything read from the exchange stays valid;
 * afterwards the pointer is dead. One connection has at most one exchange at a time: pipelined requests wait, so
 * answers are in order.
 *
 * Answered by the server itself, with a Connect error as JSON and without on_request: malformed HTTP (400), headers or
 * body over the limit (431, 413), too slow (408), too many exchanges or too many bytes at once (429), an Expect it does
 * not know (417). Each of these is counted and told to on_refused.
 *
 * Threads: on_headers, on_request, on_abort run on the loop thread and must not block. Everything else says so. */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include "base/slice.h"
#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_BYTES_MAX 16000000       /* protocol 3.4 */
#define HTTP_HEADER_BYTES_MAX (64 * 1024)  /* request line and headers together */
#define HTTP_HEADERS_MAX 256               /* header lines of one message */
#define HTTP_RESPONSE_HEADERS_MAX 16

struct http_server;
struct http_exchange;

/* What the server does by itself when a peer or the load goes over a limit. */
enum http_refusal {
    HTTP_REFUSED_MALFORMED,   /* 400, 417, 505: not HTTP, or framed ambiguously */
    HTTP_REFUSED_HEADERS,     /* 431 */
    HTTP_REFUSED_BODY,        /* 413 */
    HTTP_REFUSED_SLOW,        /* 408 */
    HTTP_REFUSED_EXCHANGES,   /* 429: exchanges_max */
    HTTP_REFUSED_REQUEST_BYTES, /* 429 or closed: buffered_bytes_max, or large headers of too many at once */
    HTTP_REFUSED_ANSWER_BYTES, /* 429 in place of the answer: answer_bytes_max */
    HTTP_REFUSED_READER,      /* closed: the answer was not taken in time */
    HTTP_REFUSED_CONNECTIONS, /* connections_max: left to wait in the kernel until another one ends */
    HTTP_REFUSED_DESCRIPTORS, /* left to wait for a descriptor, or closed for lack of memory */
    N_HTTP_REFUSALS
};

/* Since creation, but for what is said to be now. */
struct http_server_stats {
    uint64_t connections;     /* now */
    uint64_t buffered_bytes;  /* now: request bodies */
    uint64_t answer_bytes;    /* now: made and not sent */
    uint64_t accepted;        /* connections */
    uint64_t requests;        /* whole ones, given to on_request or answered before that */
    uint64_t refused[N_HTTP_REFUSALS];
};

/* Answers, or takes note and answers later. */
typedef void http_request_fn(void *arg, struct http_exchange *exchange);
/* The peer has stopped sending or is gone; there may be nobody to read the answer, which must still be given. */
typedef void http_abort_fn(void *arg);
/* The exchange is over; arg is used no more. */
typedef void http_release_fn(void *arg);

/* Zero members mean the default in brackets. */
struct http_server_config {
    const char *host;               /* address or name; borrowed during create ["127.0.0.1"] */
    uint16_t port;                  /* 0 = a free one */
    size_t body_bytes_max;          /* [HTTP_BODY_BYTES_MAX] */
    size_t header_bytes_max;        /* [HTTP_HEADER_BYTES_MAX] */
    size_t buffered_bytes_max;      /* request bytes held for all exchanges together [256 MiB] */
    size_t answer_bytes_max;        /* answers made and not sent, small ones apart [512 MiB] */
    uint32_t connections_max;       /* further ones wait in the kernel; idle ones make room first, then
                                     * those whose headers take more than a second [10,000] */
    uint32_t exchanges_max;         /* in on_request's hands [65,536] */
    int64_t header_timeout_ns;      /* from a request's first byte to its last header [10 s] */
    int64_t body_timeout_ns;        /* from there to its last byte [60 s] */
    int64_t write_timeout_ns;       /* for the peer to take an answer [60 s] */
    int64_t idle_timeout_ns;        /* between two requests [120 s] */
    /* Optional: called when the headers are in and the body is not, after the checks of version and Expect and *before*
     * the one of body_bytes_max. It may answer (then the body is not kept, on_request is not called, and the connection
     * closes if a body was coming); otherwise it must not keep the exchange. */
    http_request_fn *on_headers;
    http_request_fn *on_request;    /* required */
    void *arg;                      /* of both */
    /* Optional. Something was refused; `peer` is "" when there is none. Any thread; must not block. */
    void (*on_refused)(void *arg, enum http_refusal refusal, const char *peer);
    void *refused_arg;
};

struct http_header {
    const char *name;
    const char *value;
};

/* All borrowed during the call. Date, Content-Length and Connection are added by the server. */
struct http_response {
    int status;                     /* 200 .. 599 */
    const char *content_type;       /* NULL = none */
    const struct http_header *headers; /* further ones, without CR and LF; at most HTTP_RESPONSE_HEADERS_MAX */
    size_t n_headers;
    struct slice body;
    bool is_last;                   /* close the connection afterwards */
};

/* Binds and listens; connections wait until start. DR_INVALID_ARGUMENT (no such host), DR_UNAVAILABLE (address in use,
 * not permitted), DR_NO_MEMORY. */
dr_code http_server_create(const struct http_server_config *config, struct http_server **ret_server,
                           struct dr_error *error);
/* The port it listens on. Any thread. */
uint16_t http_server_port(const struct http_server *server);
/* Any thread, until destroy. The numbers are each right, but not of one moment. */
void http_server_stats(const struct http_server *server, struct http_server_stats *ret_stats);
/* Of the exchange's server; until the answer. */
void http_exchange_server_stats(const struct http_exchange *exchange, struct http_server_stats *ret_stats);
/* "malformed", "request_too_slow", ...: for metrics and logs. Static. */
const char *http_refusal_name(enum http_refusal refusal);
/* Starts the loop thread, once. DR_UNAVAILABLE. */
dr_code http_server_start(struct http_server *server, struct dr_error *error);
/* Stops accepting, closes idle connections, waits until every exchange is answered and every answer is sent, at most
 * timeout_ns (0 = do not wait; an answer handed over before is still written as far as the socket takes it), closes
 * everything and ends the loop thread. DR_DEADLINE_EXCEEDED when exchanges were still open: their on_abort has been
 * called. Not from the loop thread; a second call does nothing. */
dr_code http_server_stop(struct http_server *server, int64_t timeout_ns);
/* Stops without waiting if that was not done. The server's memory goes with its last open exchange. Accepts NULL. */
void http_server_destroy(struct http_server *server);

/* What was asked. Any thread, until the answer; everything is borrowed until then. Texts end with NUL. */
const char *http_exchange_method(const struct http_exchange *exchange); /* "POST" */
/* Path without query, as sent (not percent-decoded); several leading slashes count as one (protocol Q15). */
const char *http_exchange_path(const struct http_exchange *exchange);
/* What follows the '?'; "" when there is none. */
const char *http_exchange_query(const struct http_exchange *exchange);
/* The first header of this name, case-insensitive, without surrounding blanks; NULL when absent. */
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);
/* The index-th header line, in the order sent; false when there are no more. */
bool http_exchange_header_at(const struct http_exchange *exchange, size_t index, struct http_header *ret_header);
struct slice http_exchange_body(const struct http_exchange *exchange);
/* True when the request has a Content-Length (which may be 0); it is then put out. False: chunked, or no body. */
bool http_exchange_content_length(const struct http_exchange *exchange, uint64_t *ret_length);
bool http_exchange_is_chunked(const struct http_exchange *exchange);
/* Address and port of the peer, "127.0.0.1:40100"; for logs. */
const char *http_exchange_peer(const struct http_exchange *exchange);

/* From on_request only, once: tells when the peer leaves before the answer (long polls). on_abort is called at most
 * once, on the loop thread; it may run while another thread is just answering. on_release (NULL = none) is called
 * exactly once after the answer, when on_abort can run no more: the place to free arg. It comes from the loop thread,
 * or, after a stop, from the thread that answers. */
void http_exchange_on_abort(struct http_exchange *exchange, http_abort_fn *on_abort, http_release_fn *on_release,
                            void *arg);

/* Whether an answer of so many bytes would be sent now (answer_bytes_max): asked before a large one is made. Any
 * thread. */
bool http_exchange_has_room(const struct http_exchange *exchange, size_t body_len);
/* Answers: copies the response and gives up the exchange. Any thread, never blocks. */
void http_exchange_respond(struct http_exchange *exchange, const struct http_response *response);
/* Answers with a Connect error, {"code": ..., "message": ...}; the status is that of the code, or http_status if not 0.
 * `message` may hold any UTF-8. */
void http_exchange_respond_error(struct http_exchange *exchange, int http_status, dr_code code, const char *message);

#endif
