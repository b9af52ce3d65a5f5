/* Calls and their results, as a program writes and reads them. */
#ifndef DISPATCHRUN_CALL_H
#define DISPATCHRUN_CALL_H

#include <dispatchrun/error.h>
#include <dispatchrun/status.h>
#include <dispatchrun/value.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Room for a dispatch id and its NUL. Ids are opaque text (ours: 32 hex digits). */
#define DR_ID_SIZE 64
/* The most calls that one submit or one poll can make. */
#define DR_CALLS_MAX 10000

/* What to call. Zero-initialise and fill in; everything is borrowed until the function that it is given to returns:
 *     struct dr_call_options call = {.function = "greet", .endpoint = "http://127.0.0.1:8000", .input = name};
 */
struct dr_call_options {
    size_t size;            /* sizeof(struct dr_call_options), or 0 for its first version */
    const char *function;   /* required; free text without control characters */
    const char *endpoint;   /* http://, https://, bridge:// or arn:aws:lambda...; may be NULL where one is assumed */
    const dr_value *input;  /* NULL: no input. So is a value that could not be made: check it before it goes here */
    int64_t expiration_ns;  /* how long it may take, retries included; 0: the server's default; >= 0 */
    const char *version;    /* of the application; may be NULL */
    uint64_t correlation_id; /* comes back with the result; used in polls only */
};

/* A result: how a call ended. Immutable and reference counted, as a value. Accessors accept NULL and then say what an
 * empty result would: no error, no output. What they return is borrowed from the result. */
typedef struct dr_result dr_result;

DR_API dr_result *dr_result_ref(const dr_result *result);
DR_API void dr_result_unref(dr_result *result);

/* True without an error. A result may hold an error and an output, then a partial one. */
DR_API bool dr_result_is_ok(const dr_result *result);
/* OK without an error; with one the status if it is known, else DR_STATUS_UNSPECIFIED: a result that came over the
 * wire carries no status. */
DR_API dr_status dr_result_status(const dr_result *result);
/* NULL (the null value to every accessor) when the call returned nothing. */
DR_API const dr_value *dr_result_output(const dr_result *result);
/* "" without an error. Free text of the program that failed, such as "ValueError". */
DR_API const char *dr_result_error_type(const dr_result *result);
DR_API const char *dr_result_error_message(const dr_result *result);
/* Bytes from which the error's language can build it again; NULL and *ret_len 0 when there are none. */
DR_API const void *dr_result_error_value(const dr_result *result, size_t *ret_len);
/* The stack trace as text; "" when there is none. */
DR_API const char *dr_result_traceback(const dr_result *result);
DR_API const char *dr_result_dispatch_id(const dr_result *result);
DR_API uint64_t dr_result_correlation_id(const dr_result *result);

#ifdef __cplusplus
}
#endif
#endif
