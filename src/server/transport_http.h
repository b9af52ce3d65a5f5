/* Runs over HTTP: POST {endpoint}/dispatch.sdk.v1.FunctionService/Run (compatibility 3.1), and what an answer or a
 * failure means as a status (compatibility 3.5). */
#ifndef SERVER_TRANSPORT_HTTP_H
#define SERVER_TRANSPORT_HTTP_H

#include "server/transport.h"

struct transport_http_config {
    uint32_t connections_max;   /* [in-flight limit of the client] */
};

/* Starts the client's thread. Zero members mean defaults. DR_NO_MEMORY, DR_UNAVAILABLE. */
dr_code transport_http_create(const struct transport_http_config *config, struct transport **ret_transport,
                              struct dr_error *error);

#endif
