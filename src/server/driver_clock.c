/* Time. Real: the wall clock, never going back. Virtual: a number. */
#include "server/driver_private.h"

/* A clock that is further behind than this was far ahead before: then it is not followed any longer. */
void driver_clock_init(struct driver *driver, int64_t newest_ns)
{
    int64_t wall_ns = clock_real_ns();
    int64_t start_ns = driver->config.virtual_start_ns ? driver->config.virtual_start_ns : wall_ns;
    start_ns = clock_not_before(start_ns, newest_ns);
    atomic_init(&driver->real_clock.offset_ns, clock_not_before(wall_ns, newest_ns) - clock_monotonic_ns());
    atomic_init(&driver->real_clock.jumped_ns, 0);
    atomic_init(&driver->virtual_clock.now_ns, start_ns);
}

/* D1. A wall clock set forward (or behind after a suspend) is followed at once; one set back is not followed: time goes
 * on at the monotonic clock's pace from where it was, so nothing stalls and nothing changes its order. */
static int64_t real_now_ns(struct driver_real_clock *clock)
{
    /* The wall clock first: a pause between the two readings then makes the offset too small, which does no harm. */
    int64_t wall_ns = clock_real_ns();
    int64_t monotonic_ns = clock_monotonic_ns();
    int64_t wall_offset_ns = wall_ns - monotonic_ns;
    int64_t offset_ns = atomic_load_explicit(&clock->offset_ns, memory_order_relaxed);
    /* a microsecond of slack: two readings are not one instant, and the cache line is shared */
    while (wall_offset_ns > offset_ns + NS_PER_US) {
        int64_t jump_ns = wall_offset_ns - offset_ns;
        if (!atomic_compare_exchange_weak(&clock->offset_ns, &offset_ns, wall_offset_ns))
            continue;
        if (jump_ns >= NS_PER_S)
            (void)atomic_fetch_add_explicit(&clock->jumped_ns, jump_ns, memory_order_relaxed);
        return monotonic_ns + wall_offset_ns;
    }
    return monotonic_ns + offset_ns;
}

int64_t driver_now_ns(struct driver *driver)
{
    if (driver->config.clock == DRIVER_CLOCK_VIRTUAL)
        return atomic_load(&driver->virtual_clock.now_ns);
    return real_now_ns(&driver->real_clock);
}

bool driver_is_store_quiet(const struct driver *driver)
{
    return driver->n_store_jobs == 0 && driver->handed_sequence == driver->stepped_sequence;
}

int64_t driver_next_deadline_ns(const struct driver *driver)
{
    int64_t deadline_ns = driver->next_deadline_ns;
    const struct heap_node *timeout = heap_peek(&driver->timeouts);
    const struct heap_node *held = heap_peek(&driver->held);
    if (timeout && timeout->key < deadline_ns)
        deadline_ns = timeout->key;
    if (held && held->key < deadline_ns)
        deadline_ns = held->key;
    return deadline_ns;
}

static bool move_to(struct driver *driver, int64_t then_ns)
{
    struct driver_virtual_clock *clock = &driver->virtual_clock;
    if (then_ns > atomic_load(&clock->now_ns))
        atomic_store(&clock->now_ns, then_ns);
    return true;
}

/* An attempt whose result is held back waits for the clock, too. */
static bool has_runs(const struct driver *driver)
{
    return driver->attempts.len > driver->n_held || driver->n_ghosts > 0;
}

static bool move_by_hand(struct driver *driver, int64_t deadline_ns)
{
    struct driver_virtual_clock *clock = &driver->virtual_clock;
    if (clock->with_runs && has_runs(driver))
        return false;
    if (deadline_ns <= clock->target_ns)
        return move_to(driver, deadline_ns);
    move_to(driver, clock->target_ns);
    clock->is_advancing = false;
    pthread_cond_broadcast(&driver->moved);
    return false;
}

bool driver_virtual_may_move(const struct driver *driver)
{
    const struct driver_virtual_clock *clock = &driver->virtual_clock;
    if (!driver_is_store_quiet(driver) || driver->phase != DRIVER_RUNNING)
        return false;
    if (clock->is_advancing)
        return true;
    bool is_wanted = clock->n_waits > 0 && clock->n_holds == 0;
    bool may_jump = is_wanted && !has_runs(driver) && engine_is_idle(driver->engine, driver->n_held);
    return may_jump && driver_next_deadline_ns(driver) != TIME_NEVER;
}

bool driver_virtual_move(struct driver *driver)
{
    if (!driver_virtual_may_move(driver))
        return false;
    int64_t deadline_ns = driver_next_deadline_ns(driver);
    return driver->virtual_clock.is_advancing ? move_by_hand(driver, deadline_ns) : move_to(driver, deadline_ns);
}

void driver_virtual_wait_begin(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    driver->virtual_clock.n_waits++;
    pthread_cond_signal(&driver->wake);
    pthread_mutex_unlock(&driver->lock);
}

void driver_virtual_wait_end(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    CHECK(driver->virtual_clock.n_waits > 0);
    driver->virtual_clock.n_waits--;
    pthread_mutex_unlock(&driver->lock);
}

void driver_virtual_hold(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    driver->virtual_clock.n_holds++;
    pthread_mutex_unlock(&driver->lock);
}

void driver_virtual_release(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    CHECK(driver->virtual_clock.n_holds > 0);
    driver->virtual_clock.n_holds--;
    if (!driver->is_turning && driver_virtual_may_move(driver))
        pthread_cond_signal(&driver->wake);
    pthread_mutex_unlock(&driver->lock);
}

void driver_advance(struct driver *driver, int64_t duration_ns, bool with_runs)
{
    CHECK(driver->config.clock == DRIVER_CLOCK_VIRTUAL && duration_ns >= 0);
    CHECK(!driver_is_on_engine_thread());
    struct driver_virtual_clock *clock = &driver->virtual_clock;
    pthread_mutex_lock(&driver->lock);
    while (clock->is_advancing && driver->phase <= DRIVER_RUNNING)
        pthread_cond_wait(&driver->moved, &driver->lock);
    clock->is_advancing = true;
    clock->with_runs = with_runs;
    clock->target_ns = time_add(atomic_load(&clock->now_ns), duration_ns);
    pthread_cond_signal(&driver->wake);
    while (clock->is_advancing && driver->phase <= DRIVER_RUNNING)
        pthread_cond_wait(&driver->moved, &driver->lock);
    pthread_mutex_unlock(&driver->lock);
}
