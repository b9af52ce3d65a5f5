#include "base/testing.h"

#include "base/heap.h"
#include "base/random.h"

#include <stdlib.h>

static struct heap_node *pop(struct heap *heap)
{
    struct heap_node *node = heap_peek(heap);
    if (node)
        heap_remove(heap, node);
    return node;
}

static void pops_the_smallest_key_first(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    struct heap_node nodes[] = {{.key = 5}, {.key = -1}, {.key = 3}, {.key = INT64_MAX}, {.key = INT64_MIN}};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(heap_push(&heap, &nodes[i]), DR_OK);
    const size_t order[] = {4, 1, 2, 0, 3};
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(pop(&heap), &nodes[order[i]]);
    assert_null(heap_peek(&heap));
    heap_deinit(&heap);
}

static void pops_equal_deadlines_in_arm_order(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    struct heap_node nodes[100] = {{0}};
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(heap_push(&heap, &nodes[i]), DR_OK);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(pop(&heap), &nodes[i]);
    heap_deinit(&heap);
}

static void removes_a_node_from_the_middle(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    struct heap_node nodes[3] = {{.key = 1}, {.key = 2}, {.key = 3}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(heap_push(&heap, &nodes[i]), DR_OK);
    heap_remove(&heap, &nodes[1]);
    assert_false(heap_has(&nodes[1]));
    heap_remove(&heap, &nodes[1]); /* harmless */
    assert_ptr_equal(pop(&heap), &nodes[0]);
    assert_ptr_equal(pop(&heap), &nodes[2]);
    assert_int_equal(heap_push(&heap, &nodes[1]), DR_OK);
    assert_ptr_equal(pop(&heap), &nodes[1]);
    heap_deinit(&heap);
}

/* Oracle: after random pushes and removals the pops must come out sorted by (key, sequence) and be complete. */
static void stays_ordered_under_random_pushes_and_removals(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct random random;
    random_init(&random, 7);
    struct heap heap;
    heap_init(&heap);
    struct heap_node *nodes = calloc(N, sizeof(*nodes));
    size_t n_in = 0;
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[random_below(&random, N)];
        if (heap_has(node)) {
            heap_remove(&heap, node);
            n_in--;
        } else {
            node->key = (int64_t)random_below(&random, 50);
            assert_int_equal(heap_push(&heap, node), DR_OK);
            n_in++;
        }
        assert_int_equal(heap.len, n_in);
    }
    struct heap_node *before = NULL;
    for (struct heap_node *node; (node = pop(&heap)); before = node, n_in--)
        if (before)
            assert_true(before->key < node->key || (before->key == node->key && before->sequence < node->sequence));
    assert_int_equal(n_in, 0);
    heap_deinit(&heap);
    free(nodes);
}

static void gives_memory_back_when_mostly_empty(void **state)
{
    (void)state;
    enum { N = 10000 };
    struct heap heap;
    heap_init(&heap);
    struct heap_node *nodes = calloc(N, sizeof(*nodes));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(heap_push(&heap, &nodes[i]), DR_OK);
    while (pop(&heap))
        ;
    assert_true(heap.cap < N / 8);
    heap_deinit(&heap);
    free(nodes);
}

static dr_code push_many(void *arg)
{
    (void)arg;
    struct heap heap;
    heap_init(&heap);
    struct heap_node nodes[100] = {{0}};
    dr_code code = DR_OK;
    for (size_t i = 0; i < 100 && code == DR_OK; i++) {
        code = heap_push(&heap, &nodes[i]);
        assert_int_equal(heap_has(&nodes[i]), code == DR_OK);
    }
    heap_deinit(&heap);
    return code;
}

static void leaves_the_node_out_when_memory_runs_out(void **state)
{
    (void)state;
    assert_survives_allocation_faults(push_many, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_the_smallest_key_first),
        cmocka_unit_test(pops_equal_deadlines_in_arm_order),
        cmocka_unit_test(removes_a_node_from_the_middle),
        cmocka_unit_test(stays_ordered_under_random_pushes_and_removals),
        cmocka_unit_test(gives_memory_back_when_mostly_empty),
        cmocka_unit_test(leaves_the_node_out_when_memory_runs_out),
    };
    return cmocka_run_group_tests_name("base/heap", tests, NULL, NULL);
}
