/* `dispatch verify`: is a database whole? */
#include "cli/client.h"

#include "store/store_verify.h"

struct verify_options {
    bool is_json_wanted;
};

static const struct option options[] = {
    {.name = "json", .environment = "", .type = OPTION_SWITCH, .offset = offsetof(struct verify_options, is_json_wanted),
     .help = "prints one JSON object instead of text for people"},
    {.name = NULL},
};

static void print_finding(void *arg, const char *text)
{
    printf("%s: %s\n", (const char *)arg, text);
}

static void keep_finding(void *arg, const char *text)
{
    (void)json_array_append_new(arg, json_string(text)); /* no memory: still counted */
}

static void print_result(const char *path, const struct store_verify_result *result)
{
    printf("%s: %llu calls, %llu long payloads: ", path, (unsigned long long)result->n_calls,
           (unsigned long long)result->n_payloads);
    if (result->n_findings == 0)
        printf("whole\n");
    else
        printf("DAMAGED, %llu findings\n", (unsigned long long)result->n_findings);
}

static void print_json(const char *path, const struct store_verify_result *result, json_t *findings)
{
    json_t *object = json_pack("{s:s, s:b, s:I, s:I, s:I, s:O}", "file", path, "whole", result->n_findings == 0, "calls",
                               (json_int_t)result->n_calls, "longPayloads", (json_int_t)result->n_payloads, "findingsTotal",
                               (json_int_t)result->n_findings, "findings", findings);
    client_print_json(object);
    json_decref(object);
}

static int verify(void *target, const struct option_arguments *arguments)
{
    const struct verify_options *wishes = target;
    const char *path = arguments->items[0];
    json_t *findings = json_array();
    struct store_verify_result result = {0};
    struct dr_error error = {0};
    struct store_verify_options how = {.path = path,
                                       .on_finding = wishes->is_json_wanted ? keep_finding : print_finding,
                                       .arg = wishes->is_json_wanted ? (void *)findings : (void *)(uintptr_t)path};
    if (store_verify(&how, &result, &error)) {
        json_decref(findings);
        return command_fail(&verify_command, error.message);
    }
    if (wishes->is_json_wanted)
        print_json(path, &result, findings);
    else
        print_result(path, &result);
    json_decref(findings);
    return result.n_findings == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

const struct command verify_command = {
    .name = "verify",
    .summary = "says whether a database is whole, and which calls are damaged",
    .arguments = "FILE",
    .n_arguments_min = 1,
    .n_arguments_max = 1,
    .options = options,
    .target_size = sizeof(struct verify_options),
    .about = "Looks at the structure of the file, at the checksum of every record and payload, and at the rules between\n"
             "them. Nothing is changed. Exit status 0: whole; 1: damaged, or it could not be looked at. A file in use by a\n"
             "server is refused; verify a copy that `dispatch backup` makes.",
    .run = verify,
};
