/* Runs in this process: test mode. An endpoint is a text that a function stands behind; runs of all endpoints share a
 * pool of threads, so a run may block. Requests and responses are the same bytes as over HTTP.
 *
 * Threads: add and remove may be called from any thread; a handler is called on threads of the pool, several at a
 * time. */
#ifndef SERVER_TRANSPORT_LOCAL_H
#define SERVER_TRANSPORT_LOCAL_H

#include "server/transport.h"

#define TRANSPORT_LOCAL_THREADS_MAX 256u
#define TRANSPORT_LOCAL_THREADS_DEFAULT 8u

struct transport_local_reply {
    dr_status status;        /* DR_STATUS_OK: body is a RunResponse; else message says why there is none */
    uint8_t *body;           /* mem_alloc'ed; taken */
    size_t len;
    char message[TRANSPORT_MESSAGE_SIZE];
};

/* Answers one encoded RunRequest (borrowed until the return). `reply` comes zeroed with status OK. May block. */
typedef void transport_local_fn(void *arg, struct slice request, struct transport_local_reply *reply);

/* Threads are started on demand, up to n_threads_max (0 = default). Aborts when out of memory. */
struct transport *transport_local_create(unsigned n_threads_max);
/* Endpoint text (compared whole, a trailing slash ignored) -> function. DR_ALREADY_EXISTS. Copies the text. */
dr_code transport_local_add(struct transport *transport, struct slice endpoint, transport_local_fn *run, void *arg,
                            struct dr_error *error);
/* Afterwards runs for the endpoint fail with TCP_ERROR, as with a server that is gone. Waits until the runs that are
 * inside the function have returned, so not from inside it. Harmless when the endpoint is unknown. */
void transport_local_remove(struct transport *transport, struct slice endpoint);

#endif
