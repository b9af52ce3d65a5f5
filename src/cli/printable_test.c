#include "base/testing.h"

#include "cli/printable.h"

static void expect(const char *json, const char *printable)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    printable_make(value);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(text, printable);
    json_decref(value);
    free(text); /* jansson's */
}

static void what_a_terminal_obeys_is_shown_and_not_done(void **state)
{
    (void)state;
    expect("\"a\\u001b[2J\\u0007\\nb\\u0000\"", "\"a\\\\u001b[2J\\\\u0007\\\\u000ab\\\\u0000\"");
    expect("\"\\u007f\\u009b31m\\u202e\\u2028\"", "\"\\\\u007f\\\\u009b31m\\\\u202e\\\\u2028\"");
}

static void all_texts_are_made_printable_however_deep(void **state)
{
    (void)state;
    expect("{\"a\":[{\"b\":\"\\t\"}],\"c\":1}", "{\"a\":[{\"b\":\"\\\\u0009\"}],\"c\":1}");
}

static void other_text_stays_as_it_is(void **state)
{
    (void)state;
    static const char text[] = "\"plain, gr\xc3\xbc\xc3\x9f, \xe4\xb8\xad, \xf0\x9f\x98\x80, \xc2\xa0\"";
    expect(text, text);
    expect("\"\"", "\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_obeys_is_shown_and_not_done),
        cmocka_unit_test(all_texts_are_made_printable_however_deep),
        cmocka_unit_test(other_text_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
