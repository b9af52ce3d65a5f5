/* The handler: one RunRequest in, one RunResponse out, with the parked stacks in between. Below HTTP (endpoint.c) and below
 * test mode (test_server.c). Any number of threads may handle requests at once. */
#ifndef SDK_HANDLER_H
#define SDK_HANDLER_H

#include "base/buf.h"
#include <dispatchrun/registry.h>

struct handler;

struct handler_config {
    const dr_registry *registry;             /* NULL = every open one */
    unsigned parked_max;
    int64_t (*now_ns)(void *arg);            /* NULL = the wall clock */
    void *now_arg;
};

/* NULL when out of memory. */
struct handler *handler_create(const struct handler_config *config);
void handler_destroy(struct handler *handler); /* drops what is parked; accepts NULL */
/* Appends an encoded RunResponse. Otherwise no function ran (protocol 3.2): DR_INVALID_ARGUMENT (bytes that are no
 * request, "function is required"), DR_NOT_FOUND ("function 'X' does not exist"), DR_NO_MEMORY. */
dr_code handler_run(struct handler *handler, struct slice request, struct buf *response, struct dr_error *error);
/* Drops all parked stacks: what is resumed next goes through its journal. */
void handler_forget(struct handler *handler);

#endif
