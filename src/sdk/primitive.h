/* Primitive functions: the structs behind dr_request and dr_response. */
#ifndef SDK_PRIMITIVE_H
#define SDK_PRIMITIVE_H

#include "base/buf.h"
#include "sdk/registry.h"
#include "wire/types.h"

/* Runs it and appends its RunResponse. DR_INVALID_ARGUMENT: the request's values cannot be read; DR_NO_MEMORY. */
dr_code primitive_run(const struct registry_entry *entry, const struct wire_run_request *request, struct buf *buf,
                      struct dr_error *error);

#endif
