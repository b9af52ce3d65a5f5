/* The pool of transport_local.h. One lock; handlers and on_done run outside it.
 *
 * A run waits in `queue`, executes as the `run` of a worker's job, or is in `aborted`. Abort takes it from wherever it
 * is; its result then comes from a thread of its own, since all workers may be busy in handlers that never end. */
#include "server/transport_local.h"

#include "base/check.h"
#include "base/error.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { HANDLE_NONE = 0, HANDLE_QUEUED, HANDLE_RUNNING, HANDLE_ABORTED, HANDLE_ANSWERED };

struct endpoint {
    struct list node;
    char *text;
    size_t len;
    transport_local_fn *run;
    void *arg;
    unsigned n_inside; /* handlers executing */
};

/* What one worker executes. */
struct job {
    struct list node;
    struct transport_run *run; /* NULL when aborted meanwhile */
};

struct local {
    struct transport base;
    pthread_mutex_t lock;
    pthread_cond_t work;      /* queue or is_stopping changed */
    pthread_cond_t left;      /* a handler returned */
    pthread_cond_t abort_work;
    struct list queue;        /* transport_run.node */
    struct list aborted;      /* transport_run.node */
    struct list jobs;         /* job.node */
    struct list endpoints;
    unsigned n_threads;
    unsigned n_threads_max;
    unsigned n_idle;
    unsigned n_queued;
    bool is_stopping;
    bool has_aborter;
    pthread_t aborter;
    pthread_t threads[TRANSPORT_LOCAL_THREADS_MAX];
};

static struct local *local_of(struct transport *transport) { return container_of(transport, struct local, base); }

static struct slice without_slash(struct slice endpoint)
{
    while (endpoint.len > 0 && endpoint.data[endpoint.len - 1] == '/')
        endpoint.len--;
    return endpoint;
}

static struct endpoint *find_endpoint(struct local *local, struct slice text)
{
    text = without_slash(text);
    for (struct list *node = local->endpoints.next; node != &local->endpoints; node = node->next) {
        struct endpoint *endpoint = container_of(node, struct endpoint, node);
        if (slice_equal(slice_of(endpoint->text, endpoint->len), text))
            return endpoint;
    }
    return NULL;
}

/* Calls the handler outside the lock; entered and left with it held. */
static void call_handler(struct local *local, struct endpoint *endpoint, struct slice request,
                         struct transport_local_reply *reply)
{
    endpoint->n_inside++;
    pthread_mutex_unlock(&local->lock);
    endpoint->run(endpoint->arg, request, reply);
    pthread_mutex_lock(&local->lock);
    endpoint->n_inside--;
    pthread_cond_broadcast(&local->left);
}

static void fill_result(struct transport_result *result, struct transport_run *run, bool is_known,
                        struct transport_local_reply *reply)
{
    if (!is_known) {
        transport_result_fail(result, DR_STATUS_TCP_ERROR, run->endpoint, "nothing serves this endpoint");
        return;
    }
    if (reply->status != DR_STATUS_OK) {
        transport_result_fail(result, reply->status, run->endpoint, "%s", reply->message);
        return;
    }
    result->status = DR_STATUS_OK;
    result->body = reply->body;
    result->len = reply->len;
    reply->body = NULL;
}

/* One run from the queue to its result; entered and left with the lock held. */
static void execute(struct local *local, struct transport_run *run)
{
    struct job job = {.run = run};
    uint8_t *request = run->request;
    size_t request_len = run->request_len;
    run->request = NULL;
    run->handle = HANDLE_RUNNING;
    list_push_back(&local->jobs, &job.node);

    struct transport_local_reply reply = {.status = DR_STATUS_OK};
    struct endpoint *endpoint = find_endpoint(local, run->endpoint);
    if (endpoint)
        call_handler(local, endpoint, slice_of(request, request_len), &reply);
    list_remove(&job.node);
    run = job.run;
    if (run)
        run->handle = HANDLE_ANSWERED;
    pthread_mutex_unlock(&local->lock);

    if (run) {
        struct transport_result result = {0};
        fill_result(&result, run, endpoint != NULL, &reply);
        run->on_done(run->arg, run, &result);
    }
    mem_free(reply.body);
    mem_free(request);
    pthread_mutex_lock(&local->lock);
}

static void *work(void *arg)
{
    struct local *local = arg;
    pthread_mutex_lock(&local->lock);
    for (;;) {
        struct list *node = list_pop_front(&local->queue);
        if (node) {
            local->n_queued--;
            execute(local, container_of(node, struct transport_run, node));
            continue;
        }
        if (local->is_stopping)
            break;
        local->n_idle++;
        pthread_cond_wait(&local->work, &local->lock);
        local->n_idle--;
    }
    pthread_mutex_unlock(&local->lock);
    return NULL;
}

static void *answer_aborted(void *arg)
{
    struct local *local = arg;
    pthread_mutex_lock(&local->lock);
    for (;;) {
        struct list *node = list_pop_front(&local->aborted);
        if (!node && local->is_stopping)
            break;
        if (!node) {
            pthread_cond_wait(&local->abort_work, &local->lock);
            continue;
        }
        struct transport_run *run = container_of(node, struct transport_run, node);
        run->handle = HANDLE_ANSWERED;
        uint8_t *request = run->request;
        run->request = NULL;
        pthread_mutex_unlock(&local->lock);
        struct transport_result result = {0};
        transport_result_fail(&result, DR_STATUS_TIMEOUT, run->endpoint, "the attempt was called off");
        mem_free(request);
        run->on_done(run->arg, run, &result);
        pthread_mutex_lock(&local->lock);
    }
    pthread_mutex_unlock(&local->lock);
    return NULL;
}

static void fail_at_once(struct transport_run *run)
{
    struct transport_result result = {0};
    uint8_t *request = run->request;
    run->request = NULL;
    mem_free(request);
    transport_result_fail(&result, DR_STATUS_TEMPORARY_ERROR, run->endpoint, "no thread can be started");
    run->on_done(run->arg, run, &result);
}

static void local_start(struct transport *transport, struct transport_run *run)
{
    struct local *local = local_of(transport);
    pthread_mutex_lock(&local->lock);
    CHECK(!local->is_stopping);
    run->handle = HANDLE_QUEUED;
    list_push_back(&local->queue, &run->node);
    local->n_queued++;
    /* Not "none is idle": an idle thread may have been woken for the run before this one. */
    bool wants_thread = local->n_queued > local->n_idle && local->n_threads < local->n_threads_max;
    if (wants_thread && pthread_create(&local->threads[local->n_threads], NULL, work, local) == 0)
        local->n_threads++;
    bool has_nobody = local->n_threads == 0;
    if (has_nobody) {
        list_remove(&run->node);
        local->n_queued--;
        run->handle = HANDLE_ANSWERED;
    }
    pthread_cond_signal(&local->work);
    pthread_mutex_unlock(&local->lock);
    if (has_nobody)
        fail_at_once(run);
}

static void local_abort(struct transport *transport, struct transport_run *run)
{
    struct local *local = local_of(transport);
    pthread_mutex_lock(&local->lock);
    if (run->handle == HANDLE_QUEUED || run->handle == HANDLE_RUNNING) {
        if (!local->has_aborter)
            local->has_aborter = pthread_create(&local->aborter, NULL, answer_aborted, local) == 0;
        if (!local->has_aborter) { /* then it ends by itself */
            pthread_mutex_unlock(&local->lock);
            return;
        }
        for (struct list *node = local->jobs.next; node != &local->jobs; node = node->next) {
            struct job *job = container_of(node, struct job, node);
            if (job->run == run)
                job->run = NULL;
        }
        if (run->handle == HANDLE_QUEUED)
            local->n_queued--;
        list_remove(&run->node);
        run->handle = HANDLE_ABORTED;
        run->is_aborted = true;
        list_push_back(&local->aborted, &run->node);
        pthread_cond_signal(&local->abort_work);
    }
    pthread_mutex_unlock(&local->lock);
}

static void free_endpoint(struct endpoint *endpoint)
{
    list_remove(&endpoint->node);
    mem_free(endpoint->text);
    mem_free(endpoint);
}

static void local_destroy(struct transport *transport)
{
    struct local *local = local_of(transport);
    pthread_mutex_lock(&local->lock);
    CHECK(list_is_empty(&local->queue));
    local->is_stopping = true;
    pthread_cond_broadcast(&local->work);
    pthread_cond_broadcast(&local->abort_work);
    pthread_mutex_unlock(&local->lock);
    for (unsigned i = 0; i < local->n_threads; i++)
        pthread_join(local->threads[i], NULL);
    if (local->has_aborter)
        pthread_join(local->aborter, NULL);
    while (!list_is_empty(&local->endpoints))
        free_endpoint(container_of(local->endpoints.next, struct endpoint, node));
    pthread_cond_destroy(&local->work);
    pthread_cond_destroy(&local->left);
    pthread_cond_destroy(&local->abort_work);
    pthread_mutex_destroy(&local->lock);
    mem_free(local);
}

static const struct transport_methods local_methods = {
    .start = local_start, .abort = local_abort, .destroy = local_destroy};

struct transport *transport_local_create(unsigned n_threads_max)
{
    struct local *local = mem_must_zalloc(sizeof *local);
    local->base.methods = &local_methods;
    if (n_threads_max == 0)
        n_threads_max = TRANSPORT_LOCAL_THREADS_DEFAULT;
    if (n_threads_max > TRANSPORT_LOCAL_THREADS_MAX)
        n_threads_max = TRANSPORT_LOCAL_THREADS_MAX;
    local->n_threads_max = n_threads_max;
    pthread_mutex_init(&local->lock, NULL);
    pthread_cond_init(&local->work, NULL);
    pthread_cond_init(&local->left, NULL);
    pthread_cond_init(&local->abort_work, NULL);
    list_init(&local->queue);
    list_init(&local->aborted);
    list_init(&local->jobs);
    list_init(&local->endpoints);
    return &local->base;
}

dr_code transport_local_add(struct transport *transport, struct slice endpoint, transport_local_fn *run, void *arg,
                            struct dr_error *error)
{
    struct local *local = local_of(transport);
    endpoint = without_slash(endpoint);
    pthread_mutex_lock(&local->lock);
    bool is_taken = find_endpoint(local, endpoint) != NULL;
    if (!is_taken) {
        struct endpoint *added = mem_must_zalloc(sizeof *added);
        added->text = mem_must_alloc(endpoint.len + 1);
        if (endpoint.len > 0)
            memcpy(added->text, endpoint.data, endpoint.len);
        added->text[endpoint.len] = '\0';
        added->len = endpoint.len;
        added->run = run;
        added->arg = arg;
        list_push_back(&local->endpoints, &added->node);
    }
    pthread_mutex_unlock(&local->lock);
    if (is_taken)
        return error_set(error, DR_ALREADY_EXISTS, "endpoint %.*s is served already", (int)endpoint.len,
                         (const char *)endpoint.data);
    return DR_OK;
}

void transport_local_remove(struct transport *transport, struct slice text)
{
    struct local *local = local_of(transport);
    pthread_mutex_lock(&local->lock);
    struct endpoint *endpoint = find_endpoint(local, text);
    if (endpoint) {
        /* Out of the table first, so that no new run gets in while the old ones leave. */
        list_remove(&endpoint->node);
        while (endpoint->n_inside > 0)
            pthread_cond_wait(&local->left, &local->lock);
        free_endpoint(endpoint);
    }
    pthread_mutex_unlock(&local->lock);
}
