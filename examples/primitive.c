/* A primitive function sees the request as it came and says itself what becomes of it. This one is a coroutine by hand: it
 * asks another function, and answers with the result when it is resumed. */
#include "application.h"

DR_FUNCTION(twice)
{
    return dr_return(call, 2 * dr_int(dr_input(call)));
}

static void by_hand(const dr_request *request, dr_response *response, void *arg)
{
    const dr_value *answer = dr_result_output(dr_request_result(request, 0));
    struct dr_call_options call = {.function = twice.name, .input = dr_request_input(request), .correlation_id = 1};
    (void)arg;
    if (dr_request_is_resume(request))
        (void)dr_response_return(response, DR_STATUS_OK, answer, NULL);
    else
        (void)dr_response_poll(response, &(struct dr_poll_options){.calls = &call, .n_calls = 1}, NULL);
}

int main(void)
{
    struct dr_error error = {0};
    dr_registry *registry = NULL;
    struct dr_registry_options options = {.name = "by hand", .endpoint = "http://127.0.0.1:0"};
    dr_code code = dr_registry_open(&options, &registry, &error);
    if (!code)
        code = dr_registry_primitive(registry, "by_hand", by_hand, NULL, &error);
    int status = code ? fail(&error) : application_run(&(dr_function){.name = "by_hand"}, dr_value_int(21));
    dr_registry_close(registry);
    return status;
}
