/* A temporary failure is retried, with growing delays, until it works. */
#include "application.h"

static int attempts;

DR_FUNCTION(unreliable)
{
    if (++attempts < 4)
        return dr_fail(call, DR_STATUS_TEMPORARY_ERROR, "Busy", "attempt %d: not now", attempts);
    return dr_return(call, dr_format(call, "done at attempt %d", attempts));
}

int main(void)
{
    return application_run(&unreliable, dr_value_null());
}
