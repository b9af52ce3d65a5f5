/* What stands behind dr_run: a request in some transport's hands. Public face: <dispatchrun/raw.h>. */
#ifndef SDK_RAW_H
#define SDK_RAW_H

#include "base/slice.h"
#include <dispatchrun/raw.h>

struct http_exchange;

struct raw_methods {
    struct slice (*request)(const dr_run *run);
    const struct http_exchange *(*exchange)(const dr_run *run); /* NULL when there is none */
    void (*respond)(dr_run *run, struct slice response);        /* gives up the run */
    void (*refuse)(dr_run *run, dr_code code, const char *message);
};

/* First member of every implementation. */
struct dr_run {
    const struct raw_methods *methods;
};

/* Hands an exchange to the handler as a run; answers it by itself without memory. */
void raw_http_hand_over(struct http_exchange *exchange, dr_run_handler *handler, void *arg);

#endif
