/* Submitting calls, and the exchange that every request of the client goes through. */
#include "sdk/client.h"
#include "sdk/result.h"
#include "sdk/value_wire.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "wire/wire.h"
#include <stdio.h>

#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
/* Room for the calls of a request, beside their inputs, and for the ids of its reply. */
#define SUBMIT_ARENA_BYTES_MAX (64u << 20)

static dr_code no_memory(struct dr_error *error)
{
    return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
}

dr_code client_create(struct client_transport *transport, const char *key_hint, dr_client **ret_client,
                      struct dr_error *error)
{
    dr_client *client = mem_zalloc(sizeof *client);
    if (!client) {
        transport->methods->destroy(transport);
        return no_memory(error);
    }
    client->transport = transport;
    (void)snprintf(client->key_hint, sizeof client->key_hint, "%s", key_hint);
    *ret_client = client;
    return DR_OK;
}

void dr_client_close(dr_client *client)
{
    if (!client)
        return;
    client->transport->methods->destroy(client->transport);
    mem_free(client);
}

dr_code client_exchange(dr_client *client, const struct client_exchange *exchange, struct buf *reply,
                        struct dr_error *error)
{
    int http_status = 0;
    struct client_transport *transport = client->transport;
    dr_code code = transport->methods->exchange(transport, exchange, &http_status, reply, error);
    if (code || http_status == 200)
        return code;
    struct dr_error refusal = {0};
    wire_connect_error_decode(buf_slice(reply), http_status, &refusal);
    if (http_status == 401 || refusal.code == DR_UNAUTHENTICATED)
        return error_set(error, DR_UNAUTHENTICATED, "invalid %s", client->key_hint);
    return error_set(error, refusal.code, "%s", refusal.message);
}

dr_code client_bad_answer(struct dr_error *error)
{
    (void)error_wrap(error, "the server's answer");
    if (error)
        error->code = DR_INTERNAL;
    return DR_INTERNAL;
}

bool client_is_id(struct slice id)
{
    bool is_good = id.len > 0 && id.len < DR_ID_SIZE;
    for (size_t i = 0; is_good && i < id.len; i++)
        is_good = id.data[i] > ' ' && id.data[i] < 0x7f && id.data[i] != '"' && id.data[i] != '\\';
    return is_good;
}

dr_code client_check_id(const char *id, struct dr_error *error)
{
    size_t len = id ? strnlen(id, DR_ID_SIZE) : 0;
    return client_is_id(slice_of(id, len)) ? DR_OK : error_set(error, DR_INVALID_ARGUMENT, "not a dispatch id");
}

/* ---- Submit ---- */

/* Everything that one submit needs, so that one function lets go of it. */
struct submit {
    struct arena arena; /* the calls, then the reply's ids */
    struct buf inputs;  /* Anys, one behind the other */
    struct buf body;
    struct buf reply;
};

static void submit_init(struct submit *submit)
{
    arena_init(&submit->arena, SUBMIT_ARENA_BYTES_MAX);
    buf_init(&submit->inputs, WIRE_MESSAGE_BYTES_MAX);
    buf_init(&submit->body, WIRE_MESSAGE_BYTES_MAX);
    buf_init(&submit->reply, WIRE_MESSAGE_BYTES_MAX);
}

static void submit_deinit(struct submit *submit)
{
    buf_deinit(&submit->reply);
    buf_deinit(&submit->body);
    buf_deinit(&submit->inputs);
    arena_deinit(&submit->arena);
}

/* The input is left as a length with no data: its place is known once the buffer has stopped growing. */
static dr_code submit_add(struct submit *submit, const struct dr_call_options *options, struct wire_call *call,
                          struct dr_error *error)
{
    struct dr_call_options known = call_options_read(options);
    size_t start = submit->inputs.len;
    *call = (struct wire_call){
        .correlation_id = known.correlation_id,
        .endpoint = slice_text(known.endpoint),
        .function = slice_text(known.function),
        .expiration_ns = known.expiration_ns,
        .version = slice_text(known.version),
    };
    dr_code code = wire_call_validate(call, true, error);
    if (!code && known.input)
        code = value_encode_any(known.input, &submit->inputs, error);
    call->input.len = submit->inputs.len - start;
    return code;
}

static dr_code submit_encode(struct submit *submit, const struct dr_call_options *const *calls, size_t n,
                             struct dr_error *error)
{
    struct wire_dispatch_request request = {.n_calls = n};
    request.calls = arena_alloc(&submit->arena, n * sizeof *request.calls);
    if (!request.calls)
        return no_memory(error);
    for (size_t i = 0; i < n; i++) {
        dr_code code = calls[i] ? submit_add(submit, calls[i], &request.calls[i], error)
                                : error_set(error, DR_INVALID_ARGUMENT, "the call is NULL");
        if (code && n > 1)
            (void)error_wrap(error, "call %zu of %zu", i + 1, n);
        if (code)
            return code;
    }
    size_t start = 0;
    for (size_t i = 0; i < n; i++) {
        struct wire_call *call = &request.calls[i];
        if (call->input.len > 0)
            call->input.data = submit->inputs.data + start;
        start += call->input.len;
    }
    return wire_dispatch_request_encode(&request, &submit->body, error);
}

static dr_code submit_read_ids(struct submit *submit, size_t n, char (*ret_ids)[DR_ID_SIZE], struct dr_error *error)
{
    struct wire_dispatch_response response = {0};
    dr_code code = wire_dispatch_response_decode(buf_slice(&submit->reply), &submit->arena, &response, error);
    if (code)
        return code == DR_INVALID_ARGUMENT ? client_bad_answer(error) : code;
    if (response.n_dispatch_ids != n)
        return error_set(error, DR_INTERNAL, "the server answered %zu ids to %zu calls", response.n_dispatch_ids, n);
    for (size_t i = 0; i < n; i++) {
        if (!client_is_id(response.dispatch_ids[i]))
            return error_set(error, DR_INTERNAL, "the server answered %zu bytes that are no dispatch id",
                             response.dispatch_ids[i].len);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(ret_ids[i], response.dispatch_ids[i].data, response.dispatch_ids[i].len);
        ret_ids[i][response.dispatch_ids[i].len] = 0;
    }
    return DR_OK;
}

dr_code dr_client_submit_batch(dr_client *client, const struct dr_call_options *const *calls, size_t n,
                               char (*ret_ids)[DR_ID_SIZE], struct dr_error *error)
{
    struct submit submit;
    if (!client)
        return error_set(error, DR_INVALID_ARGUMENT, "the client is NULL");
    if (n == 0)
        return DR_OK;
    if (n > DR_CALLS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "%zu calls are more than the %d that one submit can make", n,
                         DR_CALLS_MAX);
    submit_init(&submit);
    dr_code code = submit_encode(&submit, calls, n, error);
    if (!code) {
        struct client_exchange exchange = {
            .path = SUBMIT_PATH,
            .content_type = "application/proto",
            .body = buf_slice(&submit.body),
            .is_sent_once = true, /* sent again, it could be recorded twice and nobody would know */
            .timeout_ns = CLIENT_TIMEOUT_NS,
            .server_timeout_ns = CLIENT_TIMEOUT_NS,
        };
        code = client_exchange(client, &exchange, &submit.reply, error);
    }
    if (!code)
        code = submit_read_ids(&submit, n, ret_ids, error);
    submit_deinit(&submit);
    return code;
}

dr_code dr_client_submit(dr_client *client, const struct dr_call_options *call, char ret_id[DR_ID_SIZE],
                         struct dr_error *error)
{
    char ids[1][DR_ID_SIZE];
    dr_code code = dr_client_submit_batch(client, &call, 1, ids, error);
    if (!code)
        memcpy(ret_id, ids[0], DR_ID_SIZE);
    return code;
}
