#include "base/testing.h"

#include "server/chaos.h"

#include <stdio.h>

static struct chaos_options parse(const char *text)
{
    struct chaos_options options;
    struct dr_error error = {0};
    if (chaos_parse(text, &options, &error) != DR_OK)
        fail_msg("%s: %s", text ? text : "no text", error.message);
    return options;
}

static void reads_every_option(void **state)
{
    (void)state;
    struct chaos_options options = parse("seed=42,drop=1%,duplicate=0.5%,delay=50ms,crash-endpoint=100%,fail=12.3456%");
    assert_true(options.is_on);
    assert_int_equal(options.seed, 42);
    assert_int_equal(options.drop_ppm, 10000);
    assert_int_equal(options.duplicate_ppm, 5000);
    assert_int_equal(options.delay_ppm, 1000000);
    assert_int_equal(options.delay_ns, 50000000);
    assert_int_equal(options.crash_ppm, 1000000);
    assert_int_equal(options.fail_ppm, 123456);
    options = parse("delay=1m30s@10%");
    assert_int_equal(options.delay_ppm, 100000);
    assert_int_equal(options.delay_ns, INT64_C(90000000000));
    assert_false(parse("").is_on);
    assert_false(parse(NULL).is_on);
}

static void is_written_as_it_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {"seed=1", "seed=18,drop=1%,delay=50ms", "seed=2,duplicate=0.25%,fail=3%",
                                        ("seed=1234567890123456789,drop=100%,duplicate=100%,crash-endpoint=99.9999%,"
                                         "fail=100%,delay=99d23h59m59s@0.0001%")};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[CHAOS_TEXT_SIZE];
        struct chaos_options options = parse(texts[i]);
        struct chaos_options again = parse(chaos_format(&options, text));
        assert_memory_equal(&options, &again, sizeof options);
    }
}

static void names_what_is_wrong_and_what_is_allowed(void **state)
{
    (void)state;
    static const char *const texts[] = {"drop", "drop=", "drop=1", "drop=101%", "drop=1.%", "drop=-1%", "drop=1e1%", "drop=%",
                                        "lose=1%", "seed=x", "seed=", "seed=-1", "seed=99999999999999999999", "delay=soon",
                                        "delay=0", "delay=1s@", "delay=1s@2", "seed=1,,drop=1%", ",", "seed=1,", "=", " drop=1%"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct chaos_options options;
        struct dr_error error = {0};
        if (chaos_parse(texts[i], &options, &error) != DR_INVALID_ARGUMENT)
            fail_msg("\"%s\" was accepted", texts[i]);
        assert_non_null(strstr(error.message, "crash-endpoint=P%"));
    }
}

static void a_seed_is_drawn_when_none_is_given(void **state)
{
    (void)state;
    uint64_t seed = parse("drop=1%").seed;
    assert_true(parse("drop=1%").seed != seed || parse("drop=1%").seed != seed);
}

static void draw(struct chaos *chaos, const char *function, struct chaos_plan *plan)
{
    chaos_draw(chaos, slice_text(function), plan);
}

static void a_function_meets_the_same_whatever_others_do(void **state)
{
    (void)state;
    struct chaos_options options = parse("seed=7,drop=20%,duplicate=20%,delay=1s@20%,crash-endpoint=20%,fail=20%");
    struct chaos alone, among;
    chaos_init(&alone, &options);
    chaos_init(&among, &options);
    for (int i = 0; i < 200; i++) {
        struct chaos_plan one, other;
        draw(&alone, "fetch", &one);
        for (int j = 0; j < i % 3; j++)
            draw(&among, "parse", &other);
        draw(&among, "fetch", &other);
        assert_memory_equal(&one, &other, sizeof one);
    }
}

static void faults_are_as_frequent_as_asked(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct chaos_options options = parse("seed=3,drop=10%,duplicate=1%,delay=50ms@30%,crash-endpoint=100%");
    struct chaos chaos;
    unsigned n[CHAOS_KINDS] = {0};
    chaos_init(&chaos, &options);
    for (int i = 0; i < N; i++) {
        struct chaos_plan plan;
        draw(&chaos, "f", &plan);
        for (int kind = 0; kind < CHAOS_KINDS; kind++)
            n[kind] += plan.has[kind];
        assert_true(plan.delay_ns >= 0 && plan.delay_ns <= options.delay_ns);
        assert_true(plan.has[CHAOS_DELAY] == (plan.delay_ns > 0));
    }
    assert_in_range(n[CHAOS_REQUEST_LOST] + n[CHAOS_ANSWER_LOST], N * 9 / 100, N * 11 / 100);
    assert_in_range(n[CHAOS_REQUEST_LOST], N * 4 / 100, N * 6 / 100);
    assert_in_range(n[CHAOS_DUPLICATE], N * 7 / 1000, N * 13 / 1000);
    assert_in_range(n[CHAOS_DELAY], N * 28 / 100, N * 32 / 100);
    assert_int_equal(n[CHAOS_CRASH], N);
    assert_int_equal(n[CHAOS_FAIL], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_option),
        cmocka_unit_test(is_written_as_it_is_read),
        cmocka_unit_test(names_what_is_wrong_and_what_is_allowed),
        cmocka_unit_test(a_seed_is_drawn_when_none_is_given),
        cmocka_unit_test(a_function_meets_the_same_whatever_others_do),
        cmocka_unit_test(faults_are_as_frequent_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
