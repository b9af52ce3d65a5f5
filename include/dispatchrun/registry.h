/* Registries: named sets of functions, with the client that submits calls and the endpoint that serves them.
 *
 * The default registry holds what DR_FUNCTION defines. A program opens others to keep sets apart; an endpoint serves all
 * that are open, or one. Any thread. */
#ifndef DISPATCHRUN_REGISTRY_H
#define DISPATCHRUN_REGISTRY_H

#include <dispatchrun/client.h>
#include <dispatchrun/function.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dr_registry dr_registry;

struct dr_registry_options {
    size_t size;          /* sizeof(struct dr_registry_options), or 0 for its first version */
    const char *name;     /* required, unique among open registries */
    dr_client *client;    /* borrowed until the close; NULL: one made of the environment (client.h) */
    const char *endpoint; /* URL where it is served; NULL: DISPATCH_ENDPOINT_URL */
};

/* DR_INVALID_ARGUMENT names what is missing or wrong: the endpoint (and its scheme, one of bridge, http, https, and its
 * host), the client's key, the name. DR_ALREADY_EXISTS: the name is taken. Copies. Returns owned. */
DR_API dr_code dr_registry_open(const struct dr_registry_options *options, dr_registry **ret_registry,
                                struct dr_error *error);
/* Its functions leave the application: requests for them are answered "not found" from now on; runs that are under way
 * end as they would. Accepts NULL. */
DR_API void dr_registry_close(dr_registry *registry);
DR_API const char *dr_registry_name(const dr_registry *registry);
DR_API const char *dr_registry_endpoint(const dr_registry *registry);
DR_API dr_client *dr_registry_client(const dr_registry *registry); /* borrowed */

/* Registers a function; borrows it until the close. DR_ALREADY_EXISTS: "function already registered with name 'X'";
 * DR_INVALID_ARGUMENT: no name or no code. */
DR_API dr_code dr_registry_function(dr_registry *registry, dr_function *function, struct dr_error *error);

/* ---- Primitive functions: the request as it came, the response as it goes ---- */

typedef struct dr_request dr_request;   /* borrowed during the run */
typedef struct dr_response dr_response; /* to be filled during the run */

/* May block; any number at once. A response that was not filled is an exit without value. */
typedef void dr_primitive(const dr_request *request, dr_response *response, void *arg);

/* Copies the name. Errors as dr_registry_function. */
DR_API dr_code dr_registry_primitive(dr_registry *registry, const char *name, dr_primitive *primitive, void *arg,
                                     struct dr_error *error);

DR_API const char *dr_request_function(const dr_request *request);
DR_API const char *dr_request_dispatch_id(const dr_request *request);
DR_API const char *dr_request_parent_dispatch_id(const dr_request *request);
DR_API const char *dr_request_root_dispatch_id(const dr_request *request);
DR_API int64_t dr_request_creation_time(const dr_request *request);
DR_API int64_t dr_request_expiration_time(const dr_request *request);
/* True when it resumes a poll: then there are state, results and maybe an error of the poll; else there is an input. */
DR_API bool dr_request_is_resume(const dr_request *request);
DR_API const dr_value *dr_request_input(const dr_request *request);
DR_API const dr_value *dr_request_state(const dr_request *request);
DR_API size_t dr_request_result_count(const dr_request *request);
DR_API const dr_result *dr_request_result(const dr_request *request, size_t i);
DR_API const char *dr_request_poll_error(const dr_request *request); /* "" without one */

/* Each replaces what was filled in before. One that fails leaves the failure as the response, until another succeeds: lack
 * of memory as a temporary error, the rest as an invalid response. Values and calls are borrowed until they return.
 * DR_INVALID_ARGUMENT for a value that cannot be packed; DR_NO_MEMORY. */
DR_API dr_code dr_response_return(dr_response *response, dr_status status, const dr_value *output,
                                  struct dr_error *error);
DR_API dr_code dr_response_fail(dr_response *response, dr_status status, const char *type, const char *message,
                                struct dr_error *error);
DR_API dr_code dr_response_tail_call(dr_response *response, dr_status status, const struct dr_call_options *call,
                                     struct dr_error *error);

struct dr_poll_options {
    size_t size;
    const dr_value *state;
    const struct dr_call_options *calls;
    size_t n_calls;
    int32_t min_results; /* 0 = 1 */
    int32_t max_results; /* 0 = 10 */
    int64_t max_wait_ns; /* 0 = none */
};
DR_API dr_code dr_response_poll(dr_response *response, const struct dr_poll_options *poll, struct dr_error *error);

#ifdef __cplusplus
}
#endif
#endif
