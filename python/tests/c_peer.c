/* The other half of test_c_peer.py: functions in C that Python calls, and that call Python. */
#include <dispatchrun.h>
#include <stdio.h>
#include <unistd.h>

DR_PYTHON_FUNCTION(shout_in_python, "shout", 0);
DR_PYTHON_FUNCTION(fail_in_python, "fail", 0);

DR_FUNCTION(c_echo)
{
    return dr_return(call, dr_input(call));
}

DR_FUNCTION(c_add)
{
    return dr_return(call, dr_int(dr_argument(call, 0)) + dr_int(dr_keyword(call, "b")));
}

DR_FUNCTION(c_fail)
{
    return dr_fail(call, DR_STATUS_NOT_FOUND, "NoSuchThing", "there is no %s", dr_text(dr_input(call)));
}

/* Calls Python, which calls c_echo: and shows what came back. */
DR_FUNCTION(c_ask_python)
{
    const dr_value *answer = dr_await(&shout_in_python, dr_input(call));
    return dr_return(call, dr_format(call, "python says %s", dr_text(answer)));
}

DR_FUNCTION(c_catch_python)
{
    const dr_result *result = dr_try(&fail_in_python, "x");
    return dr_return(call, dr_format(call, "%s: %s", dr_result_error_type(result), dr_result_error_message(result)));
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct dr_error error = {0};
    struct dr_endpoint_options options = {.address = argv[1]};
    dr_endpoint *endpoint = NULL;
    shout_in_python.endpoint = fail_in_python.endpoint = argv[2];
    if (dr_endpoint_start(&options, &endpoint, &error) != DR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("serving %s\n", dr_endpoint_url(endpoint));
    fflush(stdout);
    for (;;)
        (void)pause(); /* until the test kills it */
}
