#include "base/testing.h"

#include "engine/scheduler.h"

#define HOST "http://a"

struct call {
    struct scheduler_entry entry;
    struct scheduler_group *group;
    bool is_probe;
};

struct fixture {
    struct scheduler *scheduler;
    int64_t now_ns;
    struct random random;
};

static void set_up(struct fixture *fixture, bool has_jitter)
{
    random_init(&fixture->random, 7);
    struct scheduler_config config = {.in_flight_max = 1000, .random = has_jitter ? &fixture->random : NULL};
    fixture->scheduler = scheduler_create(&config);
    fixture->now_ns = 1000 * NS_PER_S;
    scheduler_set_time(fixture->scheduler, fixture->now_ns);
}

static void push(struct fixture *fixture, struct call *call)
{
    scheduler_entry_init(&call->entry);
    scheduler_push(fixture->scheduler, &call->entry, 0, slice_text(HOST), (struct id){{1}});
}

static struct call *next(struct fixture *fixture)
{
    struct scheduler_entry *entry = scheduler_next(fixture->scheduler);
    if (!entry)
        return NULL;
    struct call *call = container_of(entry, struct call, entry);
    call->group = entry->group;
    call->is_probe = entry->is_probe;
    return call;
}

static void finish(struct fixture *fixture, const struct call *call, dr_status status, enum scheduler_reach reach)
{
    struct scheduler_outcome outcome = {.status = status, .reach = reach, .is_probe = call->is_probe};
    scheduler_finish(fixture->scheduler, call->group, &outcome);
}

static void lose(struct fixture *fixture, const struct call *call)
{
    finish(fixture, call, DR_STATUS_TCP_ERROR, SCHEDULER_UNREACHED);
}

static int64_t pause_ns(const struct fixture *fixture)
{
    int64_t deadline_ns = scheduler_deadline(fixture->scheduler);
    return deadline_ns == TIME_NEVER ? TIME_NEVER : deadline_ns - fixture->now_ns;
}

static void pass(struct fixture *fixture, int64_t duration_ns)
{
    fixture->now_ns += duration_ns;
    scheduler_set_time(fixture->scheduler, fixture->now_ns);
}

static struct scheduler_group_view view(const struct fixture *fixture)
{
    struct scheduler_group_view group;
    assert_true(scheduler_group_view(fixture->scheduler, 0, slice_text(HOST), &group));
    return group;
}

static void pauses_double_from_10_ms_to_5_s(void **state)
{
    (void)state;
    struct fixture fixture;
    struct call calls[12];
    set_up(&fixture, false);
    for (size_t i = 0; i < 12; i++)
        push(&fixture, &calls[i]);
    lose(&fixture, next(&fixture));
    static const int64_t EXPECTED_MS[] = {10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000};
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(pause_ns(&fixture), EXPECTED_MS[i] * NS_PER_MS);
        assert_false(scheduler_has_turn(fixture.scheduler));
        pass(&fixture, EXPECTED_MS[i] * NS_PER_MS - 1);
        assert_null(next(&fixture));
        pass(&fixture, 1);
        assert_true(scheduler_has_turn(fixture.scheduler));
        lose(&fixture, next(&fixture));
    }
    scheduler_destroy(fixture.scheduler);
}

static void jitter_takes_up_to_half_of_a_pause(void **state)
{
    (void)state;
    int64_t least_ns = INT64_MAX, most_ns = 0;
    struct fixture fixture;
    struct call calls[2];
    set_up(&fixture, true);
    push(&fixture, &calls[0]);
    for (int i = 0; i < 1000; i++) {
        struct call *call = next(&fixture);
        push(&fixture, &calls[(i + 1) % 2]);
        lose(&fixture, call);
        least_ns = pause_ns(&fixture) < least_ns ? pause_ns(&fixture) : least_ns;
        most_ns = pause_ns(&fixture) > most_ns ? pause_ns(&fixture) : most_ns;
        pass(&fixture, pause_ns(&fixture));
        finish(&fixture, next(&fixture), DR_STATUS_OK, SCHEDULER_ANSWERED);
        push(&fixture, &calls[(i + 1) % 2]);
    }
    assert_in_range(least_ns, 5 * NS_PER_MS, 5 * NS_PER_MS + 100 * NS_PER_US);
    assert_in_range(most_ns, 10 * NS_PER_MS - 100 * NS_PER_US, 10 * NS_PER_MS);
    scheduler_destroy(fixture.scheduler);
}

/* They started before anybody knew. */
static void attempts_that_were_in_flight_do_not_lengthen_the_pause(void **state)
{
    (void)state;
    struct fixture fixture;
    struct call calls[8];
    set_up(&fixture, false);
    for (size_t i = 0; i < 8; i++)
        push(&fixture, &calls[i]);
    struct call *started[6];
    for (size_t i = 0; i < 6; i++)
        started[i] = next(&fixture);
    for (size_t i = 0; i < 6; i++)
        lose(&fixture, started[i]);
    assert_int_equal(pause_ns(&fixture), 10 * NS_PER_MS);
    scheduler_destroy(fixture.scheduler);
}

static void any_answer_ends_the_pause_and_the_doubling(void **state)
{
    (void)state;
    struct fixture fixture;
    struct call calls[8];
    set_up(&fixture, false);
    for (size_t i = 0; i < 8; i++)
        push(&fixture, &calls[i]);
    struct call *slow = next(&fixture);
    lose(&fixture, next(&fixture));
    pass(&fixture, 10 * NS_PER_MS);
    lose(&fixture, next(&fixture));
    assert_int_equal(pause_ns(&fixture), 20 * NS_PER_MS);
    finish(&fixture, slow, DR_STATUS_TEMPORARY_ERROR, SCHEDULER_ANSWERED);
    assert_int_equal(pause_ns(&fixture), TIME_NEVER);
    assert_false(view(&fixture).is_paused);
    lose(&fixture, next(&fixture));
    assert_int_equal(pause_ns(&fixture), 10 * NS_PER_MS);
    scheduler_destroy(fixture.scheduler);
}

static void an_undecided_probe_leaves_the_pause_as_it_is(void **state)
{
    (void)state;
    struct fixture fixture;
    struct call calls[4];
    set_up(&fixture, false);
    for (size_t i = 0; i < 4; i++)
        push(&fixture, &calls[i]);
    lose(&fixture, next(&fixture));
    pass(&fixture, 10 * NS_PER_MS);
    struct call *probe = next(&fixture);
    assert_true(probe->is_probe);
    assert_null(next(&fixture)); /* one at a time */
    finish(&fixture, probe, DR_STATUS_TIMEOUT, SCHEDULER_UNDECIDED);
    assert_int_equal(pause_ns(&fixture), 10 * NS_PER_MS);
    scheduler_destroy(fixture.scheduler);
}

static void probes_that_reach_nothing_leave_the_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct call calls[40];
    set_up(&fixture, false);
    for (size_t i = 0; i < 40; i++)
        push(&fixture, &calls[i]);
    lose(&fixture, next(&fixture));
    assert_int_equal(view(&fixture).limit, SCHEDULER_LIMIT_START / 2);
    for (int i = 0; i < 20; i++) {
        pass(&fixture, pause_ns(&fixture));
        lose(&fixture, next(&fixture));
    }
    assert_int_equal(view(&fixture).limit, SCHEDULER_LIMIT_START / 2);
    pass(&fixture, pause_ns(&fixture));
    finish(&fixture, next(&fixture), DR_STATUS_OK, SCHEDULER_ANSWERED);
    int n = 0;
    while (next(&fixture))
        n++;
    assert_int_equal(n, SCHEDULER_LIMIT_START / 2); /* flows as before */
    scheduler_destroy(fixture.scheduler);
}

static void a_pause_that_nobody_waits_for_is_no_deadline(void **state)
{
    (void)state;
    struct fixture fixture;
    struct call calls[2];
    set_up(&fixture, false);
    push(&fixture, &calls[0]);
    lose(&fixture, next(&fixture));
    assert_int_equal(pause_ns(&fixture), TIME_NEVER);
    push(&fixture, &calls[1]);
    assert_int_equal(pause_ns(&fixture), 10 * NS_PER_MS);
    scheduler_remove(fixture.scheduler, &calls[1].entry);
    assert_int_equal(pause_ns(&fixture), TIME_NEVER);
    pass(&fixture, NS_PER_S);
    push(&fixture, &calls[1]);
    assert_ptr_equal(next(&fixture), &calls[1]); /* the pause is long over */
    scheduler_destroy(fixture.scheduler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_from_10_ms_to_5_s),
        cmocka_unit_test(jitter_takes_up_to_half_of_a_pause),
        cmocka_unit_test(attempts_that_were_in_flight_do_not_lengthen_the_pause),
        cmocka_unit_test(any_answer_ends_the_pause_and_the_doubling),
        cmocka_unit_test(an_undecided_probe_leaves_the_pause_as_it_is),
        cmocka_unit_test(probes_that_reach_nothing_leave_the_limit),
        cmocka_unit_test(a_pause_that_nobody_waits_for_is_no_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
