/* Server and endpoint are stopped (SIGSTOP) for longer than every timeout, as a laptop that sleeps or a machine that
 * swaps does, and go on: everything ends right, and the late answers are ignored. */
#include "base/testing.h"

#include "rig.h"

#include "base/clock.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#define RUN_TIMEOUT "300ms"
#define RUN_TIMEOUT_NS (300 * NS_PER_MS)
#define WAIT_TIMEOUT "0.6s"
#define STOP_MS 700 /* longer than both */
#define KEEP_ALIVE_STOP_MS 130000 /* longer than an idle connection lives: 120 s at the server, 60 s to endpoints */
#define N_STOPS 4
#define TIMEOUTS "attempts_total{status=\"STATUS_TIMEOUT\"}"
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"

static void open_loaded(struct rig *rig)
{
    rig->options[0] = "--run-timeout";
    rig->options[1] = RUN_TIMEOUT;
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 100), 200);
}

static void stop_for(pid_t pid, int ms)
{
    int64_t begin_ns = clock_monotonic_ns();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    (void)poll(NULL, 0, ms); /* the time of a stop is what is tested */
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_true(clock_monotonic_ns() - begin_ns > RUN_TIMEOUT_NS);
}

static void answers_of_an_endpoint_that_was_stopped_come_late_and_are_ignored(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_loaded(rig);
    for (int i = 0; i < N_STOPS; i++) {
        int64_t n_timeouts = rig_metric(rig, TIMEOUTS);
        assert_int_equal(kill(rig->program.pid, SIGSTOP), 0);
        assert_int_equal(rig_submit(rig, 50), 200);
        rig_wait_for_metric(rig, TIMEOUTS, n_timeouts + 1); /* an attempt has ended before its answer */
        assert_int_equal(kill(rig->program.pid, SIGCONT), 0);
    }
    rig_close(rig);
    mem_free(rig);
}

/* A client that waits for a call, on a thread of its own. */
struct waiting {
    struct poster poster;
    char body[100];
    pthread_t thread;
    int status;
    atomic_bool is_answered;
};

static void *wait_for_call(void *arg)
{
    struct waiting *waiting = arg;
    waiting->status = poster_post(&waiting->poster, WAIT_PATH, "application/json", slice_text(waiting->body));
    atomic_store(&waiting->is_answered, true);
    return NULL;
}

static void begin_wait(struct rig *rig, struct waiting *waiting, uint64_t n)
{
    poster_open(&waiting->poster, rig->server.url, rig->poster.api_key);
    snprintf(waiting->body, sizeof waiting->body, "{\"dispatchId\": \"%s\", \"timeout\": \"" WAIT_TIMEOUT "\"}", rig->ids[n]);
    assert_int_equal(pthread_create(&waiting->thread, NULL, wait_for_call, waiting), 0);
    while (rig_metric(rig, "waits") < 1 && !atomic_load(&waiting->is_answered)) /* already, on a very busy machine */
        (void)poll(NULL, 0, 5);
}

static void a_server_that_was_stopped_goes_on(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_loaded(rig);
    for (int i = 0; i < N_STOPS; i++) {
        struct waiting waiting = {.status = 0};
        int64_t n_timeouts = rig_metric(rig, TIMEOUTS);
        assert_int_equal(kill(rig->program.pid, SIGSTOP), 0); /* so that attempts are in flight, and the wait is not over */
        assert_int_equal(rig_submit(rig, 50), 200);
        rig_wait_for_metric(rig, "attempts_in_flight", 1);
        begin_wait(rig, &waiting, rig->next_n - 1);
        stop_for(rig->server.pid, STOP_MS);
        pthread_join(waiting.thread, NULL);
        assert_int_equal(waiting.status, 504);
        poster_close(&waiting.poster);
        rig_wait_for_metric(rig, TIMEOUTS, n_timeouts + 1);
        assert_int_equal(kill(rig->program.pid, SIGCONT), 0);
    }
    rig_close(rig);
    mem_free(rig);
}

/* Takes two minutes, which only PAUSE_LONG=1 in the environment asks for. */
static void connections_that_outlived_their_keep_alive_are_closed_and_made_anew(void **state)
{
    (void)state;
    if (!getenv("PAUSE_LONG"))
        skip();
    char byte;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_loaded(rig);
    rig_check_results(rig);
    stop_for(rig->server.pid, KEEP_ALIVE_STOP_MS);
    assert_int_equal(recv(rig->poster.fd, &byte, 1, 0), 0); /* closed, without a word */
    poster_close(&rig->poster);
    poster_open(&rig->poster, rig->server.url, rig->poster.api_key);
    assert_int_equal(rig_submit(rig, 50), 200);
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
        stop_for(rig->program.pid, STOP_MS);
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
        cmocka_unit_test(connections_that_outlived_their_keep_alive_are_closed_and_made_anew),
        cmocka_unit_test(a_server_that_is_killed_while_its_endpoint_is_stopped_ends_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
