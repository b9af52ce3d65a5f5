#include "base/testing.h"

#include "base/error.h"

#include <string.h>

static void names_every_code_as_on_the_wire(void **state)
{
    (void)state;
    assert_string_equal(dr_code_name(DR_OK), "ok");
    assert_string_equal(dr_code_name(DR_INVALID_ARGUMENT), "invalid_argument");
    assert_string_equal(dr_code_name(DR_UNAUTHENTICATED), "unauthenticated");
    assert_string_equal(dr_code_name(DR_NO_MEMORY), "resource_exhausted");
    assert_string_equal(dr_code_text(DR_NO_MEMORY), "out of memory");
}

static void treats_numbers_outside_the_table_as_unknown(void **state)
{
    (void)state;
    assert_string_equal(dr_code_name((dr_code)1000), "unknown");
    assert_string_equal(dr_code_text((dr_code)-1), "unknown error");
    assert_int_equal(error_http_status((dr_code)18), 500);
}

static void answers_each_code_with_its_http_status(void **state)
{
    (void)state;
    assert_int_equal(error_http_status(DR_OK), 200);
    assert_int_equal(error_http_status(DR_NOT_FOUND), 404);
    assert_int_equal(error_http_status(DR_RESOURCE_EXHAUSTED), 429);
    assert_int_equal(error_http_status(DR_NO_MEMORY), 503);
}

static void finds_the_code_of_a_wire_name(void **state)
{
    (void)state;
    assert_int_equal(error_code_of_name("not_found"), DR_NOT_FOUND);
    assert_int_equal(error_code_of_name("resource_exhausted"), DR_RESOURCE_EXHAUSTED);
    assert_int_equal(error_code_of_name("no such name"), DR_UNKNOWN);
    assert_int_equal(error_code_of_name(NULL), DR_UNKNOWN);
}

static void returns_the_code_it_sets(void **state)
{
    (void)state;
    struct dr_error error = {0};
    assert_int_equal(error_set(&error, DR_NOT_FOUND, "no call %d", 7), DR_NOT_FOUND);
    assert_int_equal(error.code, DR_NOT_FOUND);
    assert_string_equal(error.message, "no call 7");
    assert_int_equal(error_set(NULL, DR_ABORTED, "nobody listens"), DR_ABORTED);
}

static void puts_context_before_the_text(void **state)
{
    (void)state;
    struct dr_error error = {0};
    (void)error_set(&error, DR_DATA_LOSS, "checksum mismatch");
    assert_int_equal(error_wrap(&error, "page %d", 7), DR_DATA_LOSS);
    assert_int_equal(error_wrap(&error, "open store"), DR_DATA_LOSS);
    assert_string_equal(error.message, "open store: page 7: checksum mismatch");
    assert_int_equal(error_wrap(NULL, "open store"), DR_UNKNOWN);
}

static void may_quote_its_own_text(void **state)
{
    (void)state;
    struct dr_error error = {0};
    (void)error_set(&error, DR_INTERNAL, "inner");
    (void)error_set(&error, DR_UNAVAILABLE, "retry later (%s)", error.message);
    assert_string_equal(error.message, "retry later (inner)");
}

static void cuts_long_texts_between_characters(void **state)
{
    (void)state;
    struct dr_error error = {0};
    char text[DR_ERROR_MESSAGE_SIZE * 2 + 1];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 2 < sizeof(text); i += 2)
            memcpy(text + i, "\xc3\xa4", 3);
        (void)error_set(&error, DR_INTERNAL, "%s", text);
        size_t len = strlen(error.message);
        assert_true(len == DR_ERROR_MESSAGE_SIZE - 1 || len == DR_ERROR_MESSAGE_SIZE - 2);
        assert_int_equal((len - shift) % 2, 0);
        (void)error_wrap(&error, "context");
        assert_memory_equal(error.message, "context: ", 9);
        assert_int_equal((strlen(error.message) - shift - 9) % 2, 0);
    }
    memset(text, 'b', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)error_set(&error, DR_INTERNAL, "%s", text);
    assert_int_equal(strlen(error.message), DR_ERROR_MESSAGE_SIZE - 1);
    (void)error_wrap(&error, "%s", text);
    assert_int_equal(strlen(error.message), DR_ERROR_MESSAGE_SIZE - 1);
}

static void makes_one_line_of_many(void **state)
{
    (void)state;
    struct dr_error error = {0};
    (void)error_set(&error, DR_INTERNAL, "one\ntwo\r\nthree");
    assert_string_equal(error.message, "one two  three");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_code_as_on_the_wire),
        cmocka_unit_test(treats_numbers_outside_the_table_as_unknown),
        cmocka_unit_test(answers_each_code_with_its_http_status),
        cmocka_unit_test(finds_the_code_of_a_wire_name),
        cmocka_unit_test(returns_the_code_it_sets),
        cmocka_unit_test(puts_context_before_the_text),
        cmocka_unit_test(may_quote_its_own_text),
        cmocka_unit_test(cuts_long_texts_between_characters),
        cmocka_unit_test(makes_one_line_of_many),
    };
    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
