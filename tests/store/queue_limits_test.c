/* The queue at its ends: how long it waits between tries, how many batches it commits at once, and when it cannot start.
 * The C library's waits and threads are the test's own here. */
#include "base/testing.h"

#include "subject.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "store/store_queue.h"
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#define WAITS_MAX 32

static struct {
    bool has_no_thread;
    bool is_waiting_faked;
    long waits_ms[WAITS_MAX]; /* between tries, on the queue's thread */
    size_t n_waits;
} libc;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (libc.has_no_thread)
        return EAGAIN;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, run, arg);
}

/* No time passes: the wait is noted and over. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!libc.is_waiting_faked) {
        if (!real)
            *(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
        return real(condition, lock, until);
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long ms = (until->tv_sec - now.tv_sec) * 1000 + (until->tv_nsec - now.tv_nsec) / 1000000;
    assert_in_range(until->tv_nsec, 0, 999999999);
    if (libc.n_waits < WAITS_MAX)
        libc.waits_ms[libc.n_waits++] = ms;
    return ETIMEDOUT;
}

/* A store whose first commits fail. */
struct failing {
    struct store store;
    unsigned n_failures;
    size_t sizes[8]; /* batches of the commits that worked */
    size_t n_commits;
};

static dr_code failing_commit(struct store *store, struct batch *const *batches, size_t n_batches,
                              struct dr_error *error)
{
    struct failing *failing = container_of(store, struct failing, store);
    (void)batches;
    if (failing->n_failures > 0) {
        failing->n_failures--;
        return error_set(error, DR_UNAVAILABLE, "disk full");
    }
    assert_in_range(failing->n_commits, 0, 7);
    failing->sizes[failing->n_commits++] = n_batches;
    return DR_OK;
}

static void failing_close(struct store *store)
{
    (void)store;
}

static const struct store_methods FAILING = {.commit = failing_commit, .close = failing_close};

static struct store_queue *start(struct failing *failing, unsigned n_failures)
{
    struct store_queue *queue = NULL;
    *failing = (struct failing){.store.methods = &FAILING, .n_failures = n_failures};
    struct store_queue_config config = {.store = &failing->store};
    assert_int_equal(store_queue_start(&config, &queue, NULL), DR_OK);
    return queue;
}

static void post(void *arg, uint64_t sequence, dr_code code)
{
    (void)sequence;
    assert_int_equal(code, DR_OK);
    sem_post(arg);
}

static void pauses_double_up_to_five_seconds(void **state)
{
    static const long WAITS_MS[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    (void)state;
    struct failing failing;
    sem_t done;
    sem_init(&done, 0, 0);
    libc.is_waiting_faked = true;
    libc.n_waits = 0;
    struct store_queue *queue = start(&failing, sizeof WAITS_MS / sizeof WAITS_MS[0]);
    store_queue_commit(queue, batch_create(1), post, &done);
    while (sem_wait(&done) != 0)
        ;
    store_queue_stop(queue);
    libc.is_waiting_faked = false;
    assert_int_equal(libc.n_waits, sizeof WAITS_MS / sizeof WAITS_MS[0]);
    for (size_t i = 0; i < libc.n_waits; i++) /* the clock goes on between the two looks at it */
        assert_in_range(libc.waits_ms[i], (uintmax_t)WAITS_MS[i] - 100, (uintmax_t)WAITS_MS[i]);
    assert_int_equal(failing.n_commits, 1);
    sem_destroy(&done);
}

struct gate {
    sem_t entered, open;
};

static void pass_gate(struct store *store, void *arg)
{
    struct gate *gate = arg;
    (void)store;
    sem_post(&gate->entered);
    while (sem_wait(&gate->open) != 0)
        ;
}

static void a_group_is_bounded_by_its_batches(void **state)
{
    (void)state;
    struct failing failing;
    struct gate gate;
    sem_init(&gate.entered, 0, 0);
    sem_init(&gate.open, 0, 0);
    struct store_queue *queue = start(&failing, 0);
    store_queue_run(queue, pass_gate, &gate);
    while (sem_wait(&gate.entered) != 0) /* from here on what is pushed gathers */
        ;
    for (uint64_t i = 1; i <= 1030; i++)
        store_queue_commit(queue, batch_create(i), NULL, NULL);
    sem_post(&gate.open);
    store_queue_stop(queue);
    assert_int_equal(failing.n_commits, 2);
    assert_int_equal(failing.sizes[0] + failing.sizes[1], 1030);
    assert_int_equal(failing.sizes[0], 1024);
    sem_destroy(&gate.entered);
    sem_destroy(&gate.open);
}

static void a_group_that_fails_is_tried_again_whole(void **state)
{
    (void)state;
    struct failing failing;
    struct gate gate;
    sem_t done;
    sem_init(&done, 0, 0);
    sem_init(&gate.entered, 0, 0);
    sem_init(&gate.open, 0, 0);
    libc.is_waiting_faked = true;
    struct store_queue *queue = start(&failing, 2);
    store_queue_run(queue, pass_gate, &gate);
    while (sem_wait(&gate.entered) != 0)
        ;
    for (uint64_t i = 1; i <= 3; i++)
        store_queue_commit(queue, batch_create(i), post, &done);
    sem_post(&gate.open);
    for (int i = 0; i < 3; i++)
        while (sem_wait(&done) != 0)
            ;
    store_queue_stop(queue);
    libc.is_waiting_faked = false;
    assert_int_equal(failing.n_commits, 1);
    assert_int_equal(failing.sizes[0], 3);
    sem_destroy(&gate.entered);
    sem_destroy(&gate.open);
    sem_destroy(&done);
}

static void a_queue_that_gets_no_thread_is_refused(void **state)
{
    (void)state;
    struct failing failing = {.store.methods = &FAILING};
    struct store_queue_config config = {.store = &failing.store};
    struct store_queue *queue = NULL;
    struct dr_error error = {0};
    libc.has_no_thread = true;
    dr_code code = store_queue_start(&config, &queue, &error);
    libc.has_no_thread = false;
    assert_int_equal(code, DR_RESOURCE_EXHAUSTED);
    assert_string_equal(error.message, "start the store's thread: Resource temporarily unavailable");
    assert_null(queue);
}

static dr_code start_and_stop(void *arg)
{
    struct failing failing = {.store.methods = &FAILING};
    struct store_queue_config config = {.store = &failing.store};
    struct store_queue *queue = NULL;
    (void)arg;
    dr_code code = store_queue_start(&config, &queue, NULL);
    store_queue_stop(queue);
    return code;
}

static void starting_survives_any_failed_allocation(void **state)
{
    (void)state;
    assert_survives_allocation_faults(start_and_stop, NULL);
}

static dr_code open_memory(void *arg)
{
    struct store *store = NULL;
    dr_code code = store_memory_open(&store, NULL);
    (void)arg;
    if (!code)
        assert_int_equal(store_commit(store, NULL, 0, NULL), DR_OK); /* of nothing: always durable */
    store_close(store);
    return code;
}

static void a_memory_store_survives_any_failed_allocation(void **state)
{
    (void)state;
    assert_survives_allocation_faults(open_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_up_to_five_seconds),
        cmocka_unit_test(a_group_is_bounded_by_its_batches),
        cmocka_unit_test(a_group_that_fails_is_tried_again_whole),
        cmocka_unit_test(a_queue_that_gets_no_thread_is_refused),
        cmocka_unit_test(starting_survives_any_failed_allocation),
        cmocka_unit_test(a_memory_store_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
