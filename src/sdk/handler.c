#include "sdk/handler.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "sdk/primitive.h"
#include "sdk/registry.h"
#include "sdk/run.h"
#include "wire/wire.h"

#include <pthread.h>

struct parked {
    struct list node;
    struct dr_call *call;
};

struct handler {
    struct handler_config config;
    pthread_mutex_t lock;
    struct map parked_of;  /* dispatch id -> struct parked */
    struct list parked;    /* longest unused first */
    size_t n_parked;
};

struct handler *handler_create(const struct handler_config *config)
{
    struct handler *handler = mem_zalloc(sizeof *handler);
    if (!handler)
        return NULL;
    handler->config = *config;
    pthread_mutex_init(&handler->lock, NULL);
    map_init(&handler->parked_of);
    list_init(&handler->parked);
    return handler;
}

/* ---- parking ---- */

/* Ids are opaque, so they are hashed to a key; a stack is taken only with the state that it sent, so a collision costs a
 * run through the journal at most. */
static struct id key_of(struct slice dispatch_id)
{
    struct id key;
    if (id_parse(dispatch_id, &key))
        return key;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < dispatch_id.len; i++)
        hash = (hash ^ dispatch_id.data[i]) * UINT64_C(0x100000001b3);
    key = (struct id){{0}};
    memcpy(key.bytes, &hash, sizeof hash);
    return key;
}

/* Under the lock. */
static struct dr_call *unpark(struct handler *handler, struct parked *parked)
{
    struct dr_call *call = parked->call;
    list_remove(&parked->node);
    map_remove(&handler->parked_of, call->key);
    handler->n_parked--;
    mem_free(parked);
    return call;
}

static struct dr_call *take(struct handler *handler, const struct wire_run_request *request)
{
    pthread_mutex_lock(&handler->lock);
    struct parked *parked = map_get(&handler->parked_of, key_of(request->dispatch_id));
    struct dr_call *call = parked ? unpark(handler, parked) : NULL;
    pthread_mutex_unlock(&handler->lock);
    if (!call)
        return NULL;
    const struct wire_poll_result *poll = &request->poll_result;
    bool is_its_state = poll->state_arm == WIRE_STATE_TYPED &&
                        slice_equal(poll->state, slice_of(call->state, call->state_len)) &&
                        slice_equal(request->dispatch_id, slice_text(call->dispatch_id));
    if (is_its_state)
        return call;
    run_destroy(call); /* it has gone further than the server knows, or is of an abandoned run */
    return NULL;
}

static void park(struct handler *handler, struct dr_call *call)
{
    struct dr_call *dropped[2] = {0};
    struct parked *parked = mem_zalloc(sizeof *parked);
    call->key = key_of(slice_text(call->dispatch_id));
    pthread_mutex_lock(&handler->lock);
    struct parked *before = map_get(&handler->parked_of, call->key);
    if (before)
        dropped[0] = unpark(handler, before);
    if (parked && map_put(&handler->parked_of, call->key, parked) == DR_OK) {
        parked->call = call;
        list_push_back(&handler->parked, &parked->node);
        handler->n_parked++;
        if (handler->n_parked > handler->config.parked_max)
            dropped[1] = unpark(handler, container_of(handler->parked.next, struct parked, node));
    } else {
        dropped[1] = call; /* out of memory: the journal is enough */
        mem_free(parked);
    }
    pthread_mutex_unlock(&handler->lock);
    run_destroy(dropped[0]);
    run_destroy(dropped[1]);
}

void handler_forget(struct handler *handler)
{
    for (;;) {
        pthread_mutex_lock(&handler->lock);
        struct dr_call *call = list_is_empty(&handler->parked)
                                   ? NULL
                                   : unpark(handler, container_of(handler->parked.next, struct parked, node));
        pthread_mutex_unlock(&handler->lock);
        if (!call)
            return;
        run_destroy(call);
    }
}

void handler_destroy(struct handler *handler)
{
    if (!handler)
        return;
    handler_forget(handler);
    map_deinit(&handler->parked_of);
    pthread_mutex_destroy(&handler->lock);
    mem_free(handler);
}

/* ---- running ---- */

static int64_t now_ns(const struct handler *handler)
{
    return handler->config.now_ns ? handler->config.now_ns(handler->config.now_arg) : clock_real_ns();
}

static dr_code answer_status(dr_status status, const char *type, const char *message, struct buf *buf,
                             struct dr_error *error)
{
    struct wire_run_response response = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.has_error = true;
    response.result.error.type = slice_text(type);
    response.result.error.message = slice_text(message);
    return wire_run_response_encode(&response, buf, error);
}

static dr_code answer_failure(dr_code code, const struct dr_error *why, struct buf *buf, struct dr_error *error)
{
    if (code == DR_NO_MEMORY)
        return answer_status(DR_STATUS_TEMPORARY_ERROR, "MemoryError", "the endpoint ran out of memory", buf, error);
    if (code == DR_FAILED_PRECONDITION)
        return answer_status(DR_STATUS_INCOMPATIBLE_STATE, "IncompatibleStateError", why->message, buf, error);
    return answer_status(DR_STATUS_INVALID_ARGUMENT, "InvalidArgumentError", why->message, buf, error);
}

/* The stack is gone: the journal is run through up to the suspension that the request resumes. */
static dr_code rebuild(const dr_function *function, const struct wire_run_request *request, struct dr_call **ret_call,
                       struct dr_error *error)
{
    struct dr_call *call = NULL;
    dr_code code = run_restore(function, request, &call, error);
    if (code)
        return code;
    run_continue(call);
    if (call->end == RUN_GOES_ON) {
        *ret_call = call;
        return DR_OK;
    }
    if (call->end == RUN_INCOMPATIBLE)
        code = error_set(error, DR_FAILED_PRECONDITION, "%s", call->error_message);
    else if (call->end == RUN_NO_MEMORY)
        code = error_set(error, DR_NO_MEMORY, "run %s: out of memory", function->name);
    else
        code = error_set(error, DR_FAILED_PRECONDITION, "the function ended where its journal goes on");
    run_destroy(call);
    return code;
}

static dr_code resume(struct handler *handler, const dr_function *function, const struct wire_run_request *request,
                      struct dr_call **ret_call, struct dr_error *error)
{
    struct dr_call *call = take(handler, request);
    dr_code code = call ? DR_OK : rebuild(function, request, &call, error);
    if (!code)
        code = run_add_resume(call, &request->poll_result, now_ns(handler), error);
    if (code)
        run_destroy(call);
    else
        *ret_call = call;
    return code;
}

static dr_code run_function(struct handler *handler, const dr_function *function,
                            const struct wire_run_request *request, struct buf *buf, struct dr_error *error)
{
    struct dr_error why = {0};
    struct dr_call *call = NULL;
    dr_code code = DR_OK;
    if (request->directive == WIRE_DIRECTIVE_POLL_RESULT)
        code = resume(handler, function, request, &call, &why);
    else if (!(call = run_create(function, request, &why)))
        code = why.code;
    if (code)
        return answer_failure(code, &why, buf, error);
    run_continue(call);
    code = run_encode(call, buf, error);
    if (!code && call->end == RUN_GOES_ON)
        park(handler, call);
    else
        run_destroy(call);
    return code;
}

dr_code handler_run(struct handler *handler, struct slice bytes, struct buf *response, struct dr_error *error)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_run_request request;
    struct registry_entry entry;
    dr_code code = wire_run_request_decode(bytes, &arena, &request, error);
    if (!code && request.function.len == 0)
        code = error_set(error, DR_INVALID_ARGUMENT, "function is required");
    if (!code && !registry_find(handler->config.registry, request.function, &entry))
        code = error_set(error, DR_NOT_FOUND, "function '%.*s' does not exist", (int)request.function.len,
                         (const char *)request.function.data);
    if (!code && entry.function)
        code = run_function(handler, entry.function, &request, response, error);
    else if (!code)
        code = primitive_run(&entry, &request, response, error);
    arena_deinit(&arena);
    return code;
}
