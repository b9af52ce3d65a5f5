/* Attempts: from ENGINE_START to ENGINE_ATTEMPT_DONE (D5). A reply is decoded on the transport's thread, so the engine
 * thread only looks at it. */
#include "server/driver_attempt.h"

#include <stdio.h>

/* A decoded response points into its bytes; the arena holds arrays only. 10,000 calls with every field take 10 MB. */
#define RESPONSE_ARENA_BYTES_MAX (32u * 1024 * 1024)
#define RESPONSE_ARENA_FREE_BYTES 65536u /* more takes room, as the bytes do */

static void attempt_free(struct driver_attempt *attempt)
{
    arena_deinit(&attempt->arena);
    mem_free(attempt->result.body);
    room_give(&attempt->result.hold);
    mem_free(attempt);
}

static struct slice endpoint_of(const struct driver_attempt *attempt)
{
    return slice_of(attempt->endpoint, attempt->endpoint_len);
}

static void say_timed_out(struct driver_attempt *attempt)
{
    transport_result_fail(&attempt->result, DR_STATUS_TIMEOUT, endpoint_of(attempt), "no answer within %lld ms",
                          (long long)(attempt->run.timeout_ns / NS_PER_MS));
}

static void feed(struct driver *driver, struct driver_attempt *attempt)
{
    struct transport_result *result = &attempt->result;
    bool is_failure = !attempt->has_response;
    if (is_failure && attempt->is_timed_out)
        say_timed_out(attempt);
    unsigned status = (unsigned)(is_failure ? result->status : attempt->response.status);
    driver->n_attempts[status < DRIVER_STATUSES ? status : DR_STATUS_UNSPECIFIED]++;
    driver_step(driver, &(struct engine_event){
        .kind = ENGINE_ATTEMPT_DONE,
        .attempt_done = {
            .id = attempt->run.id,
            .attempt = attempt->run.attempt,
            .response = is_failure ? NULL : &attempt->response,
            .status = is_failure ? result->status : DR_STATUS_UNSPECIFIED,
            .error_type = slice_text(is_failure ? result->error_type : NULL),
            .error_message = slice_text(is_failure ? result->message : NULL),
            .retry_after_ns = is_failure ? result->retry_after_ns : 0,
        }});
}

void driver_attempt_end(struct driver *driver, struct driver_attempt *attempt)
{
    CHECK(map_remove(&driver->attempts, attempt->run.id) == attempt);
    heap_remove(&driver->timeouts, &attempt->timeout);
    /* An attempt that was called off by a stop counts as little as one lost in a crash (T2): it is made again. */
    bool is_dropped = driver->is_calling_off && !attempt->has_response;
    if (!is_dropped)
        feed(driver, attempt);
    attempt_free(attempt);
}

static void handle_done(struct driver *driver, struct driver_event *event)
{
    struct driver_attempt *attempt = container_of(event, struct driver_attempt, event);
    driver_chaos_answer(driver, attempt);
    if (!driver_chaos_hold(driver, attempt) && !driver_pressure_defer(driver, attempt))
        driver_attempt_end(driver, attempt);
}

/* What is wrong with a message is wrong the next time, too; that memory is short is not. */
static dr_status status_of_codec(dr_code code, dr_status status)
{
    return code == DR_NO_MEMORY ? DR_STATUS_TEMPORARY_ERROR : status;
}

/* Any thread. The result becomes a response, or a failure. */
static void decode(struct driver_attempt *attempt)
{
    struct transport_result *result = &attempt->result;
    struct arena *arena = &attempt->arena;
    struct dr_error error = {0};
    dr_code code = wire_run_response_decode(slice_of(result->body, result->len), arena, &attempt->response, &error);
    bool needs_room = arena->used_bytes > RESPONSE_ARENA_FREE_BYTES;
    bool has_room = !needs_room || room_cover(&result->hold, result->hold.n_bytes + arena->used_bytes);
    attempt->has_response = code == DR_OK && has_room;
    if (attempt->has_response)
        return;
    struct slice endpoint = endpoint_of(attempt);
    if (arena->is_over)
        transport_result_fail(result, DR_STATUS_INVALID_RESPONSE, endpoint,
                              "the response takes more than %u bytes to decode", RESPONSE_ARENA_BYTES_MAX);
    else if (code)
        transport_result_fail(result, status_of_codec(code, DR_STATUS_INVALID_RESPONSE), endpoint, "%s", error.message);
    else
        transport_result_fail(result, DR_STATUS_THROTTLED, endpoint, "there is no room to decode the response now");
    arena_deinit(arena);
}

/* Any thread. */
static void on_done(void *arg, struct transport_run *run, struct transport_result *result)
{
    struct driver_attempt *attempt = arg;
    (void)run;
    attempt->result = *result;
    result->body = NULL;
    result->hold.n_bytes = 0;
    if (result->status == DR_STATUS_OK)
        decode(attempt);
    driver_post(attempt->driver, &attempt->event);
}

void driver_attempt_start(struct driver *driver, const struct engine_effect *effect)
{
    struct slice endpoint = effect->start.endpoint;
    struct driver_attempt *attempt = mem_must_zalloc(sizeof *attempt + endpoint.len);
    attempt->driver = driver;
    attempt->event.handle = handle_done;
    arena_init(&attempt->arena, RESPONSE_ARENA_BYTES_MAX);
    if (endpoint.len > 0)
        memcpy(attempt->endpoint, endpoint.data, endpoint.len);
    attempt->endpoint_len = endpoint.len;
    attempt->run = (struct transport_run){.id = effect->start.id, .attempt = effect->start.attempt,
                                          .endpoint = endpoint_of(attempt), .timeout_ns = effect->start.timeout_ns,
                                          .on_done = on_done, .arg = attempt};
    attempt->timeout.key = time_add(driver_now_ns(driver), effect->start.timeout_ns);
    CHECK(!map_get(&driver->attempts, effect->start.id)); /* I3 */
    CHECK(map_put(&driver->attempts, effect->start.id, attempt) == DR_OK);

    struct buf request;
    struct dr_error error = {0};
    buf_init(&request, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = wire_run_request_encode(&effect->start.request, &request, &error);
    if (code) {
        buf_deinit(&request);
        transport_result_fail(&attempt->result, status_of_codec(code, DR_STATUS_PERMANENT_ERROR), endpoint,
                              "the request cannot be encoded within %u bytes: %s", WIRE_MESSAGE_BYTES_MAX,
                              error.message);
        driver_post(driver, &attempt->event);
        return;
    }
    CHECK(heap_push(&driver->timeouts, &attempt->timeout) == DR_OK);
    chaos_draw(&driver->chaos, effect->start.request.function, &attempt->plan);
    if (!driver_chaos_start(driver, attempt, buf_slice(&request))) {
        buf_deinit(&request);
        driver_post(driver, &attempt->event);
        return;
    }
    size_t len;
    uint8_t *bytes = buf_steal(&request, &len);
    transport_start(driver->config.transport, &attempt->run, bytes, len);
}

static void call_off(struct driver *driver, struct driver_attempt *attempt)
{
    if (attempt->is_deferred) /* it ends as soon as the store has room */
        return;
    if (!driver_chaos_call_off(driver, attempt) && attempt->run.transport)
        transport_abort(driver->config.transport, &attempt->run);
}

void driver_attempt_abort(struct driver *driver, struct id id, uint32_t number)
{
    struct driver_attempt *attempt = map_get(&driver->attempts, id);
    if (attempt && attempt->run.attempt == number)
        call_off(driver, attempt);
}

void driver_attempts_expire(struct driver *driver, int64_t now_ns)
{
    struct heap_node *node;
    driver_chaos_let_go(driver, now_ns);
    while ((node = heap_peek(&driver->timeouts)) && node->key <= now_ns) {
        struct driver_attempt *attempt = container_of(node, struct driver_attempt, timeout);
        heap_remove(&driver->timeouts, node);
        attempt->is_timed_out = true;
        transport_abort(driver->config.transport, &attempt->run);
    }
}

void driver_attempts_abort_all(struct driver *driver)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&driver->attempts, &cursor)))
        call_off(driver, entry->value);
    driver_chaos_abort_all(driver);
}
