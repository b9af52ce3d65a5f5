#include "base/testing.h"

#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>

static void aligns_every_allocation_for_any_type(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t size = 0; size < 300; size++) {
        unsigned char *data = arena_alloc(&arena, size);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % alignof(max_align_t), 0);
        memset(data, 0xff, size);
    }
    arena_deinit(&arena);
}

static void keeps_earlier_allocations_when_it_grows(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *texts[500];
    for (int i = 0; i < 500; i++) {
        texts[i] = arena_printf(&arena, "text number %d", i);
        if (i % 50 == 0)
            assert_non_null(arena_zalloc(&arena, 200000)); /* gets a chunk of its own */
    }
    char expected[32];
    for (int i = 0; i < 500; i++) {
        (void)snprintf(expected, sizeof(expected), "text number %d", i);
        assert_string_equal(texts[i], expected);
    }
    arena_deinit(&arena);
}

static void copies_bytes_and_adds_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *copy = arena_copy(&arena, slice_of("a\0b", 3));
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(arena_copy(&arena, (struct slice){0}), "");
    arena_deinit(&arena);
}

static void refuses_past_its_limit_but_serves_what_fits(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_non_null(arena_alloc(&arena, 900));
    assert_null(arena_alloc(&arena, 101));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 100));
    assert_int_equal(arena.used_bytes, 1000);
    assert_null(arena_alloc(&arena, 1));
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 1000));
    arena_deinit(&arena);
}

static void reuses_its_first_chunk_after_a_reset(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    void *first = arena_alloc(&arena, 10);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&arena, 1000));
    arena_reset(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_ptr_equal(arena_alloc(&arena, 10), first);
    arena_deinit(&arena);
}

static void does_not_keep_a_giant_first_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_non_null(arena_alloc(&arena, 10000000));
    arena_reset(&arena);
    assert_null(arena.chunks);
    arena_deinit(&arena);
}

static void accepts_a_zeroed_struct(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_deinit(&arena);
    assert_non_null(arena_alloc(&arena, 1));
    arena_deinit(&arena);
}

static dr_code fill(void *arg)
{
    (void)arg;
    struct arena arena;
    arena_init(&arena, 0);
    bool is_full = arena_copy(&arena, slice_text("x")) && arena_zalloc(&arena, 5000) &&
                   arena_printf(&arena, "%100000d", 1) && arena_alloc(&arena, 5000);
    arena_deinit(&arena);
    return is_full ? DR_OK : DR_NO_MEMORY;
}

static void reports_missing_memory_as_null(void **state)
{
    (void)state;
    assert_survives_allocation_faults(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligns_every_allocation_for_any_type),
        cmocka_unit_test(keeps_earlier_allocations_when_it_grows),
        cmocka_unit_test(copies_bytes_and_adds_a_nul),
        cmocka_unit_test(refuses_past_its_limit_but_serves_what_fits),
        cmocka_unit_test(reuses_its_first_chunk_after_a_reset),
        cmocka_unit_test(does_not_keep_a_giant_first_chunk),
        cmocka_unit_test(accepts_a_zeroed_struct),
        cmocka_unit_test(reports_missing_memory_as_null),
    };
    return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
