#include "base/testing.h"

#include "base/blob.h"
#include "base/mem.h"

#include <pthread.h>

static void copies_bytes_and_ends_them_with_a_nul(void **state)
{
    (void)state;
    char source[] = "input";
    struct blob *blob = blob_create(slice_text(source));
    source[0] = 'X';
    assert_string_equal(blob_text(blob), "input");
    assert_true(slice_equal(blob_slice(blob), slice_text("input")));
    blob_unref(blob);
}

static void tells_absent_from_empty(void **state)
{
    (void)state;
    struct blob *empty = blob_create((struct slice){0});
    assert_non_null(empty);
    assert_int_equal(blob_slice(empty).len, 0);
    assert_non_null(blob_slice(empty).data);
    assert_null(blob_slice(NULL).data);
    assert_string_equal(blob_text(NULL), "");
    assert_null(blob_ref(NULL));
    blob_unref(NULL);
    blob_unref(empty);
}

static void lives_until_the_last_reference_goes(void **state)
{
    (void)state;
    struct blob *blob = blob_create(slice_text("shared"));
    assert_ptr_equal(blob_ref(blob), blob);
    blob_unref(blob);
    assert_string_equal(blob_text(blob), "shared");
    blob_unref(blob);
}

static void releases_what_a_set_replaces(void **state)
{
    (void)state;
    struct blob *target = NULL;
    blob_set(&target, blob_create(slice_text("one")));
    blob_set(&target, blob_create(slice_text("two")));
    assert_string_equal(blob_text(target), "two");
    blob_set(&target, blob_ref(target));
    assert_string_equal(blob_text(target), "two");
    blob_set(&target, NULL);
    assert_null(target);
}

static void refuses_more_than_the_maximum(void **state)
{
    (void)state;
    static const char one;
    assert_null(blob_create(slice_of(&one, (size_t)BLOB_BYTES_MAX + 1)));
}

static void reports_missing_memory_as_null(void **state)
{
    (void)state;
    mem_fault_set(1);
    assert_null(blob_create(slice_text("x")));
    mem_fault_set(0);
}

static void *ref_and_unref_often(void *arg)
{
    for (int i = 0; i < 20000; i++)
        blob_unref(blob_ref(arg));
    return NULL;
}

static void counts_references_from_many_threads(void **state)
{
    (void)state;
    struct blob *blob = blob_create(slice_text("shared"));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref_often, blob), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&blob->refs), 1);
    blob_unref(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_bytes_and_ends_them_with_a_nul),
        cmocka_unit_test(tells_absent_from_empty),
        cmocka_unit_test(lives_until_the_last_reference_goes),
        cmocka_unit_test(releases_what_a_set_replaces),
        cmocka_unit_test(refuses_more_than_the_maximum),
        cmocka_unit_test(reports_missing_memory_as_null),
        cmocka_unit_test(counts_references_from_many_threads),
    };
    return cmocka_run_group_tests_name("base/blob", tests, NULL, NULL);
}
