/* Insides of the HTTP client, shared by http_client.c, http_call.c and http_client_loop.c.
 *
 *   http_client.c       posts and cancels coming in from other threads, life
 *   http_call.c         one post as a libcurl transfer: options, reading the reply, what a failure means
 *   http_client_loop.c  libcurl's sockets and its timer on a libuv loop
 *
 * A call object holds one post at a time and is used again for later ones, with its libcurl handle. All but the members
 * marked with the lock belong to the client's thread. */
#ifndef HTTP_HTTP_CLIENT_PRIVATE_H
#define HTTP_HTTP_CLIENT_PRIVATE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "http/http_client.h"
#include <curl/curl.h>
#include <pthread.h>
#include <uv.h>

#define IDLE_HANDLES_MAX 256      /* libcurl handles kept for later posts */
#define IDLE_CONNECTIONS_MAX 1024
#define NO_PROXY_BYTES_MAX 4096
#define MESSAGE_SIZE (CURL_ERROR_SIZE > HTTP_CLIENT_MESSAGE_SIZE ? CURL_ERROR_SIZE : HTTP_CLIENT_MESSAGE_SIZE)

/* Why we ended a transfer ourselves, which libcurl only knows as a write error. */
enum call_abort { ABORT_NONE, ABORT_HEADERS, ABORT_BODY, ABORT_MEMORY, ABORT_ROOM };

struct http_call {
    struct http_client *client;
    struct list node;           /* in posted, active or idle; lock while in posted or idle */
    struct list cancel_node;    /* in cancelled; lock */
    uint32_t index;             /* in client->calls */
    uint32_t generation;        /* of the token; odd while in use; lock */
    CURL *easy;                 /* NULL until first used */
    bool is_in_multi;

    char *request;              /* one block: list nodes of the headers, their texts, the URL */
    const char *url;
    struct curl_slist *headers; /* in that block */
    uint8_t *body;
    size_t body_len;
    size_t body_read;           /* by libcurl; with is_sent_once */
    bool is_sent_once;
    int64_t timeout_ns;
    struct heap_node deadline;  /* in client->deadlines while active; monotonic ns */
    size_t response_bytes_max;
    http_done_fn *on_done;
    void *arg;

    struct buf reply;
    struct room_hold hold;      /* what it takes */
    size_t header_bytes;
    bool are_headers_complete;   /* the empty line came */
    enum call_abort abort;
    char message[MESSAGE_SIZE]; /* libcurl's words */
};

struct client_socket;

struct http_client {
    struct http_client_config config;
    char *user_agent, *ca_file; /* copies; NULL = none */
    char *http_proxy, *https_proxy; /* of the environment; NULL = none */
    char no_proxy[NO_PROXY_BYTES_MAX];
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;           /* libcurl's */
    uv_timer_t deadline_timer;
    int64_t deadline_armed_ns;  /* TIME_NEVER = not */
    struct heap deadlines;
    CURLM *multi;
    pthread_t thread;
    struct list active;
    struct client_socket **sockets; /* by file descriptor */
    size_t cap_sockets;
    uint32_t n_active, n_handles;
    bool is_closing;
    bool keeps_handles;         /* handles serve more than one post */

    pthread_mutex_t lock;       /* guards what follows */
    struct list posted;
    struct list cancelled;
    struct list idle;           /* the most recently used first */
    struct http_call **calls;   /* every call object, by index */
    uint32_t n_calls;
    bool is_stop_asked;
};

/* http_call.c */
/* Copies texts into one block and takes the body. DR_RESOURCE_EXHAUSTED, DR_NO_MEMORY. Any thread. */
dr_code call_prepare(struct http_call *call, const struct http_post *post);
/* Gives the transfer to libcurl; the code is CURLE_OK or what to finish the call with. */
CURLcode call_start(struct http_call *call);
/* Makes the result of a transfer that ended with `code`, or of a cancelled call, and calls on_done. */
void call_finish(struct http_call *call, CURLcode code, bool is_cancelled);
/* Frees what belongs to the post, not the handle. */
void call_clear(struct http_call *call);
/* Frees the handle of an idle call; it gets another when it is used. */
void call_drop_handle(struct http_call *call);
void call_free(struct http_call *call);

/* http_client_loop.c */
dr_code client_loop_open(struct http_client *client, struct dr_error *error);
/* Lets libcurl act on everything whose time has come, and finishes what that completed. */
void client_loop_kick(struct http_client *client);
/* The transfer is about to be taken from libcurl, unfinished. libcurl will close a socket that is still connecting
 * before it says so, when another thread may have its number already: so it is let go now. */
void client_loop_abandon(struct http_client *client, CURL *easy);
/* client_expire will be called at this (monotonic) time or before. */
void client_loop_deadline(struct http_client *client, int64_t deadline_ns);
/* Closes all; uv_run then returns. */
void client_loop_close(struct http_client *client);
void client_loop_deinit(struct http_client *client);
curl_socket_t client_socket_open(void *client, curlsocktype purpose, struct curl_sockaddr *address);
int client_socket_close(void *client, curl_socket_t fd);

/* http_client.c */
/* The post is over: its result is given. The call is idle again. */
void client_call_done(struct http_client *client, struct http_call *call, CURLcode code, bool is_cancelled);
/* Ends the posts whose time is over. */
void client_expire(struct http_client *client, int64_t now_ns);
/* Another thread has left something. */
void client_take_posts(struct http_client *client);

#endif
