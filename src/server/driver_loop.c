/* The engine thread: takes what is in the inbox, steps the engine, performs effects, sleeps until the next deadline.
 * No periodic wake-ups: an idle server costs nothing. While it sleeps, another thread may take its turn. */
#include "server/driver_attempt.h"

#include <time.h>

#define TURNS_MAX 16 /* on a thread that has something else to do; the engine thread goes on */

static _Thread_local bool is_engine_thread;

bool driver_is_on_engine_thread(void) { return is_engine_thread; }

void driver_post_locked(struct driver *driver, struct driver_event *event)
{
    bool was_empty = list_is_empty(&driver->inbox);
    list_push_back(&driver->inbox, &event->node);
    if (was_empty && !driver->is_turning)
        pthread_cond_signal(&driver->wake);
}

void driver_post(struct driver *driver, struct driver_event *event)
{
    pthread_mutex_lock(&driver->lock);
    driver_post_locked(driver, event);
    pthread_mutex_unlock(&driver->lock);
}

static void perform(struct driver *driver, const struct engine_effect *effect)
{
    CHECK(effect->after_batch <= driver->stepped_sequence); /* D3: nothing is shown that a crash could take back */
    switch (effect->kind) {
    case ENGINE_START:
        driver_attempt_start(driver, effect);
        break;
    case ENGINE_ABORT:
        driver_attempt_abort(driver, effect->start.id, effect->start.attempt);
        break;
    case ENGINE_ANSWER_SUBMIT:
        driver_answer_submit(driver, effect);
        break;
    case ENGINE_ANSWER_CANCEL:
        driver_answer_cancel(driver, effect);
        break;
    case ENGINE_WAKE:
        driver_answer_wait(driver, effect);
        break;
    case ENGINE_LOAD:
    case ENGINE_SCAN_DUE:
    case ENGINE_SCAN_CHILDREN:
    case ENGINE_SCAN_MAIL:
    case ENGINE_SCAN_SWEEPS:
    case ENGINE_PURGE:
        driver_store_perform(driver, effect);
        break;
    }
}

void driver_step(struct driver *driver, const struct engine_event *event)
{
    struct engine_update update = {0};
    engine_step(driver->engine, event, driver_now_ns(driver), &update);
    driver->next_deadline_ns = update.next_deadline_ns;
    /* The batch first: D4, reads among the effects must see it. */
    if (update.batch)
        driver_store_commit(driver, update.batch);
    for (size_t i = 0; i < update.n_effects; i++)
        perform(driver, &update.effects[i]);
}

static void tell_durable(struct driver *driver, uint64_t sequence)
{
    if (sequence <= driver->stepped_sequence)
        return;
    driver->stepped_sequence = sequence;
    driver_step(driver, &(struct engine_event){.kind = ENGINE_BATCH_DURABLE, .durable_sequence = sequence});
    driver_pressure_durable(driver, sequence);
}

static void handle_all(struct driver *driver, struct list *events)
{
    struct list *node;
    while ((node = list_pop_front(events))) {
        struct driver_event *event = container_of(node, struct driver_event, node);
        event->handle(driver, event);
    }
}

static void handle_deadlines(struct driver *driver)
{
    int64_t now_ns = driver_now_ns(driver);
    driver_attempts_expire(driver, now_ns);
    if (driver->next_deadline_ns <= now_ns)
        driver_step(driver, &(struct engine_event){.kind = ENGINE_TICK});
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

static void begin_drain(struct driver *driver)
{
    driver->is_drain_begun = true;
    driver->drain_deadline_ns = time_add(clock_monotonic_ns(), driver->config.drain_timeout_ns);
    engine_set_paused(driver->engine, true);
    driver_chaos_stop(driver);
    driver_waits_refuse(driver);
}

/* The drain's next stage, if this one is over. Engine thread, no lock. */
static void continue_drain(struct driver *driver, enum driver_phase phase, bool is_hurrying)
{
    if (!driver->is_drain_begun)
        begin_drain(driver);
    bool is_out_of_time = is_hurrying || clock_monotonic_ns() >= driver->drain_deadline_ns;
    if (phase == DRIVER_DRAINING && is_out_of_time && !driver->is_calling_off) {
        driver->is_calling_off = true;
        driver->drain_deadline_ns = TIME_NEVER;
        if (driver->config.on_called_off && driver->attempts.len > 0)
            driver->config.on_called_off(driver->config.trouble_arg, driver->attempts.len);
        driver_attempts_abort_all(driver);
        driver_pressure_let_go_all(driver);
    }
    if (phase == DRIVER_DRAINING && driver->attempts.len == 0 && driver->n_ghosts == 0) {
        pthread_mutex_lock(&driver->lock);
        driver->phase = DRIVER_CLOSING;
        driver->is_closing = true;
        pthread_mutex_unlock(&driver->lock);
    }
}

/* Under lock, inbox empty: nothing is under way any more, or the store cannot take it. What the engine has not answered
 * by then is refused after the loop. */
static bool is_over(const struct driver *driver)
{
    bool is_quiet = driver_is_store_quiet(driver) && driver->n_submits == 0;
    return driver->phase == DRIVER_CLOSING && (is_quiet || driver->is_store_troubled);
}

/* After the loop, still on the engine thread: the last answers. */
static void close_down(struct driver *driver)
{
    driver_store_close(driver);
    driver->is_closed = true;
    handle_all(driver, &driver->inbox); /* reads that ended after the loop */
    driver_unanswered_refuse(driver);
    pthread_mutex_lock(&driver->lock);
    driver->phase = DRIVER_STOPPED;
    pthread_cond_broadcast(&driver->moved);
    pthread_mutex_unlock(&driver->lock);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Under lock. */
static void wait_for_wake(struct driver *driver, int64_t until_ns)
{
    if (until_ns == TIME_NEVER) {
        pthread_cond_wait(&driver->wake, &driver->lock);
        return;
    }
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    (void)pthread_cond_timedwait(&driver->wake, &driver->lock, &until);
}

/* Under lock: sleeps until something is posted or the next deadline, without the turn. */
static void sleep_until_next(struct driver *driver)
{
    int64_t until_ns = TIME_NEVER; /* monotonic */
    bool has_deadline = driver->phase < DRIVER_CLOSING && driver_next_deadline_ns(driver) != TIME_NEVER;
    if (driver->config.clock == DRIVER_CLOCK_REAL && has_deadline) {
        int64_t left_ns = driver_next_deadline_ns(driver) - driver_now_ns(driver);
        until_ns = time_add(clock_monotonic_ns(), left_ns);
    }
    if (driver->phase == DRIVER_DRAINING && driver->drain_deadline_ns < until_ns)
        until_ns = driver->drain_deadline_ns;
    driver->is_turning = false;
    wait_for_wake(driver, until_ns);
    while (driver->is_turning)
        wait_for_wake(driver, TIME_NEVER);
    driver->is_turning = true;
}

static void take_inbox(struct driver *driver, struct list *ret_events)
{
    list_init(ret_events);
    if (list_is_empty(&driver->inbox))
        return;
    list_insert_before(&driver->inbox, ret_events); /* the new sentinel takes the old one's place */
    list_remove(&driver->inbox);
}

static bool is_deadline_due(struct driver *driver)
{
    return driver->phase < DRIVER_CLOSING && driver_next_deadline_ns(driver) <= driver_now_ns(driver);
}

/* Under lock. */
static bool has_events(struct driver *driver)
{
    bool is_told = !list_is_empty(&driver->inbox) || driver->durable_sequence > driver->stepped_sequence;
    return is_told || is_deadline_due(driver);
}

/* Under lock: true when the thread has something to do, else it has slept a while. */
static bool has_work(struct driver *driver)
{
    if (has_events(driver))
        return true;
    if (driver->phase >= DRIVER_DRAINING && !driver->is_drain_begun)
        return true;
    if (driver->config.clock == DRIVER_CLOCK_VIRTUAL && driver_virtual_move(driver))
        return true;
    if (is_over(driver))
        return false;
    sleep_until_next(driver);
    return driver->phase >= DRIVER_DRAINING; /* a drain looks at its deadline after every sleep */
}

/* Under lock, which is not held meanwhile: deals with everything that there is now. */
static void take_turn(struct driver *driver)
{
    struct list events;
    take_inbox(driver, &events);
    uint64_t durable = driver->durable_sequence;
    driver->is_durable_told = false;
    enum driver_phase phase = driver->phase;
    bool is_hurrying = driver->is_hurrying;
    pthread_mutex_unlock(&driver->lock);

    tell_durable(driver, durable);
    handle_all(driver, &events);
    if (phase < DRIVER_CLOSING)
        handle_deadlines(driver);
    if (phase >= DRIVER_DRAINING)
        continue_drain(driver, phase, is_hurrying);
    pthread_mutex_lock(&driver->lock);
}

bool driver_turn_begin(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    bool may_turn = driver->config.clock == DRIVER_CLOCK_VIRTUAL && driver->phase == DRIVER_RUNNING && !driver->is_turning;
    if (may_turn)
        driver->is_turning = true;
    pthread_mutex_unlock(&driver->lock);
    return may_turn;
}

void driver_turn_end(struct driver *driver)
{
    is_engine_thread = true;
    pthread_mutex_lock(&driver->lock);
    for (int n = 0; n < TURNS_MAX && driver->phase == DRIVER_RUNNING && has_events(driver); n++)
        take_turn(driver);
    driver->is_turning = false;
    if (driver->phase != DRIVER_RUNNING || has_events(driver) || driver_virtual_may_move(driver))
        pthread_cond_signal(&driver->wake);
    pthread_mutex_unlock(&driver->lock);
    is_engine_thread = false;
}

void *driver_loop(void *arg)
{
    struct driver *driver = arg;
    is_engine_thread = true;
    driver_step(driver, &(struct engine_event){.kind = ENGINE_RECOVER});
    pthread_mutex_lock(&driver->lock);
    for (;;) {
        if (!has_work(driver)) {
            if (list_is_empty(&driver->inbox) && is_over(driver))
                break;
            continue;
        }
        take_turn(driver);
    }
    pthread_mutex_unlock(&driver->lock);
    close_down(driver);
    is_engine_thread = false; /* a driver that never started is stopped on its caller's thread */
    return NULL;
}
