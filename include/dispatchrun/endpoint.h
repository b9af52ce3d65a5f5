/* The endpoint: serves functions to a Dispatch server over HTTP. Functions run on a pool of threads and may block.
 *
 *     dr_endpoint *endpoint = NULL;
 *     code = dr_endpoint_start(&(struct dr_endpoint_options){.address = "127.0.0.1:8000"}, &endpoint, &error);
 *     ...
 *     dr_endpoint_stop(endpoint);
 */
#ifndef DISPATCHRUN_ENDPOINT_H
#define DISPATCHRUN_ENDPOINT_H

#include <dispatchrun/raw.h>
#include <dispatchrun/registry.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dr_endpoint dr_endpoint;

#define DR_ENDPOINT_THREADS_DEFAULT 16
#define DR_ENDPOINT_PARKED_DEFAULT 1000

struct dr_endpoint_options {
    size_t size;           /* sizeof(struct dr_endpoint_options), or 0 for its first version */
    const char *address;   /* "host:port", port 0 = a free one; NULL: DISPATCH_ENDPOINT_ADDR, else "127.0.0.1:8000" */
    dr_registry *registry; /* what it serves, borrowed until the stop; NULL: every open registry */
    unsigned threads;      /* functions that run at once; 0 = DR_ENDPOINT_THREADS_DEFAULT */
    unsigned parked_max;   /* suspended stacks that are kept, the longest unused dropped; 0 = DR_ENDPOINT_PARKED_DEFAULT */
    dr_run_handler *on_run; /* NULL, or who is given every run instead of the functions of a registry (raw.h) */
    void *on_run_arg;
};

/* Listens and serves until the stop. options may be NULL. DR_UNAVAILABLE: the address is in use; DR_INVALID_ARGUMENT. */
DR_API dr_code dr_endpoint_start(const struct dr_endpoint_options *options, dr_endpoint **ret_endpoint,
                                 struct dr_error *error);
/* "http://127.0.0.1:8000", with the port that it got. Borrowed. */
DR_API const char *dr_endpoint_url(const dr_endpoint *endpoint);
/* Waits until the runs in progress have ended; answers that come within 30 s are still sent. Suspended runs are dropped
 * here; the server resumes them elsewhere. Accepts NULL. */
DR_API void dr_endpoint_stop(dr_endpoint *endpoint);
/* Serves until SIGINT or SIGTERM arrives. To be called by main before it starts threads of its own. */
DR_API dr_code dr_serve(const struct dr_endpoint_options *options, struct dr_error *error);

#ifdef __cplusplus
}
#endif
#endif
