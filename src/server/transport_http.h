/* Runs over HTTP: POST {endpoint}/dispatch.sdk.v1.FunctionService/Run (protocol 3.1), and what an answer or a
 * failure means as a status (protocol 3.5):
 *
 *   200, application/proto      a RunResponse
 *   another 2xx, another type   INVALID_RESPONSE, terminal; a body over 16,000,000 bytes likewise
 *   any other HTTP status       by the table of both SDKs (dr_status_of_http), text from the body's Connect error
 *   no answer                   DNS_ERROR, TCP_ERROR, TLS_ERROR, TIMEOUT, or HTTP_ERROR for what is not HTTP
 *   bridge and Lambda           PERMANENT_ERROR, until they are supported */
#ifndef SERVER_TRANSPORT_HTTP_H
#define SERVER_TRANSPORT_HTTP_H

#include "server/transport.h"
#include <dispatchrun/error.h>

#define TRANSPORT_REPLY_BYTES_MAX (512u << 20)
#define TRANSPORT_REQUEST_BYTES_MAX (512u << 20)
#define TRANSPORT_REQUEST_FREE_BYTES 65536u /* a smaller request takes no room */

struct transport_http_config {
    uint32_t runs_max;          /* in flight; no less than the engine's [4,096] */
    size_t reply_bytes_max;     /* of all replies together, small ones apart, shared fairly by host
                                 * [TRANSPORT_REPLY_BYTES_MAX]; without room: THROTTLED */
    size_t request_bytes_max;   /* of all requests on their way, likewise [TRANSPORT_REQUEST_BYTES_MAX] */
    uint32_t connections_max;   /* open at once, further runs wait for one [the client's] */
};

/* Starts the client's thread. Zero members mean defaults. DR_NO_MEMORY, DR_UNAVAILABLE. */
dr_code transport_http_create(const struct transport_http_config *config, struct transport **ret_transport,
                              struct dr_error *error);

#endif
