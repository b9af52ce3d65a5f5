/* The whole server while sockets, threads, descriptors and the disk fail: a start that fails says why and gives everything
 * back; a server that runs goes on serving, what it acknowledged is kept, and every call ends with its right result once. */
#include "base/testing.h"

#include "faults.h"
#include "served.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define POINTS 14u /* of one sweep in `make test`; each is a process with a server */

static void check(void *arg, unsigned index)
{
    (void)arg;
    served_check(served_of(index));
}

/* ---- the start ---- */

/* libuv (1.44) forgets the descriptor of a loop that it cannot make. */
static bool is_loop_left;

static void start(void *arg)
{
    (void)arg;
    struct served *served = served_of(fault_index());
    struct dr_error error = {0};
    served_prepare(served);
    served->may_leave_one = is_loop_left;
    fault_begin();
    dr_code code = served_open(served, &error);
    fault_end();
    if (code) {
        CHILD_CHECK(fault_hits() > 0 && error.message[0] != '\0');
        served_close(served);
        CHILD_CHECK(served_open(served, &error) == DR_OK);
    }
    served_connect(served);
    served_probe(served);
    served_close(served);
}

static void sweep_start(const char *name, enum fault_kind kind, int error)
{
    is_loop_left = kind == FAULT_DESCRIPTOR;
    fault_sweep(&(struct fault_sweep){
        .name = name, .kind = kind, .error = error, .points_max = POINTS, .run = start, .check = check});
}

static void a_start_that_fails_says_why_and_can_be_repeated(void **state)
{
    (void)state;
    sweep_start("start: thread", FAULT_THREAD, EAGAIN);
    sweep_start("start: socket", FAULT_SOCKET, EMFILE);
    sweep_start("start: bind and listen", FAULT_LISTEN, EADDRINUSE);
    sweep_start("start: event descriptors", FAULT_DESCRIPTOR, EMFILE);
    sweep_start("start: open", FAULT_OPEN, EMFILE);
    sweep_start("start: read", FAULT_READ, EIO);
    sweep_start("start: write", FAULT_WRITE, ENOSPC);
    sweep_start("start: sync", FAULT_SYNC, EIO);
    sweep_start("start: allocation", FAULT_ALLOC, ENOMEM);
}

/* ---- serving ---- */

static void serve(void *arg)
{
    (void)arg;
    struct served *served = served_of(fault_index());
    struct dr_error error = {0};
    served_prepare(served);
    CHILD_CHECK(served_open(served, &error) == DR_OK);
    served_connect(served);
    fault_begin();
    served_use(served);
    fault_end();
    served_probe(served);
    served_await_all(served);
    served_close(served);
}

static void sweep_serving(const char *name, enum fault_kind kind, int error, unsigned length)
{
    fault_sweep(&(struct fault_sweep){.name = name, .kind = kind, .error = error, .length = length,
                                      .points_max = POINTS, .run = serve, .check = check});
}

static void goes_on_when_connections_are_not_accepted(void **state)
{
    (void)state;
    sweep_serving("serve: accept, no descriptors", FAULT_ACCEPT, EMFILE, 1);
    sweep_serving("serve: accept, none in the system", FAULT_ACCEPT, ENFILE, 3);
    sweep_serving("serve: accept, aborted", FAULT_ACCEPT, ECONNABORTED, 1);
    sweep_serving("serve: accept, spurious", FAULT_ACCEPT, EAGAIN, 1);
    sweep_serving("serve: accept, no memory", FAULT_ACCEPT, ENOMEM, 1);
}

static void goes_on_when_sockets_break(void **state)
{
    (void)state;
    sweep_serving("serve: receive, reset", FAULT_RECEIVE, ECONNRESET, 1);
    sweep_serving("serve: receive, interrupted", FAULT_RECEIVE, EINTR, 3);
    sweep_serving("serve: receive, in parts", FAULT_RECEIVE, 0, 20);
    sweep_serving("serve: send, broken", FAULT_SEND, EPIPE, 1);
    sweep_serving("serve: send, interrupted", FAULT_SEND, EINTR, 3);
    sweep_serving("serve: send, later", FAULT_SEND, EAGAIN, 1);
    sweep_serving("serve: send, in parts", FAULT_SEND, 0, 20);
}

static void goes_on_when_endpoints_cannot_be_reached(void **state)
{
    (void)state;
    sweep_serving("serve: socket", FAULT_SOCKET, EMFILE, 1);
    sweep_serving("serve: connect, refused", FAULT_CONNECT, ECONNREFUSED, 1);
    sweep_serving("serve: connect, no way", FAULT_CONNECT, ENETUNREACH, 3);
    char url[64];
    (void)snprintf(url, sizeof url, "http://localhost%s", strrchr(served_program_url(), ':'));
    served_program_set(url);
    sweep_serving("serve: name, try again", FAULT_RESOLVE, EAI_AGAIN, 1);
    sweep_serving("serve: name, unknown", FAULT_RESOLVE, EAI_NONAME, 1);
}

static void goes_on_when_the_disk_fails(void **state)
{
    (void)state;
    sweep_serving("serve: write, disk full", FAULT_WRITE, ENOSPC, 2);
    sweep_serving("serve: write", FAULT_WRITE, EIO, 1);
    sweep_serving("serve: sync", FAULT_SYNC, EIO, 1);
    sweep_serving("serve: write, in parts", FAULT_WRITE, 0, 20);
}

static void goes_on_when_the_disk_recovers_after_the_operator_was_told(void **state)
{
    (void)state;
    struct fault_sweep sweep = {.name = "serve: disk full", .kind = FAULT_WRITE, .error = ENOSPC, .goes_on = true,
                                .points_max = POINTS, .run = serve, .check = check};
    fault_sweep(&sweep);
    sweep.name = "serve: syncs fail";
    sweep.kind = FAULT_SYNC;
    sweep.error = EIO;
    fault_sweep(&sweep);
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
        cmocka_unit_test(a_start_that_fails_says_why_and_can_be_repeated),
        cmocka_unit_test(goes_on_when_connections_are_not_accepted),
        cmocka_unit_test(goes_on_when_sockets_break),
        cmocka_unit_test(goes_on_when_endpoints_cannot_be_reached),
        cmocka_unit_test(goes_on_when_the_disk_fails),
        cmocka_unit_test(goes_on_when_the_disk_recovers_after_the_operator_was_told),
    };
    return cmocka_run_group_tests_name("server faults", tests, set_up, NULL);
}
