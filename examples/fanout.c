/* A hundred calls at once, gathered. */
#include "application.h"

enum { N = 100 };

DR_FUNCTION(square)
{
    int64_t n = dr_int(dr_input(call));
    return dr_return(call, n * n);
}

DR_FUNCTION(sum_of_squares)
{
    dr_task *tasks[N];
    int64_t sum = 0;
    for (int i = 0; i < N; i++)
        tasks[i] = dr_begin(&square, i + 1);
    dr_gather(tasks, N);
    for (int i = 0; i < N; i++)
        sum += dr_int(dr_task_value(tasks[i]));
    return dr_return(call, sum);
}

int main(void)
{
    return application_run(&sum_of_squares, dr_value_null());
}
