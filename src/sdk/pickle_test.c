/* The vectors are what CPython 3.11 writes: protocol 6.3 and 6.4, and pickle.dumps of the value in the comment. */
#include "base/testing.h"

#include "sdk/pickle.h"
#include "sdk/value.h"
#include "sdk/value_wire.h"

#include "base/random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_NONE                                                                                               \
    "8004953b000000000000008c0e64697370617463682e70726f746f948c09417267756d656e74739493942981947d94288c046172677394" \
    "298c066b7761726773947d9475622e"
/* Arguments((1, "a"), {"k": 2}), in protocols 4, 5 (with b"x" for "a") and 2 */
#define ARGUMENTS_SOME                                                                                               \
    "80049549000000000000008c0e64697370617463682e70726f746f948c09417267756d656e74739493942981947d94288c0461726773944b" \
    "018c01619486948c066b7761726773947d948c016b944b027375622e"
#define ARGUMENTS_PROTOCOL_5                                                                                         \
    "80059549000000000000008c0e64697370617463682e70726f746f948c09417267756d656e74739493942981947d94288c0461726773944b" \
    "014301789486948c066b7761726773947d948c016b944b027375622e"
#define ARGUMENTS_PROTOCOL_2                                                                                         \
    "80026364697370617463682e70726f746f0a417267756d656e74730a7100298171017d710228580400000061726773710" \
    "34b01580100000061710486710558060000006b776172677371067d710758010000006b71084b027375622e"
/* {"a": [1, (2, [])], "b": {}} */
#define NESTED "8004951b000000000000007d94288c0161945d94284b014b025d948694658c0162947d94752e"
#define TUPLE_OF_ONE "80049505000000000000004b0185942e"

struct bytes {
    uint8_t data[512];
    size_t len;
};

static struct bytes unhex(const char *hex)
{
    struct bytes bytes = {.len = strlen(hex) / 2};
    assert_true(bytes.len <= sizeof bytes.data);
    for (size_t i = 0; i < bytes.len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes.data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static void assert_hex(struct slice bytes, const char *expected)
{
    char hex[1024] = "";
    assert_true(2 * bytes.len < sizeof hex);
    for (size_t i = 0; i < bytes.len; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes.data[i]);
    assert_string_equal(hex, expected);
}

static void assert_shown(const dr_value *value, const char *expected)
{
    char text[512];
    (void)dr_value_format(value, text, sizeof text);
    assert_string_equal(text, expected);
}

/* Takes the value. */
static void assert_written(dr_value *value, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 4096);
    assert_int_equal(pickle_write_value(&buf, value, NULL), DR_OK);
    assert_hex(buf_slice(&buf), expected);
    buf_deinit(&buf);
    dr_value_unref(value);
}

static dr_code read_hex(const char *hex, dr_value **ret_value, struct dr_error *error)
{
    struct bytes bytes = unhex(hex);
    return pickle_read_value(slice_of(bytes.data, bytes.len), ret_value, error);
}

static void assert_read(const char *hex, const char *expected)
{
    struct dr_error error = {0};
    dr_value *value = NULL;
    if (read_hex(hex, &value, &error) != DR_OK)
        fail_msg("%s: %s", hex, error.message);
    assert_shown(value, expected);
    dr_value_unref(value);
}

static void assert_unread(const char *hex, dr_code expected)
{
    struct dr_error error = {0};
    dr_value *value = NULL;
    assert_int_equal(read_hex(hex, &value, &error), expected);
    assert_int_equal(error.code, expected);
    assert_null(value);
}

static dr_value *some_args(void) { return dr_value_list((dr_value *[]){dr_value_int(1), dr_value_text("a")}, 2); }

static dr_value *some_kwargs(void)
{
    return dr_value_map((const char *[]){"k"}, (dr_value *[]){dr_value_int(2)}, 1);
}

static void arguments_are_written_byte_for_byte_as_python_does(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4096);
    assert_int_equal(pickle_write_arguments(&buf, NULL, NULL, NULL), DR_OK);
    assert_hex(buf_slice(&buf), ARGUMENTS_NONE);
    buf_clear(&buf);
    dr_value *args = some_args();
    dr_value *kwargs = some_kwargs();
    assert_int_equal(pickle_write_arguments(&buf, args, kwargs, NULL), DR_OK);
    assert_hex(buf_slice(&buf), ARGUMENTS_SOME);
    dr_value_unref(args);
    dr_value_unref(kwargs);
    buf_deinit(&buf);
}

static void a_message_of_arguments_has_the_bytes_of_pickled(void **state)
{
    (void)state;
    dr_value *message = NULL;
    assert_int_equal(dr_value_pickle_arguments(dr_value_null(), dr_value_null(), &message, NULL), DR_OK);
    assert_string_equal(dr_type_url(message), DR_TYPE_URL_PICKLED);
    assert_hex(value_slice(message), "0a46" ARGUMENTS_NONE);
    dr_value_unref(message);

    dr_value *args = some_args();
    dr_value *kwargs = some_kwargs();
    assert_int_equal(dr_value_pickle_arguments(args, kwargs, &message, NULL), DR_OK);
    assert_hex(value_slice(message), "0a54" ARGUMENTS_SOME);
    assert_shown(message, "(1, \"a\", k=2)");
    dr_value_unref(message);
    dr_value_unref(args);
    dr_value_unref(kwargs);
}

static void assert_reads_arguments(const char *hex, const char *expected_args, const char *expected_kwargs)
{
    struct bytes bytes = unhex(hex);
    dr_value *args = NULL;
    dr_value *kwargs = NULL;
    assert_int_equal(pickle_read_arguments(slice_of(bytes.data, bytes.len), &args, &kwargs, NULL), DR_OK);
    assert_shown(args, expected_args);
    assert_shown(kwargs, expected_kwargs);
    dr_value_unref(args);
    dr_value_unref(kwargs);
}

static void arguments_of_every_protocol_are_read(void **state)
{
    (void)state;
    assert_reads_arguments(ARGUMENTS_NONE, "()", "{}");
    assert_reads_arguments(ARGUMENTS_SOME, "(1, \"a\")", "{\"k\": 2}");
    assert_reads_arguments(ARGUMENTS_PROTOCOL_5, "(1, bytes(x))", "{\"k\": 2}");
    assert_reads_arguments(ARGUMENTS_PROTOCOL_2, "(1, \"a\")", "{\"k\": 2}");
}

static void arguments_come_back_from_their_message(void **state)
{
    (void)state;
    dr_value *args = some_args();
    dr_value *kwargs = some_kwargs();
    dr_value *message = NULL;
    dr_value *read_args = NULL;
    dr_value *read_kwargs = NULL;
    assert_int_equal(dr_value_pickle_arguments(args, kwargs, &message, NULL), DR_OK);
    assert_int_equal(dr_value_unpickle_arguments(message, &read_args, &read_kwargs, NULL), DR_OK);
    assert_true(dr_value_equal(args, read_args));
    assert_true(dr_value_equal(kwargs, read_kwargs));
    dr_value_unref(read_args);
    dr_value_unref(read_kwargs);
    dr_value_unref(message);
    dr_value_unref(args);
    dr_value_unref(kwargs);
}

static void scalars_are_written_byte_for_byte_as_python_does(void **state)
{
    (void)state;
    assert_written(dr_value_null(), "80044e2e");
    assert_written(dr_value_bool(true), "8004882e");
    assert_written(dr_value_bool(false), "8004892e");
    assert_written(dr_value_int(255), "80044bff2e");
    assert_written(dr_value_int(256), "80049504000000000000004d00012e");
    assert_written(dr_value_int(65536), "80049506000000000000004a000001002e");
    assert_written(dr_value_int(-1), "80049506000000000000004affffffff2e");
    assert_written(dr_value_int(INT32_MIN), "80049506000000000000004a000000802e");
    assert_written(dr_value_int(INT64_C(1) << 31), "80049508000000000000008a0500000080002e");
    assert_written(dr_value_int(-(INT64_C(1) << 31) - 1), "80049508000000000000008a05ffffff7fff2e");
    assert_written(dr_value_int(INT64_MAX), "8004950b000000000000008a08ffffffffffffff7f2e");
    assert_written(dr_value_int(INT64_MIN), "8004950b000000000000008a0800000000000000802e");
    assert_written(dr_value_uint(UINT64_MAX), "8004950c000000000000008a09ffffffffffffffff002e");
    assert_written(dr_value_uint(7), "80044b072e");
    assert_written(dr_value_float(1.5), "8004950a00000000000000473ff80000000000002e");
    assert_written(dr_value_bytes("\0\1", 2), "800495060000000000000043020001942e");
}

static void containers_are_written_byte_for_byte_as_python_does(void **state)
{
    (void)state;
    assert_written(dr_value_list(NULL, 0), "80045d942e");
    assert_written(dr_value_list((dr_value *[]){dr_value_text("x")}, 1), "80049508000000000000005d948c017894612e");
    assert_written(dr_value_list((dr_value *[]){dr_value_text("x"), dr_value_text("y")}, 2),
                   "8004950d000000000000005d94288c0178948c017994652e");
    assert_written(dr_value_map((const char *[]){"a", "b"}, (dr_value *[]){dr_value_int(1), dr_value_null()}, 2),
                   "80049510000000000000007d94288c0161944b018c0162944e752e");
}

/* Goal: what is read is written again as it came, tuples and sets included. */
static void what_is_read_is_written_again_the_same(void **state)
{
    (void)state;
    static const char *const vectors[] = {
        TUPLE_OF_ONE,
        "80044e2e",
        "8004950c000000000000008a09ffffffffffffffff002e",         /* 2**64 - 1 */
        "8004950c00000000000000284b014b024b034b0474942e",         /* (1, 2, 3, 4) */
        "80049507000000000000008f94284b01902e",                   /* {1} */
        NESTED,
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        dr_value *value = NULL;
        assert_int_equal(read_hex(vectors[i], &value, NULL), DR_OK);
        assert_written(value, vectors[i]);
    }
}

static void long_lists_and_texts_come_back(void **state)
{
    (void)state;
    struct buf buf;
    dr_value *list = NULL;
    dr_value *again = NULL;
    dr_builder *builder = dr_list_begin();
    char text[300];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 2500; i++)
        dr_list_add(builder, i % 2 ? dr_value_int(i * 1000) : dr_value_text_n(text, (size_t)i % sizeof text));
    assert_int_equal(dr_builder_end(builder, &list, NULL), DR_OK);
    buf_init(&buf, 1 << 20);
    assert_int_equal(pickle_write_value(&buf, list, NULL), DR_OK);
    assert_int_equal(pickle_read_value(buf_slice(&buf), &again, NULL), DR_OK);
    assert_true(dr_value_equal(list, again));
    dr_value_unref(list);
    dr_value_unref(again);
    buf_deinit(&buf);
}

static void plain_python_values_are_read(void **state)
{
    (void)state;
    assert_read("80049508000000000000008a05ffffff7fff2e", "-2147483649");
    assert_read("8004950b000000000000008a0800000000000000802e", "-9223372036854775808");
    assert_read("80048a002e", "0");
    assert_read("8004950a00000000000000473ff80000000000002e", "1.5");
    assert_read("8004950600000000000000284b0191942e", "{1}"); /* frozenset([1]) */
    assert_read("8004950c000000000000005d94285d944b01616801652e", "[[1], [1]]"); /* one list, twice */
    assert_read("80044e2e", "null");
}

static void what_is_no_plain_data_is_unimplemented(void **state)
{
    (void)state;
    assert_unread("8004950c000000000000008a090000000000000000012e", DR_UNIMPLEMENTED); /* 2**64 */
    assert_unread("80049506000000000000005d946800612e", DR_UNIMPLEMENTED);              /* a list in itself */
    assert_unread("80049508000000000000007d944b014b02732e", DR_UNIMPLEMENTED);          /* {1: 2} */
    assert_unread("80049520000000000000008c0e64697370617463682e70726f746f948c09417267756d656e74739493942e",
                  DR_UNIMPLEMENTED); /* the class Arguments itself */
    assert_unread("80049523000000000000008c086275696c74696e73948c0a56616c75654572726f729493948c017894859452942e",
                  DR_UNIMPLEMENTED); /* ValueError("x") */
    assert_unread("8004636f730a73797374656d0a2e", DR_UNIMPLEMENTED); /* os.system by GLOBAL */
    assert_unread(ARGUMENTS_SOME, DR_UNIMPLEMENTED);                 /* an object is no value */
    assert_unread("80048c01ff2e", DR_UNIMPLEMENTED);
}

static void a_damaged_pickle_is_an_invalid_argument(void **state)
{
    (void)state;
    static const char *const vectors[] = {
        "",           "80",         "8004",     "80042e",         "80044e4e2e",     "8004282e",   "8004612e",
        "80044e612e", "8004655d2e", "80045d652e", "80047d284e752e", "80044e4e732e", "800468002e", "80046a000000402e",
        "8004942e",   "80044e72ffffffff2e", "8004852e", "8004284e862e", "80048c054e2e", "8004742e", "80044e4e932e6",
        "80048e00000000000000802e",
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct bytes bytes = unhex(vectors[i]);
        dr_value *value = NULL;
        dr_code code = pickle_read_value(slice_of(bytes.data, bytes.len), &value, NULL);
        if (code != DR_INVALID_ARGUMENT && code != DR_UNIMPLEMENTED)
            fail_msg("%s: %s", vectors[i], dr_code_name(code));
    }
    assert_unread("80044e612e", DR_INVALID_ARGUMENT);
    assert_unread("80048c054e2e", DR_INVALID_ARGUMENT);
}

static void a_value_without_arguments_is_refused_as_arguments(void **state)
{
    (void)state;
    struct dr_error error = {0};
    dr_value *args = NULL;
    dr_value *kwargs = NULL;
    struct bytes tuple = unhex("0a10" TUPLE_OF_ONE);
    dr_value *message = dr_value_message(DR_TYPE_URL_PICKLED, tuple.data, tuple.len);
    assert_int_equal(dr_value_unpickle_arguments(message, &args, &kwargs, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "the pickle does not hold arguments");
    assert_shown(message, "(1)");
    dr_value *value = NULL;
    assert_int_equal(dr_value_unpickle(message, &value, &error), DR_OK);
    assert_int_equal(dr_int(dr_value_at(value, 0)), 1);
    dr_value_unref(value);
    dr_value_unref(message);

    dr_value *text = dr_value_text("x");
    assert_int_equal(dr_value_unpickle_arguments(text, &args, &kwargs, &error), DR_INVALID_ARGUMENT);
    assert_int_equal(dr_value_unpickle(NULL, &args, &error), DR_INVALID_ARGUMENT);
    dr_value_unref(text);
}

static void bytes_of_an_old_sdk_are_read_as_a_pickle(void **state)
{
    (void)state;
    struct bytes bytes = unhex(ARGUMENTS_SOME);
    dr_value *args = NULL;
    dr_value *kwargs = NULL;
    dr_value *value = dr_value_bytes(bytes.data, bytes.len);
    assert_int_equal(dr_value_unpickle_arguments(value, &args, &kwargs, NULL), DR_OK);
    assert_shown(args, "(1, \"a\")");
    dr_value_unref(args);
    dr_value_unref(kwargs);
    dr_value_unref(value);
}

static void what_cannot_be_pickled_is_named(void **state)
{
    (void)state;
    struct dr_error error = {0};
    dr_value *message = NULL;
    dr_value *args = dr_value_list((dr_value *[]){dr_value_timestamp(1)}, 1);
    assert_int_equal(dr_value_pickle_arguments(args, NULL, &message, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "timestamp cannot be pickled");
    assert_int_equal(dr_value_pickle_arguments(dr_value_at(args, 0), NULL, &message, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "args must be a list, not timestamp");
    assert_int_equal(dr_value_pickle_arguments(NULL, args, &message, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "kwargs must be a map, not list");
    dr_value_unref(args);
    args = dr_value_list((dr_value *[]){dr_value_text("\xff")}, 1);
    assert_int_equal(dr_value_pickle_arguments(args, NULL, &message, &error), DR_INVALID_ARGUMENT);
    dr_value_unref(args);
    assert_null(message);
}

static void nesting_past_the_limit_is_refused(void **state)
{
    (void)state;
    struct dr_error error = {0};
    dr_value *value = NULL;
    struct buf buf;
    buf_init(&buf, 1 << 20);
    /* [[[...]]]: so many lists, then so many appends */
    assert_int_equal(buf_append(&buf, slice_of("\x80\x04", 2)), DR_OK);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_append_text(&buf, "]"), DR_OK);
    for (int i = 0; i < 99999; i++)
        assert_int_equal(buf_append_text(&buf, "a"), DR_OK);
    assert_int_equal(buf_append_text(&buf, "."), DR_OK);
    assert_int_equal(pickle_read_value(buf_slice(&buf), &value, &error), DR_RESOURCE_EXHAUSTED);
    assert_string_equal(error.message, "the pickle is nested deeper than 1000");
    buf_deinit(&buf);
}

/* A tuple of lists, each of them holding the one before ten times: 10^10 items in 300 bytes. */
static void a_pickle_that_unfolds_without_end_is_refused(void **state)
{
    (void)state;
    dr_value *value = NULL;
    struct buf buf;
    buf_init(&buf, 4096);
    assert_int_equal(buf_append(&buf, slice_of("\x80\x04(]\x94K\x01" "a", 8)), DR_OK);
    for (uint8_t level = 1; level <= 10; level++) {
        assert_int_equal(buf_append(&buf, slice_of("]\x94(", 3)), DR_OK);
        for (int i = 0; i < 10; i++)
            assert_int_equal(buf_append(&buf, slice_of((uint8_t[]){'h', (uint8_t)(level - 1)}, 2)), DR_OK);
        assert_int_equal(buf_append_text(&buf, "e"), DR_OK);
    }
    assert_int_equal(buf_append_text(&buf, "t."), DR_OK);
    assert_int_equal(pickle_read_value(buf_slice(&buf), &value, NULL), DR_RESOURCE_EXHAUSTED);
    buf_deinit(&buf);
}

/* Goal: no byte sequence crashes, leaks or hangs the reader; every cut is refused. */
static void cut_and_flipped_pickles_do_no_harm(void **state)
{
    (void)state;
    static const char *const vectors[] = {
        ARGUMENTS_SOME, ARGUMENTS_PROTOCOL_2, NESTED,
        "80049507000000000000008f94284b01902e", "8004950c000000000000005d94285d944b01616801652e",
    };
    struct random random;
    random_init(&random, 42);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct bytes bytes = unhex(vectors[i]);
        dr_value *value = NULL;
        for (size_t len = 0; len < bytes.len; len++)
            assert_int_not_equal(pickle_read_value(slice_of(bytes.data, len), &value, NULL), DR_OK);
        for (int round = 0; round < 5000; round++) {
            struct bytes flipped = bytes;
            for (uint64_t n = 1 + random_below(&random, 4); n > 0; n--)
                flipped.data[random_below(&random, bytes.len)] = (uint8_t)random_next(&random);
            dr_value *args = NULL;
            dr_value *kwargs = NULL;
            if (pickle_read_arguments(slice_of(flipped.data, flipped.len), &args, &kwargs, NULL) == DR_OK) {
                dr_value_unref(args);
                dr_value_unref(kwargs);
            }
            if (pickle_read_value(slice_of(flipped.data, flipped.len), &value, NULL) == DR_OK)
                dr_value_unref(value);
        }
    }
}

static dr_code pickle_and_unpickle(void *arg)
{
    (void)arg;
    dr_value *args = some_args();
    dr_value *kwargs = some_kwargs();
    dr_value *message = NULL;
    dr_value *read_args = NULL;
    dr_value *read_kwargs = NULL;
    dr_code code = args && kwargs ? dr_value_pickle_arguments(args, kwargs, &message, NULL) : DR_NO_MEMORY;
    if (!code)
        code = dr_value_unpickle_arguments(message, &read_args, &read_kwargs, NULL);
    dr_value_unref(read_args);
    dr_value_unref(read_kwargs);
    dr_value_unref(message);
    dr_value_unref(args);
    dr_value_unref(kwargs);
    return code;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    assert_survives_allocation_faults(pickle_and_unpickle, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_written_byte_for_byte_as_python_does),
        cmocka_unit_test(a_message_of_arguments_has_the_bytes_of_pickled),
        cmocka_unit_test(arguments_of_every_protocol_are_read),
        cmocka_unit_test(arguments_come_back_from_their_message),
        cmocka_unit_test(scalars_are_written_byte_for_byte_as_python_does),
        cmocka_unit_test(containers_are_written_byte_for_byte_as_python_does),
        cmocka_unit_test(what_is_read_is_written_again_the_same),
        cmocka_unit_test(long_lists_and_texts_come_back),
        cmocka_unit_test(plain_python_values_are_read),
        cmocka_unit_test(what_is_no_plain_data_is_unimplemented),
        cmocka_unit_test(a_damaged_pickle_is_an_invalid_argument),
        cmocka_unit_test(a_value_without_arguments_is_refused_as_arguments),
        cmocka_unit_test(bytes_of_an_old_sdk_are_read_as_a_pickle),
        cmocka_unit_test(what_cannot_be_pickled_is_named),
        cmocka_unit_test(nesting_past_the_limit_is_refused),
        cmocka_unit_test(a_pickle_that_unfolds_without_end_is_refused),
        cmocka_unit_test(cut_and_flipped_pickles_do_no_harm),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
