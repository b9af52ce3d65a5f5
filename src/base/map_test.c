#include "base/testing.h"

#include "base/map.h"
#include "base/mem.h"

static struct id id_of(uint32_t number)
{
    struct id id = {{0}};
    memcpy(id.bytes + 8, &number, sizeof(number));
    return id;
}

static void finds_what_was_put(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    int values[2];
    assert_null(map_get(&map, id_of(1)));
    assert_null(map_remove(&map, id_of(1)));
    assert_int_equal(map_put(&map, id_of(1), &values[0]), DR_OK);
    assert_ptr_equal(map_get(&map, id_of(1)), &values[0]);
    assert_null(map_get(&map, id_of(2)));
    assert_int_equal(map_put(&map, id_of(1), &values[1]), DR_OK);
    assert_ptr_equal(map_get(&map, id_of(1)), &values[1]);
    assert_int_equal(map.len, 1);
    assert_ptr_equal(map_remove(&map, id_of(1)), &values[1]);
    assert_null(map_get(&map, id_of(1)));
    assert_int_equal(map.len, 0);
    map_deinit(&map);
}

static void accepts_the_zero_id_as_a_key(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    int value;
    assert_int_equal(map_put(&map, (struct id){{0}}, &value), DR_OK);
    assert_ptr_equal(map_get(&map, (struct id){{0}}), &value);
    map_deinit(&map);
}

/* Oracle: an array of who is in. Few keys on a small table make long probe chains and many holes. */
static void agrees_with_an_array_under_random_changes(void **state)
{
    (void)state;
    enum { N = 300 };
    static char places[N];
    bool is_in[N] = {false};
    struct random random;
    random_init(&random, 3);
    struct map map;
    map_init(&map);
    for (int step = 0; step < 50000; step++) {
        /* Waves of growing and shrinking, so that the table resizes both ways. */
        uint64_t chance_of_put = step / 5000 % 2 == 0 ? 80 : 20;
        uint32_t key = (uint32_t)random_below(&random, N);
        if (random_below(&random, 100) < chance_of_put) {
            assert_int_equal(map_put(&map, id_of(key), &places[key]), DR_OK);
            is_in[key] = true;
        } else {
            assert_ptr_equal(map_remove(&map, id_of(key)), is_in[key] ? &places[key] : NULL);
            is_in[key] = false;
        }
        uint32_t probe = (uint32_t)random_below(&random, N);
        assert_ptr_equal(map_get(&map, id_of(probe)), is_in[probe] ? &places[probe] : NULL);
    }
    size_t n_expected = 0;
    for (uint32_t key = 0; key < N; key++) {
        assert_ptr_equal(map_get(&map, id_of(key)), is_in[key] ? &places[key] : NULL);
        n_expected += is_in[key];
    }
    assert_int_equal(map.len, n_expected);
    map_deinit(&map);
}

static void visits_every_entry_once(void **state)
{
    (void)state;
    static int counts[1000];
    struct map map;
    map_init(&map);
    size_t cursor = 0;
    assert_null(map_next(&map, &cursor));
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(map_put(&map, id_of(i), &counts[i]), DR_OK);
    cursor = 0;
    for (struct map_entry *entry; (entry = map_next(&map, &cursor));)
        ++*(int *)entry->value;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(counts[i], 1);
    map_deinit(&map);
}

static void shrinks_when_mostly_empty(void **state)
{
    (void)state;
    int value;
    struct map map;
    map_init(&map);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(map_put(&map, id_of(i), &value), DR_OK);
    for (uint32_t i = 0; i < 10000; i++)
        assert_ptr_equal(map_remove(&map, id_of(i)), &value);
    assert_true(map.cap <= 64);
    map_deinit(&map);
}

static dr_code fill(void *arg)
{
    struct map map;
    map_init(&map);
    dr_code code = DR_OK;
    uint32_t n_in = 0;
    while (n_in < 200 && (code = map_put(&map, id_of(n_in), arg)) == DR_OK)
        n_in++;
    assert_int_equal(map.len, n_in);
    for (uint32_t i = 0; i < n_in; i++)
        assert_ptr_equal(map_get(&map, id_of(i)), arg);
    for (uint32_t i = 0; i < n_in; i++)
        assert_ptr_equal(map_remove(&map, id_of(i)), arg); /* a failed shrinking must not lose anything */
    map_deinit(&map);
    return code;
}

static void stays_as_it_was_when_memory_runs_out(void **state)
{
    (void)state;
    int value;
    assert_survives_allocation_faults(fill, &value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(accepts_the_zero_id_as_a_key),
        cmocka_unit_test(agrees_with_an_array_under_random_changes),
        cmocka_unit_test(visits_every_entry_once),
        cmocka_unit_test(shrinks_when_mostly_empty),
        cmocka_unit_test(stays_as_it_was_when_memory_runs_out),
    };
    return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
