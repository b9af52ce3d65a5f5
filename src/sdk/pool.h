/* A pool of threads for functions that may block: a bounded queue of jobs, first come, first served. */
#ifndef SDK_POOL_H
#define SDK_POOL_H

#include <dispatchrun/error.h>

struct pool;

#define POOL_JOBS_MAX 10000u

/* DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (no threads). */
dr_code pool_create(unsigned n_threads, void (*run)(void *owner, void *job), void *owner, struct pool **ret_pool,
                    struct dr_error *error);
/* DR_RESOURCE_EXHAUSTED past POOL_JOBS_MAX, DR_NO_MEMORY: the job was not taken. Any thread. */
dr_code pool_push(struct pool *pool, void *job);
/* Works off what is there, then ends the threads. Accepts NULL. */
void pool_destroy(struct pool *pool);

#endif
