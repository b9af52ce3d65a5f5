/* A run is in one of three places: with its holder (who will answer), also in `called_off` (the driver gave it up), or with
 * its holder alone (the driver has had its result). `shared` lives until transport and all holders are gone. */
#include "sdk/test_transport.h"

#include "base/check.h"
#include "base/error.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct shared {
    pthread_mutex_t lock;
    pthread_cond_t work;
    atomic_size_t n_owners;      /* the transport, and each run with its holder */
    struct driver *inline_driver; /* NULL, or whose turn is taken by whoever answers; constant once there are runs */
    struct list called_off;      /* transport_run.node */
    bool is_stopping;
};

struct raw_run {
    dr_run base;
    struct shared *shared;
    struct transport_run *run;   /* NULL once the driver has, or will get, its result from elsewhere; under the lock */
    uint8_t *request;
    size_t len;
};

struct test_transport {
    struct transport base;
    struct shared *shared;
    dr_run_handler *handler;
    void *arg;
    pthread_t thread;            /* answers what was called off */
};

static struct test_transport *raw_of(struct transport *transport)
{
    return container_of(transport, struct test_transport, base);
}

static struct raw_run *run_of(const dr_run *run)
{
    return (struct raw_run *)(uintptr_t)run; /* its first member */
}

static void shared_release(struct shared *shared)
{
    if (atomic_fetch_sub(&shared->n_owners, 1) > 1)
        return;
    pthread_mutex_destroy(&shared->lock);
    pthread_cond_destroy(&shared->work);
    mem_free(shared);
}

/* ---- the holder's side ---- */

static struct slice raw_request(const dr_run *run)
{
    return slice_of(run_of(run)->request, run_of(run)->len);
}

static const struct http_exchange *raw_exchange(const dr_run *run)
{
    (void)run;
    return NULL;
}

/* The driver's run, for whoever answers it first; NULL for all others. */
static struct transport_run *take_run(struct raw_run *raw)
{
    pthread_mutex_lock(&raw->shared->lock);
    struct transport_run *run = raw->run;
    raw->run = NULL;
    if (run)
        run->handle = 0;
    pthread_mutex_unlock(&raw->shared->lock);
    return run;
}

static void answer(struct raw_run *raw, struct transport_run *run, struct transport_result *result)
{
    /* The driver lives: it waits for this result. */
    struct driver *driver = run ? raw->shared->inline_driver : NULL;
    bool has_turn = driver && driver_turn_begin(driver);
    if (run)
        run->on_done(run->arg, run, result);
    if (has_turn)
        driver_turn_end(driver);
    mem_free(raw->request);
    shared_release(raw->shared);
    mem_free(raw);
}

static void raw_respond(dr_run *base, struct slice response)
{
    struct raw_run *raw = run_of(base);
    struct transport_run *run = take_run(raw);
    struct transport_result result = {.status = DR_STATUS_OK, .len = response.len};
    if (run && response.len > 0) {
        result.body = mem_alloc(response.len);
        if (result.body)
            memcpy(result.body, response.data, response.len);
        else
            transport_result_fail(&result, DR_STATUS_TEMPORARY_ERROR, run->endpoint, "out of memory");
    }
    answer(raw, run, &result);
}

static dr_status status_of_refusal(dr_code code)
{
    switch (code) {
    case DR_NOT_FOUND: return DR_STATUS_NOT_FOUND;
    case DR_INVALID_ARGUMENT: return DR_STATUS_INVALID_ARGUMENT;
    case DR_UNAUTHENTICATED: return DR_STATUS_UNAUTHENTICATED;
    case DR_PERMISSION_DENIED: return DR_STATUS_PERMISSION_DENIED;
    default: return DR_STATUS_TEMPORARY_ERROR;
    }
}

static void raw_refuse(dr_run *base, dr_code code, const char *message)
{
    struct raw_run *raw = run_of(base);
    struct transport_run *run = take_run(raw);
    struct transport_result result = {0};
    if (run)
        transport_result_fail(&result, status_of_refusal(code), run->endpoint, "%s", message);
    answer(raw, run, &result);
}

static const struct raw_methods METHODS = {
    .request = raw_request, .exchange = raw_exchange, .respond = raw_respond, .refuse = raw_refuse};

/* ---- the driver's side ---- */

static void raw_start(struct transport *transport, struct transport_run *run)
{
    struct test_transport *self = raw_of(transport);
    struct raw_run *raw = mem_zalloc(sizeof *raw);
    uint8_t *request = run->request;
    run->request = NULL;
    if (!raw) {
        struct transport_result result = {0};
        mem_free(request);
        transport_result_fail(&result, DR_STATUS_TEMPORARY_ERROR, run->endpoint, "out of memory");
        run->on_done(run->arg, run, &result);
        return;
    }
    *raw = (struct raw_run){.base = {&METHODS}, .shared = self->shared, .run = run, .request = request,
                            .len = run->request_len};
    atomic_fetch_add(&self->shared->n_owners, 1);
    run->handle = (uintptr_t)raw;
    self->handler(self->arg, &raw->base);
}

static void raw_abort(struct transport *transport, struct transport_run *run)
{
    struct shared *shared = raw_of(transport)->shared;
    pthread_mutex_lock(&shared->lock);
    struct raw_run *raw = (struct raw_run *)(uintptr_t)run->handle;
    if (raw) {
        raw->run = NULL;
        run->handle = 0;
        run->is_aborted = true;
        list_push_back(&shared->called_off, &run->node);
        pthread_cond_signal(&shared->work);
    }
    pthread_mutex_unlock(&shared->lock);
}

static void *answer_called_off(void *arg)
{
    struct shared *shared = arg;
    pthread_mutex_lock(&shared->lock);
    for (;;) {
        struct list *node = list_pop_front(&shared->called_off);
        if (!node && shared->is_stopping)
            break;
        if (!node) {
            pthread_cond_wait(&shared->work, &shared->lock);
            continue;
        }
        struct transport_run *run = container_of(node, struct transport_run, node);
        pthread_mutex_unlock(&shared->lock);
        struct transport_result result = {0};
        transport_result_fail(&result, DR_STATUS_TIMEOUT, run->endpoint, "the attempt was called off");
        run->on_done(run->arg, run, &result);
        pthread_mutex_lock(&shared->lock);
    }
    pthread_mutex_unlock(&shared->lock);
    return NULL;
}

static void raw_destroy(struct transport *transport)
{
    struct test_transport *self = raw_of(transport);
    pthread_mutex_lock(&self->shared->lock);
    CHECK(list_is_empty(&self->shared->called_off));
    self->shared->is_stopping = true;
    pthread_cond_signal(&self->shared->work);
    pthread_mutex_unlock(&self->shared->lock);
    pthread_join(self->thread, NULL);
    shared_release(self->shared);
    mem_free(self);
}

static const struct transport_methods TRANSPORT_METHODS = {
    .start = raw_start, .abort = raw_abort, .destroy = raw_destroy};

void test_transport_set_inline(struct transport *transport, struct driver *driver)
{
    raw_of(transport)->shared->inline_driver = driver;
}

dr_code test_transport_create(dr_run_handler *handler, void *arg, struct transport **ret_transport, struct dr_error *error)
{
    struct test_transport *self = mem_zalloc(sizeof *self);
    struct shared *shared = mem_zalloc(sizeof *shared);
    if (!self || !shared) {
        mem_free(self);
        mem_free(shared);
        return error_set(error, DR_NO_MEMORY, "test server: out of memory");
    }
    pthread_mutex_init(&shared->lock, NULL);
    pthread_cond_init(&shared->work, NULL);
    atomic_init(&shared->n_owners, 1);
    list_init(&shared->called_off);
    *self = (struct test_transport){.base = {&TRANSPORT_METHODS}, .shared = shared, .handler = handler, .arg = arg};
    if (pthread_create(&self->thread, NULL, answer_called_off, shared) != 0) {
        shared_release(shared);
        mem_free(self);
        return error_set(error, DR_RESOURCE_EXHAUSTED, "test server: no thread can be started");
    }
    *ret_transport = &self->base;
    return DR_OK;
}
