#include "base/testing.h"

#include "base/buf.h"
#include "base/mem.h"

static void appends_in_order_and_grows(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_printf(&buf, "%03d,", i), DR_OK);
    assert_int_equal(buf.len, 4000);
    assert_memory_equal(buf.data, "000,001,002,", 12);
    assert_memory_equal(buf.data + 3996, "999,", 4);
    buf_deinit(&buf);
}

static void stops_exactly_at_the_maximum(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_int_equal(buf_append_text(&buf, "abc"), DR_OK);
    assert_int_equal(buf_append_text(&buf, "def"), DR_RESOURCE_EXHAUSTED);
    assert_int_equal(buf_printf(&buf, "%s", "def"), DR_RESOURCE_EXHAUSTED);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), DR_RESOURCE_EXHAUSTED);
    assert_int_equal(buf_printf(&buf, "%s", "de"), DR_OK);
    assert_int_equal(buf_append_text(&buf, "f"), DR_RESOURCE_EXHAUSTED);
    assert_int_equal(buf_append_text(&buf, ""), DR_OK);
    assert_string_equal(buf_text(&buf), "abcde");
    assert_int_equal(buf.len, 5);
    buf_deinit(&buf);
}

static void keeps_the_rest_when_bytes_are_consumed(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append_text(&buf, "headbody"), DR_OK);
    buf_consume(&buf, 4);
    assert_true(slice_equal(buf_slice(&buf), slice_text("body")));
    buf_consume(&buf, 0);
    buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    buf_deinit(&buf);
}

static void keeps_its_memory_when_cleared(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append_text(&buf, "text"), DR_OK);
    uint8_t *before = buf.data;
    buf_clear(&buf);
    assert_int_equal(buf_append_text(&buf, "more"), DR_OK);
    assert_ptr_equal(buf.data, before);
    assert_string_equal(buf_text(&buf), "more");
    buf_deinit(&buf);
}

static void hands_its_memory_over_when_stolen(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append_text(&buf, "text"), DR_OK);
    size_t len = 0;
    uint8_t *data = buf_steal(&buf, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "text", 4);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_append_text(&buf, "again"), DR_OK);
    mem_free(data);
    buf_deinit(&buf);
    assert_int_equal(buf.max, 100);
}

static void accepts_a_zeroed_struct(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_int_equal(buf_append_text(&buf, "x"), DR_RESOURCE_EXHAUSTED);
    assert_string_equal(buf_text(&buf), "");
    buf_deinit(&buf);
    buf_deinit(&buf);
}

static dr_code fill(void *arg)
{
    (void)arg;
    struct buf buf;
    buf_init(&buf, 10000);
    dr_code code = buf_append_text(&buf, "start");
    size_t len_before = buf.len;
    if (code == DR_OK)
        code = buf_printf(&buf, "%0*d", 500, 7);
    if (code != DR_OK)
        assert_int_equal(buf.len, len_before);
    if (code == DR_OK && !buf_text(&buf))
        code = DR_NO_MEMORY;
    buf_deinit(&buf);
    return code;
}

static void keeps_its_bytes_when_memory_runs_out(void **state)
{
    (void)state;
    assert_survives_allocation_faults(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_in_order_and_grows),
        cmocka_unit_test(stops_exactly_at_the_maximum),
        cmocka_unit_test(keeps_the_rest_when_bytes_are_consumed),
        cmocka_unit_test(keeps_its_memory_when_cleared),
        cmocka_unit_test(hands_its_memory_over_when_stolen),
        cmocka_unit_test(accepts_a_zeroed_struct),
        cmocka_unit_test(keeps_its_bytes_when_memory_runs_out),
    };
    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
