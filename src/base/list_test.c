#include "base/testing.h"

#include "base/list.h"

struct item {
    int number;
    struct list link;
};

static void pops_in_the_order_of_pushing_back(void **state)
{
    (void)state;
    struct list list;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    list_init(&list);
    assert_null(list_pop_front(&list));
    for (int i = 0; i < 3; i++)
        list_push_back(&list, &items[i].link);
    for (int i = 0; i < 3; i++)
        assert_int_equal(container_of(list_pop_front(&list), struct item, link)->number, i);
    assert_true(list_is_empty(&list));
}

static void pops_what_was_pushed_to_the_front_first(void **state)
{
    (void)state;
    struct list list, a, b;
    list_init(&list);
    list_push_back(&list, &a);
    list_push_front(&list, &b);
    assert_ptr_equal(list_pop_front(&list), &b);
    assert_ptr_equal(list_pop_front(&list), &a);
}

static void removes_from_the_middle_and_again_without_harm(void **state)
{
    (void)state;
    struct list list, nodes[3];
    list_init(&list);
    for (int i = 0; i < 3; i++)
        list_push_back(&list, &nodes[i]);
    list_remove(&nodes[1]);
    assert_false(list_is_linked(&nodes[1]));
    list_remove(&nodes[1]);
    assert_ptr_equal(list_pop_front(&list), &nodes[0]);
    assert_ptr_equal(list_pop_front(&list), &nodes[2]);
    assert_true(list_is_empty(&list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_in_the_order_of_pushing_back),
        cmocka_unit_test(pops_what_was_pushed_to_the_front_first),
        cmocka_unit_test(removes_from_the_middle_and_again_without_harm),
    };
    return cmocka_run_group_tests_name("base/list", tests, NULL, NULL);
}
