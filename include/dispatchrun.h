/* Dispatch for C: durable function calls. Everything a program needs; the parts, in the order of a user's life:
 * function.h (what functions are and do), endpoint.h (serving them), client.h (submitting calls), registry.h (sets of
 * functions), test.h (testing them), raw.h (bindings), value.h and call.h (what travels), status.h and error.h (what goes wrong). */
#ifndef DISPATCHRUN_H
#define DISPATCHRUN_H

#include <dispatchrun/call.h>
#include <dispatchrun/client.h>
#include <dispatchrun/endpoint.h>
#include <dispatchrun/error.h>
#include <dispatchrun/function.h>
#include <dispatchrun/raw.h>
#include <dispatchrun/registry.h>
#include <dispatchrun/status.h>
#include <dispatchrun/test.h>
#include <dispatchrun/value.h>

#endif
