#include "server/transport_http.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "engine/scheduler.h"
#include "http/http_plain.h"
#include "wire/wire.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RUN_PATH "/dispatch.sdk.v1.FunctionService/Run"
#define RUN_CONTENT_TYPE "application/proto"
/* Of an error's text in a body; the rest would not fit into a message. */
#define ERROR_TEXT_MAX 200

struct http_transport {
    struct transport base;
    struct room room;            /* of replies */
    struct room requests;
    struct http_client *client;  /* TLS, proxies, unusual URLs */
    struct http_plain *plain;    /* everything else; NULL when the environment names a proxy */
};

static struct http_transport *http_of(struct transport *transport)
{
    return container_of(transport, struct http_transport, base);
}

/* Exactly the type, in any case. Parameters are tolerated: they change nothing, and a proxy may add a charset. */
static bool is_run_response_type(const char *content_type)
{
    size_t len = strcspn(content_type, "; ");
    return len == strlen(RUN_CONTENT_TYPE) && strncasecmp(content_type, RUN_CONTENT_TYPE, len) == 0;
}

/* An answer that is no RunResponse (protocol 3.5): status by the table of both SDKs, text from the body. */
static void refuse_response(struct transport_result *result, struct slice endpoint, const struct http_result *http)
{
    dr_status status = dr_status_of_http(http->status);
    if (http->status >= 200 && http->status < 300) {
        const char *type = http->content_type[0] ? http->content_type : "no content type";
        transport_result_fail(result, DR_STATUS_INVALID_RESPONSE, endpoint,
                              "HTTP %d with %.60s instead of a RunResponse in " RUN_CONTENT_TYPE, http->status, type);
        return;
    }
    if (status == DR_STATUS_OK || status == DR_STATUS_UNSPECIFIED)
        status = DR_STATUS_HTTP_ERROR;
    if (http->status >= 300 && http->status < 400) {
        transport_result_fail(result, status, endpoint, "HTTP %d: redirects are not followed", http->status);
        return;
    }
    struct dr_error error = {0};
    wire_connect_error_decode(slice_of(http->body, http->len), http->status, &error);
    transport_result_fail(result, status, endpoint, "HTTP %d: %s: %.*s", http->status, dr_code_name(error.code),
                          ERROR_TEXT_MAX, error.message);
}

static dr_status status_of_outcome(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_BAD_REQUEST:
        return DR_STATUS_PERMANENT_ERROR;
    case HTTP_DNS_FAILED:
        return DR_STATUS_DNS_ERROR;
    case HTTP_CONNECT_FAILED:
        return DR_STATUS_TCP_ERROR;
    case HTTP_TLS_FAILED:
        return DR_STATUS_TLS_ERROR;
    case HTTP_TIMED_OUT:
    case HTTP_CANCELLED:
        return DR_STATUS_TIMEOUT;
    case HTTP_NO_ROOM:
        return DR_STATUS_THROTTLED; /* fewer attempts at once may find it */
    case HTTP_BROKEN:
        return DR_STATUS_HTTP_ERROR;
    case HTTP_TOO_LARGE:
        return DR_STATUS_INVALID_RESPONSE; /* it would be as large the next time */
    case HTTP_RESPONDED:
    case HTTP_NO_MEMORY:
    case HTTP_FAILED:
        break;
    }
    return DR_STATUS_TEMPORARY_ERROR;
}

/* On the thread of the client that was asked. */
static void on_http_done(void *arg, struct http_result *http)
{
    struct transport_run *run = arg;
    struct transport_result result = {.http_status = http->status, .retry_after_ns = http->retry_after_ns};
    bool is_run_response =
        http->outcome == HTTP_RESPONDED && http->status == 200 && is_run_response_type(http->content_type);
    if (is_run_response) {
        result.status = DR_STATUS_OK;
        result.body = http->body;
        result.len = http->len;
        http->body = NULL;
        result.hold = room_move(&http->hold);
    } else if (http->outcome == HTTP_RESPONDED) {
        refuse_response(&result, run->endpoint, http);
    } else {
        const char *cause = http->outcome == HTTP_CANCELLED ? "the attempt was called off" : http->message;
        transport_result_fail(&result, status_of_outcome(http->outcome), run->endpoint, "%s", cause);
    }
    room_give(&run->hold); /* of the request; its bytes are freed right after this */
    run->on_done(run->arg, run, &result);
}

static bool has_prefix(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && strncasecmp((const char *)text.data, prefix, len) == 0;
}

static void fail_at_once(struct transport_run *run, dr_status status, const char *cause)
{
    struct transport_result result = {0};
    mem_free(run->request);
    run->request = NULL;
    transport_result_fail(&result, status, run->endpoint, "%s", cause);
    run->on_done(run->arg, run, &result);
}

/* {endpoint}/dispatch.sdk.v1.FunctionService/Run; false when it is too long. */
static bool make_url(struct slice endpoint, char url[HTTP_CLIENT_URL_BYTES_MAX])
{
    while (endpoint.len > 0 && endpoint.data[endpoint.len - 1] == '/')
        endpoint.len--;
    if (endpoint.len + sizeof RUN_PATH > HTTP_CLIENT_URL_BYTES_MAX || memchr(endpoint.data, '\0', endpoint.len))
        return false;
    snprintf(url, HTTP_CLIENT_URL_BYTES_MAX, "%.*s%s", (int)endpoint.len, (const char *)endpoint.data, RUN_PATH);
    return true;
}

static void post(struct http_transport *http, struct transport_run *run)
{
    static const char *const headers[] = {"Content-Type: " RUN_CONTENT_TYPE};
    char url[HTTP_CLIENT_URL_BYTES_MAX];
    if (!make_url(run->endpoint, url)) {
        fail_at_once(run, DR_STATUS_PERMANENT_ERROR, "this is not a URL");
        return;
    }
    run->hold = room_hold_of(&http->requests, scheduler_host(run->endpoint));
    if (run->request_len > TRANSPORT_REQUEST_FREE_BYTES && !room_cover(&run->hold, run->request_len)) {
        fail_at_once(run, DR_STATUS_THROTTLED, "there is no room for a request of this size now");
        return;
    }
    struct http_post request = {
        .url = url,
        .headers = headers,
        .n_headers = 1,
        .body = run->request,
        .len = run->request_len,
        .timeout_ns = run->timeout_ns > 0 ? run->timeout_ns : 1,
        .response_bytes_max = WIRE_MESSAGE_BYTES_MAX,
        .hold = room_hold_of(&http->room, scheduler_host(run->endpoint)),
        .on_done = on_http_done,
        .arg = run,
    };
    run->request = NULL; /* taken, also when it is refused */
    run->is_plain = http->plain && http_plain_can(url);
    dr_code code = run->is_plain ? http_plain_post(http->plain, &request, &run->handle)
                                 : http_client_post(http->client, &request, &run->handle);
    if (code) {
        room_give(&run->hold);
        fail_at_once(run, DR_STATUS_TEMPORARY_ERROR, dr_code_text(code));
    }
}

static void http_start(struct transport *transport, struct transport_run *run)
{
    if (has_prefix(run->endpoint, "http://") || has_prefix(run->endpoint, "https://"))
        post(http_of(transport), run);
    else if (has_prefix(run->endpoint, "bridge://"))
        fail_at_once(run, DR_STATUS_PERMANENT_ERROR, "bridge sessions are not supported yet");
    else if (has_prefix(run->endpoint, "arn:"))
        fail_at_once(run, DR_STATUS_PERMANENT_ERROR, "AWS Lambda endpoints are not supported yet");
    else
        fail_at_once(run, DR_STATUS_PERMANENT_ERROR, "an endpoint is an http or https URL");
}

static void http_abort(struct transport *transport, struct transport_run *run)
{
    if (run->handle == 0) /* failed at once */
        return;
    run->is_aborted = true;
    if (run->is_plain)
        http_plain_cancel(http_of(transport)->plain, run->handle);
    else
        http_client_cancel(http_of(transport)->client, run->handle);
}

static void http_destroy(struct transport *transport)
{
    struct http_transport *http = http_of(transport);
    http_client_destroy(http->client);
    http_plain_destroy(http->plain);
    room_deinit(&http->room);
    room_deinit(&http->requests);
    mem_free(http);
}

static const struct transport_methods http_methods = {
    .start = http_start, .abort = http_abort, .destroy = http_destroy};

dr_code transport_http_create(const struct transport_http_config *config, struct transport **ret_transport,
                              struct dr_error *error)
{
    struct http_transport *http = mem_zalloc(sizeof *http);
    if (!http)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    http->base.methods = &http_methods;
    room_init(&http->room, config->reply_bytes_max ? config->reply_bytes_max : TRANSPORT_REPLY_BYTES_MAX);
    room_init(&http->requests, config->request_bytes_max ? config->request_bytes_max : TRANSPORT_REQUEST_BYTES_MAX);
    struct http_client_config client = {.posts_max = config->runs_max,
                                        .connections_max = config->connections_max,
                                        .connections_per_host_max = config->connections_max,
                                        .user_agent = "dispatch"};
    dr_code code = http_client_create(&client, &http->client, error);
    if (!code && !http_plain_has_proxy())
        code = http_plain_create(&client, &http->plain, error);
    if (code) {
        http_destroy(&http->base);
        return code;
    }
    *ret_transport = &http->base;
    return DR_OK;
}
