#include "wire/json.h"
#include "wire/testing.h"

static void assert_duration(const char *text, int64_t seconds, int32_t nanos, const char *again)
{
    struct wire_time time;
    assert_true(wire_duration_parse(slice_text(text), &time));
    assert_int_equal(time.seconds, seconds);
    assert_int_equal(time.nanos, nanos);
    char out[WIRE_TIME_TEXT_SIZE];
    wire_duration_format(time, out);
    assert_string_equal(out, again ? again : text);
}

static void reads_and_writes_durations(void **state)
{
    (void)state;
    assert_duration("0s", 0, 0, NULL);
    assert_duration("1.5s", 1, 500000000, "1.500s");
    assert_duration("-1.5s", -1, -500000000, "-1.500s");
    assert_duration("-0.000000001s", 0, -1, NULL);
    assert_duration("0.000001s", 0, 1000, NULL);
    assert_duration("315576000000s", INT64_C(315576000000), 0, NULL);
}

static void refuses_other_durations(void **state)
{
    (void)state;
    const char *bad[] = {
        "",    "s",    "1",  "1.s",  ".5s",           "1,5s",          "1s ",           " 1s",
        "+1s", "--1s", "1m", "1e3s", "1.0000000001s", "315576000001s", "9999999999999s"};
    struct wire_time time;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(wire_duration_parse(slice_text(bad[i]), &time));
}

static void assert_timestamp(const char *text, int64_t seconds, int32_t nanos, const char *again)
{
    struct wire_time time;
    assert_true(wire_timestamp_parse(slice_text(text), &time));
    assert_int_equal(time.seconds, seconds);
    assert_int_equal(time.nanos, nanos);
    char out[WIRE_TIME_TEXT_SIZE];
    wire_timestamp_format(time, out);
    assert_string_equal(out, again ? again : text);
}

static void reads_and_writes_timestamps(void **state)
{
    (void)state;
    assert_timestamp("1970-01-01T00:00:00Z", 0, 0, NULL);
    assert_timestamp("2024-02-29T12:34:56.789Z", 1709210096, 789000000, NULL);
    assert_timestamp("2000-03-01T00:00:00.000001Z", 951868800, 1000, NULL);
    assert_timestamp("0001-01-01T00:00:00Z", INT64_C(-62135596800), 0, NULL);
    assert_timestamp("9999-12-31T23:59:59.999999999Z", INT64_C(253402300799), 999999999, NULL);
    assert_timestamp("1969-12-31T23:59:59.500Z", -1, 500000000, NULL);
    assert_timestamp("2024-01-01T01:00:00+01:00", 1704067200, 0, "2024-01-01T00:00:00Z");
    assert_timestamp("2023-12-31t22:30:00-01:30", 1704067200, 0, "2024-01-01T00:00:00Z");
}

static void refuses_other_timestamps(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "2024-02-30T00:00:00Z",
                         "2023-02-29T00:00:00Z",
                         "1900-02-29T00:00:00Z",
                         "2024-13-01T00:00:00Z",
                         "2024-00-01T00:00:00Z",
                         "2024-01-00T00:00:00Z",
                         "2024-01-01T24:00:00Z",
                         "2024-01-01T00:60:00Z",
                         "2024-01-01T00:00:60Z",
                         "2024-01-01T00:00:00",
                         "2024-01-01 00:00:00Z",
                         "2024-01-01T00:00:00.Z",
                         "2024-01-01T00:00:00+1:00",
                         "2024-01-01T00:00:00ZZ",
                         "0000-12-31T23:59:59Z",
                         "0001-01-01T00:00:00+00:01",
                         "24-01-01T00:00:00Z"};
    struct wire_time time;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(wire_timestamp_parse(slice_text(bad[i]), &time));
}

/* Every day of eight centuries, there and back. */
static void agrees_with_itself_about_every_day(void **state)
{
    (void)state;
    for (int64_t day = -146097; day <= 146097; day++) {
        char text[WIRE_TIME_TEXT_SIZE];
        struct wire_time in = {.seconds = day * 86400 + 86399, .nanos = 1}, out;
        wire_timestamp_format(in, text);
        assert_true(wire_timestamp_parse(slice_text(text), &out));
        assert_int_equal(out.seconds, in.seconds);
        assert_int_equal(out.nanos, 1);
    }
}

static void reads_and_writes_base64(void **state)
{
    (void)state;
    const char *pairs[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                              {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf text, bytes;
        buf_init(&text, 100);
        buf_init(&bytes, 100);
        assert_int_equal(wire_base64_encode(slice_text(pairs[i][0]), &text), DR_OK);
        assert_string_equal(buf_text(&text), pairs[i][1]);
        assert_int_equal(wire_base64_decode(buf_slice(&text), &bytes), DR_OK);
        assert_text(buf_slice(&bytes), pairs[i][0]);
        buf_deinit(&text);
        buf_deinit(&bytes);
    }
}

static void reads_base64_of_both_alphabets_with_or_without_padding(void **state)
{
    (void)state;
    struct buf bytes;
    buf_init(&bytes, 100);
    assert_int_equal(wire_base64_decode(SLICE("__79"), &bytes), DR_OK);
    assert_int_equal(wire_base64_decode(SLICE("Zg"), &bytes), DR_OK);
    assert_text(buf_slice(&bytes), "\xff\xfe\xfd"
                                   "f");
    const char *bad[] = {"Z", "Zg=", "Zg===", "Z===", "Zm9v=", "Zm 9", "Zm9\n", "=", "Zm.v", "Z=9v"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(wire_base64_decode(slice_text(bad[i]), &bytes), DR_INVALID_ARGUMENT);
        assert_int_equal(bytes.len, 4);
    }
    buf_deinit(&bytes);
}

static void reads_integers_as_numbers_or_text(void **state)
{
    (void)state;
    const struct {
        const char *json;
        bool is_signed, is_unsigned;
        int64_t value;
    } cases[] = {
        {"5", true, true, 5},
        {"\"5\"", true, true, 5},
        {"-5", true, false, -5},
        {"\"-5\"", true, false, -5},
        {"5.0", true, true, 5},
        {"1e3", true, true, 1000},
        {"5.5", false, false, 0},
        {"1e300", false, false, 0},
        {"\"\"", false, false, 0},
        {"\"-\"", false, false, 0},
        {"\" 5\"", false, false, 0},
        {"\"5x\"", false, false, 0},
        {"\"18446744073709551615\"", false, true, -1},
        {"\"18446744073709551616\"", false, false, 0},
        {"\"-9223372036854775808\"", true, false, INT64_MIN},
        {"\"-9223372036854775809\"", false, false, 0},
        {"true", false, false, 0},
        {"null", false, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        int64_t number = 0;
        uint64_t unsigned_number = 0;
        assert_int_equal(wire_json_signed(json, &number), cases[i].is_signed);
        assert_int_equal(wire_json_unsigned(json, &unsigned_number), cases[i].is_unsigned);
        if (cases[i].is_signed)
            assert_true(number == cases[i].value);
        if (cases[i].is_unsigned)
            assert_true(unsigned_number == (uint64_t)cases[i].value);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_durations),
        cmocka_unit_test(refuses_other_durations),
        cmocka_unit_test(reads_and_writes_timestamps),
        cmocka_unit_test(refuses_other_timestamps),
        cmocka_unit_test(agrees_with_itself_about_every_day),
        cmocka_unit_test(reads_and_writes_base64),
        cmocka_unit_test(reads_base64_of_both_alphabets_with_or_without_padding),
        cmocka_unit_test(reads_integers_as_numbers_or_text),
    };
    return cmocka_run_group_tests_name("wire json text", tests, NULL, NULL);
}
