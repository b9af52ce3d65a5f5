/* The client: submits calls to a Dispatch server and learns how they ended.
 *
 *     dr_client *client = NULL;
 *     char id[DR_ID_SIZE];
 *     dr_result *result = NULL;
 *     dr_code code = dr_client_open(NULL, &client, &error);
 *     if (!code)
 *         code = dr_client_submit(client, &call, id, &error);
 *     if (!code)
 *         code = dr_client_wait(client, id, 10 * INT64_C(1000000000), &result, &error);
 *
 * Every function blocks the calling thread until it has its answer. Any number of threads may use one client, but
 * nobody may while it is closed.
 *
 * Errors that come from the server carry its code and message; beside those: DR_UNAVAILABLE when it cannot be reached,
 * DR_DEADLINE_EXCEEDED when it does not answer in time, DR_UNAUTHENTICATED for a key that it does not know (the
 * message shows no more than three characters of it), DR_NO_MEMORY. */
#ifndef DISPATCHRUN_CLIENT_H
#define DISPATCHRUN_CLIENT_H

#include <dispatchrun/call.h>
#include <dispatchrun/error.h>
#include <dispatchrun/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dr_client dr_client;

#define DR_CLIENT_API_URL_DEFAULT "http://127.0.0.1:7117"

/* Zero-initialise. Empty texts count as NULL, also those of the environment. */
struct dr_client_options {
    size_t size;         /* sizeof(struct dr_client_options), or 0 for its first version */
    const char *api_key; /* NULL: DISPATCH_API_KEY */
    const char *api_url; /* NULL: DISPATCH_API_URL, else DR_CLIENT_API_URL_DEFAULT; http or https */
};

/* options may be NULL; copies all. Does not connect yet. Returns owned.
 * DR_INVALID_ARGUMENT names what is missing or wrong, and where it came from. */
DR_API dr_code dr_client_open(const struct dr_client_options *options, dr_client **ret_client, struct dr_error *error);
/* Accepts NULL. */
DR_API void dr_client_close(dr_client *client);

/* Submits one call; DR_OK means that the server has recorded it. ret_id is untouched on failure.
 * DR_INVALID_ARGUMENT for a call that cannot be (no function, no endpoint, an input that cannot be packed): then
 * nothing was sent. A submit whose answer was lost (DR_UNAVAILABLE, DR_DEADLINE_EXCEEDED) may have been recorded all
 * the same: the protocol has no key that would tell. So the client never sends one again by itself. */
DR_API dr_code dr_client_submit(dr_client *client, const struct dr_call_options *call, char ret_id[DR_ID_SIZE],
                                struct dr_error *error);
/* Submits n calls, all or none; at most DR_CALLS_MAX. ret_ids has room for n ids, in the order of the calls. With no
 * calls nothing is sent. */
DR_API dr_code dr_client_submit_batch(dr_client *client, const struct dr_call_options *const *calls, size_t n,
                                      char (*ret_ids)[DR_ID_SIZE], struct dr_error *error);

/* Waits until the call is done. timeout_ns < 0: as long as it takes; 0: only looks. Survives a restart of the server.
 * Returns owned; a call that failed is DR_OK with a result that holds the error.
 * DR_DEADLINE_EXCEEDED when the time is over; DR_NOT_FOUND. */
DR_API dr_code dr_client_wait(dr_client *client, const char *id, int64_t timeout_ns, dr_result **ret_result,
                              struct dr_error *error);
/* What the server knows of a call, as a map: dispatchId, function, endpoint, state, why, attempts, ... (the fields of
 * GetCall in the server's API). Returns owned. DR_NOT_FOUND. */
DR_API dr_code dr_client_get(dr_client *client, const char *id, dr_value **ret_call, struct dr_error *error);
/* Ends a call and all calls below it with an error. DR_FAILED_PRECONDITION when it was done before: then its result
 * stays. DR_NOT_FOUND. */
DR_API dr_code dr_client_cancel(dr_client *client, const char *id, struct dr_error *error);

#ifdef __cplusplus
}
#endif
#endif
