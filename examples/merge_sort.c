/* Merge sort with a durable call for each half: the original's own test program. */
#include "application.h"

extern dr_function merge_sort;

static dr_value *slice(const dr_value *list, size_t from, size_t to)
{
    dr_builder *builder = dr_list_begin();
    dr_value *part = NULL;
    for (size_t i = from; i < to; i++)
        dr_list_add(builder, dr_value_ref(dr_value_at(list, i)));
    (void)dr_builder_end(builder, &part, NULL);
    return part; /* NULL when out of memory: the begin of a call with it ends the run */
}

static dr_value *merge(const dr_value *a, const dr_value *b)
{
    dr_builder *builder = dr_list_begin();
    dr_value *merged = NULL;
    size_t i = 0, k = 0;
    while (i < dr_value_len(a) || k < dr_value_len(b)) {
        bool is_left = k == dr_value_len(b) ||
                       (i < dr_value_len(a) && dr_float(dr_value_at(a, i)) <= dr_float(dr_value_at(b, k)));
        dr_list_add(builder, dr_value_ref(is_left ? dr_value_at(a, i++) : dr_value_at(b, k++)));
    }
    (void)dr_builder_end(builder, &merged, NULL);
    return merged;
}

DR_FUNCTION(merge_sort)
{
    const dr_value *list = dr_input(call);
    size_t n = dr_value_len(list);
    if (n <= 1)
        return dr_return(call, list);
    dr_task *halves[2] = {dr_begin(&merge_sort, slice(list, 0, n / 2)), dr_begin(&merge_sort, slice(list, n / 2, n))};
    dr_gather(halves, 2);
    return dr_return(call, merge(dr_task_value(halves[0]), dr_task_value(halves[1])));
}

int main(void)
{
    dr_builder *builder = dr_list_begin();
    dr_value *numbers = NULL;
    for (int i = 0; i < 10; i++)
        dr_list_add(builder, dr_value_int(i * 7 % 10));
    (void)dr_builder_end(builder, &numbers, NULL);
    return application_run(&merge_sort, numbers);
}
