#include "base/testing.h"

#include "base/clock.h"
#include "base/id.h"

static void sorts_ids_by_their_creation(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    struct id_source source = {.random = &random};
    struct id before = id_next(&source, 0);
    for (int64_t i = 1; i < 10000; i++) {
        struct id id = id_next(&source, i * NS_PER_MS / 7);
        assert_true(id_compare(before, id) < 0);
        before = id;
    }
}

static void keeps_the_order_when_the_clock_goes_back(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    struct id_source source = {.random = &random};
    struct id later = id_next(&source, 1000 * NS_PER_S);
    struct id after_jump = id_next(&source, 5 * NS_PER_S);
    assert_true(id_compare(later, after_jump) < 0);
    struct id before_1970 = id_next(&source, -1);
    assert_true(id_compare(after_jump, before_1970) < 0);
}

static void keeps_the_order_when_a_millisecond_is_full(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    struct id_source source = {.random = &random};
    struct id before = id_next(&source, NS_PER_S);
    for (int i = 0; i < 200000; i++) {
        struct id id = id_next(&source, NS_PER_S);
        assert_true(id_compare(before, id) < 0);
        before = id;
    }
    assert_true(id_compare(before, id_next(&source, 2 * NS_PER_S)) < 0);
}

static void carries_the_time_in_its_first_six_bytes(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    struct id_source source = {.random = &random};
    char text[ID_TEXT_SIZE];
    id_format(id_next(&source, INT64_C(0x0123456789ab) * NS_PER_MS), text);
    assert_memory_equal(text, "0123456789ab0000", 16);
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    struct id id, back;
    for (size_t i = 0; i < ID_BYTES; i++)
        id.bytes[i] = (uint8_t)(i * 17);
    char text[ID_TEXT_SIZE];
    assert_string_equal(id_format(id, text), "00112233445566778899aabbccddeeff");
    assert_true(id_parse(slice_text(text), &back));
    assert_true(id_equal(id, back));
    assert_true(id_parse(slice_text("00112233445566778899AABBCCDDEEFF"), &back));
    assert_true(id_equal(id, back));
}

static void refuses_what_is_not_32_digits(void **state)
{
    (void)state;
    struct id untouched = {{1}};
    const char *const wrong[] = {"", "0011", "00112233445566778899aabbccddeef", "00112233445566778899aabbccddeeff0",
                                 "00112233445566778899aabbccddeefg", "0x112233445566778899aabbccddeeff",
                                 "00112233-4455-6677-8899-aabbccddeeff"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(id_parse(slice_text(wrong[i]), &untouched));
    assert_int_equal(untouched.bytes[0], 1);
}

static void tells_the_zero_id_from_others(void **state)
{
    (void)state;
    assert_true(id_is_none((struct id){{0}}));
    assert_false(id_is_none((struct id){{[15] = 1}}));
}

static void spreads_neighbours_over_the_low_bits(void **state)
{
    (void)state;
    int used[256] = {0};
    int n_used = 0;
    for (int i = 0; i < 256; i++) {
        struct id id = {{[7] = (uint8_t)i}};
        int *slot = &used[id_hash(id) & 255];
        n_used += *slot == 0;
        *slot = 1;
    }
    assert_true(n_used > 128); /* random spreading fills about 162 of 256 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_ids_by_their_creation),
        cmocka_unit_test(keeps_the_order_when_the_clock_goes_back),
        cmocka_unit_test(keeps_the_order_when_a_millisecond_is_full),
        cmocka_unit_test(carries_the_time_in_its_first_six_bytes),
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(refuses_what_is_not_32_digits),
        cmocka_unit_test(tells_the_zero_id_from_others),
        cmocka_unit_test(spreads_neighbours_over_the_low_bits),
    };
    return cmocka_run_group_tests_name("base/id", tests, NULL, NULL);
}
