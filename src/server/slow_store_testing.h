/* A memory store whose commits can be held up and can fail, for tests of the driver. Without list and counts.
 *
 * Threads: the driver's store thread uses the store; everything else here is for the test's thread. */
#ifndef SERVER_SLOW_STORE_TESTING_H
#define SERVER_SLOW_STORE_TESTING_H

#include "base/testing.h"

#include "base/error.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct slow_store {
    struct store store;
    struct store *inner;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_held;
    atomic_bool is_failing;         /* commits fail */
    atomic_bool is_read_failing;
    atomic_uint n_failures;
    atomic_uint n_sweep_scans;
    atomic_bool is_scan_early; /* a sweep was looked for that is not in the store yet */
};

static struct store *inner_of(struct store *store) { return ((struct slow_store *)store)->inner; }

static void slow_store_hold(struct slow_store *slow, bool is_held)
{
    pthread_mutex_lock(&slow->lock);
    slow->is_held = is_held;
    pthread_cond_broadcast(&slow->moved);
    pthread_mutex_unlock(&slow->lock);
}

static dr_code slow_commit(struct store *store, struct batch *const *batches, size_t n_batches, struct dr_error *error)
{
    struct slow_store *slow = (struct slow_store *)store;
    pthread_mutex_lock(&slow->lock);
    while (slow->is_held)
        pthread_cond_wait(&slow->moved, &slow->lock);
    pthread_mutex_unlock(&slow->lock);
    if (!atomic_load(&slow->is_failing))
        return store_commit(slow->inner, batches, n_batches, error);
    atomic_fetch_add(&slow->n_failures, 1);
    return error_set(error, DR_UNAVAILABLE, "no");
}

static dr_code slow_scan_live_children(struct store *store, struct id parent, uint32_t below_generation, size_t limit,
                                       struct store_records *ret_records, struct dr_error *error)
{
    struct slow_store *slow = (struct slow_store *)store;
    struct call_record record;
    assert_int_equal(store_read(slow->inner, parent, &record, NULL), DR_OK);
    if (record.sweep_below == 0)
        atomic_store(&slow->is_scan_early, true);
    record_deinit(&record);
    atomic_fetch_add(&slow->n_sweep_scans, 1);
    return store_scan_live_children(slow->inner, parent, below_generation, limit, ret_records, error);
}

static dr_code slow_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error)
{
    if (atomic_load(&((struct slow_store *)store)->is_read_failing))
        return error_set(error, DR_UNAVAILABLE, "no");
    return store_read(inner_of(store), id, ret_record, error);
}

static dr_code slow_read_children(struct store *store, struct id parent, uint32_t generation,
                                  struct store_records *ret_done, uint64_t *ret_outstanding, struct dr_error *error)
{
    return store_read_children(inner_of(store), parent, generation, ret_done, ret_outstanding, error);
}

static dr_code slow_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                                   struct record_children *ret_children, struct dr_error *error)
{
    return store_count_children(inner_of(store), parent, generation, limit, ret_children, error);
}

static dr_code slow_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                             size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error)
{
    return store_scan_due(inner_of(store), after, until_ns, limit, bytes_max, ret_result, error);
}

static dr_code slow_scan_mail(struct store *store, struct id after, size_t limit, struct id *ret_ids, size_t *ret_n,
                              struct dr_error *error)
{
    return store_scan_mail(inner_of(store), after, limit, ret_ids, ret_n, error);
}

static dr_code slow_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids, size_t *ret_n,
                                struct dr_error *error)
{
    return store_scan_sweeps(inner_of(store), after, limit, ret_ids, ret_n, error);
}

static dr_code slow_newest(struct store *store, int64_t *ret_newest_ns, struct dr_error *error)
{
    return store_newest(inner_of(store), ret_newest_ns, error);
}

static dr_code slow_purge(struct store *store, const struct purge_order *order, struct purge_result *ret_result,
                          struct dr_error *error)
{
    return store_purge(inner_of(store), order, ret_result, error);
}

/* What it holds can be looked at until slow_store_deinit. */
static void slow_close(struct store *store) { (void)store; }

static const struct store_methods SLOW_STORE = {
    .commit = slow_commit,
    .read = slow_read,
    .read_children = slow_read_children,
    .count_children = slow_count_children,
    .scan_due = slow_scan_due,
    .scan_live_children = slow_scan_live_children,
    .scan_mail = slow_scan_mail,
    .scan_sweeps = slow_scan_sweeps,
    .purge = slow_purge,
    .newest = slow_newest,
    .close = slow_close,
};

static void slow_store_init(struct slow_store *slow)
{
    slow->store.methods = &SLOW_STORE;
    pthread_mutex_init(&slow->lock, NULL);
    pthread_cond_init(&slow->moved, NULL);
    assert_int_equal(store_memory_open(&slow->inner, NULL), DR_OK);
}

/* Once the driver has closed it. */
static void slow_store_deinit(struct slow_store *slow)
{
    store_close(slow->inner);
    pthread_cond_destroy(&slow->moved);
    pthread_mutex_destroy(&slow->lock);
}

#endif
