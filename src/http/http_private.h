/* Insides of the HTTP server, shared by http_server.c, http_listener.c, http_connection.c, http1*.c and http_exchange.c.
 *
 *   http_server.c      loop thread, answers coming in from other threads, one timer, stop
 *   http_listener.c    the listening socket: when connections are accepted, and when they wait
 *   http_connection.c  a socket: bytes in, bytes out, deadlines, closing. TLS will sit here, between socket and bytes
 *   http1.c            bytes <-> exchanges by HTTP/1.1; http1_parse.c the half that reads. HTTP/2 will be their sibling
 *   http_exchange.c    what users see of a request, and the making of answers
 *
 * All of it runs on the loop thread, but for http_exchange_respond, which meets the loop in `answered`. */
#ifndef HTTP_HTTP_PRIVATE_H
#define HTTP_HTTP_PRIVATE_H

#include "base/buf.h"
#include "base/list.h"
#include "http/http_server.h"
#include <llhttp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#define READ_BYTES 65536            /* one read; the buffer is shared by all connections */
#define KEPT_BODY_BYTES 65536       /* a connection keeps buffers up to this size between requests ... */
#define KEPT_HEAD_BYTES 8192
#define KEPT_CONNECTIONS_MAX 1024   /* ... while there are no more connections than this */
#define HEAD_FREE_BYTES 8192        /* of a request's head; the rest is counted, */
#define HEADS_BYTES_MAX (64u << 20) /* and all connections together may hold so much of it */
#define ANSWER_FREE_BYTES 4096      /* answers up to this size are never refused for the sake of memory */
#define BACKLOG 4096                /* connections that the kernel keeps; net.core.somaxconn bounds it too */
#define DRAIN_MS 3000               /* how long a peer may go on sending what nobody reads */
#define ACCEPT_RETRY_MS 50          /* after descriptors or memory ran out */
#define SLOW_HEADERS_MS 1000        /* when others wait for a connection, headers must come in this time */
#define ACCEPTS_AT_ONCE_MAX 64      /* then those that are there have their turn */
#define PEER_TEXT_SIZE 64

/* Where a connection is; each phase has one list in the server, in the order of deadlines, as each has one timeout. */
enum http_phase {
    PHASE_IDLE,     /* between requests */
    PHASE_HEADERS,
    PHASE_BODY,
    PHASE_HANDLING, /* the exchange is with its receiver; no deadline */
    PHASE_WRITING,
    PHASE_DRAINING, /* answered and shut down; reads until the peer has seen it */
    PHASE_CLOSING,  /* uv_close was called */
    N_PHASES
};

/* A response as bytes: status line and headers without the final empty line, then the body. */
struct http_answer {
    size_t head_len;
    size_t body_len;
    size_t counted;                 /* in server->answer_bytes */
    bool is_last;
    char bytes[];
};

struct header_line {
    uint32_t name;  /* offsets in head */
    uint32_t value;
};

struct http_exchange {
    struct http_connection *connection;
    struct list node;               /* in server->answered */
    struct http_answer *answer;     /* NULL after the answer = out of memory: the connection closes */
    bool is_answered;               /* from outside; under the server's lock */
    bool is_in_callback;            /* the loop thread's: it is in on_headers or on_request with this exchange */
    bool is_answered_inside;        /* the loop thread's: and the answer came from there */

    const char *method;
    const char *path;
    const char *query;
    struct buf head;                /* URL, then names and values, each with a NUL */
    struct header_line *lines;
    uint32_t n_lines, cap_lines;
    struct buf body;
    size_t head_counted;            /* in server->head_bytes */
    uint64_t content_length;
    bool has_content_length, is_chunked;
    bool is_head, is_http10, is_keep_alive;

    http_abort_fn *on_abort;
    http_release_fn *on_release;
    void *abort_arg;
};

/* What of the header line that is being collected is there. */
enum line_state { LINE_NONE, LINE_NAME, LINE_VALUE };

struct http_connection {
    uv_tcp_t tcp;                   /* data points back */
    struct http_server *server;
    struct list node;               /* in server->phases[phase] */
    enum http_phase phase;
    uint64_t deadline_ms;
    char peer[PEER_TEXT_SIZE];

    uv_write_t write;
    uv_shutdown_t shutdown;
    bool is_reading;
    bool is_eof;                    /* the peer has stopped sending */
    bool is_out;                    /* the exchange is with its receiver: this memory must stay */
    bool is_closed;                 /* the socket is gone */

    /* HTTP/1.1 */
    llhttp_t parser;
    struct buf pending;             /* received behind the current request */
    size_t pending_at;
    bool is_advancing;              /* guards http1_advance against itself */
    enum line_state line_state;
    bool is_headers_done;           /* what looks like a header now is a trailer */
    bool is_message_done;
    bool is_refused;                /* answered before the whole request was read */
    struct http_exchange exchange;
};

struct http_server {
    struct http_server_config config;
    uv_loop_t loop;
    uv_poll_t listener;             /* data points back */
    int listener_fd;
    uv_async_t async;
    uv_timer_t timer;
    uint64_t timer_ms;              /* when it fires; 0 = not armed */
    uint64_t timeouts_ms[N_PHASES];
    struct list phases[N_PHASES];
    uint32_t n_connections;
    uint32_t n_out;                 /* exchanges with their receivers */
    size_t buffered;                /* request bodies of all connections, and what is pending */
    size_t head_bytes;              /* of heads, beyond HEAD_FREE_BYTES each */
    atomic_size_t answer_bytes;     /* made and not sent; any thread */
    struct {                        /* written by the loop thread, but for answers; read by any */
        atomic_uint_fast64_t accepted, requests, connections, buffered;
        atomic_uint_fast64_t refused[N_HTTP_REFUSALS];
    } stats;
    uint16_t port;
    bool is_started, is_stopping, is_joined, is_accept_waiting, is_closing;
    uint64_t stop_ms;
    pthread_t thread;
    pthread_t loop_thread;          /* the same, set by the thread itself */
    char *read_buffer;

    pthread_mutex_t lock;           /* guards what follows */
    struct list answered;
    bool is_stop_asked;
    bool is_loop_gone;
    int64_t stop_timeout_ns;
    uint32_t n_refs;                /* the owner, and every exchange that is out */
};

/* http_server.c */
void server_timer_need(struct http_server *server, uint64_t deadline_ms);
/* Keeps the sum of request bytes, for the limit and for whoever looks. */
static inline void server_buffered_add(struct http_server *server, int64_t n_bytes)
{
    server->buffered += (size_t)n_bytes;
    atomic_store_explicit(&server->stats.buffered, server->buffered, memory_order_relaxed);
}
void server_connection_closed(struct http_server *server);
void server_stop_check(struct http_server *server);
void server_unref(struct http_server *server);
/* Counts, and tells the owner. `peer` may be NULL. */
void server_refused(struct http_server *server, enum http_refusal refusal, const char *peer);

/* http_listener.c */
dr_code listener_open(struct http_server *server, struct dr_error *error);
/* Accepts again if it had stopped to and there is room. */
void listener_go_on(struct http_server *server);
/* Whether somebody waits for one of those that are there to close. */
static inline bool listener_waits_for_connections(const struct http_server *server)
{
    return server->is_accept_waiting && server->n_connections >= server->config.connections_max;
}
void listener_close(struct http_server *server);

/* http_connection.c */
/* Takes an accepted socket; without memory for it, closes it. */
void connection_open(struct http_server *server, int fd);
void connection_phase(struct http_connection *connection, enum http_phase phase);
void connection_read(struct http_connection *connection, bool is_on);
/* Writes the buffers, which stay until connection_written is called (perhaps from inside). */
void connection_write(struct http_connection *connection, uv_buf_t *bufs, unsigned n_bufs);
/* Sends what it can of a short interim text; drops it if the socket is full. */
void connection_write_now(struct http_connection *connection, const char *text);
void connection_drain(struct http_connection *connection);
void connection_close(struct http_connection *connection);
void connection_expired(struct http_connection *connection);
/* The socket is gone and the exchange answered: frees, in whichever order that happened. */
void connection_free_if_over(struct http_connection *connection);
void connection_free(struct http_connection *connection);

/* http1_parse.c */
void http1_parse_init(struct http_connection *connection);
/* Feeds the parser until the message is whole (is_message_done) or refused (is_refused); returns how many of the bytes
 * belong to the message. */
size_t http1_parse(struct http_connection *connection, const char *data, size_t len);
/* Answers for the server itself. What is still to come of the request will not be read. */
void http1_refuse(struct http_connection *connection, enum http_refusal refusal, int status, dr_code code,
                  const char *text);

/* http1.c */
void http1_init(struct http_connection *connection);
void http1_deinit(struct http_connection *connection);
void http1_on_bytes(struct http_connection *connection, const char *data, size_t len);
void http1_on_eof(struct http_connection *connection);
void http1_on_timeout(struct http_connection *connection);
/* The exchange has its answer (loop thread). */
void http1_on_answered(struct http_connection *connection);
/* The answer is with the kernel. */
void http1_on_written(struct http_connection *connection);

/* http_exchange.c */
/* Accepts NULL. */
void answer_free(struct http_server *server, struct http_answer *answer);
void exchange_init(struct http_exchange *exchange, struct http_connection *connection);
/* Does not count the body out of server->buffered. */
void exchange_deinit(struct http_exchange *exchange);
/* Ready for the next request of the connection; keeps small buffers. */
/* What its head holds counts no more. Loop thread. */
void exchange_uncount(struct http_exchange *exchange);
void exchange_reset(struct http_exchange *exchange);
dr_code exchange_line_start(struct http_exchange *exchange);
/* Cuts the URL into path and query, once all headers are in. */
void exchange_split_url(struct http_exchange *exchange);
void exchange_abort(struct http_exchange *exchange);
/* Calls on_release. */
void exchange_release(struct http_exchange *exchange);

#endif
