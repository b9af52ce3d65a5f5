/* A durable timer: while it runs, the function costs neither a thread nor memory, and a restart does not disturb it. */
#include "application.h"

DR_FUNCTION(remind)
{
    dr_sleep(INT64_C(1000000000));
    return dr_return(call, dr_format(call, "a second later: %s", dr_text(dr_input(call))));
}

int main(void)
{
    return application_run(&remind, dr_value_text("water the plants"));
}
