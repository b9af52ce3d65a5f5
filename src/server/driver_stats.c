/* Counters for people. Not through the store's thread, unlike driver_counts: they are wanted most while it is stuck. */
#include "server/driver_private.h"

struct stats_request {
    struct driver_event event;
    driver_stats_fn *on_done;
    void *arg;
};

static void handle_stats(struct driver *driver, struct driver_event *event)
{
    struct stats_request *request = container_of(event, struct stats_request, event);
    struct scheduler_group_view groups[DRIVER_GROUPS_SHOWN_MAX + 1];
    struct driver_stats stats = {.groups = groups};
    driver_read_done(driver);
    engine_counts(driver->engine, &stats.engine);
    memcpy(stats.chaos, driver->chaos.n, sizeof stats.chaos);
    stats.has_chaos = driver->chaos.options.is_on;
    memcpy(stats.attempts, driver->n_attempts, sizeof stats.attempts);
    pthread_mutex_lock(&driver->lock);
    stats.submits = driver->n_submits;
    stats.submit_bytes = driver->submit_bytes;
    stats.waits = driver->n_waits;
    stats.store_failures = driver->n_store_failures;
    stats.store_read_failures = driver->n_read_failures;
    stats.store_damaged = driver->n_damaged;
    stats.is_store_failing = driver->is_store_troubled;
    pthread_mutex_unlock(&driver->lock);
    if (driver->config.clock == DRIVER_CLOCK_REAL) {
        stats.clock_ahead_ns = driver_now_ns(driver) - clock_real_ns();
        stats.clock_jumped_ns = atomic_load_explicit(&driver->real_clock.jumped_ns, memory_order_relaxed);
    }
    stats.batches = driver->stepped_sequence;
    stats.batches_waiting = driver->handed_sequence - driver->stepped_sequence;
    stats.replies_waiting = driver->pressure.n_deferred;
    while (stats.n_groups <= DRIVER_GROUPS_SHOWN_MAX &&
           engine_group_at(driver->engine, stats.n_groups, &groups[stats.n_groups]))
        stats.n_groups++;
    stats.has_more_groups = stats.n_groups > DRIVER_GROUPS_SHOWN_MAX;
    stats.n_groups -= stats.has_more_groups;
    request->on_done(request->arg, DR_OK, NULL, &stats);
    mem_free(request);
}

dr_code driver_stats(struct driver *driver, driver_stats_fn *on_done, void *arg, struct dr_error *error)
{
    struct stats_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    request->event.handle = handle_stats;
    request->on_done = on_done;
    request->arg = arg;
    dr_code code = driver_read_begin(driver, &request->event, error);
    if (code)
        mem_free(request);
    return code;
}
