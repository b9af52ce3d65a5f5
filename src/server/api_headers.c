/* Routes and the rules that Connect unary has for headers (protocol 2.3, 2.5). */
#include "server/api_private.h"

#include "base/clock.h"
#include "wire/wire.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <strings.h>

#define TIMEOUT_DIGITS_MAX 10u
#define ACCEPTED_TYPES API_TYPE_PROTO ", " API_TYPE_JSON
#define BEARER "Bearer "

/* Which content types a route takes. */
enum accept { ACCEPT_BOTH, ACCEPT_ANY };

static const struct route {
    const char *path;
    api_handler_fn *handler;
    enum accept accept;
    enum metrics_method method;
} routes[] = {
    {"/dispatch.sdk.v1.DispatchService/Dispatch", api_dispatch, ACCEPT_BOTH, METRICS_DISPATCH},
    {"/dispatch.sdk.v1.DispatchService/Wait", api_wait, ACCEPT_ANY, METRICS_WAIT},
    {"/dispatch.v1.CallService/GetCall", api_get_call, ACCEPT_BOTH, METRICS_GET_CALL},
    {"/dispatch.v1.CallService/ListCalls", api_list_calls, ACCEPT_BOTH, METRICS_LIST_CALLS},
    {"/dispatch.v1.CallService/CancelCall", api_cancel_call, ACCEPT_BOTH, METRICS_CANCEL_CALL},
    {"/metrics", api_metrics, ACCEPT_ANY, METRICS_METRICS},
};
#define HEALTH_PATH "/healthz"

static const struct route *route_of(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

bool api_has_path(const char *path)
{
    return strcmp(path, HEALTH_PATH) == 0 || route_of(path) != NULL;
}

/* ---- Answers with a header of their own ---- */

static void refuse(struct http_exchange *exchange, int status, struct http_header header, dr_code code,
                   const char *message)
{
    struct buf body;
    buf_init(&body, API_RESPONSE_BYTES_MAX);
    (void)wire_connect_error_encode(code, message, &body);
    http_exchange_respond(exchange, &(struct http_response){.status = status,
                                                            .content_type = API_TYPE_JSON,
                                                            .headers = &header,
                                                            .n_headers = 1,
                                                            .body = buf_slice(&body)});
    buf_deinit(&body);
}

static void refuse_method(struct http_exchange *exchange, const char *allowed)
{
    char message[128];
    (void)snprintf(message, sizeof(message), "the method is not supported here; use %s", allowed);
    refuse(exchange, 405, (struct http_header){"Allow", allowed}, DR_UNIMPLEMENTED, message);
}

static void answer_health(struct http_exchange *exchange)
{
    const char *method = http_exchange_method(exchange);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        refuse_method(exchange, "GET, HEAD");
    else
        http_exchange_respond(
            exchange,
            &(struct http_response){.status = 200, .content_type = "text/plain", .body = slice_text("ok\n")});
}

/* ---- Keys ---- */

void api_key_hash(const char *key, uint8_t ret_hash[API_KEY_HASH_SIZE])
{
    (void)SHA256((const uint8_t *)key, strlen(key), ret_hash);
}

/* Hashes are compared, in constant time and with every key, so that time tells nothing about a key or its
 * place. */
bool api_authenticate(const struct api *api, const struct http_exchange *exchange, uint32_t *ret_project)
{
    if (api->n_keys == 0) {
        *ret_project = API_PROJECT_DEFAULT;
        return true;
    }
    const char *header = http_exchange_header(exchange, "Authorization");
    if (!header || strncasecmp(header, BEARER, strlen(BEARER)) != 0)
        return false;
    const char *key = header + strlen(BEARER);
    while (*key == ' ')
        key++;
    uint8_t hash[API_KEY_HASH_SIZE];
    api_key_hash(key, hash);
    uint32_t project = 0;
    for (size_t i = 0; i < api->n_keys; i++)
        if (CRYPTO_memcmp(hash, api->keys[i].hash, sizeof(hash)) == 0)
            project = api->keys[i].project;
    if (project != 0)
        *ret_project = project;
    return project != 0;
}

/* ---- Connect ---- */

/* "application/json; charset=utf-8" is application/json. */
static bool is_type(const char *header, const char *type)
{
    size_t len = strlen(type);
    if (!header || strncasecmp(header, type, len) != 0)
        return false;
    return header[len] == '\0' || header[len] == ';' || header[len] == ' ' || header[len] == '\t';
}

static bool check_content_type(struct http_exchange *exchange, enum accept accept, bool *ret_is_json)
{
    const char *header = http_exchange_header(exchange, "Content-Type");
    *ret_is_json = is_type(header, API_TYPE_JSON);
    if (*ret_is_json || accept == ACCEPT_ANY || is_type(header, API_TYPE_PROTO))
        return true;
    char message[256];
    (void)snprintf(message, sizeof(message), "the content type \"%.64s\" is not supported; use %s",
                   header ? header : "", ACCEPTED_TYPES);
    refuse(exchange, 415, (struct http_header){"Accept-Post", ACCEPTED_TYPES}, DR_UNIMPLEMENTED, message);
    return false;
}

static bool parse_timeout(const char *text, int64_t *ret_timeout_ns)
{
    int64_t ms = 0;
    size_t n = 0;
    for (; text[n] >= '0' && text[n] <= '9' && n < TIMEOUT_DIGITS_MAX; n++)
        ms = ms * 10 + (text[n] - '0');
    if (n == 0 || text[n] != '\0')
        return false;
    *ret_timeout_ns = ms * NS_PER_MS; /* at most 10^16 */
    return true;
}

static dr_code check_connect(const struct http_exchange *exchange, int64_t *ret_timeout_ns,
                             struct dr_error *error)
{
    const char *version = http_exchange_header(exchange, "Connect-Protocol-Version");
    if (version && strcmp(version, "1") != 0)
        return error_set(error, DR_INVALID_ARGUMENT, "Connect-Protocol-Version must be \"1\", not \"%.32s\"",
                         version);
    const char *timeout = http_exchange_header(exchange, "Connect-Timeout-Ms");
    *ret_timeout_ns = TIME_NEVER;
    if (timeout && !parse_timeout(timeout, ret_timeout_ns))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "Connect-Timeout-Ms must be 1 to %u digits, not \"%.32s\"", TIMEOUT_DIGITS_MAX,
                         timeout);
    struct http_header header; /* of several lines each counts */
    for (size_t i = 0; http_exchange_header_at(exchange, i, &header); i++) {
        bool is_encoding = strcasecmp(header.name, "Content-Encoding") == 0;
        if (is_encoding && *header.value && strcasecmp(header.value, "identity") != 0)
            return error_set(error, DR_UNIMPLEMENTED,
                             "the content encoding \"%.32s\" is not supported; send identity", header.value);
    }
    return DR_OK;
}

/* Method, key, content type, Connect's headers. Answers a refusal; its code, for the count. */
static dr_code check_request(struct api_request *request, const struct route *route)
{
    struct http_exchange *exchange = request->exchange;
    bool is_get = route->handler == api_metrics;
    struct dr_error error = {0};
    if (strcmp(http_exchange_method(exchange), is_get ? "GET" : "POST") != 0) {
        refuse_method(exchange, is_get ? "GET" : "POST");
        return DR_UNIMPLEMENTED;
    }
    if (!api_authenticate(request->api, exchange, &request->project)) {
        http_exchange_respond_error(exchange, 0, DR_UNAUTHENTICATED,
                                    "the API key is missing or wrong (Authorization: Bearer <key>)");
        return DR_UNAUTHENTICATED;
    }
    if (!check_content_type(exchange, route->accept, &request->is_json))
        return DR_UNIMPLEMENTED;
    dr_code code = check_connect(exchange, &request->timeout_ns, &error);
    if (code != DR_OK)
        http_exchange_respond_error(exchange, 0, code, error.message);
    return code;
}

bool api_check_headers(struct api *api, struct http_exchange *exchange, struct api_request *ret_request,
                       api_handler_fn **ret_handler)
{
    const char *path = http_exchange_path(exchange);
    const char *peer = http_exchange_peer(exchange);
    const struct route *route = route_of(path);
    if (route && route->handler == api_metrics && !api->metrics)
        route = NULL;
    if (!route && strcmp(path, HEALTH_PATH) == 0) {
        answer_health(exchange);
        return false;
    }
    if (!route) {
        metrics_answered(api->metrics, METRICS_NONE, DR_UNIMPLEMENTED, peer);
        /* Not "not_found", which is what a call that does not exist is answered with. */
        http_exchange_respond_error(exchange, 404, DR_UNIMPLEMENTED, "there is nothing at this path");
        return false;
    }
    struct api_request request = {.api = api, .exchange = exchange, .method = route->method};
    dr_code code = check_request(&request, route);
    if (code != DR_OK) {
        /* The loop thread, in a callback: the exchange is still there. */
        metrics_answered(api->metrics, route->method, code, peer);
        return false;
    }
    *ret_request = request;
    *ret_handler = route->handler;
    return true;
}
