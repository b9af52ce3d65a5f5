/* The library inside somebody else's program while memory, sockets and threads fail: it answers with an error that says
 * what is wrong, or its server makes the run again; it never aborts, nothing is left behind, and nothing is wrong. */
#include "base/testing.h"

#include "faults.h"
#include "served.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define POINTS 18u /* of one sweep in `make test`; each is a process with a server */

static void check(void *arg, unsigned index)
{
    (void)arg;
    served_check(served_of(index));
}

/* libuv (1.44) forgets the descriptor of a loop that it cannot make. */
static bool is_loop_left;

static void sweep(const char *name, void (*run)(void *), enum fault_kind kind, int error, unsigned length)
{
    is_loop_left = kind == FAULT_DESCRIPTOR;
    fault_sweep(&(struct fault_sweep){.name = name, .kind = kind, .error = error, .length = length,
                                      .points_max = POINTS, .run = run, .check = check});
}

/* ---- the client ---- */

/* The server, which meets no faults. */
static struct served *serve_spared(void)
{
    struct served *served = served_of(fault_index());
    struct dr_error error = {0};
    served_prepare(served);
    served->may_leave_one = is_loop_left;
    fault_spare(true);
    CHILD_CHECK(served_open(served, &error) == DR_OK);
    fault_spare(false);
    return served;
}

static void use_client(void *arg)
{
    (void)arg;
    struct served *served = serve_spared();
    struct dr_error error = {0};
    dr_code code = DR_UNAVAILABLE;
    fault_begin();
    for (int i = 0; i < 4 && code; i++) {
        code = served_client_open(served, &error);
        CHILD_CHECK(code == DR_OK || (fault_hits() > 0 && error.message[0] != '\0'));
    }
    CHILD_CHECK(code == DR_OK);
    served_use(served);
    fault_end();
    served_probe(served);
    served_close(served);
}

static void a_client_says_what_is_wrong_and_works_again(void **state)
{
    (void)state;
    sweep("client: allocation", use_client, FAULT_ALLOC, ENOMEM, 1);
    sweep("client: three allocations", use_client, FAULT_ALLOC, ENOMEM, 3);
    sweep("client: socket", use_client, FAULT_SOCKET, EMFILE, 1);
    sweep("client: event descriptors", use_client, FAULT_DESCRIPTOR, EMFILE, 1);
    sweep("client: connect", use_client, FAULT_CONNECT, ECONNREFUSED, 1);
    sweep("client: thread", use_client, FAULT_THREAD, EAGAIN, 1);
    sweep("client: receive, reset", use_client, FAULT_RECEIVE, ECONNRESET, 1);
    sweep("client: receive, in parts", use_client, FAULT_RECEIVE, 0, 20);
    sweep("client: receive, interrupted", use_client, FAULT_RECEIVE, EINTR, 3);
    sweep("client: send, broken", use_client, FAULT_SEND, EPIPE, 1);
    sweep("client: send, in parts", use_client, FAULT_SEND, 0, 20);
    sweep("client: send, interrupted", use_client, FAULT_SEND, EINTR, 3);
}

/* ---- the endpoint: functions, coroutines and their journals ---- */

static dr_code start_endpoint(dr_endpoint **ret_endpoint, struct dr_error *error)
{
    /* two stacks may be parked: of the calls in the test, one goes through its journal */
    struct dr_endpoint_options options = {.address = "127.0.0.1:0", .threads = 2, .parked_max = 1};
    return dr_endpoint_start(&options, ret_endpoint, error);
}

static void use_endpoint(void *arg)
{
    (void)arg;
    struct served *served = serve_spared();
    struct dr_error error = {0};
    dr_endpoint *endpoint = NULL;
    fault_begin();
    dr_code code = start_endpoint(&endpoint, &error);
    if (code) {
        CHILD_CHECK(fault_hits() > 0 && error.message[0] != '\0');
        fault_end();
        CHILD_CHECK(start_endpoint(&endpoint, &error) == DR_OK);
    }
    served_program_set(dr_endpoint_url(endpoint));
    served_connect(served);
    served_use(served);
    fault_end();
    served_probe(served);
    served_await_all(served);
    fault_spare(false);
    dr_endpoint_stop(endpoint);
    served_close(served);
}

static void runs_end_as_they_must_whatever_their_endpoint_lacks(void **state)
{
    (void)state;
    sweep("endpoint: allocation", use_endpoint, FAULT_ALLOC, ENOMEM, 1);
    sweep("endpoint: three allocations", use_endpoint, FAULT_ALLOC, ENOMEM, 3);
    sweep("endpoint: map", use_endpoint, FAULT_MAP, ENOMEM, 1);
    sweep("endpoint: thread", use_endpoint, FAULT_THREAD, EAGAIN, 1);
    sweep("endpoint: listen", use_endpoint, FAULT_LISTEN, EADDRINUSE, 1);
    sweep("endpoint: event descriptors", use_endpoint, FAULT_DESCRIPTOR, EMFILE, 1);
    sweep("endpoint: accept", use_endpoint, FAULT_ACCEPT, EMFILE, 1);
    sweep("endpoint: receive, reset", use_endpoint, FAULT_RECEIVE, ECONNRESET, 1);
    sweep("endpoint: receive, in parts", use_endpoint, FAULT_RECEIVE, 0, 20);
    sweep("endpoint: send, broken", use_endpoint, FAULT_SEND, EPIPE, 1);
    sweep("endpoint: send, in parts", use_endpoint, FAULT_SEND, 0, 20);
}

/* ---- test mode ---- */

DR_EXTERN_FUNCTION(pair, "pair", NULL);

static void body(void *arg)
{
    bool *is_passed = arg;
    dr_check_equal(dr_await(&pair, "x"), "Hello A! Hello B!");
    dr_sleep(24 * 3600 * NS_PER_S);
    *is_passed = true;
}

static void check_nothing(void *arg, unsigned index)
{
    (void)arg;
    (void)index;
}

static void run_once(void *arg)
{
    const struct dr_test_options *options = arg;
    struct dr_error error = {0};
    bool is_passed = false;
    fault_begin();
    dr_code code = dr_test_run(options, body, &is_passed, NULL, &error);
    fault_end();
    if (code && (fault_hits() == 0 || error.message[0] == '\0'))
        (void)fprintf(stderr, "%s: %s\n", dr_code_name(code), error.message);
    CHILD_CHECK(code ? fault_hits() > 0 && error.message[0] != '\0' : is_passed);
}

static void sweep_tests(const char *name, dr_test_transport transport, enum fault_kind kind, int error)
{
    struct dr_test_options options = {.transport = transport};
    fault_sweep(&(struct fault_sweep){.name = name, .kind = kind, .error = error, .points_max = POINTS,
                                      .may_abort = kind == FAULT_ALLOC, .run = run_once, .arg = &options,
                                      .check = check_nothing});
}

static void a_test_passes_or_says_what_is_wrong(void **state)
{
    (void)state;
    sweep_tests("test mode: allocation", DR_TEST_LOCAL, FAULT_ALLOC, ENOMEM);
    sweep_tests("test mode: map", DR_TEST_LOCAL, FAULT_MAP, ENOMEM);
    sweep_tests("test mode: thread", DR_TEST_LOCAL, FAULT_THREAD, EAGAIN);
    sweep_tests("test mode over HTTP: thread", DR_TEST_HTTP, FAULT_THREAD, EAGAIN);
    sweep_tests("test mode over HTTP: socket", DR_TEST_HTTP, FAULT_SOCKET, EMFILE);
    sweep_tests("test mode over HTTP: listen", DR_TEST_HTTP, FAULT_LISTEN, EADDRINUSE);
    sweep_tests("test mode over HTTP: event descriptors", DR_TEST_HTTP, FAULT_DESCRIPTOR, EMFILE);
}

static int set_up(void **state)
{
    (void)state;
    served_program_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_says_what_is_wrong_and_works_again),
        cmocka_unit_test(runs_end_as_they_must_whatever_their_endpoint_lacks),
        cmocka_unit_test(a_test_passes_or_says_what_is_wrong),
    };
    return cmocka_run_group_tests_name("SDK faults", tests, set_up, NULL);
}
