/* How a dr_result is made of what came over the wire. Public reading: <dispatchrun/call.h>. */
#ifndef SDK_RESULT_H
#define SDK_RESULT_H

#include "wire/types.h"
#include <dispatchrun/call.h>

/* Copies; unpacks the output. `status` is shown by dr_result_status when the result holds an error;
 * DR_STATUS_UNSPECIFIED when nobody told. Returns owned. Errors as dr_value_unpack. */
dr_code result_create(const struct wire_result *wire, dr_status status, dr_result **ret_result, struct dr_error *error);

/* A copy of the options in today's layout, whatever version of the struct the caller was compiled with. Texts and input
 * stay borrowed from the caller. */
struct dr_call_options call_options_read(const struct dr_call_options *options);

#endif
