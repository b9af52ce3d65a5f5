/* Status: the protocol's category of an attempt's outcome; it decides what happens next.
 *
 * Columns: enumerator, number on the wire, wire name, text for people, retried?,
 * effect on the adaptive concurrency of the endpoint (+1 raises, -1 lowers).
 * Source of the columns: protocol 1.2 and 4.1.
 */
#ifndef DISPATCHRUN_STATUS_H
#define DISPATCHRUN_STATUS_H

#include <dispatchrun/error.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DR_STATUS_TABLE(X)                                                                       \
    X(DR_STATUS_UNSPECIFIED, 0, "STATUS_UNSPECIFIED", "Unspecified", false, +1)                  \
    X(DR_STATUS_OK, 1, "STATUS_OK", "OK", false, +1)                                             \
    X(DR_STATUS_TIMEOUT, 2, "STATUS_TIMEOUT", "Timeout", true, -1)                               \
    X(DR_STATUS_THROTTLED, 3, "STATUS_THROTTLED", "Throttled", true, -1)                         \
    X(DR_STATUS_INVALID_ARGUMENT, 4, "STATUS_INVALID_ARGUMENT", "Invalid argument", false, +1)   \
    X(DR_STATUS_INVALID_RESPONSE, 5, "STATUS_INVALID_RESPONSE", "Invalid response", false, +1)   \
    X(DR_STATUS_TEMPORARY_ERROR, 6, "STATUS_TEMPORARY_ERROR", "Temporary error", true, -1)       \
    X(DR_STATUS_PERMANENT_ERROR, 7, "STATUS_PERMANENT_ERROR", "Permanent error", false, +1)      \
    X(DR_STATUS_INCOMPATIBLE_STATE, 8, "STATUS_INCOMPATIBLE_STATE", "Incompatible state", true, +1) \
    X(DR_STATUS_DNS_ERROR, 9, "STATUS_DNS_ERROR", "DNS error", true, -1)                         \
    X(DR_STATUS_TCP_ERROR, 10, "STATUS_TCP_ERROR", "TCP error", true, -1)                        \
    X(DR_STATUS_TLS_ERROR, 11, "STATUS_TLS_ERROR", "TLS error", true, -1)                        \
    X(DR_STATUS_HTTP_ERROR, 12, "STATUS_HTTP_ERROR", "HTTP error", true, -1)                     \
    X(DR_STATUS_UNAUTHENTICATED, 13, "STATUS_UNAUTHENTICATED", "Unauthenticated", false, +1)     \
    X(DR_STATUS_PERMISSION_DENIED, 14, "STATUS_PERMISSION_DENIED", "Permission denied", false, +1) \
    X(DR_STATUS_NOT_FOUND, 15, "STATUS_NOT_FOUND", "Not found", false, +1)

typedef enum dr_status {
#define X(name, number, wire, text, retried, effect) name = number,
    DR_STATUS_TABLE(X)
#undef X
} dr_status;

/* Wire name ("STATUS_OK"), "STATUS_UNSPECIFIED" for an unknown number. Static. */
DR_API const char *dr_status_name(dr_status status);
/* Name for people ("Temporary error"). Static. */
DR_API const char *dr_status_text(dr_status status);
/* True for the statuses after which the server makes another attempt. Unknown numbers are terminal. */
DR_API bool dr_status_is_retryable(dr_status status);
/* Status of an HTTP response code (protocol 4.3): 200 -> OK, 404 -> NOT_FOUND, 503 -> TEMPORARY_ERROR. */
DR_API dr_status dr_status_of_http(int http_status);
/* Status of an errno value (protocol 4.5): ECONNREFUSED -> TCP_ERROR, ETIMEDOUT -> TIMEOUT. */
DR_API dr_status dr_status_of_errno(int error_number);

#ifdef __cplusplus
}
#endif
#endif
