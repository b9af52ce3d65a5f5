#include "store/store_queue.h"

#include "base/check.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
#define GROUP_BATCHES_MAX 1024
#define TELL_AGAIN_MS 60000

struct entry {
    struct list node;
    struct list look; /* among the queue's looks; else alone */
    struct batch *batch; /* NULL = a job */
    store_commit_fn *on_done;
    store_job_fn *job;
    void *arg;
};

struct store_queue {
    struct store_queue_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list entries; /* under lock */
    struct list looks; /* under lock: jobs that may overtake, of `entries` and of what the thread has taken from it */
    bool is_stopping; /* under lock */
    bool is_working; /* under lock: somebody uses the store */
    atomic_size_t depth;
    bool is_in_trouble; /* queue thread only */
    long silent_ms; /* queue thread only: since trouble was told */
    dr_code given_up; /* queue thread only: why commits are no longer tried */
};

static void push(struct store_queue *queue, struct entry entry, bool is_look)
{
    struct entry *copy = mem_must_alloc(sizeof *copy);
    *copy = entry;
    list_init(&copy->look);
    atomic_fetch_add(&queue->depth, 1);
    pthread_mutex_lock(&queue->lock);
    CHECK(!queue->is_stopping);
    bool was_empty = list_is_empty(&queue->entries);
    list_push_back(&queue->entries, &copy->node);
    if (is_look)
        list_push_back(&queue->looks, &copy->look);
    pthread_mutex_unlock(&queue->lock);
    if (was_empty || is_look)
        pthread_cond_signal(&queue->changed);
}

/* Under lock, which it leaves meanwhile: the store is the caller's. */
static void begin_work(struct store_queue *queue)
{
    queue->is_working = true;
    pthread_mutex_unlock(&queue->lock);
}

static void end_work(struct store_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->is_working = false;
    bool has_more = !list_is_empty(&queue->entries) || queue->is_stopping;
    pthread_mutex_unlock(&queue->lock);
    if (has_more)
        pthread_cond_signal(&queue->changed);
}

/* A commit that waits for nothing is made by who hands it in, if nothing stands before it: two changes of threads less.
 * False: it is the thread's after all. */
static bool commit_here(struct store_queue *queue, struct batch *batch, store_commit_fn *on_done, void *arg)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->config.store->is_instant || queue->is_working || !list_is_empty(&queue->entries)) {
        pthread_mutex_unlock(&queue->lock);
        return false;
    }
    begin_work(queue);
    struct dr_error error = {0}; /* told when the thread's own try fails, too */
    dr_code code = store_commit(queue->config.store, &batch, 1, &error);
    if (code == DR_OK) {
        uint64_t sequence = batch->sequence;
        batch_destroy(batch);
        if (on_done)
            on_done(arg, sequence, DR_OK);
    }
    end_work(queue);
    return code == DR_OK;
}

void store_queue_commit(struct store_queue *queue, struct batch *batch, store_commit_fn *on_done, void *arg)
{
    CHECK(batch);
    if (commit_here(queue, batch, on_done, arg))
        return;
    push(queue, (struct entry){.batch = batch, .on_done = on_done, .arg = arg}, false);
}

void store_queue_run(struct store_queue *queue, store_job_fn *job, void *arg)
{
    push(queue, (struct entry){.job = job, .arg = arg}, false);
}

void store_queue_look(struct store_queue *queue, store_job_fn *job, void *arg)
{
    push(queue, (struct entry){.job = job, .arg = arg}, true);
}

size_t store_queue_depth(const struct store_queue *queue)
{
    return atomic_load(&queue->depth);
}

static void tell_trouble(struct store_queue *queue, dr_code code, const char *message)
{
    bool is_in_trouble = code != DR_OK;
    if (is_in_trouble == queue->is_in_trouble && (!is_in_trouble || queue->silent_ms < TELL_AGAIN_MS))
        return;
    queue->is_in_trouble = is_in_trouble;
    queue->silent_ms = 0;
    if (queue->config.on_trouble)
        queue->config.on_trouble(queue->config.trouble_arg, code, message);
}

static void finish(struct store_queue *queue, struct entry *entry)
{
    mem_free(entry);
    atomic_fetch_sub(&queue->depth, 1);
}

/* Under lock, which it leaves meanwhile. False when there is none. */
static bool look_once(struct store_queue *queue)
{
    struct list *node = list_pop_front(&queue->looks);
    if (!node)
        return false;
    struct entry *entry = container_of(node, struct entry, look);
    list_remove(&entry->node);
    pthread_mutex_unlock(&queue->lock);
    entry->job(queue->config.store, entry->arg);
    finish(queue, entry);
    pthread_mutex_lock(&queue->lock);
    return true;
}

/* People may look meanwhile. True when the queue is being stopped. */
static bool pause_ms(struct store_queue *queue, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&queue->lock);
    int waited = 0;
    while (!queue->is_stopping && waited == 0) {
        if (!look_once(queue))
            waited = pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    }
    bool is_stopping = queue->is_stopping;
    pthread_mutex_unlock(&queue->lock);
    return is_stopping;
}

static dr_code commit_until_it_works(struct store_queue *queue, struct batch **batches, size_t n)
{
    long ms = RETRY_FIRST_MS;
    while (!queue->given_up) {
        struct dr_error error = {0};
        dr_code code = store_commit(queue->config.store, batches, n, &error);
        tell_trouble(queue, code, error.message);
        if (code == DR_OK)
            return DR_OK;
        if (pause_ms(queue, ms))
            queue->given_up = code;
        queue->silent_ms += ms;
        ms = ms * 2 < RETRY_MAX_MS ? ms * 2 : RETRY_MAX_MS;
    }
    return queue->given_up;
}

static size_t batch_bytes(const struct batch *batch)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->n_ops; i++)
        bytes += store_record_bytes(&batch->ops[i].record);
    return bytes;
}

/* Commits the batches at the head of the list, all that stand together. */
static void commit_group(struct store_queue *queue, struct list *entries)
{
    struct batch *batches[GROUP_BATCHES_MAX];
    struct entry *group[GROUP_BATCHES_MAX];
    size_t n = 0, n_ops = 0, n_bytes = 0;
    while (!list_is_empty(entries) && n < GROUP_BATCHES_MAX) {
        struct entry *entry = container_of(entries->next, struct entry, node);
        if (!entry->batch)
            break;
        n_ops += entry->batch->n_ops;
        n_bytes += batch_bytes(entry->batch);
        if (n > 0 && (n_ops > STORE_QUEUE_GROUP_OPS || n_bytes > STORE_QUEUE_GROUP_BYTES))
            break;
        list_remove(&entry->node);
        batches[n] = entry->batch;
        group[n++] = entry;
    }
    dr_code code = commit_until_it_works(queue, batches, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t sequence = batches[i]->sequence;
        batch_destroy(batches[i]);
        if (group[i]->on_done)
            group[i]->on_done(group[i]->arg, sequence, code);
        finish(queue, group[i]);
    }
}

static void work_off(struct store_queue *queue, struct list *entries)
{
    while (!list_is_empty(entries)) {
        struct entry *entry = container_of(entries->next, struct entry, node);
        if (entry->batch) {
            commit_group(queue, entries);
            continue;
        }
        list_remove(&entry->node);
        pthread_mutex_lock(&queue->lock);
        list_remove(&entry->look);
        pthread_mutex_unlock(&queue->lock);
        entry->job(queue->config.store, entry->arg);
        finish(queue, entry);
    }
}

static void *run(void *arg)
{
    struct store_queue *queue = arg;
    (void)pthread_setname_np(pthread_self(), "store");
    for (;;) {
        struct list taken;
        list_init(&taken);
        pthread_mutex_lock(&queue->lock);
        while (queue->is_working || (list_is_empty(&queue->entries) && !queue->is_stopping))
            pthread_cond_wait(&queue->changed, &queue->lock);
        bool is_over = list_is_empty(&queue->entries);
        struct list *node;
        while ((node = list_pop_front(&queue->entries)))
            list_push_back(&taken, node);
        begin_work(queue);
        if (!is_over)
            work_off(queue, &taken);
        end_work(queue);
        if (is_over)
            return NULL;
    }
}

dr_code store_queue_start(const struct store_queue_config *config, struct store_queue **ret_queue,
                          struct dr_error *error)
{
    struct store_queue *queue = mem_zalloc(sizeof *queue);
    if (!queue)
        return error_set(error, DR_NO_MEMORY, "start the store: out of memory");
    queue->config = *config;
    list_init(&queue->entries);
    list_init(&queue->looks);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int failure = pthread_create(&queue->thread, NULL, run, queue);
    if (failure) {
        pthread_cond_destroy(&queue->changed);
        pthread_mutex_destroy(&queue->lock);
        mem_free(queue);
        return error_set(error, DR_RESOURCE_EXHAUSTED, "start the store's thread: %s", strerror(failure));
    }
    *ret_queue = queue;
    return DR_OK;
}

void store_queue_stop(struct store_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->is_stopping = true;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->changed);
    pthread_join(queue->thread, NULL);
    CHECK(list_is_empty(&queue->entries));
    store_close(queue->config.store);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    mem_free(queue);
}
