/* A transport whose runs are handed to a dr_run_handler in this process: the test server of a binding. Any endpoint.
 *
 * The handler is called inside transport_start, on the driver's engine thread. A run that is called off, or whose answer
 * comes after that, is answered to the driver once, by a thread of the transport. Runs may outlive the transport. */
#ifndef SDK_TEST_TRANSPORT_H
#define SDK_TEST_TRANSPORT_H

#include "sdk/raw.h"
#include "server/driver.h"

/* DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (no thread). */
dr_code test_transport_create(dr_run_handler *handler, void *arg, struct transport **ret_transport, struct dr_error *error);
/* Whoever answers a run takes the driver's turn, if it is free. Before the driver starts. Borrows. */
void test_transport_set_inline(struct transport *transport, struct driver *driver);

#endif
