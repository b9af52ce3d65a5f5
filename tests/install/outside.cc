// The same in C++, where _Generic is missing: values are made by name.
#include <dispatchrun.h>

DR_FUNCTION(greet)
{
    return dr_return_value(call, dr_value_text(dr_format(call, "Hello %s!", dr_text(dr_input(call)))));
}

DR_TEST(greets_by_name)
{
    dr_check_equal_values(__FILE__, __LINE__, "greeting",
                          dr_value_ref(dr_await_value(&greet, dr_value_text("World"))), dr_value_text("Hello World!"));
}

DR_TEST_MAIN()
