/* Waiting for results, and looking at and cancelling calls. */
#include "sdk/client.h"
#include "sdk/result.h"

#include "base/arena.h"
#include "base/error.h"
#include "wire/wire.h"
#include <stdio.h>
#include <string.h>

#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"
#define GET_PATH "/dispatch.v1.CallService/GetCall"
#define CANCEL_PATH "/dispatch.v1.CallService/CancelCall"

/* The server holds a request so long at most; then we ask again. Shorter than the patience of common proxies. */
#define WAIT_POLL_NS (25 * NS_PER_S)
/* How much longer than the server we wait for its answer. */
#define WAIT_GRACE_NS (5 * NS_PER_S)
/* A server that restarts is back by then; one that is gone longer is an error. */
#define WAIT_UNAVAILABLE_NS (30 * NS_PER_S)
#define WAIT_PAUSE_MIN_NS (50 * NS_PER_MS)
#define WAIT_PAUSE_MAX_NS (2 * NS_PER_S)
/* A result is decoded by copying it once. */
#define WAIT_ARENA_BYTES_MAX (3 * (size_t)WIRE_MESSAGE_BYTES_MAX)

struct wait {
    dr_client *client;
    const char *id;
    int64_t deadline_ns;
    int64_t unavailable_since_ns; /* TIME_NEVER: it answered */
    int64_t pause_ns;             /* the next one */
};

static int64_t wait_now_ns(const struct wait *wait)
{
    return wait->client->transport->methods->now_ns(wait->client->transport);
}

static dr_code wait_read_result(struct slice body, const char *id, dr_result **ret_result, struct dr_error *error)
{
    struct arena arena;
    struct wire_result wire = {0};
    arena_init(&arena, WAIT_ARENA_BYTES_MAX);
    dr_code code = wire_result_decode(body, &arena, &wire, error);
    if (!code && !client_is_id(wire.dispatch_id)) /* left out, or nothing that can be shown */
        wire.dispatch_id = slice_text(id);
    if (!code)
        code = result_create(&wire, DR_STATUS_UNSPECIFIED, ret_result, error);
    arena_deinit(&arena);
    return code == DR_INVALID_ARGUMENT ? client_bad_answer(error) : code;
}

/* Asks once. DR_DEADLINE_EXCEEDED: not done yet. */
static dr_code wait_poll(const struct wait *wait, dr_result **ret_result, struct dr_error *error)
{
    struct buf reply;
    int64_t now_ns = wait_now_ns(wait);
    int64_t left_ns = wait->deadline_ns > now_ns ? wait->deadline_ns - now_ns : 0;
    int64_t server_ns = left_ns < WAIT_POLL_NS ? left_ns : WAIT_POLL_NS;
    struct client_exchange exchange = {
        .path = WAIT_PATH,
        .content_type = "application/proto",
        .body = slice_text(wait->id),
        .server_timeout_ns = server_ns > NS_PER_MS ? server_ns : NS_PER_MS,
        .timeout_ns = server_ns + WAIT_GRACE_NS,
    };
    buf_init(&reply, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = client_exchange(wait->client, &exchange, &reply, error);
    if (!code)
        code = wait_read_result(buf_slice(&reply), wait->id, ret_result, error);
    buf_deinit(&reply);
    return code;
}

/* Whether to ask again after this answer, pausing first if need be. */
static bool wait_goes_on(struct wait *wait, dr_code code, int64_t asked_ns)
{
    struct client_transport *transport = wait->client->transport;
    int64_t now_ns = wait_now_ns(wait);
    bool is_pending = code == DR_DEADLINE_EXCEEDED;
    if ((!is_pending && code != DR_UNAVAILABLE) || now_ns >= wait->deadline_ns)
        return false;
    if (is_pending)
        wait->unavailable_since_ns = TIME_NEVER;
    else if (wait->unavailable_since_ns == TIME_NEVER)
        wait->unavailable_since_ns = asked_ns;
    else if (now_ns - wait->unavailable_since_ns >= WAIT_UNAVAILABLE_NS)
        return false;
    /* a server that held the request has paused for us */
    if (is_pending && now_ns - asked_ns >= WAIT_PAUSE_MIN_NS) {
        wait->pause_ns = WAIT_PAUSE_MIN_NS;
        return true;
    }
    int64_t left_ns = wait->deadline_ns - now_ns;
    transport->methods->pause(transport, wait->pause_ns < left_ns ? wait->pause_ns : left_ns);
    wait->pause_ns = 2 * wait->pause_ns < WAIT_PAUSE_MAX_NS ? 2 * wait->pause_ns : WAIT_PAUSE_MAX_NS;
    return true;
}

dr_code dr_client_wait(dr_client *client, const char *id, int64_t timeout_ns, dr_result **ret_result,
                       struct dr_error *error)
{
    if (!client)
        return error_set(error, DR_INVALID_ARGUMENT, "the client is NULL");
    dr_code code = client_check_id(id, error);
    if (code)
        return code;
    struct wait wait = {.client = client, .id = id, .unavailable_since_ns = TIME_NEVER, .pause_ns = WAIT_PAUSE_MIN_NS};
    wait.deadline_ns = timeout_ns < 0 ? TIME_NEVER : time_add(wait_now_ns(&wait), timeout_ns);
    struct dr_error detail = {0};
    int64_t asked_ns;
    do {
        asked_ns = wait_now_ns(&wait);
        code = wait_poll(&wait, ret_result, &detail);
    } while (code && wait_goes_on(&wait, code, asked_ns));
    if (code == DR_DEADLINE_EXCEEDED)
        return error_set(error, code, "call %s is not done yet", id);
    return code ? error_set(error, code, "%s", detail.message) : DR_OK;
}

/* ---- Get and cancel: the JSON API ---- */

static dr_code ask_about(dr_client *client, const char *path, const char *id, struct buf *reply, struct dr_error *error)
{
    char body[DR_ID_SIZE + 32];
    if (!client)
        return error_set(error, DR_INVALID_ARGUMENT, "the client is NULL");
    dr_code code = client_check_id(id, error);
    if (code)
        return code;
    (void)snprintf(body, sizeof body, "{\"dispatchId\":\"%s\"}", id);
    struct client_exchange exchange = {
        .path = path,
        .content_type = "application/json",
        .body = slice_text(body),
        .is_sent_once = strcmp(path, CANCEL_PATH) == 0, /* a second cancel would be told of the first */
        .timeout_ns = CLIENT_TIMEOUT_NS,
        .server_timeout_ns = CLIENT_TIMEOUT_NS,
    };
    return client_exchange(client, &exchange, reply, error);
}

dr_code dr_client_get(dr_client *client, const char *id, dr_value **ret_call, struct dr_error *error)
{
    struct buf reply;
    dr_value *answer = NULL;
    buf_init(&reply, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = ask_about(client, GET_PATH, id, &reply, error);
    if (!code)
        code = client_value_of_json(buf_slice(&reply), &answer, error);
    const dr_value *call = dr_value_get(answer, "call");
    if (!code && dr_value_kind(call) != DR_KIND_MAP)
        code = error_set(error, DR_INTERNAL, "the server's answer holds no call");
    if (!code)
        *ret_call = dr_value_ref(call);
    dr_value_unref(answer);
    buf_deinit(&reply);
    return code;
}

dr_code dr_client_cancel(dr_client *client, const char *id, struct dr_error *error)
{
    struct buf reply;
    buf_init(&reply, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = ask_about(client, CANCEL_PATH, id, &reply, error);
    buf_deinit(&reply);
    return code;
}
