/* The suite of the HTTP client, run on the plain one: both keep one contract (http_client.h), so one text tests both.
 * Left out are TLS and proxies, which the plain client does not know. */
#include "base/testing.h"

#include "http/http_plain.h"
#include <string.h>

#define http_client http_plain
#define http_client_create http_plain_create
#define http_client_post http_plain_post
#define http_client_cancel http_plain_cancel
#define http_client_destroy http_plain_destroy

static void is_not_for_this_client(void **state) { (void)state; }

static CMUnitTestFunction choose(const char *name, CMUnitTestFunction test)
{
    bool is_other = strstr(name, "default_port") || strstr(name, "handshake");
    return is_other ? is_not_for_this_client : test;
}

#undef cmocka_unit_test
#define cmocka_unit_test(test) {#test, choose(#test, test), NULL, NULL, NULL}

#include "http/http_client_test.c"
