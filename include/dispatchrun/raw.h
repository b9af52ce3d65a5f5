/* Runs as bytes: for bindings of other languages, which bring their own values and functions.
 *
 * An endpoint (endpoint.h) or a test server (test.h) that is given an `on_run` hands each Run request over as it came, and
 * sends whatever bytes it gets back. Such a binding decodes dispatch.sdk.v1.RunRequest and encodes RunResponse itself;
 * registries are not asked. */
#ifndef DISPATCHRUN_RAW_H
#define DISPATCHRUN_RAW_H

#include <dispatchrun/error.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One Run request that waits for its answer. It belongs to whom it was handed, who answers it exactly once, from any
 * thread, at any time: also after the endpoint was stopped or the test server closed; then nobody reads the answer. */
typedef struct dr_run dr_run;

/* Called on a thread of the library, several at a time (see also is_inline in test.h). Must not block, nor stop the endpoint or the server; it may answer
 * at once. */
typedef void dr_run_handler(void *arg, dr_run *run);

/* All below are borrowed until the answer. */

/* The encoded RunRequest. Never NULL. */
DR_API const void *dr_run_request(const dr_run *run, size_t *ret_len);
/* Of the HTTP request that brought it; NULL when there was none (a test server in process), or no such header. The path
 * is as it was sent, without the query. */
DR_API const char *dr_run_method(const dr_run *run);
DR_API const char *dr_run_path(const dr_run *run);
DR_API const char *dr_run_query(const dr_run *run);
DR_API const char *dr_run_header(const dr_run *run, const char *name);

/* Each gives up the run. */

/* An encoded RunResponse (copied). Without memory for the copy the attempt fails as a temporary error. */
DR_API void dr_run_respond(dr_run *run, const void *response, size_t len);
/* No function ran: the code's HTTP status, with code and message as a Connect error (protocol 3.2). */
DR_API void dr_run_refuse(dr_run *run, dr_code code, const char *message);

#ifdef __cplusplus
}
#endif
#endif
