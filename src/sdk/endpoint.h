/* For test mode: an endpoint whose functions go by another clock. Public face: <dispatchrun/endpoint.h>. */
#ifndef SDK_ENDPOINT_H
#define SDK_ENDPOINT_H

#include "sdk/handler.h"
#include <dispatchrun/endpoint.h>

/* As dr_endpoint_start; now_ns and now_arg as in handler_config. */
dr_code endpoint_start(const struct dr_endpoint_options *options, int64_t (*now_ns)(void *arg), void *now_arg,
                       dr_endpoint **ret_endpoint, struct dr_error *error);
struct handler *endpoint_handler(dr_endpoint *endpoint);

#endif
