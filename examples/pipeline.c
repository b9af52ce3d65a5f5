/* Three steps, each a durable call: a crash between two of them loses nothing that is done. */
#include "application.h"
#include <string.h>

DR_FUNCTION(fetch)
{
    return dr_return(call, dr_format(call, "%s: 3 4 5", dr_text(dr_input(call))));
}

DR_FUNCTION(parse)
{
    long sum = 0;
    const char *at = strchr(dr_text(dr_input(call)), ':');
    while (at && *at)
        sum += strtol(at + 1, (char **)&at, 10);
    return dr_return(call, sum);
}

DR_FUNCTION(report)
{
    return dr_return(call, dr_format(call, "the sum is %d", (int)dr_int(dr_input(call))));
}

DR_FUNCTION(pipeline)
{
    const dr_value *text = dr_await(&fetch, dr_input(call));
    const dr_value *sum = dr_await(&parse, text);
    return dr_return(call, dr_await(&report, sum));
}

int main(void)
{
    return application_run(&pipeline, dr_value_text("numbers"));
}
