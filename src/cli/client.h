/* Asking a server: one Connect request with JSON, blocking. For the commands get, list and cancel. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/command.h"
#include <jansson.h>

/* First member of the options of every command that asks a server. */
struct client_options {
    const char *api_url;
    const char *api_key;
    int64_t timeout_ns;
    bool is_json_wanted;
};

#define CLIENT_OPTIONS(owner)                                                                                    \
    {.name = "api-url", .value = "URL", .type = OPTION_TEXT, .offset = offsetof(owner, client.api_url),          \
     .initial = "http://127.0.0.1:7117", .help = "where the server listens"},                                    \
    {.name = "api-key", .value = "KEY", .type = OPTION_TEXT, .offset = offsetof(owner, client.api_key),          \
     .help = "key of the project"},                                                                              \
    {.name = "timeout", .environment = "", .value = "DURATION", .type = OPTION_DURATION,                         \
     .offset = offsetof(owner, client.timeout_ns), .initial = "30s", .help = "for the answer"},                  \
    {.name = "json", .environment = "", .type = OPTION_SWITCH, .offset = offsetof(owner, client.is_json_wanted), \
     .help = "prints the server's answer instead of text for people"}

/* POST {api-url}{path} with `request` (taken). *ret_answer is owned by the caller (json_decref). Errors of the server
 * come with their code and message; DR_UNAVAILABLE, naming the URL, when there is no answer. A request of NULL, which is
 * what jansson makes of text that is no UTF-8, is DR_INVALID_ARGUMENT, and nothing is sent. */
dr_code client_ask(const struct client_options *options, const char *path, json_t *request, json_t **ret_answer,
                   struct dr_error *error);
/* command_fail with the text of the error, and with the id when the error is about that call. */
int client_fail(const struct command *command, const char *id, const struct dr_error *error);
/* Text member of an object; "" when there is none. Borrowed. */
const char *client_text(const json_t *object, const char *name);
/* One compact line on stdout, behind `label` and its column if there is one. */
void client_print_labelled(const char *label, const json_t *value);
void client_print_json(const json_t *value);

#endif
