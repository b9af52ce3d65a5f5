#include "cli/client.h"

struct get_options {
    struct client_options client;
};

static const struct option options[] = {CLIENT_OPTIONS(struct get_options), {.name = NULL}};

/* Members in the order in which a person reads them. */
static const char *const shown[] = {"dispatchId", "function", "endpoint", "version", "state", "why", "status",
                                    "attempts", "lastStatus", "lastError", "parentDispatchId", "rootDispatchId",
                                    "creationTime", "expirationTime", "doneTime"};

static void show(const json_t *call)
{
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const json_t *value = json_object_get(call, shown[i]);
        if (json_is_string(value) && json_string_length(value) > 0)
            printf("%-18s%s\n", shown[i], json_string_value(value));
        else if (json_is_integer(value))
            printf("%-18s%lld\n", shown[i], (long long)json_integer_value(value));
    }
    static const char *const payloads[] = {"input", "output"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(call, payloads[i]);
        if (value)
            client_print_labelled(payloads[i], value);
    }
    const json_t *error = json_object_get(call, "error");
    if (error)
        printf("%-18s%s: %s\n", "error", client_text(error, "type"), client_text(error, "message"));
}

static int get(void *target, const struct option_arguments *arguments)
{
    const struct get_options *get_options = target;
    struct dr_error error = {0};
    json_t *answer = NULL;
    json_t *request = json_pack("{s:s}", "dispatchId", arguments->items[0]);
    if (client_ask(&get_options->client, "/dispatch.v1.CallService/GetCall", request, &answer, &error))
        return client_fail(&get_command, arguments->items[0], &error);
    if (get_options->client.is_json_wanted)
        client_print_json(answer);
    else
        show(json_object_get(answer, "call"));
    json_decref(answer);
    return EXIT_CODE_OK;
}

const struct command get_command = {
    .name = "get",
    .summary = "shows a call: state, why it is not running, result",
    .arguments = "ID",
    .n_arguments_min = 1,
    .n_arguments_max = 1,
    .options = options,
    .target_size = sizeof(struct get_options),
    .run = get,
};
