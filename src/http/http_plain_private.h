/* Insides of the plain client, shared by http_plain*.c.
 *
 *   http_plain.c             posts and cancels coming in from other threads, deadlines, life
 *   http_plain_request.c     URLs, and the head of a request
 *   http_plain_host.c        names to addresses; which connection a post gets
 *   http_plain_connection.c  a socket: connect, send, read, be used again
 *   http_plain_reply.c       reading a reply
 *
 * All but the members marked with the lock belong to the client's thread. */
#ifndef HTTP_HTTP_PLAIN_PRIVATE_H
#define HTTP_HTTP_PLAIN_PRIVATE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "http/http_plain.h"
#include <llhttp.h>
#include <pthread.h>
#include <uv.h>

#define PLAIN_HOST_SIZE 256
#define PLAIN_ADDRESSES_MAX 8
#define PLAIN_IDLE_MAX 1024                    /* idle connections kept over all hosts */
#define PLAIN_IDLE_TIMEOUT_NS (60 * INT64_C(1000000000))
#define PLAIN_RESOLVED_NS (60 * INT64_C(1000000000)) /* an answer of the resolver is believed so long */
/* ... and in use so long, while the resolver does not answer: one name that hangs must not hold up the others. */
#define PLAIN_STALE_NS (600 * INT64_C(1000000000))
#define PLAIN_HOSTS_MAX 4096                   /* known at a time; unused ones are forgotten beyond */
#define PLAIN_READ_SIZE 65536
#define PLAIN_HEAD_BYTES_MAX 65536

struct plain_host;
struct plain_connection;

/* A deadline of a post, or of a connection (to be connected; to be used again). Monotonic ns. */
struct plain_timer {
    struct heap_node node;
    void (*on_time)(struct http_plain *plain, struct plain_timer *timer);
};

struct plain_post {
    struct list node;          /* in posted (lock), host.waiting, plain.working or free (lock) */
    struct list cancel_node;   /* in cancelled; lock */
    uint32_t index;
    uint32_t generation;       /* of the token; odd while in use; lock */
    struct plain_timer timer;
    struct plain_host *host;
    struct plain_connection *connection; /* while it is sent and answered */
    size_t address;            /* of the host: the one to try */
    bool is_waiting;           /* in host.waiting */
    bool is_url_bad;
    char host_name[PLAIN_HOST_SIZE];
    uint16_t port;
    struct buf head;           /* request line and headers */
    uint8_t *body;
    size_t len;
    int64_t timeout_ns;
    size_t response_bytes_max;
    struct room_hold hold;
    http_done_fn *on_done;
    void *arg;
};

struct plain_host {
    struct list chain;         /* in plain.hosts */
    struct plain_host *next;   /* same key in plain.by_name */
    struct id key;
    struct http_plain *plain;
    char name[PLAIN_HOST_SIZE];
    uint16_t port;
    bool is_resolving;
    uv_getaddrinfo_t query;
    int64_t resolved_ns;       /* monotonic; 0 = never */
    struct sockaddr_storage addresses[PLAIN_ADDRESSES_MAX];
    size_t n_addresses;
    struct list idle;          /* connections, most recently used first */
    struct list waiting;       /* posts */
    uint32_t n_connections;
};

enum plain_phase { PLAIN_CONNECTING = 1, PLAIN_BUSY, PLAIN_IDLE, PLAIN_CLOSING };

struct plain_connection {
    uv_tcp_t socket;           /* data points back */
    uv_connect_t connect;
    uv_write_t write;
    struct http_plain *plain;
    struct plain_host *host;
    struct list host_node;     /* in host.idle */
    struct list idle_node;     /* in plain.idle */
    struct plain_timer timer;
    enum plain_phase phase;
    size_t address;            /* the one in use or tried */
    struct plain_post *post;
    uint32_t n_replies;        /* of this connection */
    bool is_write_pending;
    /* the reply */
    llhttp_t parser;
    size_t header_bytes;
    size_t n_bytes;            /* of this reply, so far */
    bool are_headers_complete;
    bool is_complete;
    enum http_outcome failure; /* HTTP_RESPONDED = none */
    int status;
    char field[24];            /* of the header line being read; longer names are none of ours */
    size_t field_len;
    char content_type[HTTP_CLIENT_CONTENT_TYPE_SIZE];
    char retry_after[64];
    char *value;               /* where the header being read goes; NULL = nowhere */
    size_t value_size;
    struct buf body;
    struct room_hold hold;     /* what it takes */
};

struct http_plain {
    struct http_client_config config;
    char *user_agent;          /* a copy; NULL = none */
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;
    int64_t armed_ns;          /* TIME_NEVER = not */
    struct heap deadlines;
    pthread_t thread;
    llhttp_settings_t settings;
    char *read_buffer;
    struct map by_name;        /* hash of name and port -> struct plain_host */
    struct list hosts;
    size_t n_hosts;
    struct list idle;          /* connections, longest idle first */
    uint32_t n_idle;
    struct list working;       /* posts */
    uint32_t n_waiting;        /* posts that wait for a connection or for addresses */
    uint32_t n_connections;
    bool is_closing;

    pthread_mutex_t lock;      /* guards what follows */
    struct list posted;
    struct list cancelled;
    struct list free;
    struct plain_post **posts; /* every object, by index */
    uint32_t n_posts;
    bool is_stop_asked;
};

/* http_plain.c */
/* False when there is no memory: then it is not armed. */
bool plain_timer_arm(struct http_plain *plain, struct plain_timer *timer, int64_t when_ns);
void plain_timer_cancel(struct http_plain *plain, struct plain_timer *timer);
/* The end of a post: its callback, and the object is free again. `result` may be changed by the callback. */
void plain_post_done(struct http_plain *plain, struct plain_post *post, struct http_result *result);
void plain_post_fail(struct http_plain *plain, struct plain_post *post, enum http_outcome outcome, const char *format,
                     ...) DR_PRINTF(4, 5);

/* http_plain_host.c */
void plain_host_start(struct http_plain *plain, struct plain_post *post);
/* A connection is idle, or addresses are known: whoever waits may go on. */
void plain_host_serve(struct plain_host *host);
/* A connection is gone, and there may be room for others. */
void plain_serve_all(struct http_plain *plain);
void plain_waiting_leave(struct http_plain *plain, struct plain_post *post);
void plain_hosts_free(struct http_plain *plain);

/* http_plain_request.c: the post's host, times and head, from what is wanted. */
dr_code plain_request_write(struct http_plain *plain, struct plain_post *post, const struct http_post *wanted);

/* http_plain_reply.c */
void plain_settings_init(llhttp_settings_t *settings);
void plain_reply_init(struct plain_connection *connection);
int64_t plain_reply_retry_after_ns(const struct plain_connection *connection); /* of the header; 0 = none */

/* http_plain_connection.c */
/* Opens a connection for the post; false when there is no memory for it. */
bool plain_connection_open(struct plain_host *host, struct plain_post *post);
/* The post goes out on an idle connection. */
void plain_connection_use(struct plain_connection *connection, struct plain_post *post);
/* Closes; its post, if any, has been taken care of. */
void plain_connection_close(struct plain_connection *connection);

#endif
