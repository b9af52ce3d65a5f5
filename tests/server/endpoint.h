/* A program that serves functions, for tests and benchmarks: an HTTP server on a loopback port whose Run requests are
 * decoded, given to one function, and answered. */
#ifndef TESTS_SERVER_ENDPOINT_H
#define TESTS_SERVER_ENDPOINT_H

#include "base/arena.h"
#include "wire/types.h"

struct endpoint;

/* On the endpoint's one thread. Fills `response` (zeroed); what it points to may live in `arena` or `request`. Returns
 * an HTTP status; not 200 = no RunResponse is sent. */
typedef int endpoint_fn(void *arg, const struct wire_run_request *request, struct wire_run_response *response,
                        struct arena *arena);

/* Aborts when it cannot be opened. */
struct endpoint *endpoint_open(endpoint_fn *run, void *arg);
/* The same on a port of the caller's choice; 0 = a free one. */
struct endpoint *endpoint_open_at(uint16_t port, endpoint_fn *run, void *arg);
/* "http://127.0.0.1:PORT", borrowed. */
const char *endpoint_url(const struct endpoint *endpoint);
void endpoint_close(struct endpoint *endpoint);

#endif
