/* Requests that the engine answers: submit, wait, cancel. A submit and a cancel are known to the engine by the address
 * of their object, which lives until the answer; a wait by a number, because it may be abandoned after its answer. */
#include "server/driver_private.h"

#include "wire/wire.h"

struct submit_request {
    struct driver_event event;
    struct list node;          /* in driver.submits */
    struct driver_submit submit;
};

struct wait_request {
    struct driver_event event;
    uint64_t token;
    struct driver_wait wait;
};

struct abandon_request {
    struct driver_event event;
    uint64_t token;
};

struct cancel_request {
    struct driver_event event;
    struct list node;          /* in driver.asks */
    uint32_t project;
    struct id id;
    driver_cancel_fn *on_done;
    void *arg;
};

static const char stopping[] = "the server is stopping";

static uint64_t token_of(void *object) { return (uint64_t)(uintptr_t)object; }
static void *object_of(uint64_t token) { return (void *)(uintptr_t)token; }

static struct id wait_key(uint64_t token)
{
    struct id key = {{0}};
    memcpy(key.bytes, &token, sizeof token);
    key.bytes[ID_BYTES - 1] = 1; /* the none id is no key */
    return key;
}

dr_code driver_check_accepting(const struct driver *driver, struct dr_error *error)
{
    if (driver->phase > DRIVER_RUNNING)
        return error_set(error, DR_UNAVAILABLE, "%s", stopping);
    return DR_OK;
}

/* ---- submit ------------------------------------------------------------------------------------------------------ */

static void release(struct submit_request *request)
{
    if (request->submit.release)
        request->submit.release(request->submit.owner);
    request->submit.release = NULL;
}

static void handle_submit(struct driver *driver, struct driver_event *event)
{
    struct submit_request *request = container_of(event, struct submit_request, event);
    list_push_back(&driver->submits, &request->node);
    driver->submitting = request;
    driver_step(driver, &(struct engine_event){
        .kind = ENGINE_SUBMIT,
        .submit = {.token = token_of(request),
                   .project = request->submit.project,
                   .calls = request->submit.request->calls,
                   .n_calls = request->submit.request->n_calls}});
    /* A refusal was answered inside, and `request` is gone. */
    if (driver->submitting)
        release(request);
    driver->submitting = NULL;
}

static void answer_submit(struct driver *driver, struct submit_request *request, dr_code code, const char *message,
                          const struct id *ids, size_t n_ids)
{
    list_remove(&request->node);
    if (driver->submitting == request)
        driver->submitting = NULL;
    release(request);
    pthread_mutex_lock(&driver->lock);
    driver->n_submits--;
    driver->submit_bytes -= request->submit.n_bytes;
    pthread_mutex_unlock(&driver->lock);
    request->submit.on_done(request->submit.arg, code, code ? message : NULL, ids, n_ids);
    mem_free(request);
}

void driver_answer_submit(struct driver *driver, const struct engine_effect *effect)
{
    answer_submit(driver, object_of(effect->answer.token), effect->answer.code, effect->answer.message,
                  effect->answer.ids, effect->answer.n_ids);
}

static dr_code count_submit(struct driver *driver, size_t n_bytes, struct dr_error *error)
{
    dr_code code = driver_check_accepting(driver, error);
    if (code)
        return code;
    if (driver->is_store_troubled) /* those that came before wait for it; more would only fill the memory */
        return error_set(error, DR_UNAVAILABLE, "the store fails, nothing can be recorded now; try again later");
    if (driver->n_submits >= driver->config.submits_max)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "%u requests wait to be recorded, try again later",
                         driver->n_submits);
    if (driver->n_submits > 0 && driver->submit_bytes + n_bytes > driver->config.submit_bytes_max)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "requests of %zu bytes wait to be recorded, try again later",
                         driver->submit_bytes);
    driver->n_submits++;
    driver->submit_bytes += n_bytes;
    return DR_OK;
}

dr_code driver_submit(struct driver *driver, const struct driver_submit *submit, struct dr_error *error)
{
    struct submit_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    request->event.handle = handle_submit;
    list_init(&request->node);
    request->submit = *submit;
    pthread_mutex_lock(&driver->lock);
    dr_code code = count_submit(driver, submit->n_bytes, error);
    if (!code)
        driver_post_locked(driver, &request->event);
    pthread_mutex_unlock(&driver->lock);
    if (code)
        mem_free(request);
    return code;
}

/* ---- wait -------------------------------------------------------------------------------------------------------- */

static void answer_wait(struct driver *driver, struct wait_request *request, dr_code code, const char *message,
                        const struct call_record *record)
{
    CHECK(map_remove(&driver->waits, wait_key(request->token)) == request);
    pthread_mutex_lock(&driver->lock);
    driver->n_waits--;
    /* Nobody waits any more, before whoever waited is woken: a virtual clock must not jump in between. */
    if (driver->config.clock == DRIVER_CLOCK_VIRTUAL)
        driver->virtual_clock.n_waits--;
    pthread_mutex_unlock(&driver->lock);
    request->wait.on_done(request->wait.arg, code, code ? message : NULL, code ? NULL : record);
    mem_free(request);
}

static void handle_wait(struct driver *driver, struct driver_event *event)
{
    struct wait_request *request = container_of(event, struct wait_request, event);
    CHECK(map_put(&driver->waits, wait_key(request->token), request) == DR_OK);
    struct driver_wait *wait = &request->wait;
    uint64_t token = request->token; /* an answer inside the step frees the request */
    bool is_endless = wait->timeout_ns == TIME_NEVER;
    driver_step(driver, &(struct engine_event){
        .kind = ENGINE_WAIT,
        .ask = {.token = request->token, .project = wait->project, .id = wait->id,
                .deadline_ns = is_endless ? TIME_NEVER : time_add(driver_now_ns(driver), wait->timeout_ns)}});
    if (map_get(&driver->waits, wait_key(token)))
        driver_wait_look(driver, token, wait);
}

void driver_answer_wait(struct driver *driver, const struct engine_effect *effect)
{
    struct wait_request *request = map_get(&driver->waits, wait_key(effect->answer.token));
    if (request)
        answer_wait(driver, request, effect->answer.code, effect->answer.message, effect->answer.record);
}

void driver_wait_end(struct driver *driver, uint64_t token, dr_code code, const char *message,
                     const struct call_record *record)
{
    struct wait_request *request = map_get(&driver->waits, wait_key(token));
    if (!request)
        return;
    answer_wait(driver, request, code, message, record);
    driver_step(driver, &(struct engine_event){.kind = ENGINE_WAIT_ABANDONED, .ask = {.token = token}});
}

void driver_waits_look(struct driver *driver, struct driver_event *event)
{
    (void)event;
    pthread_mutex_lock(&driver->lock);
    driver->is_trouble_posted = false;
    pthread_mutex_unlock(&driver->lock);
    struct map_entry *entry;
    size_t cursor = 0;
    while ((entry = map_next(&driver->waits, &cursor))) {
        struct wait_request *request = entry->value;
        driver_wait_look(driver, request->token, &request->wait);
    }
}

static void handle_abandon(struct driver *driver, struct driver_event *event)
{
    struct abandon_request *request = container_of(event, struct abandon_request, event);
    driver_wait_end(driver, request->token, DR_CANCELED, "the waiter left", NULL);
    mem_free(request);
}

void driver_waits_refuse(struct driver *driver)
{
    struct map_entry *entry;
    size_t cursor = 0;
    while ((entry = map_next(&driver->waits, &cursor))) {
        struct wait_request *request = entry->value;
        driver_wait_end(driver, request->token, DR_UNAVAILABLE, stopping, NULL);
        cursor = 0; /* the map has changed */
    }
}

dr_code driver_wait(struct driver *driver, const struct driver_wait *wait, uint64_t *ret_token, struct dr_error *error)
{
    struct wait_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    request->event.handle = handle_wait;
    request->wait = *wait;
    pthread_mutex_lock(&driver->lock);
    dr_code code = driver_check_accepting(driver, error);
    if (!code && driver->n_waits >= driver->waits_max)
        code = error_set(error, DR_RESOURCE_EXHAUSTED, "%u waiters already, try again later", driver->n_waits);
    if (!code) {
        request->token = ++driver->last_token;
        if (ret_token)
            *ret_token = request->token;
        driver->n_waits++;
        if (driver->config.clock == DRIVER_CLOCK_VIRTUAL)
            driver->virtual_clock.n_waits++;
        driver_post_locked(driver, &request->event);
    }
    pthread_mutex_unlock(&driver->lock);
    if (code)
        mem_free(request);
    return code;
}

void driver_wait_abandon(struct driver *driver, uint64_t token)
{
    struct abandon_request *request = mem_must_zalloc(sizeof *request);
    request->event.handle = handle_abandon;
    request->token = token;
    pthread_mutex_lock(&driver->lock);
    /* A stop answers all waits by itself, and its last look at the inbox may be over. */
    bool is_accepting = driver_check_accepting(driver, NULL) == DR_OK;
    if (is_accepting)
        driver_post_locked(driver, &request->event);
    pthread_mutex_unlock(&driver->lock);
    if (!is_accepting)
        mem_free(request);
}

/* ---- cancel ------------------------------------------------------------------------------------------------------ */

static void answer_cancel(struct driver *driver, struct cancel_request *request, dr_code code, const char *message)
{
    list_remove(&request->node);
    driver_read_done(driver);
    request->on_done(request->arg, code, code ? message : NULL);
    mem_free(request);
}

static void handle_cancel(struct driver *driver, struct driver_event *event)
{
    struct cancel_request *request = container_of(event, struct cancel_request, event);
    list_push_back(&driver->cancels, &request->node);
    driver_step(driver, &(struct engine_event){
        .kind = ENGINE_CANCEL_CALL,
        .ask = {.token = token_of(request), .project = request->project, .id = request->id}});
}

void driver_answer_cancel(struct driver *driver, const struct engine_effect *effect)
{
    answer_cancel(driver, object_of(effect->answer.token), effect->answer.code, effect->answer.message);
}

dr_code driver_cancel(struct driver *driver, uint32_t project, struct id id, driver_cancel_fn *on_done, void *arg,
                      struct dr_error *error)
{
    struct cancel_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    request->event.handle = handle_cancel;
    list_init(&request->node);
    request->project = project;
    request->id = id;
    request->on_done = on_done;
    request->arg = arg;
    dr_code code = driver_read_begin(driver, &request->event, error);
    if (code)
        mem_free(request);
    return code;
}

dr_code driver_read_begin(struct driver *driver, struct driver_event *event, struct dr_error *error)
{
    pthread_mutex_lock(&driver->lock);
    dr_code code = driver_check_accepting(driver, error);
    if (!code && driver->n_reads >= driver->config.reads_max)
        code = error_set(error, DR_RESOURCE_EXHAUSTED, "%u requests wait already, try again later", driver->n_reads);
    if (!code) {
        driver->n_reads++;
        driver_post_locked(driver, event);
    }
    pthread_mutex_unlock(&driver->lock);
    return code;
}

void driver_read_done(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    driver->n_reads--;
    pthread_mutex_unlock(&driver->lock);
}

void driver_unanswered_refuse(struct driver *driver)
{
    CHECK(driver->is_closed); /* the engine knows their tokens still, but is not stepped again */
    struct list *node;
    while (!list_is_empty(&driver->submits)) {
        node = driver->submits.next;
        answer_submit(driver, container_of(node, struct submit_request, node), DR_UNAVAILABLE,
                      "the server stopped before the calls were recorded", NULL, 0);
    }
    while (!list_is_empty(&driver->cancels)) {
        node = driver->cancels.next;
        answer_cancel(driver, container_of(node, struct cancel_request, node), DR_UNAVAILABLE, stopping);
    }
}
