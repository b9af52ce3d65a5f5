#include "wire/testing.h"

static void splits_what_it_encodes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    uint8_t value[300];
    memset(value, 7, sizeof(value));
    assert_int_equal(wire_any_encode(SLICE("example.com/x.Y"), slice_of(value, sizeof(value)), &buf), DR_OK);
    struct slice type_url, out;
    assert_int_equal(wire_any_split(buf_slice(&buf), &type_url, &out, NULL), DR_OK);
    assert_text(type_url, "example.com/x.Y");
    assert_slice_equal(out, slice_of(value, sizeof(value)));
    buf_deinit(&buf);
}

static void writes_the_bytes_of_the_original(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    struct slice type_url = SLICE("type.googleapis.com/google.protobuf.StringValue");
    assert_int_equal(wire_any_encode(type_url, SLICE("\x0a\x01x"), &buf), DR_OK);
    assert_slice_equal(buf_slice(&buf), SLICE(SAMPLE_ANY));
    buf_deinit(&buf);
}

static void takes_the_last_of_repeated_fields_and_skips_others(void **state)
{
    (void)state;
    struct slice type_url, value;
    struct slice any = SLICE("\x0a\x01"
                             "a\x18\x01\x0a\x01"
                             "b\x12\x01"
                             "c\x12\x01"
                             "d");
    assert_int_equal(wire_any_split(any, &type_url, &value, NULL), DR_OK);
    assert_text(type_url, "b");
    assert_text(value, "d");
}

static void splits_the_empty_any(void **state)
{
    (void)state;
    struct slice type_url, value;
    assert_int_equal(wire_any_split((struct slice){0}, &type_url, &value, NULL), DR_OK);
    assert_int_equal(type_url.len, 0);
    assert_int_equal(value.len, 0);
}

static void refuses_what_is_no_any(void **state)
{
    (void)state;
    const struct slice bad[] = {SLICE("\x0a"),
                                SLICE("\x0a\x02"
                                      "a"),
                                SLICE("\x08\x01"),
                                SLICE("\x10\x01"),
                                SLICE("\x0a\x01\xff"),
                                SLICE("\x0b"),
                                SLICE("\x02\x00"),
                                SLICE("\xff")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice type_url = SLICE("untouched"), value = SLICE("untouched");
        struct dr_error error = {0};
        assert_int_equal(wire_any_split(bad[i], &type_url, &value, &error), DR_INVALID_ARGUMENT);
        assert_text(type_url, "untouched");
        assert_true(strncmp(error.message, "google.protobuf.Any: ", 21) == 0);
    }
}

static void tells_utf8_from_other_bytes(void **state)
{
    (void)state;
    const struct slice good[] = {SLICE(""),
                                 SLICE("plain ASCII text of some length"),
                                 SLICE("12345678\xc2\x80"),
                                 SLICE("\xe0\xa0\x80"),
                                 SLICE("\xef\xbf\xbf"),
                                 SLICE("\xf4\x8f\xbf\xbf"),
                                 SLICE("a\0b")};
    const struct slice bad[] = {SLICE("\x80"),
                                SLICE("\xc0\x80"),
                                SLICE("\xc1\xbf"),
                                SLICE("\xe0\x9f\x80"),
                                SLICE("\xed\xa0\x80"),
                                SLICE("\xf0\x8f\x80\x80"),
                                SLICE("\xf4\x90\x80\x80"),
                                SLICE("\xf5\x80\x80\x80"),
                                SLICE("\xc3"),
                                SLICE("\xe2\x82"),
                                SLICE("12345678\xff"),
                                SLICE("\xf0\x9f\x98")};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(wire_is_utf8(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(wire_is_utf8(bad[i]));
}

static void cuts_between_characters(void **state)
{
    (void)state;
    struct slice text = slice_text("a\xc3\xa4z");
    assert_int_equal(wire_utf8_prefix(text, 9).len, 4);
    assert_int_equal(wire_utf8_prefix(text, 3).len, 3);
    assert_int_equal(wire_utf8_prefix(text, 2).len, 1);
    assert_int_equal(wire_utf8_prefix(text, 0).len, 0);
    assert_int_equal(wire_utf8_prefix(slice_text("ab\xff" "c"), 9).len, 2);
    assert_int_equal(wire_utf8_prefix((struct slice){0}, 9).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_what_it_encodes),
        cmocka_unit_test(writes_the_bytes_of_the_original),
        cmocka_unit_test(takes_the_last_of_repeated_fields_and_skips_others),
        cmocka_unit_test(splits_the_empty_any),
        cmocka_unit_test(refuses_what_is_no_any),
        cmocka_unit_test(tells_utf8_from_other_bytes),
        cmocka_unit_test(cuts_between_characters),
    };
    return cmocka_run_group_tests_name("wire any", tests, NULL, NULL);
}
