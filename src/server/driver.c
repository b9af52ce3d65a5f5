#include "server/driver_attempt.h"

#include <stdio.h>

#define WAITS_MAX_DEFAULT 100000u

static void fill_defaults(struct driver *driver)
{
    struct driver_config *config = &driver->config;
    if (!config->submits_max)
        config->submits_max = DRIVER_SUBMITS_MAX;
    if (!config->submit_bytes_max)
        config->submit_bytes_max = DRIVER_SUBMIT_BYTES_MAX;
    if (!config->reads_max)
        config->reads_max = DRIVER_READS_MAX;
    if (!config->unsaved_ops_max)
        config->unsaved_ops_max = DRIVER_UNSAVED_OPS_MAX;
    if (!config->unsaved_bytes_max)
        config->unsaved_bytes_max = DRIVER_UNSAVED_BYTES_MAX;
    if (!config->drain_timeout_ns)
        config->drain_timeout_ns = DRIVER_DRAIN_TIMEOUT_NS;
    if (config->drain_timeout_ns < 0)
        config->drain_timeout_ns = 0;
    driver->waits_max = config->engine.waiters_max ? config->engine.waiters_max : WAITS_MAX_DEFAULT;
    uint64_t *seed = config->engine.seed;
    if ((seed[0] | seed[1] | seed[2] | seed[3]) == 0) {
        struct random random;
        random_init_from_system(&random);
        memcpy(seed, random.state, sizeof config->engine.seed);
    }
}

static void init_conditions(struct driver *driver)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&driver->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* a wall clock that is set moves no deadline */
    pthread_cond_init(&driver->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&driver->moved, NULL);
}

static void release(struct driver *driver)
{
    driver_pressure_deinit(driver);
    engine_destroy(driver->engine);
    map_deinit(&driver->attempts);
    map_deinit(&driver->waits);
    heap_deinit(&driver->timeouts);
    heap_deinit(&driver->held);
    pthread_cond_destroy(&driver->moved);
    pthread_cond_destroy(&driver->wake);
    pthread_mutex_destroy(&driver->lock);
    mem_free(driver);
}

dr_code driver_create(const struct driver_config *config, struct driver **ret_driver, struct dr_error *error)
{
    struct driver *driver = mem_must_zalloc(sizeof *driver);
    driver->config = *config;
    driver->phase = DRIVER_CREATED;
    driver->is_turning = true; /* the engine thread's, from its start */
    driver->next_deadline_ns = TIME_NEVER;
    fill_defaults(driver);
    init_conditions(driver);
    list_init(&driver->inbox);
    list_init(&driver->submits);
    list_init(&driver->cancels);
    map_init(&driver->attempts);
    map_init(&driver->waits);
    heap_init(&driver->timeouts);
    heap_init(&driver->held);
    list_init(&driver->ghosts);
    driver_pressure_init(driver);
    chaos_init(&driver->chaos, &config->chaos);
    driver->engine = engine_create(&driver->config.engine);
    int64_t newest_ns = INT64_MIN;
    dr_code code = store_newest(config->store, &newest_ns, error);
    driver_clock_init(driver, newest_ns);
    if (code)
        store_close(config->store);
    else
        code = driver_store_open(driver, error);
    if (code) {
        release(driver);
        return code;
    }
    *ret_driver = driver;
    return DR_OK;
}

dr_code driver_start(struct driver *driver, struct dr_error *error)
{
    pthread_mutex_lock(&driver->lock);
    CHECK(driver->phase == DRIVER_CREATED);
    driver->has_thread = pthread_create(&driver->thread, NULL, driver_loop, driver) == 0;
    if (driver->has_thread)
        driver->phase = DRIVER_RUNNING;
    pthread_mutex_unlock(&driver->lock);
    if (!driver->has_thread)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "the engine thread cannot be started");
    return DR_OK;
}

void driver_stop(struct driver *driver)
{
    CHECK(!driver_is_on_engine_thread());
    pthread_mutex_lock(&driver->lock);
    /* A driver that was never started runs through its drain at once, so that what was handed in is answered. */
    bool is_first = !driver->is_stop_begun;
    driver->is_stop_begun = true;
    if (is_first)
        driver->phase = DRIVER_DRAINING;
    pthread_cond_signal(&driver->wake);
    pthread_cond_broadcast(&driver->moved);
    pthread_mutex_unlock(&driver->lock);
    if (is_first) {
        if (driver->has_thread)
            pthread_join(driver->thread, NULL);
        else
            driver_loop(driver);
    }
    pthread_mutex_lock(&driver->lock);
    driver->is_stop_over = driver->is_stop_over || is_first;
    pthread_cond_broadcast(&driver->moved);
    while (!driver->is_stop_over)
        pthread_cond_wait(&driver->moved, &driver->lock);
    pthread_mutex_unlock(&driver->lock);
}

void driver_stop_hurry(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    driver->is_hurrying = true;
    pthread_cond_signal(&driver->wake);
    pthread_mutex_unlock(&driver->lock);
}

void driver_destroy(struct driver *driver)
{
    if (!driver)
        return;
    driver_stop(driver);
    release(driver);
}
