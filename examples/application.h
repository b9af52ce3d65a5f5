/* What the example applications have in common: serve this program's functions, submit one call, print what it gave.
 *
 *     DISPATCH_API_URL, DISPATCH_API_KEY     where the server is
 *     DISPATCH_ENDPOINT_ADDR                 where to listen; default a free port
 */
#ifndef EXAMPLES_APPLICATION_H
#define EXAMPLES_APPLICATION_H

#include <dispatchrun.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const struct dr_error *error)
{
    fprintf(stderr, "%s: %s\n", dr_code_name(error->code), error->message);
    return 1;
}

static int print_result(const dr_result *result)
{
    char text[500];
    if (!dr_result_is_ok(result)) {
        fprintf(stderr, "%s: %s\n", dr_result_error_type(result), dr_result_error_message(result));
        return 1;
    }
    (void)dr_value_format(dr_result_output(result), text, sizeof text);
    printf("%s\n", text);
    return 0;
}

/* Takes the input. Returns an exit status. */
static int application_run(const dr_function *function, dr_value *input)
{
    struct dr_error error = {0};
    dr_endpoint *endpoint = NULL;
    dr_client *client = NULL;
    dr_result *result = NULL;
    char id[DR_ID_SIZE];
    const char *address = getenv("DISPATCH_ENDPOINT_ADDR") ? NULL : "127.0.0.1:0";

    dr_code code = dr_endpoint_start(&(struct dr_endpoint_options){.address = address}, &endpoint, &error);
    if (!code)
        code = dr_client_open(NULL, &client, &error);
    if (!code) {
        struct dr_call_options call = {
            .function = function->name, .endpoint = dr_endpoint_url(endpoint), .input = input};
        code = dr_client_submit(client, &call, id, &error);
    }
    if (!code)
        code = dr_client_wait(client, id, -1, &result, &error);
    int status = code ? fail(&error) : print_result(result);
    dr_result_unref(result);
    dr_client_close(client);
    dr_endpoint_stop(endpoint);
    dr_value_unref(input);
    return status;
}

#endif
