/* Server and endpoint are stopped (SIGSTOP) for longer than every timeout, as a laptop that sleeps or a machine that
 * swaps does, and go on: everything ends right, and the late answers are ignored. */
#include "base/testing.h"

#include "rig.h"

#include "base/clock.h"
#include <poll.h>
#include <signal.h>

#define RUN_TIMEOUT "300ms"
#define STOP_MS 700 /* longer than that */
#define N_STOPS 4

static void open_loaded(struct rig *rig)
{
    rig->options[0] = "--run-timeout";
    rig->options[1] = RUN_TIMEOUT;
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 100), 200);
}

static void stop(pid_t pid)
{
    assert_int_equal(kill(pid, SIGSTOP), 0);
    (void)poll(NULL, 0, STOP_MS); /* the time of a stop is what is tested */
    assert_int_equal(kill(pid, SIGCONT), 0);
}

static void answers_of_an_endpoint_that_was_stopped_come_late_and_are_ignored(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_loaded(rig);
    for (int i = 0; i < N_STOPS; i++) {
        assert_int_equal(rig_submit(rig, 50), 200);
        stop(rig->program.pid);
    }
    rig_close(rig);
    mem_free(rig);
}

static void a_server_that_was_stopped_goes_on(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_loaded(rig);
    for (int i = 0; i < N_STOPS; i++) {
        assert_int_equal(rig_submit(rig, 50), 200);
        stop(rig->server.pid);
    }
    rig_close(rig);
    mem_free(rig);
}

static void a_server_that_is_killed_while_its_endpoint_is_stopped_ends_every_call(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_loaded(rig);
    for (int i = 0; i < N_STOPS; i++) {
        assert_int_equal(rig_submit(rig, 50), 200);
        assert_int_equal(kill(rig->program.pid, SIGSTOP), 0);
        rig_kill_server(rig);
        rig_start_server(rig);
        stop(rig->program.pid);
    }
    rig_close(rig);
    mem_free(rig);
}

int main(int argc, char **argv)
{
    program_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_an_endpoint_that_was_stopped_come_late_and_are_ignored),
        cmocka_unit_test(a_server_that_was_stopped_goes_on),
        cmocka_unit_test(a_server_that_is_killed_while_its_endpoint_is_stopped_ends_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
