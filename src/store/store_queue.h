/* The asynchronous face of a store: one thread that owns it and works off a queue.
 *
 * Order: jobs and commits are done in the order in which they were pushed, so a job sees every batch pushed
 * before it (but for store_queue_look). Batches that stand next to each other are committed together (group commit), up to
 * STORE_QUEUE_GROUP_OPS operations or STORE_QUEUE_GROUP_BYTES of payload; a batch is never divided. Callbacks
 * run on the queue's thread, in order, and must not block on the queue. A store that is instant (memory) is used by whoever
 * hands in a commit, if nothing stands before that: then the callback comes from inside store_queue_commit.
 *
 * A commit that fails is tried again after 100 ms, 200 ms, ... 5 s, for as long as it takes: its callback
 * only ever says that the batch is durable. Effects wait meanwhile, so nothing acknowledged is lost, and
 * on_trouble tells the operator when it starts, again every minute, and once (DR_OK) when it is over. Only store_queue_stop
 * gives up: then the callbacks of that commit and of all behind it get the error, and none of them is
 * applied, so that the store holds a prefix of the batches.
 *
 * The queue itself is not bounded: what is in it is bounded by the engine's limits; a driver refuses new work
 * while store_queue_depth is above its maximum. An idle queue makes no wake-ups. */
#ifndef STORE_STORE_QUEUE_H
#define STORE_STORE_QUEUE_H

#include "store/store.h"

#define STORE_QUEUE_GROUP_OPS 8192u
#define STORE_QUEUE_GROUP_BYTES 16000000u

struct store_queue;

struct store_queue_config {
    struct store *store; /* taken by a successful store_queue_start; closed by store_queue_stop */
    /* May be NULL. On the queue's thread: DR_OK = commits work again, else what is wrong. */
    void (*on_trouble)(void *arg, dr_code code, const char *message);
    void *trouble_arg;
};

typedef void store_commit_fn(void *arg, uint64_t sequence, dr_code code);
typedef void store_job_fn(struct store *store, void *arg);

/* DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (no thread). */
dr_code store_queue_start(const struct store_queue_config *config, struct store_queue **ret_queue,
                          struct dr_error *error);
/* Takes the batch. on_done once it is durable. Any thread; aborts when out of memory (base/mem.h). */
void store_queue_commit(struct store_queue *queue, struct batch *batch, store_commit_fn *on_done, void *arg);
/* Calls job with the store on the queue's thread. Any thread. */
void store_queue_run(struct store_queue *queue, store_job_fn *job, void *arg);
/* The same for a job that need not see the batches pushed before it, only what is durable: while a commit fails, it is
 * done between two tries. Any thread. */
void store_queue_look(struct store_queue *queue, store_job_fn *job, void *arg);
/* Entries that are not finished, the one in work included. Any thread. */
size_t store_queue_depth(const struct store_queue *queue);
/* Works off what is there (a commit that keeps failing is given up), closes the store, frees the queue. Not
 * from a callback. Accepts NULL. */
void store_queue_stop(struct store_queue *queue);

#endif
