/* The queue: order, group commit, what it does when the disk is full, and how it stops. */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"
#include "base/list.h"
#include "store/store_queue.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

/* A memory store that counts its commits and fails when told to. */
struct fake {
    struct store store;
    struct store *memory;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    unsigned n_failures; /* this many commits will fail */
    unsigned n_commits; /* that were tried */
    size_t sizes[64]; /* batches in each of them */
    unsigned n_troubles, n_recoveries;
    char log[512]; /* what was done, in order */
};

static struct fake *fake_of(struct store *store)
{
    return container_of(store, struct fake, store);
}

static void note(struct fake *fake, const char *what, uint64_t number)
{
    pthread_mutex_lock(&fake->lock);
    size_t len = strlen(fake->log);
    snprintf(fake->log + len, sizeof fake->log - len, "%s%llu ", what, (unsigned long long)number);
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

static dr_code fake_commit(struct store *store, struct batch *const *batches, size_t n_batches,
                           struct dr_error *error)
{
    struct fake *fake = fake_of(store);
    pthread_mutex_lock(&fake->lock);
    bool is_failing = fake->n_failures > 0;
    fake->n_failures -= is_failing;
    fake->sizes[fake->n_commits++ % 64] = n_batches;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    if (is_failing) {
        snprintf(error->message, sizeof error->message, "disk full");
        return error->code = DR_UNAVAILABLE;
    }
    return store_commit(fake->memory, batches, n_batches, error);
}

static void fake_close(struct store *store)
{
    store_close(fake_of(store)->memory);
}

static const struct store_methods FAKE_METHODS = {.commit = fake_commit, .close = fake_close};

static void on_trouble(void *arg, dr_code code, const char *message)
{
    struct fake *fake = arg;
    pthread_mutex_lock(&fake->lock);
    if (code) {
        fake->n_troubles++;
        assert_string_equal(message, "disk full");
    } else {
        fake->n_recoveries++;
    }
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

static void on_done(void *arg, uint64_t sequence, dr_code code)
{
    note(arg, code ? "x" : "c", sequence);
}

static struct store_queue *start(struct fake *fake)
{
    struct store_queue *queue = NULL;
    *fake = (struct fake){.store.methods = &FAKE_METHODS};
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->changed, NULL);
    assert_int_equal(store_memory_open(&fake->memory, NULL), DR_OK);
    struct store_queue_config config = {.store = &fake->store, .on_trouble = on_trouble, .trouble_arg = fake};
    assert_int_equal(store_queue_start(&config, &queue, NULL), DR_OK);
    return queue;
}

static void stop(struct store_queue *queue, struct fake *fake)
{
    store_queue_stop(queue);
    pthread_mutex_destroy(&fake->lock);
    pthread_cond_destroy(&fake->changed);
}

static struct batch *batch_of(uint64_t sequence, size_t n_calls)
{
    struct batch *batch = batch_create(sequence);
    for (size_t i = 0; i < n_calls; i++) {
        struct call_record record = call_make(sequence * 10000 + i);
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
    }
    return batch;
}

/* A gate keeps the queue busy, so that what is pushed behind it gathers. */
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

static void close_gate(struct gate *gate, struct store_queue *queue)
{
    sem_init(&gate->entered, 0, 0);
    sem_init(&gate->open, 0, 0);
    store_queue_run(queue, pass_gate, gate);
    while (sem_wait(&gate->entered) != 0)
        ;
}

static void post(struct store *store, void *arg)
{
    (void)store;
    sem_post(arg);
}

/* Until everything pushed so far has been done. */
static void wait_for_all(struct store_queue *queue)
{
    sem_t done;
    sem_init(&done, 0, 0);
    store_queue_run(queue, post, &done);
    while (sem_wait(&done) != 0)
        ;
    sem_destroy(&done);
}

static void look(struct store *store, void *arg)
{
    struct fake *fake = fake_of(store);
    struct store_counts counts;
    (void)arg;
    assert_int_equal(store_counts(fake->memory, &counts, NULL), DR_OK);
    note(fake, "j", counts.n_live);
}

static void a_job_sees_every_batch_before_it_and_none_behind(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    close_gate(&gate, queue);
    store_queue_run(queue, look, NULL);
    store_queue_commit(queue, batch_of(1, 1), on_done, &fake);
    store_queue_commit(queue, batch_of(2, 1), on_done, &fake);
    store_queue_run(queue, look, NULL);
    store_queue_run(queue, look, NULL);
    store_queue_commit(queue, batch_of(3, 1), on_done, &fake);
    sem_post(&gate.open);
    wait_for_all(queue);
    assert_string_equal(fake.log, "j0 c1 c2 j2 j2 c3 ");
    assert_int_equal(fake.n_commits, 2);
    stop(queue, &fake);
}

static void batches_that_gather_are_committed_together(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    close_gate(&gate, queue);
    for (uint64_t i = 1; i <= 20; i++)
        store_queue_commit(queue, batch_of(i, 3), NULL, NULL);
    sem_post(&gate.open);
    wait_for_all(queue);
    assert_int_equal(fake.n_commits, 1);
    assert_int_equal(fake.sizes[0], 20);
    stop(queue, &fake);
}

static void a_group_is_bounded_by_its_operations(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    close_gate(&gate, queue);
    store_queue_commit(queue, batch_of(1, 10), NULL, NULL);
    store_queue_commit(queue, batch_of(2, STORE_QUEUE_GROUP_OPS + 1), NULL, NULL);
    store_queue_commit(queue, batch_of(3, STORE_QUEUE_GROUP_OPS - 1), NULL, NULL);
    store_queue_commit(queue, batch_of(4, 1), NULL, NULL);
    sem_post(&gate.open);
    wait_for_all(queue);
    assert_int_equal(fake.n_commits, 3);
    assert_int_equal(fake.sizes[0], 1);
    assert_int_equal(fake.sizes[1], 1); /* too many alone, but never divided */
    assert_int_equal(fake.sizes[2], 2);
    stop(queue, &fake);
}

static void a_group_is_bounded_by_its_bytes(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    uint8_t *bytes = mem_must_zalloc(STORE_QUEUE_GROUP_BYTES / 2);
    close_gate(&gate, queue);
    for (uint64_t i = 1; i <= 3; i++) {
        struct batch *batch = batch_of(i, 0);
        struct call_record record = call_make(i);
        record.input = blob_create(slice_of(bytes, STORE_QUEUE_GROUP_BYTES / 2 - 10000));
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
        store_queue_commit(queue, batch, NULL, NULL);
    }
    sem_post(&gate.open);
    wait_for_all(queue);
    assert_int_equal(fake.n_commits, 2);
    assert_int_equal(fake.sizes[0], 2);
    stop(queue, &fake);
    mem_free(bytes);
}

static void the_depth_counts_what_is_not_finished(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    assert_int_equal(store_queue_depth(queue), 0);
    close_gate(&gate, queue);
    store_queue_commit(queue, batch_of(1, 1), NULL, NULL);
    store_queue_run(queue, look, NULL);
    assert_int_equal(store_queue_depth(queue), 3);
    sem_post(&gate.open);
    wait_for_all(queue);
    assert_in_range(store_queue_depth(queue), 0, 1); /* the job that told us may not be finished */
    stop(queue, &fake);
}

static void a_failed_commit_is_tried_until_it_works(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    fake.n_failures = 2;
    store_queue_commit(queue, batch_of(1, 1), on_done, &fake);
    store_queue_commit(queue, batch_of(2, 1), on_done, &fake);
    wait_for_all(queue);
    assert_string_equal(fake.log, "c1 c2 ");
    assert_int_equal(fake.n_troubles, 1);
    assert_int_equal(fake.n_recoveries, 1);
    stop(queue, &fake);
}

/* One that was pushed before the trouble was seen, one in the middle of it. */
static void people_look_while_a_commit_fails(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    close_gate(&gate, queue);
    fake.n_failures = UINT32_MAX;
    store_queue_commit(queue, batch_of(1, 1), on_done, &fake);
    store_queue_look(queue, look, NULL);
    sem_post(&gate.open);
    pthread_mutex_lock(&fake.lock);
    while (!strstr(fake.log, "j0 "))
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
    store_queue_run(queue, look, NULL); /* this one waits for the batch */
    store_queue_look(queue, look, NULL);
    pthread_mutex_lock(&fake.lock);
    while (!strstr(fake.log, "j0 j0 "))
        pthread_cond_wait(&fake.changed, &fake.lock);
    assert_null(strstr(fake.log, "c1"));
    fake.n_failures = 0;
    pthread_mutex_unlock(&fake.lock);
    wait_for_all(queue);
    assert_string_equal(fake.log, "j0 j0 c1 j1 ");
    stop(queue, &fake);
}

static void stopping_works_off_what_is_there(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    for (uint64_t i = 1; i <= 5; i++)
        store_queue_commit(queue, batch_of(i, 1), on_done, &fake);
    store_queue_run(queue, look, NULL);
    stop(queue, &fake);
    assert_string_equal(fake.log, "c1 c2 c3 c4 c5 j5 ");
}

static void on_given_up(void *arg, uint64_t sequence, dr_code code)
{
    struct fake *fake = arg;
    pthread_mutex_lock(&fake->lock);
    fake->n_failures = 0;
    pthread_mutex_unlock(&fake->lock);
    on_done(arg, sequence, code);
}

/* The disk works again as soon as a batch has been given up: what stands behind that batch must not be
 * applied. */
static void stopping_gives_up_a_failing_commit_and_all_behind_it(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    close_gate(&gate, queue);
    fake.n_failures = UINT32_MAX;
    store_queue_commit(queue, batch_of(1, 1), on_given_up, &fake);
    store_queue_run(queue, look, NULL);
    store_queue_commit(queue, batch_of(2, 1), on_done, &fake);
    store_queue_run(queue, look, NULL);
    sem_post(&gate.open);
    pthread_mutex_lock(&fake.lock);
    while (fake.n_troubles == 0)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
    stop(queue, &fake);
    assert_string_equal(fake.log, "x1 j0 x2 j0 ");
}

static void an_idle_queue_stops(void **state)
{
    (void)state;
    struct fake fake;
    stop(start(&fake), &fake);
    store_queue_stop(NULL);
}

#define PUSHERS 4
#define PUSHES 500

struct pusher {
    struct store_queue *queue;
    struct fake *fake;
    uint64_t first;
    uint64_t n_done; /* on the queue's thread */
};

static void on_pushed(void *arg, uint64_t sequence, dr_code code)
{
    struct pusher *pusher = arg;
    assert_int_equal(code, DR_OK);
    assert_int_equal(sequence, pusher->first + pusher->n_done++); /* each thread's own are in order */
}

static void *push_many(void *arg)
{
    struct pusher *pusher = arg;
    for (uint64_t i = 0; i < PUSHES; i++) {
        store_queue_commit(pusher->queue, batch_of(pusher->first + i, 1), on_pushed, pusher);
        if (i % 100 == 0)
            wait_for_all(pusher->queue);
    }
    return NULL;
}

static void a_store_that_waits_for_nothing_commits_at_once(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    fake.store.is_instant = true;
    store_queue_commit(queue, batch_of(1, 1), on_done, &fake);
    assert_string_equal(fake.log, "c1 ");
    assert_int_equal(store_queue_depth(queue), 0);
    stop(queue, &fake);
}

static void such_a_commit_waits_for_what_stands_before_it(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    struct gate gate;
    fake.store.is_instant = true;
    close_gate(&gate, queue);
    store_queue_run(queue, look, NULL);
    store_queue_commit(queue, batch_of(1, 1), on_done, &fake);
    assert_string_equal(fake.log, "");
    sem_post(&gate.open);
    wait_for_all(queue);
    assert_string_equal(fake.log, "j0 c1 ");
    stop(queue, &fake);
}

static void such_a_commit_that_fails_is_tried_until_it_works(void **state)
{
    (void)state;
    struct fake fake;
    struct store_queue *queue = start(&fake);
    fake.store.is_instant = true;
    fake.n_failures = 2;
    store_queue_commit(queue, batch_of(1, 1), on_done, &fake);
    wait_for_all(queue);
    store_queue_commit(queue, batch_of(2, 1), on_done, &fake);
    wait_for_all(queue); /* the thread that tried again may not have left off yet, and take this one, too */
    assert_string_equal(fake.log, "c1 c2 ");
    assert_int_equal(fake.n_commits, 4);
    stop(queue, &fake);
}

static void many_threads_may_push(void **state)
{
    struct subject *subject = *state;
    struct store_queue *queue = NULL;
    struct store_queue_config config = {.store = subject->store};
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    assert_int_equal(store_queue_start(&config, &queue, NULL), DR_OK);
    for (uint64_t i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.queue = queue, .first = 1 + i * PUSHES};
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, &pushers[i]), 0);
    }
    for (size_t i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);
    store_queue_stop(queue);
    subject->store = NULL;
    for (size_t i = 0; i < PUSHERS; i++)
        assert_int_equal(pushers[i].n_done, PUSHES);
    if (!subject->is_sqlite)
        return;
    subject_reopen(subject);
    struct store_counts counts;
    assert_int_equal(store_counts(subject->store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, PUSHERS * PUSHES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_sees_every_batch_before_it_and_none_behind),
        cmocka_unit_test(batches_that_gather_are_committed_together),
        cmocka_unit_test(a_group_is_bounded_by_its_operations),
        cmocka_unit_test(a_group_is_bounded_by_its_bytes),
        cmocka_unit_test(the_depth_counts_what_is_not_finished),
        cmocka_unit_test(a_failed_commit_is_tried_until_it_works),
        cmocka_unit_test(people_look_while_a_commit_fails),
        cmocka_unit_test(stopping_works_off_what_is_there),
        cmocka_unit_test(stopping_gives_up_a_failing_commit_and_all_behind_it),
        cmocka_unit_test(an_idle_queue_stops),
        cmocka_unit_test(a_store_that_waits_for_nothing_commits_at_once),
        cmocka_unit_test(such_a_commit_waits_for_what_stands_before_it),
        cmocka_unit_test(such_a_commit_that_fails_is_tried_until_it_works),
        ON_BOTH(many_threads_may_push),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
