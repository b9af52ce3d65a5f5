/* Errors: one table, one caller-owned detail.
 *
 * Every fallible function returns a dr_code (DR_OK is 0) and, where it takes a
 * `struct dr_error *`, fills it with one line of text. The pointer may be NULL.
 * Out parameters are untouched on failure. There is no "last error" anywhere.
 *
 * The table's columns: enumerator, number, name on the wire (Connect codes where
 * one exists), HTTP status when a server answers with it, text.
 */
#ifndef DISPATCHRUN_ERROR_H
#define DISPATCHRUN_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DR_API __attribute__((visibility("default")))
#define DR_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#else
#define DR_API
#define DR_PRINTF(format_index, first_index)
#endif

#define DR_ERROR_TABLE(X)                                                                  \
    X(DR_OK, 0, "ok", 200, "no error")                                                     \
    X(DR_CANCELED, 1, "canceled", 499, "the operation was cancelled")                      \
    X(DR_UNKNOWN, 2, "unknown", 500, "unknown error")                                      \
    X(DR_INVALID_ARGUMENT, 3, "invalid_argument", 400, "an argument is invalid")           \
    X(DR_DEADLINE_EXCEEDED, 4, "deadline_exceeded", 504, "the time is over")               \
    X(DR_NOT_FOUND, 5, "not_found", 404, "there is no such thing")                         \
    X(DR_ALREADY_EXISTS, 6, "already_exists", 409, "the name is taken")                    \
    X(DR_PERMISSION_DENIED, 7, "permission_denied", 403, "permission denied")              \
    X(DR_RESOURCE_EXHAUSTED, 8, "resource_exhausted", 429, "a limit was reached")          \
    X(DR_FAILED_PRECONDITION, 9, "failed_precondition", 400, "not possible in this state") \
    X(DR_ABORTED, 10, "aborted", 409, "the operation was aborted")                         \
    X(DR_OUT_OF_RANGE, 11, "out_of_range", 400, "a number is out of range")                \
    X(DR_UNIMPLEMENTED, 12, "unimplemented", 501, "not supported")                         \
    X(DR_INTERNAL, 13, "internal", 500, "internal error")                                  \
    X(DR_UNAVAILABLE, 14, "unavailable", 503, "not available now")                         \
    X(DR_DATA_LOSS, 15, "data_loss", 500, "stored data is damaged")                        \
    X(DR_UNAUTHENTICATED, 16, "unauthenticated", 401, "no valid API key")                  \
    X(DR_NO_MEMORY, 17, "resource_exhausted", 503, "out of memory")

/* What went wrong, as a caller would act on it. Stable numbers. */
typedef enum dr_code {
#define X(name, number, wire, http, text) name = number,
    DR_ERROR_TABLE(X)
#undef X
} dr_code;

#define DR_ERROR_MESSAGE_SIZE 512

/* Owned by the caller; zero-initialise it (`struct dr_error error = {0};`).
 * `message` is one line without a final newline, empty when code is DR_OK. */
struct dr_error {
    dr_code code;
    char message[DR_ERROR_MESSAGE_SIZE];
};

/* Name of a code as it stands on the wire ("invalid_argument"). Never NULL; static. */
DR_API const char *dr_code_name(dr_code code);
/* One line of English for a code. Never NULL; static. */
DR_API const char *dr_code_text(dr_code code);

#ifdef __cplusplus
}
#endif
#endif
