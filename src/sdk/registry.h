/* The application: all open registries, and what they hold. One lock; functions are the user's static objects, so what is
 * found stays valid after the lock is released. */
#ifndef SDK_REGISTRY_H
#define SDK_REGISTRY_H

#include "base/slice.h"
#include <dispatchrun/registry.h>

struct registry_entry {
    const dr_function *function;  /* or */
    dr_primitive *primitive;
    void *primitive_arg;
};

/* Looks the name up in `registry`, or in all that are open when it is NULL. */
bool registry_find(const dr_registry *registry, struct slice name, struct registry_entry *ret_entry);
/* Checks scheme and host of an endpoint's URL; the messages are those of protocol 10.3. */
dr_code registry_check_endpoint(const char *url, struct dr_error *error);

#endif
