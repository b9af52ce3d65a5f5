#include "base/testing.h"

#include "base/clock.h"

static void adds_and_clamps_at_both_ends(void **state)
{
    (void)state;
    assert_true(time_add(1, 2) == 3);
    assert_true(time_add(TIME_NEVER, 1) == TIME_NEVER);
    assert_true(time_add(1, TIME_NEVER) == TIME_NEVER);
    assert_true(time_add(INT64_MIN, -1) == INT64_MIN);
    assert_true(time_add(-1, INT64_MIN) == INT64_MIN);
    assert_true(time_add(TIME_NEVER, INT64_MIN) == -1);
}

static void never_goes_back_on_the_monotonic_clock(void **state)
{
    (void)state;
    int64_t before = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_monotonic_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void counts_from_1970_on_the_real_clock(void **state)
{
    (void)state;
    assert_true(clock_real_ns() > INT64_C(1577836800) * NS_PER_S); /* 2020-01-01 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_clamps_at_both_ends),
        cmocka_unit_test(never_goes_back_on_the_monotonic_clock),
        cmocka_unit_test(counts_from_1970_on_the_real_clock),
    };
    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
