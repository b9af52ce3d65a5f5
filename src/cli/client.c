#include "cli/client.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "cli/printable.h"
#include "http/http_client.h"
#include "wire/wire.h"
#include <pthread.h>
#include <string.h>

/* What the client's thread hands over to the one that waits. */
struct answer {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_there;
    struct http_result result;
};

static void on_done(void *arg, struct http_result *result)
{
    struct answer *answer = arg;
    pthread_mutex_lock(&answer->lock);
    answer->result = *result;
    result->body = NULL;
    answer->is_there = true;
    pthread_cond_signal(&answer->came);
    pthread_mutex_unlock(&answer->lock);
}

static dr_code post(const struct client_options *options, struct http_client *client, const char *path,
                    struct slice body, struct answer *answer, struct dr_error *error)
{
    char url[HTTP_CLIENT_URL_BYTES_MAX];
    char authorization[512];
    const char *headers[] = {"Content-Type: application/json", "Connect-Protocol-Version: 1", authorization};
    size_t base_len = strlen(options->api_url);
    while (base_len > 0 && options->api_url[base_len - 1] == '/')
        base_len--;
    snprintf(url, sizeof url, "%.*s%s", (int)base_len, options->api_url, path);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", options->api_key ? options->api_key : "");
    uint8_t *copy = mem_must_alloc(body.len + 1);
    memcpy(copy, body.data, body.len);
    struct http_post request = {.url = url, .headers = headers, .n_headers = options->api_key ? 3 : 2, .body = copy,
                                .len = body.len, .timeout_ns = options->timeout_ns > 0 ? options->timeout_ns : 1,
                                .on_done = on_done, .arg = answer};
    dr_code code = http_client_post(client, &request, NULL);
    if (code)
        return error_set(error, code, "%s: %s", url, dr_code_text(code));
    pthread_mutex_lock(&answer->lock);
    while (!answer->is_there)
        pthread_cond_wait(&answer->came, &answer->lock);
    pthread_mutex_unlock(&answer->lock);
    return DR_OK;
}

static dr_code read_answer(const struct client_options *options, const struct http_result *result, json_t **ret_answer,
                           struct dr_error *error)
{
    if (result->outcome != HTTP_RESPONDED)
        return error_set(error, DR_UNAVAILABLE, "%s: %.300s; is a server there? (--api-url, DISPATCH_API_URL)",
                         options->api_url, result->message);
    struct slice body = slice_of(result->body, result->len);
    if (result->status != 200) {
        struct dr_error refusal = {0};
        wire_connect_error_decode(body, result->status, &refusal);
        if (refusal.code == DR_UNAUTHENTICATED && !options->api_key)
            return error_set(error, refusal.code, "%s wants an API key: --api-key or DISPATCH_API_KEY",
                             options->api_url);
        if (refusal.code == DR_UNAUTHENTICATED)
            return error_set(error, refusal.code, "%s takes another API key: --api-key or DISPATCH_API_KEY",
                             options->api_url);
        if (refusal.code == DR_UNIMPLEMENTED)
            return error_set(error, refusal.code, "%s is not the URL of a server's API: --api-url or DISPATCH_API_URL",
                             options->api_url);
        return error_set(error, refusal.code, "%s: %.400s", dr_code_name(refusal.code), refusal.message);
    }
    json_error_t cause;
    json_t *answer = json_loadb((const char *)body.data, body.len, 0, &cause);
    if (!answer)
        return error_set(error, DR_INTERNAL, "%s: the answer is not JSON: %s", options->api_url, cause.text);
    if (!options->is_json_wanted)
        printable_make(answer);
    *ret_answer = answer;
    return DR_OK;
}

dr_code client_ask(const struct client_options *options, const char *path, json_t *request, json_t **ret_answer,
                   struct dr_error *error)
{
    if (!request)
        return error_set(error, DR_INVALID_ARGUMENT, "not UTF-8 text");
    struct http_client *client = NULL;
    struct http_client_config config = {.user_agent = "dispatch"};
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    size_t len = json_dumpb(request, NULL, 0, JSON_COMPACT);
    char *text = mem_must_alloc(len + 1);
    (void)json_dumpb(request, text, len, JSON_COMPACT);
    json_decref(request);
    dr_code code = http_client_create(&config, &client, error);
    if (code)
        goto cleanup;
    code = post(options, client, path, slice_of(text, len), &answer, error);
    if (code)
        goto cleanup;
    code = read_answer(options, &answer.result, ret_answer, error);

cleanup:
    http_client_destroy(client);
    mem_free(answer.result.body);
    mem_free(text);
    return code;
}

int client_fail(const struct command *command, const char *id, const struct dr_error *error)
{
    char text[sizeof error->message + 80];
    bool is_about_the_call = (error->code == DR_NOT_FOUND || error->code == DR_INVALID_ARGUMENT) &&
                             wire_is_utf8(slice_text(id));
    snprintf(text, sizeof text, "%s%.64s%s", error->message, is_about_the_call ? ": " : "", is_about_the_call ? id : "");
    return command_fail(command, text);
}

const char *client_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

void client_print_labelled(const char *label, const json_t *value)
{
    if (*label)
        printf("%-18s", label);
    (void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    printf("\n");
}

void client_print_json(const json_t *value) { client_print_labelled("", value); }
