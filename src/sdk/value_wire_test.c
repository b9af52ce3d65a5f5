/* The vectors are those of protocol 6.3. */
#include "base/testing.h"

#include "sdk/value.h"
#include "sdk/value_wire.h"

#include "base/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "type.googleapis.com/google.protobuf."

static void assert_hex(struct slice bytes, const char *expected)
{
    char hex[512] = "";
    assert_true(2 * bytes.len < sizeof hex);
    for (size_t i = 0; i < bytes.len; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes.data[i]);
    assert_string_equal(hex, expected);
}

/* Takes the value. */
static void assert_packed(dr_value *value, const char *type_url, const char *hex)
{
    dr_value *message = NULL;
    assert_int_equal(dr_value_pack(value, &message, NULL), DR_OK);
    assert_string_equal(dr_type_url(message), type_url);
    assert_hex(value_slice(message), hex);
    dr_value_unref(message);
    dr_value_unref(value);
}

static dr_code unpack_hex(const char *type_url, const char *hex, dr_value **ret_value, struct dr_error *error)
{
    uint8_t bytes[256];
    size_t len = strlen(hex) / 2;
    assert_true(len <= sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    dr_value *message = dr_value_message(type_url, bytes, len);
    dr_code code = dr_value_unpack(message, ret_value, error);
    dr_value_unref(message);
    return code;
}

/* Takes the value. */
static void assert_unpacked(const char *type_url, const char *hex, dr_value *expected)
{
    dr_value *value = NULL;
    struct dr_error error = {0};
    if (unpack_hex(type_url, hex, &value, &error) != DR_OK)
        fail_msg("%s %s: %s", type_url, hex, error.message);
    assert_int_equal(dr_value_kind(value), dr_value_kind(expected));
    assert_true(dr_value_equal(value, expected));
    dr_value_unref(value);
    dr_value_unref(expected);
}

/* Takes the value: the same bytes in both directions. */
static void assert_vector(dr_value *value, const char *type_url, const char *hex)
{
    assert_packed(dr_value_ref(value), type_url, hex);
    assert_unpacked(type_url, hex, value);
}

static void assert_refused(const char *type_url, const char *hex)
{
    dr_value *value = NULL;
    struct dr_error error = {0};
    assert_int_equal(unpack_hex(type_url, hex, &value, &error), DR_INVALID_ARGUMENT);
    assert_int_equal(error.code, DR_INVALID_ARGUMENT);
    assert_null(value);
}

/* Takes the value. */
static void assert_unpackable(dr_value *value, dr_code expected, const char *part_of_message)
{
    dr_value *message = NULL;
    struct dr_error error = {0};
    assert_non_null(value);
    assert_int_equal(dr_value_pack(value, &message, &error), expected);
    if (!strstr(error.message, part_of_message))
        fail_msg("\"%s\" is not in \"%s\"", part_of_message, error.message);
    dr_value_unref(message);
    dr_value_unref(value);
}

static dr_value *list_of(dr_value *item) { return dr_value_list(&item, 1); }

static dr_value *map_of(const char *key, dr_value *value) { return dr_value_map(&key, &value, 1); }

static void scalars_have_the_bytes_of_the_python_sdk(void **state)
{
    (void)state;
    assert_vector(dr_value_null(), PREFIX "Empty", "");
    assert_vector(dr_value_bool(true), PREFIX "BoolValue", "0801");
    assert_vector(dr_value_bool(false), PREFIX "BoolValue", "");
    assert_vector(dr_value_int(0), PREFIX "Int64Value", "");
    assert_vector(dr_value_int(42), PREFIX "Int64Value", "082a");
    assert_vector(dr_value_int(-1), PREFIX "Int64Value", "08ffffffffffffffffff01");
    assert_vector(dr_value_uint(UINT64_MAX), PREFIX "UInt64Value", "08ffffffffffffffffff01");
    assert_vector(dr_value_float(1.5), PREFIX "DoubleValue", "09000000000000f83f");
    assert_vector(dr_value_float(0), PREFIX "DoubleValue", "");
    assert_vector(dr_value_text("s"), PREFIX "StringValue", "0a0173");
    assert_vector(dr_value_text(""), PREFIX "StringValue", "");
    assert_vector(dr_value_bytes("\0", 1), PREFIX "BytesValue", "0a0100");
    assert_vector(dr_value_text_n("a\0b", 3), PREFIX "StringValue", "0a03610062");
}

static void minus_zero_and_not_a_number_survive(void **state)
{
    (void)state;
    dr_value *value = NULL;
    assert_packed(dr_value_float(-0.0), PREFIX "DoubleValue", "090000000000000080");
    assert_int_equal(unpack_hex(PREFIX "DoubleValue", "09000000000000f87f", &value, NULL), DR_OK);
    assert_true(isnan(dr_float(value)));
    dr_value_unref(value);
}

static void lists_and_maps_have_the_bytes_of_the_python_sdk(void **state)
{
    (void)state;
    assert_vector(dr_value_list((dr_value *[]){dr_value_int(1), dr_value_text("a"), dr_value_null()}, 3),
                  PREFIX "Value", "32140a0911000000000000f03f0a031a01610a020800");
    assert_vector(map_of("k", dr_value_bool(true)), PREFIX "Value", "2a090a070a016b12022001");
    assert_vector(dr_value_list(NULL, 0), PREFIX "Value", "3200");
    assert_vector(dr_value_map(NULL, NULL, 0), PREFIX "Value", "2a00");
    assert_vector(list_of(dr_value_text_n("a\0b", 3)), PREFIX "Value", "32070a051a03610062");
    assert_vector(list_of(map_of("", list_of(dr_value_bool(false)))), PREFIX "Value",
                  "32100a0e2a0c0a0a0a00120632040a022000");
}

static void times_are_packed_with_their_sign(void **state)
{
    (void)state;
    assert_vector(dr_value_timestamp(INT64_C(1500000000)), PREFIX "Timestamp", "08011080cab5ee01");
    assert_vector(dr_value_timestamp(-1), PREFIX "Timestamp", "08ffffffffffffffffff0110ff93ebdc03");
    assert_vector(dr_value_duration(INT64_C(1500000000)), PREFIX "Duration", "08011080cab5ee01");
    assert_vector(dr_value_duration(INT64_C(-1500000000)), PREFIX "Duration",
                  "08ffffffffffffffffff011080b6ca91feffffffff01");
    assert_vector(dr_value_timestamp_parts(253402300799, 999999999), PREFIX "Timestamp", "08ff82d1ffaf0710ff93ebdc03");
    assert_unpackable(dr_value_timestamp_parts(253402300800, 0), DR_INVALID_ARGUMENT, "years 1 to 9999");
    assert_unpackable(dr_value_timestamp_parts(-62135596801, 0), DR_INVALID_ARGUMENT, "years 1 to 9999");
    assert_unpackable(dr_value_duration_parts(-315576000001, 0), DR_INVALID_ARGUMENT, "10,000 years");
}

/* What the Python SDK 0.8.0 writes for -1.5 s: the seconds cut, the nanoseconds positive. */
static void a_duration_of_mixed_signs_is_read_as_its_sum(void **state)
{
    (void)state;
    assert_unpacked(PREFIX "Duration", "08ffffffffffffffffff011080cab5ee01", dr_value_duration(-500000000));
}

static void every_wrapper_is_unpacked(void **state)
{
    (void)state;
    assert_unpacked(PREFIX "Int32Value", "08ffffffffffffffffff01", dr_value_int(-1));
    assert_unpacked(PREFIX "UInt32Value", "08ffffffff0f", dr_value_uint(UINT32_MAX));
    assert_unpacked(PREFIX "FloatValue", "0d0000c03f", dr_value_float(1.5));
    assert_unpacked(PREFIX "Struct", "0a070a016b12022001", map_of("k", dr_value_bool(true)));
    assert_unpacked(PREFIX "ListValue", "0a022001", list_of(dr_value_bool(true)));
    assert_unpacked(PREFIX "Value", "1a0173", dr_value_text("s"));
    assert_unpacked(PREFIX "Value", "11000000000000f83f", dr_value_float(1.5));
    assert_unpacked(PREFIX "Value", "0800", dr_value_null());
    assert_unpacked(PREFIX "Value", "", dr_value_null());
    assert_unpacked(PREFIX "Value", "1a01732001", dr_value_bool(true)); /* the last of a oneof wins */
    assert_unpacked(PREFIX "Value", "38012001", dr_value_bool(true));   /* an unknown field is skipped */
    assert_unpacked(PREFIX "Struct", "0a030a016b", map_of("k", dr_value_null()));
}

static void the_name_behind_the_last_slash_decides(void **state)
{
    (void)state;
    assert_unpacked("google.protobuf.Int64Value", "082a", dr_value_int(42));
    assert_unpacked("a/b/google.protobuf.Int64Value", "082a", dr_value_int(42));
    assert_unpacked("x/other.Int64Value", "082a", dr_value_message("x/other.Int64Value", "\x08\x2a", 2));
    assert_unpacked(PREFIX "Unknown", "082a", dr_value_message(PREFIX "Unknown", "\x08\x2a", 2));
    assert_unpacked("", "082a", dr_value_message("", "\x08\x2a", 2));
}

static void messages_pass_as_they_are(void **state)
{
    (void)state;
    assert_vector(dr_value_message(DR_TYPE_URL_PICKLED, "\x0a\x01N", 3), DR_TYPE_URL_PICKLED, "0a014e");
    dr_value *value = NULL;
    dr_value *number = dr_value_int(7);
    assert_int_equal(dr_value_unpack(number, &value, NULL), DR_OK); /* no message: kept too */
    assert_ptr_equal(value, number);
    dr_value_unref(value);
    dr_value_unref(number);
}

static void what_a_list_cannot_hold_is_named(void **state)
{
    (void)state;
    assert_unpackable(list_of(dr_value_bytes("b", 1)), DR_INVALID_ARGUMENT, "kind bytes");
    assert_unpackable(map_of("k", list_of(dr_value_timestamp(1))), DR_INVALID_ARGUMENT, "kind timestamp");
    assert_unpackable(list_of(dr_value_message("x/y", "", 0)), DR_INVALID_ARGUMENT, "kind message");
    assert_unpackable(list_of(dr_value_int((INT64_C(1) << 53) + 1)), DR_INVALID_ARGUMENT, "9007199254740993");
    assert_unpackable(list_of(dr_value_uint(UINT64_MAX)), DR_INVALID_ARGUMENT, "18446744073709551615");
    assert_unpackable(list_of(dr_value_int(INT64_MAX)), DR_INVALID_ARGUMENT, "9223372036854775807");
    assert_packed(list_of(dr_value_int(INT64_MIN)), PREFIX "Value", "320b0a0911000000000000e0c3");
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    assert_unpackable(dr_value_text("\xff"), DR_INVALID_ARGUMENT, "UTF-8");
    assert_unpackable(list_of(dr_value_text("\xff")), DR_INVALID_ARGUMENT, "UTF-8");
    assert_unpackable(map_of("\xff", dr_value_null()), DR_INVALID_ARGUMENT, "UTF-8");
    assert_refused(PREFIX "StringValue", "0a01ff");
    assert_refused(PREFIX "Value", "1a01ff");
    assert_refused(PREFIX "Struct", "0a030a01ff");
}

static void damaged_messages_are_refused(void **state)
{
    (void)state;
    assert_refused(PREFIX "Int64Value", "08");
    assert_refused(PREFIX "Int64Value", "08ff");
    assert_refused(PREFIX "StringValue", "0a0573");
    assert_refused(PREFIX "DoubleValue", "0900");
    assert_refused(PREFIX "Value", "3205");
    assert_refused(PREFIX "Value", "1100");
    assert_refused(PREFIX "Value", "320108");
    assert_refused(PREFIX "Value", "0a00");   /* null_value as bytes */
    assert_refused(PREFIX "Value", "0000");   /* field 0 */
    assert_refused(PREFIX "Value", "0b0c");   /* a group */
    assert_refused(PREFIX "Value", "08ffffffffffffffffffff01");
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    size_t len = DR_VALUE_PACKED_BYTES_MAX;
    char *text = mem_zalloc(len);
    assert_non_null(text);
    assert_unpackable(dr_value_text_n(text, len), DR_RESOURCE_EXHAUSTED, "16000000");
    assert_unpackable(list_of(dr_value_text_n(text, len)), DR_RESOURCE_EXHAUSTED, "16000000");
    assert_unpackable(dr_value_message("x/y", text, len), DR_OK, "");
    mem_free(text);
}

static void nesting_survives_to_the_limit_and_no_further(void **state)
{
    (void)state;
    dr_value *value = dr_value_null();
    dr_value *message = NULL;
    dr_value *again = NULL;
    for (int i = 1; i < DR_VALUE_DEPTH_MAX; i++)
        value = i % 2 ? list_of(value) : map_of("k", value);
    assert_int_equal(dr_value_pack(value, &message, NULL), DR_OK);
    assert_int_equal(dr_value_unpack(message, &again, NULL), DR_OK);
    assert_true(dr_value_equal(value, again));

    /* one list more, around the bytes */
    struct buf buf;
    struct dr_error error = {0};
    buf_init(&buf, 1 << 20);
    size_t len = dr_value_len(message);
    size_t inner = len + 4;
    assert_true(len >= 1 << 7 && inner < 1 << 21); /* lengths are written in three bytes */
    uint8_t head[] = {0x32, (uint8_t)(inner | 0x80), (uint8_t)(inner >> 7 | 0x80), (uint8_t)(inner >> 14),
                      0x0a, (uint8_t)(len | 0x80),   (uint8_t)(len >> 7 | 0x80),   (uint8_t)(len >> 14)};
    assert_int_equal(buf_append(&buf, slice_of(head, sizeof head)), DR_OK);
    assert_int_equal(buf_append(&buf, value_slice(message)), DR_OK);
    dr_value_unref(message);
    dr_value_unref(again);
    message = dr_value_message(PREFIX "Value", buf.data, buf.len);
    assert_int_equal(dr_value_unpack(message, &again, &error), DR_RESOURCE_EXHAUSTED);
    dr_value_unref(message);
    dr_value_unref(value);
    buf_deinit(&buf);
}

static void a_value_goes_through_a_serialized_any(void **state)
{
    (void)state;
    struct buf buf;
    dr_value *value = dr_value_int(42);
    dr_value *again = NULL;
    buf_init(&buf, 4096);
    assert_int_equal(value_encode_any(value, &buf, NULL), DR_OK);
    assert_hex(buf_slice(&buf),
               "0a2e747970652e676f6f676c65617069732e636f6d2f676f6f676c652e70726f746f6275662e496e74363456616c7565"
               "1202082a");
    assert_int_equal(value_decode_any(buf_slice(&buf), &again, NULL), DR_OK);
    assert_true(dr_value_equal(value, again));
    dr_value_unref(value);
    dr_value_unref(again);
    buf_deinit(&buf);

    assert_int_equal(value_decode_any(slice_of(NULL, 0), &again, NULL), DR_OK);
    assert_true(dr_is_null(again));
    assert_int_equal(value_decode_any(slice_of("", 0), &again, NULL), DR_OK);
    assert_int_equal(dr_value_kind(again), DR_KIND_MESSAGE);
    dr_value_unref(again);
    struct dr_error error = {0};
    assert_int_equal(value_decode_any(slice_of("\x0a\x05x", 3), &again, &error), DR_INVALID_ARGUMENT);
}

/* Goal: no bytes crash, leak or hang the reader, and what it takes can be packed again. */
static void cut_and_flipped_values_do_no_harm(void **state)
{
    (void)state;
    static const uint8_t seed[] = "\x2a\x1e\x0a\x1c\x0a\x01k\x12\x17\x32\x15\x0a\x09\x11\0\0\0\0\0\0\xf0\x3f"
                                  "\x0a\x03\x1a\x01" "a\x0a\x03\x08\x80\0";
    size_t len = sizeof seed - 1;
    struct random random;
    random_init(&random, 7);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[sizeof seed];
        memcpy(bytes, seed, len);
        for (uint64_t n = random_below(&random, 4); n > 0; n--)
            bytes[random_below(&random, len)] = (uint8_t)random_next(&random);
        size_t cut = random_below(&random, len + 1);
        dr_value *value = NULL;
        dr_value *message = NULL;
        if (value_decode_struct(VALUE_FORM_VALUE, slice_of(bytes, cut), &value, NULL) == DR_OK) {
            assert_int_equal(value_encode_struct(value, &message, NULL), DR_OK);
            dr_value_unref(message);
            dr_value_unref(value);
        }
        if (value_decode_any(slice_of(bytes, cut), &value, NULL) == DR_OK)
            dr_value_unref(value);
    }
}

static dr_code pack_and_unpack(void *arg)
{
    (void)arg;
    dr_code code = DR_NO_MEMORY;
    dr_value *value = NULL;
    dr_value *message = NULL;
    dr_value *again = NULL;
    struct buf buf;
    buf_init(&buf, 4096);
    value = dr_value_list((dr_value *[]){dr_value_int(1), map_of("k", dr_value_text("a"))}, 2);
    if (!value)
        goto cleanup;
    code = value_encode_any(value, &buf, NULL);
    if (code)
        goto cleanup;
    code = value_decode_any(buf_slice(&buf), &again, NULL);
    if (code)
        goto cleanup;
    code = dr_value_pack(dr_value_at(dr_value_at(again, 1), 0), &message, NULL);
    if (code)
        goto cleanup;
    dr_value_unref(again);
    again = NULL;
    code = dr_value_unpack(message, &again, NULL);
cleanup:
    dr_value_unref(again);
    dr_value_unref(message);
    dr_value_unref(value);
    buf_deinit(&buf);
    return code;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    assert_survives_allocation_faults(pack_and_unpack, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_have_the_bytes_of_the_python_sdk),
        cmocka_unit_test(minus_zero_and_not_a_number_survive),
        cmocka_unit_test(lists_and_maps_have_the_bytes_of_the_python_sdk),
        cmocka_unit_test(times_are_packed_with_their_sign),
        cmocka_unit_test(a_duration_of_mixed_signs_is_read_as_its_sum),
        cmocka_unit_test(every_wrapper_is_unpacked),
        cmocka_unit_test(the_name_behind_the_last_slash_decides),
        cmocka_unit_test(messages_pass_as_they_are),
        cmocka_unit_test(what_a_list_cannot_hold_is_named),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(damaged_messages_are_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(nesting_survives_to_the_limit_and_no_further),
        cmocka_unit_test(a_value_goes_through_a_serialized_any),
        cmocka_unit_test(cut_and_flipped_values_do_no_harm),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
