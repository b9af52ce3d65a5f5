#include "cli/client.h"

struct cancel_options {
    struct client_options client;
};

static const struct option options[] = {CLIENT_OPTIONS(struct cancel_options), {.name = NULL}};

static int cancel(void *target, const struct option_arguments *arguments)
{
    const struct cancel_options *cancel_options = target;
    int exit_code = EXIT_CODE_OK;
    for (size_t i = 0; i < arguments->n; i++) {
        struct dr_error error = {0};
        json_t *answer = NULL;
        json_t *request = json_pack("{s:s}", "dispatchId", arguments->items[i]);
        dr_code code =
            client_ask(&cancel_options->client, "/dispatch.v1.CallService/CancelCall", request, &answer, &error);
        if (code == DR_FAILED_PRECONDITION)
            continue; /* it is over, which is what was wanted */
        if (code) {
            exit_code = client_fail(&cancel_command, arguments->items[i], &error);
            continue;
        }
        if (cancel_options->client.is_json_wanted)
            client_print_json(answer);
        json_decref(answer);
    }
    return exit_code;
}

const struct command cancel_command = {
    .name = "cancel",
    .summary = "ends calls, and the calls they made",
    .arguments = "ID...",
    .n_arguments_min = 1,
    .n_arguments_max = OPTION_ARGUMENTS_MAX,
    .options = options,
    .target_size = sizeof(struct cancel_options),
    .about = "A call that is done already stays as it is, and that is no failure.",
    .run = cancel,
};
