/* A transport: how an attempt leaves the server and its reply comes back. The driver starts runs; a transport makes of
 * each exactly one result. Two implementations: transport_http.h (production: POST to the endpoint) and
 * transport_local.h (test mode: a function in this process).
 *
 * Threads: start and abort are called by one thread at a time (the driver's engine thread) and never block. on_done is
 * called exactly once per run, on any thread, maybe from inside start (the endpoint is no URL), never from inside
 * abort; it must not block.
 *
 * A run is the caller's memory from transport_start until on_done has returned *and* the caller will not abort it any
 * more: abort on a run that has its result already is harmless. */
#ifndef SERVER_TRANSPORT_H
#define SERVER_TRANSPORT_H

#include "base/id.h"
#include "base/list.h"
#include "base/room.h"
#include "base/slice.h"
#include <dispatchrun/status.h>
#include <stdbool.h>

#define TRANSPORT_MESSAGE_SIZE 384

struct transport;
struct transport_run;

/* status DR_STATUS_OK: `body` is what the endpoint answered, a RunResponse still to be decoded.
 * Otherwise there was no RunResponse: category, type and one line of text that names endpoint and cause. */
struct transport_result {
    dr_status status;
    uint8_t *body;              /* mem_free; on_done takes it; NULL when len is 0 */
    size_t len;
    struct room_hold hold;      /* what body takes, until it is freed; on_done takes it (room_move, room_give) */
    int http_status;            /* 0 = none, or not by HTTP */
    int64_t retry_after_ns;     /* from a Retry-After header; 0 = none */
    const char *error_type;     /* static, e.g. "TCPError"; NULL with DR_STATUS_OK */
    char message[TRANSPORT_MESSAGE_SIZE];
};

/* `result` is borrowed until the call returns, but for its body. */
typedef void transport_done_fn(void *arg, struct transport_run *run, struct transport_result *result);

struct transport_run {
    /* the caller's, constant until on_done */
    struct id id;
    uint32_t attempt;
    struct slice endpoint;      /* borrowed until on_done */
    int64_t timeout_ns;         /* real time, for transports with sockets; the driver's clock has it too */
    transport_done_fn *on_done;
    void *arg;
    /* the transport's */
    struct transport *transport;
    struct list node;
    uint64_t handle;
    bool is_plain;              /* HTTP: by the plain client */
    bool is_aborted;
    struct room_hold hold;      /* what the request takes */
    uint8_t *request;
    size_t request_len;
};

struct transport_methods {
    void (*start)(struct transport *transport, struct transport_run *run);
    void (*abort)(struct transport *transport, struct transport_run *run);
    void (*destroy)(struct transport *transport);
};

/* First member of every implementation. */
struct transport {
    const struct transport_methods *methods;
};

/* Starts a run with the encoded RunRequest `request`: takes it (mem_free), also when it fails. */
void transport_start(struct transport *transport, struct transport_run *run, uint8_t *request, size_t len);
/* Calls a run off: its result, if there is none yet, is TIMEOUT "aborted", soon and whatever the endpoint does. */
void transport_abort(struct transport *transport, struct transport_run *run);
/* No run may be in flight. Accepts NULL. */
void transport_destroy(struct transport *transport);

/* Fills a failure: status, the type that goes with it (transport_error_type) and "ENDPOINT: cause". */
void transport_result_fail(struct transport_result *result, dr_status status, struct slice endpoint, const char *format,
                           ...) DR_PRINTF(4, 5);
/* Error type of a status: "TimeoutError", "TCPError", "PermanentError", ... Static. */
const char *transport_error_type(dr_status status);

#endif
