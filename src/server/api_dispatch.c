/* DispatchService/Dispatch: calls in, ids out, once they are durable. */
#include "server/api_private.h"

#include "base/mem.h"
#include "wire/wire.h"

struct submission {
    struct api_request request;
    struct arena arena; /* until the driver has read the calls */
    struct wire_dispatch_request calls;
};

static void submission_destroy(struct submission *submission)
{
    arena_deinit(&submission->arena);
    mem_free(submission);
}

static void respond_ids(const struct api_request *request, const struct id *ids, size_t n_ids)
{
    struct buf body;
    struct arena arena;
    buf_init(&body, API_RESPONSE_BYTES_MAX);
    arena_init(&arena, 0);
    struct slice *texts = arena_alloc(&arena, n_ids * sizeof(*texts));
    char(*digits)[ID_TEXT_SIZE] = arena_alloc(&arena, n_ids * sizeof(*digits));
    dr_code code = texts && digits ? DR_OK : DR_NO_MEMORY;
    for (size_t i = 0; code == DR_OK && i < n_ids; i++)
        texts[i] = slice_text(id_format(ids[i], digits[i]));
    struct wire_dispatch_response response = {.dispatch_ids = texts, .n_dispatch_ids = n_ids};
    if (code == DR_OK)
        code = request->is_json ? wire_dispatch_response_json_encode(&response, &body, NULL)
                                : wire_dispatch_response_encode(&response, &body, NULL);
    api_respond(request, code, &body);
    arena_deinit(&arena);
}

/* The calls stay in memory until the engine has copied them, not until the disk is done. */
static void on_release(void *owner)
{
    struct submission *submission = owner;
    arena_deinit(&submission->arena);
}

static void on_ids(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    struct submission *submission = arg;
    if (code == DR_OK)
        respond_ids(&submission->request, ids, n_ids);
    else
        api_respond_error(&submission->request, code, message);
    submission_destroy(submission);
}

static dr_code validate(const struct wire_dispatch_request *request, struct dr_error *error)
{
    for (size_t i = 0; i < request->n_calls; i++) {
        dr_code code = wire_call_validate(&request->calls[i], true, error);
        if (code != DR_OK)
            return request->n_calls == 1 ? code : error_wrap(error, "calls[%zu]", i);
    }
    return DR_OK;
}

static dr_code decode(struct submission *submission, struct dr_error *error)
{
    struct slice body = http_exchange_body(submission->request.exchange);
    struct wire_dispatch_request *calls = &submission->calls;
    dr_code code = submission->request.is_json
                       ? wire_dispatch_request_json_decode(body, &submission->arena, calls, error)
                       : wire_dispatch_request_decode(body, &submission->arena, calls, error);
    return code == DR_OK ? validate(calls, error) : code;
}

void api_dispatch(const struct api_request *request)
{
    struct submission *submission = mem_zalloc(sizeof(*submission));
    if (!submission) {
        api_respond_error(request, DR_NO_MEMORY, NULL);
        return;
    }
    submission->request = *request;
    arena_init(&submission->arena, 0);
    struct dr_error error = {0};
    dr_code code = decode(submission, &error);
    if (code == DR_OK && submission->calls.n_calls == 0) {
        respond_ids(request, NULL, 0);
        submission_destroy(submission);
        return;
    }
    if (code == DR_OK) {
        struct driver_submit submit = {
            .project = request->project,
            .request = &submission->calls,
            .n_bytes = submission->arena.used_bytes + http_exchange_body(request->exchange).len,
            .release = on_release,
            .owner = submission,
            .on_done = on_ids,
            .arg = submission,
        };
        code = driver_submit(request->api->driver, &submit, &error);
    }
    if (code != DR_OK) {
        api_respond_error(request, code, error.message);
        submission_destroy(submission);
    }
}
