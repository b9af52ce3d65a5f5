/* How the client reaches a server: one exchange is one request and its reply. Two kinds: HTTP (client_http.c), and test
 * mode's, which hands the same bytes to a server in this process.
 *
 * Any number of threads call exchange and pause at once; destroy comes last, from one thread. */
#ifndef SDK_CLIENT_TRANSPORT_H
#define SDK_CLIENT_TRANSPORT_H

#include "base/buf.h"
#include <dispatchrun/client.h>

struct client_transport;

struct client_exchange {
    const char *path;         /* "/dispatch.sdk.v1.DispatchService/Dispatch" */
    const char *content_type; /* "application/proto", "application/json" or "text/plain" */
    struct slice body;
    bool is_sent_once;        /* a request that may have been read is never sent again */
    int64_t timeout_ns;       /* for the whole exchange */
    int64_t server_timeout_ns; /* what the server is told (Connect-Timeout-Ms); less than timeout_ns */
};

struct client_transport_methods {
    /* Blocks. DR_OK when there is a reply, whatever its HTTP status; its body is appended to *body (initialised by the
     * caller, whose max is the limit). DR_UNAVAILABLE when the server cannot be reached, DR_DEADLINE_EXCEEDED,
     * DR_RESOURCE_EXHAUSTED for a reply past body->max, DR_NO_MEMORY. */
    dr_code (*exchange)(struct client_transport *transport, const struct client_exchange *exchange,
                        int *ret_http_status, struct buf *body, struct dr_error *error);
    /* Monotonic time, and blocking for a while, on the clock that the server goes by. */
    int64_t (*now_ns)(struct client_transport *transport);
    void (*pause)(struct client_transport *transport, int64_t ns);
    void (*destroy)(struct client_transport *transport);
};

/* The first member of every transport. */
struct client_transport {
    const struct client_transport_methods *methods;
};

/* A client on a transport, which it takes, also when it fails. `key_hint` is put behind "invalid " when the server
 * answers that the key is wrong, and copied: "DISPATCH_API_KEY: abc********". */
dr_code client_create(struct client_transport *transport, const char *key_hint, dr_client **ret_client,
                      struct dr_error *error);

/* Where a client of its options goes. Copies. */
struct client_target {
    const char *api_url; /* without a slash at the end */
    const char *api_key;
};

/* HTTP with Authorization: Bearer. Returns owned (methods->destroy). */
dr_code client_http_create(const struct client_target *target, struct client_transport **ret_transport,
                           struct dr_error *error);

#endif
