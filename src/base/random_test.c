#include "base/testing.h"

#include "base/random.h"

#include <string.h>

/* The reference sequence of xoshiro256** from the state {1, 2, 3, 4}. */
static void follows_the_published_sequence(void **state)
{
    (void)state;
    struct random random = {.state = {1, 2, 3, 4}};
    const uint64_t expected[] = {UINT64_C(11520), UINT64_C(0), UINT64_C(1509978240),
                                 UINT64_C(1215971899390074240)};
    for (size_t i = 0; i < 4; i++)
        assert_true(random_next(&random) == expected[i]);
}

static void repeats_itself_from_the_same_seed(void **state)
{
    (void)state;
    struct random a, b, other;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&other, 43);
    int n_equal = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t number = random_next(&a);
        assert_true(number == random_next(&b));
        n_equal += number == random_next(&other);
    }
    assert_int_equal(n_equal, 0);
}

static void stays_below_the_bound_and_reaches_every_number(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[random_below(&random, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200);
    assert_true(random_below(&random, 0) == 0);
    assert_true(random_below(&random, 1) == 0);
    for (int i = 0; i < 100; i++)
        assert_true(random_below(&random, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
}

static void gives_other_bytes_each_time_from_the_system(void **state)
{
    (void)state;
    unsigned char a[32] = {0}, b[32] = {0};
    assert_int_equal(random_system_bytes(a, sizeof(a)), DR_OK);
    assert_int_equal(random_system_bytes(b, sizeof(b)), DR_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(random_system_bytes(a, 0), DR_OK);
    struct random x, y;
    random_init_from_system(&x);
    random_init_from_system(&y);
    assert_memory_not_equal(&x, &y, sizeof(x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_published_sequence),
        cmocka_unit_test(repeats_itself_from_the_same_seed),
        cmocka_unit_test(stays_below_the_bound_and_reaches_every_number),
        cmocka_unit_test(gives_other_bytes_each_time_from_the_system),
    };
    return cmocka_run_group_tests_name("base/random", tests, NULL, NULL);
}
