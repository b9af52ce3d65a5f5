#include "base/testing.h"

#include "base/duration.h"
#include "cli/options.h"
#include <stdlib.h>
#include <string.h>

struct command {
    const char *listen;
    bool memory;
    int64_t timeout_ns;
    uint32_t count;
    int clock;
    struct option_list keys;
};

static const char *const clocks[] = {"real", "virtual", NULL};
static const struct option options[] = {
    {.name = "listen", .value = "ADDRESS", .type = OPTION_TEXT, .offset = offsetof(struct command, listen),
     .initial = "127.0.0.1:7117", .help = "where to listen"},
    {.name = "memory", .type = OPTION_SWITCH, .offset = offsetof(struct command, memory), .help = "no file"},
    {.name = "run-timeout", .value = "DURATION", .type = OPTION_DURATION,
     .offset = offsetof(struct command, timeout_ns), .initial = "10m", .help = "one attempt"},
    {.name = "max", .value = "N", .type = OPTION_COUNT, .offset = offsetof(struct command, count), .initial = "5",
     .count_min = 1, .count_max = 10, .help = "how many"},
    {.name = "clock", .value = "CLOCK", .type = OPTION_CHOICE, .offset = offsetof(struct command, clock),
     .initial = "real", .choices = clocks, .help = "which clock"},
    {.name = "key", .value = "KEY", .type = OPTION_LIST, .offset = offsetof(struct command, keys), .help = "keys"},
    {.name = NULL},
};

static dr_code parse(struct command *command, struct option_arguments *rest, struct dr_error *error, int argc,
                     const char *const *argv)
{
    memset(command, 0, sizeof *command);
    return options_parse(options, command, argc, (char *const *)argv, rest, error);
}

#define PARSE(...)                                                                     \
    const char *argv[] = {__VA_ARGS__};                                                \
    static struct command command;                                                     \
    struct option_arguments rest;                                                      \
    struct dr_error error = {0};                                                       \
    dr_code code = parse(&command, &rest, &error, (int)(sizeof argv / sizeof argv[0]), argv)

static void takes_initial_values(void **state)
{
    (void)state;
    PARSE("x");
    assert_int_equal(code, DR_OK);
    assert_string_equal(command.listen, "127.0.0.1:7117");
    assert_int_equal(command.timeout_ns, INT64_C(600000000000));
    assert_int_equal(command.count, 5);
    assert_false(command.memory);
    assert_int_equal(rest.n, 1);
}

static void reads_flags_in_both_forms(void **state)
{
    (void)state;
    PARSE("--listen", "a:1", "--run-timeout=1h30m", "--memory", "--clock", "virtual", "--key", "a", "--key=b", "get",
          "--", "--not-a-flag");
    assert_int_equal(code, DR_OK);
    assert_string_equal(command.listen, "a:1");
    assert_int_equal(command.timeout_ns, INT64_C(5400000000000));
    assert_true(command.memory);
    assert_int_equal(command.clock, 1);
    assert_int_equal(command.keys.n, 2);
    assert_string_equal(command.keys.items[1], "b");
    assert_int_equal(rest.n, 2);
    assert_string_equal(rest.items[1], "--not-a-flag");
}

static void a_flag_wins_over_its_variable(void **state)
{
    (void)state;
    setenv("DISPATCH_LISTEN", "b:2", 1);
    setenv("DISPATCH_KEY", "k1,k2", 1);
    setenv("DISPATCH_MAX", "a lot", 1);
    PARSE("--max", "7");
    assert_int_equal(code, DR_OK);
    assert_string_equal(command.listen, "b:2");
    assert_int_equal(command.count, 7);
    assert_int_equal(command.keys.n, 2);
    assert_string_equal(command.keys.items[0], "k1");
    options_release(options, &command);
    unsetenv("DISPATCH_LISTEN");
    unsetenv("DISPATCH_KEY");
    unsetenv("DISPATCH_MAX");
}

static void names_flag_value_and_what_is_expected(void **state)
{
    (void)state;
    PARSE("--run-timeout", "soon");
    assert_int_equal(code, DR_INVALID_ARGUMENT);
    assert_string_equal(error.message,
                        "--run-timeout: \"soon\" is not a duration such as 500ms, 10s, 1h30m or 7d");
}

static void names_the_variable_that_is_wrong(void **state)
{
    (void)state;
    setenv("DISPATCH_MAX", "11", 1);
    PARSE("x");
    unsetenv("DISPATCH_MAX");
    assert_int_equal(code, DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "DISPATCH_MAX: \"11\" is not a whole number from 1 to 10");
}

static void suggests_the_nearest_flag(void **state)
{
    (void)state;
    PARSE("--lisen", "x");
    assert_int_equal(code, DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "unknown flag --lisen; did you mean --listen?");
}

static void refuses_a_flag_without_its_value(void **state)
{
    (void)state;
    PARSE("--listen");
    assert_int_equal(code, DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "--listen: a value is missing: --listen ADDRESS");
}

static void refuses_an_unknown_choice(void **state)
{
    (void)state;
    PARSE("--clock", "sun");
    assert_int_equal(code, DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "--clock: \"sun\" is not one of real, virtual");
}

static void help_is_found_before_anything_is_wrong(void **state)
{
    (void)state;
    PARSE("--lisen", "--help");
    assert_int_equal(code, DR_OK);
    assert_true(rest.is_help_wanted);
}

static void help_names_flag_variable_and_initial_value(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    options_help(options, out);
    fclose(out);
    assert_non_null(strstr(text, "--run-timeout DURATION"));
    assert_non_null(strstr(text, "DISPATCH_RUN_TIMEOUT"));
    assert_non_null(strstr(text, "[10m]"));
    free(text);
}

static void durations_read_back_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {{"0", 0}, {"500ms", 500000000}, {"1.5s", 1500000000}, {"1h30m", INT64_C(5400000000000)},
                 {"7d", INT64_C(604800000000000)}, {"250us", 250000}, {"9ns", 9}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ns;
        char text[64];
        assert_true(duration_parse(cases[i].text, &ns));
        assert_int_equal(ns, cases[i].ns);
        assert_true(duration_parse(duration_format(ns, text, sizeof text), &ns));
        assert_int_equal(ns, cases[i].ns);
    }
}

static void refuses_what_is_no_duration(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "10", "s", "-1s", "1x", "1.s", "1 s", "99999999999999d", "1h30", "1s "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t ns;
        if (duration_parse(texts[i], &ns))
            fail_msg("\"%s\" was taken as %lld", texts[i], (long long)ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_initial_values),
        cmocka_unit_test(reads_flags_in_both_forms),
        cmocka_unit_test(a_flag_wins_over_its_variable),
        cmocka_unit_test(names_flag_value_and_what_is_expected),
        cmocka_unit_test(names_the_variable_that_is_wrong),
        cmocka_unit_test(suggests_the_nearest_flag),
        cmocka_unit_test(refuses_a_flag_without_its_value),
        cmocka_unit_test(refuses_an_unknown_choice),
        cmocka_unit_test(help_is_found_before_anything_is_wrong),
        cmocka_unit_test(help_names_flag_variable_and_initial_value),
        cmocka_unit_test(durations_read_back_as_written),
        cmocka_unit_test(refuses_what_is_no_duration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
