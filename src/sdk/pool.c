#include "sdk/pool.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

struct job {
    struct list node;
    void *job;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list jobs;
    unsigned n_jobs;
    bool is_stopping;
    void (*run)(void *owner, void *job);
    void *owner;
    unsigned n_threads;
    pthread_t threads[];
};

static void *work(void *arg)
{
    struct pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (list_is_empty(&pool->jobs) && !pool->is_stopping)
            pthread_cond_wait(&pool->changed, &pool->lock);
        struct list *node = list_pop_front(&pool->jobs);
        if (!node)
            break;
        pool->n_jobs--;
        pthread_mutex_unlock(&pool->lock);
        struct job *job = container_of(node, struct job, node);
        pool->run(pool->owner, job->job);
        mem_free(job);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

dr_code pool_create(unsigned n_threads, void (*run)(void *owner, void *job), void *owner, struct pool **ret_pool,
                    struct dr_error *error)
{
    struct pool *pool = mem_zalloc(sizeof *pool + n_threads * sizeof(pthread_t));
    if (!pool)
        return error_set(error, DR_NO_MEMORY, "start threads: out of memory");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    list_init(&pool->jobs);
    pool->run = run;
    pool->owner = owner;
    for (unsigned i = 0; i < n_threads; i++) {
        int failure = pthread_create(&pool->threads[i], NULL, work, pool);
        if (failure) {
            pool_destroy(pool);
            return error_set(error, DR_RESOURCE_EXHAUSTED, "start threads: %s", strerror(failure));
        }
        pool->n_threads++;
    }
    *ret_pool = pool;
    return DR_OK;
}

dr_code pool_push(struct pool *pool, void *what)
{
    struct job *job = mem_zalloc(sizeof *job);
    if (!job)
        return DR_NO_MEMORY;
    job->job = what;
    pthread_mutex_lock(&pool->lock);
    bool is_full = pool->n_jobs >= POOL_JOBS_MAX;
    if (!is_full) {
        list_push_back(&pool->jobs, &job->node);
        pool->n_jobs++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_full) {
        mem_free(job);
        return DR_RESOURCE_EXHAUSTED;
    }
    pthread_cond_signal(&pool->changed);
    return DR_OK;
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->changed);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}
