#include "base/testing.h"

#include "sdk/value.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void assert_format(dr_value *value, const char *expected)
{
    char text[256];
    assert_non_null(value);
    assert_int_equal(dr_value_format(value, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
    dr_value_unref(value);
}

static void assert_equal(dr_value *a, dr_value *b, bool expected)
{
    assert_int_equal(dr_value_equal(a, b), expected);
    assert_int_equal(dr_value_equal(b, a), expected);
    dr_value_unref(a);
    dr_value_unref(b);
}

static void each_kind_gives_back_what_it_was_made_of(void **state)
{
    (void)state;
    dr_value *text = dr_value_text_n("a\0b", 3);
    assert_int_equal(dr_value_kind(text), DR_KIND_TEXT);
    assert_int_equal(dr_value_len(text), 3);
    assert_memory_equal(dr_text(text), "a\0b", 4);
    dr_value_unref(text);

    dr_value *bytes = dr_value_bytes("\xff\x00", 2);
    assert_int_equal(dr_value_len(bytes), 2);
    assert_memory_equal(dr_bytes(bytes), "\xff\x00", 2);
    assert_string_equal(dr_text(bytes), "");
    dr_value_unref(bytes);

    dr_value *message = dr_value_message("type.googleapis.com/a.B", "xy", 2);
    assert_string_equal(dr_type_url(message), "type.googleapis.com/a.B");
    assert_memory_equal(dr_bytes(message), "xy", 2);
    dr_value_unref(message);

    dr_value *printed = dr_value_text_printf("%s-%d", "n", 7);
    assert_string_equal(dr_text(printed), "n-7");
    dr_value_unref(printed);
    assert_true(dr_bool(dr_value_bool(true)));
    assert_true(dr_is_null(dr_value_null()));
    assert_true(dr_is_null(dr_value_text(NULL)));
}

static void numbers_of_another_kind_are_converted_and_clamped(void **state)
{
    (void)state;
    struct {
        dr_value *value;
        int64_t integer;
        uint64_t unsigned_integer;
        double number;
    } cases[] = {
        {dr_value_int(-1), -1, 0, -1},
        {dr_value_uint(UINT64_MAX), INT64_MAX, UINT64_MAX, 0x1p64},
        {dr_value_float(1.9), 1, 1, 1.9},
        {dr_value_float(-1.9), -1, 0, -1.9},
        {dr_value_float(1e300), INT64_MAX, UINT64_MAX, 1e300},
        {dr_value_float(-1e300), INT64_MIN, 0, -1e300},
        {dr_value_text("7"), 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(dr_int(cases[i].value) == cases[i].integer);
        assert_true(dr_uint(cases[i].value) == cases[i].unsigned_integer);
        assert_true(dr_float(cases[i].value) == cases[i].number);
        dr_value_unref(cases[i].value);
    }
    dr_value *nan_value = dr_value_float(NAN);
    assert_int_equal(dr_int(nan_value), 0);
    assert_int_equal(dr_uint(nan_value), 0);
    dr_value_unref(nan_value);
}

static void accessors_of_null_answer_as_for_the_null_value(void **state)
{
    (void)state;
    int64_t seconds = 5;
    int32_t nanos = 6;
    assert_int_equal(dr_value_kind(NULL), DR_KIND_NULL);
    assert_int_equal(dr_int(NULL), 0);
    assert_int_equal(dr_uint(NULL), 0);
    assert_true(dr_float(NULL) == 0);
    assert_false(dr_bool(NULL));
    assert_string_equal(dr_text(NULL), "");
    assert_string_equal(dr_bytes(NULL), "");
    assert_string_equal(dr_type_url(NULL), "");
    assert_int_equal(dr_value_len(NULL), 0);
    assert_null(dr_value_at(NULL, 0));
    assert_string_equal(dr_key_at(NULL, 0), "");
    assert_null(dr_value_get(NULL, "k"));
    assert_false(dr_time_parts(NULL, &seconds, &nanos));
    assert_int_equal(seconds, 5);
    assert_true(dr_value_equal(NULL, dr_value_null()));
    assert_null(dr_value_ref(NULL));
    dr_value_unref(NULL);
    dr_builder_cancel(NULL);
    assert_string_equal(dr_kind_name((dr_kind)99), "unknown");
}

static void times_carry_nanoseconds_into_range(void **state)
{
    (void)state;
    int64_t seconds = 0;
    int32_t nanos = 0;
    dr_value *before = dr_value_timestamp(-1);
    assert_true(dr_time_parts(before, &seconds, &nanos));
    assert_int_equal(seconds, -1);
    assert_int_equal(nanos, 999999999);
    assert_int_equal(dr_timestamp(before), -1);
    assert_int_equal(dr_duration(before), 0);
    dr_value_unref(before);

    dr_value *shorter = dr_value_duration(-1500000000);
    assert_true(dr_time_parts(shorter, &seconds, &nanos));
    assert_int_equal(seconds, -1);
    assert_int_equal(nanos, -500000000);
    assert_int_equal(dr_duration(shorter), -1500000000);
    dr_value_unref(shorter);

    dr_value *mixed = dr_value_duration_parts(-1, 500000000);
    assert_int_equal(dr_duration(mixed), -500000000);
    dr_value_unref(mixed);

    dr_value *far = dr_value_timestamp_parts(INT64_MAX, 0);
    assert_true(dr_timestamp(far) == INT64_MAX);
    dr_value_unref(far);
}

static void a_list_keeps_its_items_alive_and_gives_them_by_position(void **state)
{
    (void)state;
    dr_value *shared = dr_value_text("shared");
    dr_value *list = dr_value_list((dr_value *[]){dr_value_int(1), dr_value_ref(shared)}, 2);
    dr_value_unref(shared);
    assert_int_equal(dr_value_len(list), 2);
    assert_int_equal(dr_int(dr_value_at(list, 0)), 1);
    assert_string_equal(dr_text(dr_value_at(list, 1)), "shared");
    assert_null(dr_value_at(list, 2));
    dr_value_unref(list);
}

static void a_map_finds_keys_and_keeps_their_order(void **state)
{
    (void)state;
    dr_builder *builder = dr_map_begin();
    char key[16];
    for (int i = 99; i >= 0; i--) {
        (void)snprintf(key, sizeof key, "k%d", i);
        dr_map_add(builder, key, dr_value_int(i));
    }
    dr_value *map = NULL;
    assert_int_equal(dr_builder_end(builder, &map, NULL), DR_OK);
    assert_int_equal(dr_value_len(map), 100);
    assert_string_equal(dr_key_at(map, 0), "k99");
    assert_int_equal(dr_key_len_at(map, 0), 3);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(dr_int(dr_value_get(map, key)), i);
    }
    assert_null(dr_value_get(map, "k"));
    assert_null(dr_value_get(map, NULL));
    dr_value_unref(map);
}

static void of_equal_keys_the_first_place_and_the_last_value_stay(void **state)
{
    (void)state;
    const char *keys[] = {"b", "a", "b", "c", "b"};
    dr_value *values[5];
    for (int i = 0; i < 5; i++)
        values[i] = dr_value_int(i);
    dr_value *map = dr_value_map(keys, values, 5);
    assert_format(dr_value_ref(map), "{\"b\": 4, \"a\": 1, \"c\": 3}");
    assert_int_equal(dr_int(dr_value_get(map, "b")), 4);
    assert_int_equal(dr_int(dr_value_get(map, "c")), 3);
    dr_value_unref(map);
}

static void a_builder_remembers_its_first_failure(void **state)
{
    (void)state;
    struct dr_error error = {0};
    dr_value *value = NULL;
    dr_builder *list = dr_list_begin();
    dr_list_add(list, dr_value_int(1));
    dr_list_add(list, NULL);
    dr_list_add(list, dr_value_int(2));
    assert_int_equal(dr_builder_end(list, &value, &error), DR_NO_MEMORY);

    dr_builder *map = dr_map_begin();
    dr_list_add(map, dr_value_int(1));
    assert_int_equal(dr_builder_end(map, &value, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "an item without a key was added to a map");

    assert_int_equal(dr_builder_end(NULL, &value, &error), DR_NO_MEMORY);
    assert_null(value);
    assert_null(dr_value_list((dr_value *[]){dr_value_int(1), NULL, dr_value_int(2)}, 3));
}

static dr_value *nested(int depth)
{
    dr_value *value = dr_value_int(1);
    for (int i = 1; i < depth && value; i++)
        value = dr_value_list(&value, 1);
    return value;
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    dr_value *deepest = nested(DR_VALUE_DEPTH_MAX);
    assert_non_null(deepest);
    dr_value *again = nested(DR_VALUE_DEPTH_MAX);
    assert_true(dr_value_equal(deepest, again));
    dr_value_unref(again);

    struct dr_error error = {0};
    dr_value *value = NULL;
    dr_builder *builder = dr_list_begin();
    dr_list_add(builder, deepest);
    assert_int_equal(dr_builder_end(builder, &value, &error), DR_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(error.message, "1000 deep"));
    assert_null(nested(DR_VALUE_DEPTH_MAX + 1));
}

/* Goal: a few shared lists must not stand for a billion items. Each list holds the one before ten times. */
static void weight_counts_shared_parts_each_time(void **state)
{
    (void)state;
    dr_value *value = dr_value_text("laugh");
    int levels = 0;
    while (value) {
        dr_value *items[10];
        for (int i = 0; i < 10; i++)
            items[i] = i == 0 ? value : dr_value_ref(value);
        value = dr_value_list(items, 10);
        levels++;
    }
    assert_int_equal(levels, 8); /* 6 x 10^7 and more is past 64,000,000 */
}

static void numbers_are_equal_by_value_whatever_their_kind(void **state)
{
    (void)state;
    assert_equal(dr_value_int(1), dr_value_float(1.0), true);
    assert_equal(dr_value_int(1), dr_value_uint(1), true);
    assert_equal(dr_value_int(-1), dr_value_uint(UINT64_MAX), false);
    assert_equal(dr_value_int(-1), dr_value_int(-1), true);
    assert_equal(dr_value_uint(UINT64_MAX), dr_value_float(0x1p64), false);
    assert_equal(dr_value_int((INT64_C(1) << 53) + 1), dr_value_float(0x1p53), false);
    assert_equal(dr_value_float(NAN), dr_value_float(NAN), false);
    assert_equal(dr_value_bool(true), dr_value_int(1), false);
}

static void equality_looks_into_everything(void **state)
{
    (void)state;
    assert_equal(dr_value_text("a"), dr_value_text("a"), true);
    assert_equal(dr_value_text("a"), dr_value_bytes("a", 1), false);
    assert_equal(dr_value_text_n("a\0b", 3), dr_value_text_n("a\0c", 3), false);
    assert_equal(dr_value_timestamp(1), dr_value_timestamp(1), true);
    assert_equal(dr_value_timestamp(1), dr_value_duration(1), false);
    assert_equal(dr_value_message("x/a", "1", 1), dr_value_message("x/a", "1", 1), true);
    assert_equal(dr_value_message("x/a", "1", 1), dr_value_message("x/b", "1", 1), false);
    const char *keys[] = {"a", "b"};
    const char *reversed[] = {"b", "a"};
    assert_equal(dr_value_map(keys, (dr_value *[]){dr_value_int(1), dr_value_int(2)}, 2),
                 dr_value_map(reversed, (dr_value *[]){dr_value_int(2), dr_value_int(1)}, 2), true);
    assert_equal(dr_value_map(keys, (dr_value *[]){dr_value_int(1), dr_value_int(2)}, 2),
                 dr_value_map(reversed, (dr_value *[]){dr_value_int(1), dr_value_int(2)}, 2), false);
    assert_equal(dr_value_list((dr_value *[]){dr_value_int(1)}, 1), dr_value_list(NULL, 0), false);
}

static void any_c_value_becomes_a_value(void **state)
{
    (void)state;
    char array[] = "array";
    const dr_value *borrowed = dr_value_null();
    const dr_value *nothing = NULL;
    unsigned char byte = 200;
    assert_format(dr_value_of("World"), "\"World\"");
    assert_format(dr_value_of(array), "\"array\"");
    assert_format(dr_value_of(42), "42");
    assert_format(dr_value_of(-42L), "-42");
    assert_format(dr_value_of(sizeof(char)), "1");
    assert_format(dr_value_of(byte), "200");
    assert_format(dr_value_of(1.5), "1.5");
    assert_format(dr_value_of(1.5f), "1.5");
    assert_format(dr_value_of((bool)true), "true");
    assert_format(dr_value_of(NULL), "null");
    assert_format(dr_value_of(borrowed), "null");
    assert_format(dr_value_of(nothing), "null");
    assert_format(dr_value_of(dr_value_int(1)), "1");
    assert_null(dr_value_of((dr_value *)NULL));
}

static void values_are_shown_as_people_write_them(void **state)
{
    (void)state;
    assert_format(dr_value_int(INT64_MIN), "-9223372036854775808");
    assert_format(dr_value_uint(UINT64_MAX), "18446744073709551615");
    assert_format(dr_value_float(0.1), "0.1");
    assert_format(dr_value_float(100), "100");
    assert_format(dr_value_float(123456.75), "123456.75");
    assert_format(dr_value_float(1e21), "1e+21");
    assert_format(dr_value_float(0.00001), "1e-05");
    assert_format(dr_value_float(-0.0001), "-0.0001");
    assert_format(dr_value_float(INFINITY), "+Inf");
    assert_format(dr_value_text("a\"\n\x01\xc3\xa4"), "\"a\\\"\\n\\x01\xc3\xa4\"");
    assert_format(dr_value_text("\xff"), "\"\\xff\"");
    assert_format(dr_value_bytes("abcdef", 6), "bytes(abcd...)");
    assert_format(dr_value_bytes("\x00\xff", 2), "bytes(\\x00\\xff)");
    assert_format(dr_value_timestamp(INT64_C(1719312971000001234)), "2024-06-25 10:56:11.000001234 +0000 UTC");
    assert_format(dr_value_timestamp_parts(-62135596800, 0), "0001-01-01 00:00:00 +0000 UTC");
    assert_format(dr_value_timestamp_parts(951782400, 500000000), "2000-02-29 00:00:00.5 +0000 UTC");
    assert_format(dr_value_duration(0), "0s");
    assert_format(dr_value_duration(1500), "1.5\xc2\xb5s");
    assert_format(dr_value_duration(-1500000), "-1.5ms");
    assert_format(dr_value_duration(INT64_C(5400000000001)), "1h30m0.000000001s");
    assert_format(dr_value_duration_parts(60, 0), "1m0s");
    assert_format(dr_value_message("x.y/pkg.M", "\x08\x01", 2), "x.y/pkg.M(?)");
    dr_value *inner = dr_value_list((dr_value *[]){dr_value_null(), dr_value_bool(false)}, 2);
    assert_format(dr_value_map((const char *[]){"k"}, &inner, 1), "{\"k\": [null, false]}");
}

static void a_short_buffer_gets_the_start_and_the_whole_length(void **state)
{
    (void)state;
    char text[4] = "zzz";
    dr_value *value = dr_value_text("abcdef");
    assert_int_equal(dr_value_format(value, NULL, 0), 8);
    assert_int_equal(dr_value_format(value, text, 1), 8);
    assert_string_equal(text, "");
    assert_int_equal(dr_value_format(value, text, sizeof text), 8);
    assert_string_equal(text, "\"ab");
    dr_value_unref(value);
}

#define N_THREADS 4
#define N_ROUNDS 10000

static void *ref_and_unref(void *value)
{
    for (int i = 0; i < N_ROUNDS; i++)
        dr_value_unref(dr_value_ref(value));
    dr_value_unref(value);
    return NULL;
}

static void threads_share_a_value(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    dr_value *value = dr_value_list((dr_value *[]){dr_value_text("a"), dr_value_null()}, 2);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, dr_value_ref(value)), 0);
    dr_value_unref(value);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static dr_code build_everything(void *arg)
{
    (void)arg;
    dr_value *inner = dr_value_list((dr_value *[]){dr_value_int(1), dr_value_text("a"), dr_value_bytes("b", 1)}, 3);
    dr_builder *builder = dr_map_begin();
    dr_map_add(builder, "list", inner);
    for (int i = 0; i < 10; i++)
        dr_map_add(builder, i % 2 ? "odd" : "even", dr_value_text_printf("%d", i));
    dr_map_add(builder, "message", dr_value_message("x/y", "z", 1));
    dr_value *map = NULL;
    dr_code code = dr_builder_end(builder, &map, NULL);
    dr_value_unref(map);
    return code;
}

static void running_out_of_memory_while_building_leaks_nothing(void **state)
{
    (void)state;
    assert_survives_allocation_faults(build_everything, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_gives_back_what_it_was_made_of),
        cmocka_unit_test(numbers_of_another_kind_are_converted_and_clamped),
        cmocka_unit_test(accessors_of_null_answer_as_for_the_null_value),
        cmocka_unit_test(times_carry_nanoseconds_into_range),
        cmocka_unit_test(a_list_keeps_its_items_alive_and_gives_them_by_position),
        cmocka_unit_test(a_map_finds_keys_and_keeps_their_order),
        cmocka_unit_test(of_equal_keys_the_first_place_and_the_last_value_stay),
        cmocka_unit_test(a_builder_remembers_its_first_failure),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(weight_counts_shared_parts_each_time),
        cmocka_unit_test(numbers_are_equal_by_value_whatever_their_kind),
        cmocka_unit_test(equality_looks_into_everything),
        cmocka_unit_test(any_c_value_becomes_a_value),
        cmocka_unit_test(values_are_shown_as_people_write_them),
        cmocka_unit_test(a_short_buffer_gets_the_start_and_the_whole_length),
        cmocka_unit_test(threads_share_a_value),
        cmocka_unit_test(running_out_of_memory_while_building_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
