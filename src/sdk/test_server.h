/* One test server: the production driver with a store in memory and a virtual clock, and the application's functions
 * behind it, in process or over loopback. Any number side by side. */
#ifndef SDK_TEST_SERVER_H
#define SDK_TEST_SERVER_H

#include "base/buf.h"
#include "server/driver.h"
#include <dispatchrun/test.h>

dr_code test_server_open(const struct dr_test_options *options, struct dr_test_server **ret_server, struct dr_error *error);
void test_server_close(struct dr_test_server *server); /* accepts NULL */
struct driver *test_server_driver(struct dr_test_server *server);
bool test_server_is_inline(const struct dr_test_server *server);
/* Where the functions are. Borrowed. */
/* "" in process. Borrowed. */
const char *test_server_url(const struct dr_test_server *server);
const char *test_server_endpoint(const struct dr_test_server *server);
/* Over HTTP: a client of the server; NULL in process. Borrowed. */
dr_client *test_server_client(const struct dr_test_server *server);
void test_server_forget_stacks(struct dr_test_server *server);
/* Appends the tree of all calls, one line each, with why the unfinished ones are not running. */
void test_server_trace(struct dr_test_server *server, struct buf *buf);

#endif
