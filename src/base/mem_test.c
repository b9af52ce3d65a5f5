#include "base/testing.h"

#include "base/mem.h"

#include <string.h>

static void gives_unique_pointers_for_size_zero(void **state)
{
    (void)state;
    void *a = mem_alloc(0);
    void *b = mem_alloc(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    mem_free(a);
    mem_free(b);
    mem_free(NULL);
}

static void zeroes_memory_when_asked(void **state)
{
    (void)state;
    static const unsigned char zeros[1000];
    unsigned char *data = mem_zalloc(sizeof(zeros));
    assert_memory_equal(data, zeros, sizeof(zeros));
    mem_free(data);
}

static void ends_copied_text_with_a_nul(void **state)
{
    (void)state;
    char *copy = mem_strndup("hello world", 5);
    assert_string_equal(copy, "hello");
    mem_free(copy);
    char *empty = mem_strndup(NULL, 0);
    assert_string_equal(empty, "");
    mem_free(empty);
}

static void refuses_sizes_that_cannot_exist(void **state)
{
    (void)state;
    assert_null(mem_strndup("x", SIZE_MAX));
}

static void fails_only_the_nth_allocation_and_only_once(void **state)
{
    (void)state;
    mem_fault_set(2);
    void *first = mem_alloc(1);
    assert_non_null(first);
    assert_false(mem_fault_hit());
    assert_null(mem_zalloc(1));
    assert_true(mem_fault_hit());
    void *third = mem_alloc(1);
    assert_non_null(third);
    mem_fault_set(0);
    assert_false(mem_fault_hit());
    mem_free(first);
    mem_free(third);
}

static void keeps_the_old_block_when_growing_fails(void **state)
{
    (void)state;
    char *text = mem_strndup("keep", 4);
    mem_fault_set(1);
    assert_null(mem_realloc(text, 1000));
    mem_fault_set(0);
    assert_string_equal(text, "keep");
    char *bigger = mem_realloc(text, 1000);
    assert_string_equal(bigger, "keep");
    mem_free(bigger);
}

static void leaves_must_allocations_out_of_fault_injection(void **state)
{
    (void)state;
    mem_fault_set(1);
    void *data = mem_must_alloc(10);
    data = mem_must_realloc(data, 20);
    void *zeroed = mem_must_zalloc(10);
    assert_false(mem_fault_hit());
    mem_fault_set(0);
    mem_free(data);
    mem_free(zeroed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_unique_pointers_for_size_zero),
        cmocka_unit_test(zeroes_memory_when_asked),
        cmocka_unit_test(ends_copied_text_with_a_nul),
        cmocka_unit_test(refuses_sizes_that_cannot_exist),
        cmocka_unit_test(fails_only_the_nth_allocation_and_only_once),
        cmocka_unit_test(keeps_the_old_block_when_growing_fails),
        cmocka_unit_test(leaves_must_allocations_out_of_fault_injection),
    };
    return cmocka_run_group_tests_name("base/mem", tests, NULL, NULL);
}
