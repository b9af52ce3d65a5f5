#include "cli/client.h"

#define PAGE_SIZE_MAX 1000u

struct list_options {
    struct client_options client;
    uint32_t limit;
    const char *state;
    const char *status;
    const char *function;
    const char *endpoint;
    const char *root;
    const char *parent;
};

#define AT(member) .offset = offsetof(struct list_options, member)

static const struct option options[] = {
    {.name = "limit", .environment = "", .value = "N", .type = OPTION_COUNT, AT(limit), .initial = "50",
     .count_min = 1, .count_max = 1000000, .help = "at most so many, newest first"},
    {.name = "state", .environment = "", .value = "STATE", .type = OPTION_TEXT, AT(state),
     .help = "only scheduled, running, suspended or done calls"},
    {.name = "status", .environment = "", .value = "STATUS", .type = OPTION_TEXT, AT(status),
     .help = "only calls that ended with this, such as STATUS_OK"},
    {.name = "function", .environment = "", .value = "NAME", .type = OPTION_TEXT, AT(function),
     .help = "only calls of this function"},
    {.name = "endpoint", .environment = "", .value = "URL", .type = OPTION_TEXT, AT(endpoint),
     .help = "only calls of this endpoint"},
    {.name = "root", .environment = "", .value = "ID", .type = OPTION_TEXT, AT(root), .help = "only this call tree"},
    {.name = "parent", .environment = "", .value = "ID", .type = OPTION_TEXT, AT(parent),
     .help = "only calls made by this one"},
    CLIENT_OPTIONS(struct list_options),
    {.name = NULL},
};

/* NULL when a text is no UTF-8: left out, it would be no filter. */
static json_t *page_request(const struct list_options *list, size_t n_left, const char *page_token)
{
    const struct {
        const char *name, *text;
    } filters[] = {{"state", list->state},          {"status", list->status},       {"function", list->function},
                   {"endpoint", list->endpoint},    {"rootDispatchId", list->root}, {"parentDispatchId", list->parent},
                   {"pageToken", page_token}};
    json_t *request = json_pack("{s:i}", "pageSize", (int)(n_left < PAGE_SIZE_MAX ? n_left : PAGE_SIZE_MAX));
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        const char *text = filters[i].text;
        if (text && *text && json_object_set_new(request, filters[i].name, json_string(text))) {
            json_decref(request);
            return NULL;
        }
    }
    return request;
}

static void show(const json_t *call)
{
    const char *status = client_text(call, "status");
    const char *why = client_text(call, "why");
    const json_t *error = json_object_get(call, "error");
    const char *cause = *status ? client_text(error, "message") : client_text(call, "lastError");
    printf("%-34s%-24.23s%-11s%-24.23s%s%s%s\n", client_text(call, "dispatchId"), client_text(call, "creationTime"),
           client_text(call, "state"), client_text(call, "function"), *status ? status : why, *cause ? ": " : "", cause);
}

static void show_head(void)
{
    printf("%-34s%-24s%-11s%-24s%s\n", "ID", "CREATED", "STATE", "FUNCTION", "STATUS OR WHY");
}

/* One page; moves *n_left and the token on. */
static dr_code list_page(const struct list_options *list, size_t *n_left, char page_token[64], struct dr_error *error)
{
    json_t *answer = NULL;
    json_t *request = page_request(list, *n_left, page_token);
    dr_code code = client_ask(&list->client, "/dispatch.v1.CallService/ListCalls", request, &answer, error);
    if (code)
        return code;
    bool is_first_page = !*page_token;
    if (is_first_page && !list->client.is_json_wanted)
        show_head();
    const json_t *calls = json_object_get(answer, "calls");
    size_t n_calls = json_array_size(calls);
    for (size_t i = 0; i < n_calls && i < *n_left; i++) {
        if (list->client.is_json_wanted)
            client_print_json(json_array_get(calls, i));
        else
            show(json_array_get(calls, i));
    }
    *n_left -= n_calls < *n_left ? n_calls : *n_left;
    snprintf(page_token, 64, "%.63s", client_text(answer, "nextPageToken"));
    json_decref(answer);
    return DR_OK;
}

static int list(void *target, const struct option_arguments *arguments)
{
    const struct list_options *list_options = target;
    (void)arguments;
    char page_token[64] = "";
    size_t n_left = list_options->limit;
    do {
        struct dr_error error = {0};
        if (list_page(list_options, &n_left, page_token, &error))
            return command_fail(&list_command, error.message);
    } while (n_left > 0 && *page_token);
    return EXIT_CODE_OK;
}

const struct command list_command = {
    .name = "list",
    .summary = "lists calls, newest first",
    .arguments = "",
    .options = options,
    .target_size = sizeof(struct list_options),
    .about = "With --json, one call a line.",
    .run = list,
};
