/* A program of somebody else: it knows nothing but what pkg-config says. */
#include <dispatchrun.h>
#include <stdio.h>

DR_FUNCTION(greet)
{
    return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
}

DR_TEST(greets_by_name)
{
    dr_check_equal(dr_await(&greet, "World"), "Hello World!");
}

DR_TEST_MAIN()
