/* A program of somebody else: it knows nothing but what pkg-config says. */
#include <dispatchrun.h>

/* Names that the library uses inside: they stay free for programs, also beside the static library. */
int buf_append(void);
int map_put(void);

int buf_append(void)
{
    return 1;
}

int map_put(void)
{
    return 2;
}

DR_FUNCTION(greet)
{
    return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
}

DR_TEST(greets_by_name)
{
    dr_check_equal(dr_await(&greet, "World"), "Hello World!");
    dr_check(buf_append() + map_put() == 3);
}

DR_TEST_MAIN()
