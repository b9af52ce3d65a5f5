/* The wall clock of the real server is set back and forward by an hour, under load and over a restart (shim.c). Nothing is
 * lost or done twice; what sleeps wakes in its time by a clock that nobody sets, or at once when the clock has jumped over it;
 * ids and times of completion never go back (docs/decisions/004 and 008). */
#include "base/testing.h"

#include "rig.h"
#include "shim.h"

#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOUR_NS (3600 * NS_PER_S)
#define NAP_NS (PROGRAM_NAP_MS * NS_PER_MS)
#define BOUND_NS (60 * NS_PER_S) /* instead of an hour; generous, for a busy machine */
#define N_SLEEPERS 10

struct order {
    char id[33];
    int64_t done_ns;
};

static void open_with_shim(struct rig *rig)
{
    rig_put_shim(rig);
    rig_open(rig);
    assert_true(atomic_load(&rig->shim->n_clock_reads) > 0); /* else nothing is tested */
}

static void set_clock(struct rig *rig, int64_t offset_ns)
{
    atomic_store(&rig->shim->clock_offset_ns, offset_ns);
}

/* "2026-07-01T10:00:00.123456789Z", with 0 to 9 digits behind the point. */
static int64_t time_of(const char *text)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    assert_non_null(rest);
    int64_t ns = (int64_t)timegm(&parts) * NS_PER_S;
    int64_t digit_ns = NS_PER_S / 10;
    for (const char *c = rest + 1; *rest == '.' && *c >= '0' && *c <= '9'; c++, digit_ns /= 10)
        ns += (*c - '0') * digit_ns;
    return ns;
}

static int64_t done_time(struct rig *rig, uint64_t n)
{
    static const char field[] = "\"doneTime\":\"";
    assert_true(rig_knows(rig, n));
    const char *found = strstr(buf_text(&rig->poster.response), field);
    if (!found)
        fail_msg("call %s has no time: %s", rig->ids[n], buf_text(&rig->poster.response));
    return time_of(found + strlen(field));
}

/* A call made and done now stands behind all that were made and done before. */
static void goes_on_in_order(struct rig *rig, struct order *last)
{
    uint64_t n = rig->next_n;
    assert_int_equal(rig_submit_to(rig, "leaf", 1), 200);
    rig_wait_until_shown(rig, n, "\"state\":\"done\"");
    int64_t done_ns = done_time(rig, n);
    assert_true(strcmp(rig->ids[n], last->id) > 0);
    assert_true(done_ns >= last->done_ns);
    memcpy(last->id, rig->ids[n], sizeof last->id);
    last->done_ns = done_ns;
}

/* Returns when all have run once; on a busy machine the first may have woken by then. */
static void submit_sleeping(struct rig *rig, const char *function)
{
    uint64_t first = rig->next_n;
    assert_int_equal(rig_submit_to(rig, function, N_SLEEPERS), 200);
    int64_t until_ns = clock_monotonic_ns() + BOUND_NS;
    for (uint64_t n = first; n < first + N_SLEEPERS;) {
        n += rig_shows(rig, n, "\"state\":\"suspended\"") || rig_shows(rig, n, "\"state\":\"done\"");
        assert_true(clock_monotonic_ns() < until_ns);
    }
}

/* Since `begin_ns`, of the monotonic clock. */
static void all_have_woken_between(struct rig *rig, int64_t begin_ns, int64_t least_ns)
{
    rig_check_results(rig);
    int64_t took_ns = clock_monotonic_ns() - begin_ns;
    if (took_ns < least_ns || took_ns > BOUND_NS)
        fail_msg("woke after %lld ms", (long long)(took_ns / NS_PER_MS));
}

static void a_call_sleeps_its_time_when_the_clock_is_set_back(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_with_shim(rig);
    int64_t begin_ns = clock_monotonic_ns();
    submit_sleeping(rig, "nap");
    set_clock(rig, -HOUR_NS);
    all_have_woken_between(rig, begin_ns, NAP_NS);
    assert_true(rig_metric(rig, "clock_ahead_seconds") >= HOUR_NS / NS_PER_S - 1);
    rig_close(rig);
    mem_free(rig);
}

static void what_a_clock_set_forward_has_jumped_over_wakes_at_once_and_nothing_stalls_when_it_is_corrected(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    struct order last = {0};
    open_with_shim(rig);
    int64_t begin_ns = clock_monotonic_ns();
    submit_sleeping(rig, "stuck"); /* for an hour */
    goes_on_in_order(rig, &last);
    set_clock(rig, HOUR_NS + 60 * NS_PER_S);
    goes_on_in_order(rig, &last); /* something happens: only then it looks at the clock */
    all_have_woken_between(rig, begin_ns, 0);
    assert_true(rig_metric(rig, "clock_jumped_seconds_total") >= HOUR_NS / NS_PER_S);
    set_clock(rig, 0);
    begin_ns = clock_monotonic_ns();
    assert_int_equal(rig_submit_to(rig, "nap", N_SLEEPERS), 200);
    all_have_woken_between(rig, begin_ns, NAP_NS);
    goes_on_in_order(rig, &last);
    rig_close(rig);
    mem_free(rig);
}

static void over_a_restart_with_the_clock_set_back_time_goes_on(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    struct order last = {0};
    open_with_shim(rig);
    submit_sleeping(rig, "nap");
    goes_on_in_order(rig, &last);
    rig_kill_server(rig);
    set_clock(rig, -HOUR_NS);
    int64_t begin_ns = clock_monotonic_ns();
    rig_start_server(rig);
    rig_wait_for_log(rig, "the clock is behind what the database has seen");
    all_have_woken_between(rig, begin_ns, 0);
    goes_on_in_order(rig, &last);
    rig_close(rig);
    mem_free(rig);
}

/* Until the load has gone on by so many calls. */
static void wait_for_load(struct rig *rig, struct rig_client *client, size_t n_more)
{
    size_t n_wanted = atomic_load(&client->n_acknowledged) + n_more;
    for (int64_t until_ns = clock_monotonic_ns() + BOUND_NS; atomic_load(&client->n_acknowledged) < n_wanted;) {
        assert_true(clock_monotonic_ns() < until_ns);
        assert_true(rig_metric(rig, "calls_resident") >= 0);
    }
}

static void a_clock_set_to_and_fro_under_load_loses_nothing_and_does_nothing_twice(void **state)
{
    (void)state;
    static const int64_t offsets_ns[] = {-HOUR_NS, 0, HOUR_NS, -HOUR_NS, 2 * HOUR_NS, 0};
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    struct order last = {0};
    open_with_shim(rig);
    for (int life = 0; life < 2; life++) { /* the second begins 2 h behind the first */
        struct rig_client *client = rig_client_start(rig);
        for (size_t i = 0; i < sizeof offsets_ns / sizeof offsets_ns[0]; i++) {
            wait_for_load(rig, client, 30);
            set_clock(rig, offsets_ns[i]);
            goes_on_in_order(rig, &last);
        }
        rig_kill_server(rig);
        rig_client_join(client);
        rig_start_server(rig);
        rig_wait_for_log(rig, "the clock is behind what the database has seen");
        goes_on_in_order(rig, &last);
        rig_client_end(client, rig);
    }
    rig_close(rig);
    mem_free(rig);
}

int main(int argc, char **argv)
{
    program_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_sleeps_its_time_when_the_clock_is_set_back),
        cmocka_unit_test(what_a_clock_set_forward_has_jumped_over_wakes_at_once_and_nothing_stalls_when_it_is_corrected),
        cmocka_unit_test(over_a_restart_with_the_clock_set_back_time_goes_on),
        cmocka_unit_test(a_clock_set_to_and_fro_under_load_loses_nothing_and_does_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
