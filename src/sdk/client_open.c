/* Where a client goes and with which key: options, environment, defaults, and errors that name what is wrong. */
#include "sdk/client.h"

#include "base/error.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define API_KEY_CHARS_MAX 1024
#define API_URL_CHARS_MAX 2048
/* Of a key, only so much is ever shown. */
#define API_KEY_CHARS_SHOWN 3

/* A setting and the name of the place it came from. */
struct setting {
    const char *text;
    const char *name;
};

static struct setting setting_find(const char *option, const char *option_name, const char *variable,
                                   const char *default_text)
{
    if (option && option[0])
        return (struct setting){option, option_name};
    const char *text = getenv(variable);
    return (struct setting){text && text[0] ? text : default_text, variable};
}

static bool is_visible_ascii(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    }
    return true;
}

static dr_code check_key(struct setting key, struct dr_error *error)
{
    if (!key.text)
        return error_set(error, DR_INVALID_ARGUMENT,
                         "missing API key: set it with the option api_key or the environment variable %s", key.name);
    if (strnlen(key.text, API_KEY_CHARS_MAX + 1) > API_KEY_CHARS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "invalid API key: %s is longer than %d characters", key.name,
                         API_KEY_CHARS_MAX);
    if (!is_visible_ascii(key.text))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "invalid API key: %s holds a character that is not visible ASCII", key.name);
    return DR_OK;
}

static dr_code check_url(struct setting url, struct dr_error *error)
{
    size_t scheme_len = strcspn(url.text, ":");
    if (strnlen(url.text, API_URL_CHARS_MAX + 1) > API_URL_CHARS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "invalid API URL: %s is longer than %d characters", url.name,
                         API_URL_CHARS_MAX);
    if (!is_visible_ascii(url.text))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "invalid API URL: %s holds a character that is not visible ASCII", url.name);
    if (strncmp(url.text + scheme_len, "://", 3) != 0)
        return error_set(error, DR_INVALID_ARGUMENT,
                         "invalid API URL '%s' in %s: it must begin with http:// or https://", url.text, url.name);
    bool is_http = (scheme_len == 4 && strncasecmp(url.text, "http", 4) == 0) ||
                   (scheme_len == 5 && strncasecmp(url.text, "https", 5) == 0);
    if (!is_http)
        return error_set(error, DR_INVALID_ARGUMENT, "invalid API scheme: '%.*s' in %s", (int)scheme_len, url.text,
                         url.name);
    const char *host = url.text + scheme_len + 3;
    if (strcspn(host, "/?#:") == 0)
        return error_set(error, DR_INVALID_ARGUMENT, "invalid API URL '%s' in %s: it names no host", url.text,
                         url.name);
    if (strpbrk(host, "?#"))
        return error_set(error, DR_INVALID_ARGUMENT, "invalid API URL '%s' in %s: it has a query or a fragment",
                         url.text, url.name);
    return DR_OK;
}

/* "DISPATCH_API_KEY: abc********" */
static void format_key_hint(struct setting key, char hint[CLIENT_KEY_HINT_SIZE])
{
    bool is_cut = strlen(key.text) > API_KEY_CHARS_SHOWN;
    (void)snprintf(hint, CLIENT_KEY_HINT_SIZE, "%s: %.*s%s", key.name, API_KEY_CHARS_SHOWN, key.text,
                   is_cut ? "********" : "");
}

dr_code dr_client_open(const struct dr_client_options *options, dr_client **ret_client, struct dr_error *error)
{
    struct dr_client_options known = {0};
    struct client_transport *transport = NULL;
    char hint[CLIENT_KEY_HINT_SIZE];
    if (options)
        memcpy(&known, options, options->size == 0 || options->size > sizeof known ? sizeof known : options->size);
    struct setting key = setting_find(known.api_key, "api_key", "DISPATCH_API_KEY", NULL);
    struct setting url = setting_find(known.api_url, "api_url", "DISPATCH_API_URL", DR_CLIENT_API_URL_DEFAULT);
    dr_code code = check_key(key, error);
    if (!code)
        code = check_url(url, error);
    if (code)
        return code;
    size_t url_len = strlen(url.text);
    while (url.text[url_len - 1] == '/')
        url_len--;
    char *trimmed = mem_strndup(url.text, url_len);
    if (!trimmed)
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    format_key_hint(key, hint);
    code = client_http_create(&(struct client_target){.api_url = trimmed, .api_key = key.text}, &transport, error);
    mem_free(trimmed);
    return code ? code : client_create(transport, hint, ret_client, error);
}
