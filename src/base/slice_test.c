#include "base/testing.h"

#include "base/slice.h"

static void takes_null_text_as_empty(void **state)
{
    (void)state;
    assert_int_equal(slice_text(NULL).len, 0);
    assert_true(slice_equal(slice_text(NULL), slice_text("")));
}

static void compares_by_bytes_and_length(void **state)
{
    (void)state;
    assert_true(slice_equal(slice_of("a\0b", 3), slice_of("a\0b", 3)));
    assert_false(slice_equal(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    assert_false(slice_equal(slice_text("abc"), slice_text("abcd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_null_text_as_empty),
        cmocka_unit_test(compares_by_bytes_and_length),
    };
    return cmocka_run_group_tests_name("base/slice", tests, NULL, NULL);
}
