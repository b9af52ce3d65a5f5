/* A process that commits is killed at random moments; what it acknowledged is there, and no half of a batch.
 *
 * The child commits batches of BATCH_CALLS calls and, of every earlier batch, the results; after each commit
 * it writes the number of the batch to a pipe. KILL_ROUNDS and KILL_SEED in the environment; the seed is
 * printed. */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"
#include "store/store_queue.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH_CALLS 20
#define ROUNDS_DEFAULT 8
#define BATCHES_MAX 400

static uint64_t call_of(uint64_t batch, uint64_t i)
{
    return batch * BATCH_CALLS + i;
}

/* Batch n: BATCH_CALLS calls of its own, and the end of those of batch n - 1. */
static struct batch *make_batch(uint64_t n)
{
    char payload[4000];
    memset(payload, 'p', sizeof payload);
    struct batch *batch = batch_create(n + 1);
    for (uint64_t i = 0; i < BATCH_CALLS; i++) {
        struct call_record record = call_make(call_of(n, i));
        record.input = blob_create(slice_of(payload, i % 4 ? 100 : sizeof payload));
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
        if (n == 0)
            continue;
        record = call_make(call_of(n - 1, i));
        call_finish(&record, (int64_t)n, call_of(n, i));
        record.output = blob_create(slice_of(payload, i % 5 ? 10 : sizeof payload));
        batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_RESULT, &record);
        record_deinit(&record);
    }
    return batch;
}

static void tell(void *arg, uint64_t sequence, dr_code code)
{
    int fd = *(int *)arg;
    if (code || write(fd, &sequence, sizeof sequence) != sizeof sequence)
        _exit(3);
}

/* Through the queue, so that batches are committed in groups; ends by being killed. */
static void commit_for_ever(const char *path, uint64_t first, int fd)
{
    struct store_queue_config config = {0};
    struct store_queue *queue;
    struct store_sqlite_options options = {.path = path};
    if (store_sqlite_open(&options, &config.store, NULL) || store_queue_start(&config, &queue, NULL))
        _exit(2);
    for (uint64_t n = first; n < BATCHES_MAX; n++) {
        while (store_queue_depth(queue) > 8)
            ;
        store_queue_commit(queue, make_batch(n), tell, &fd);
    }
    store_queue_stop(queue);
    _exit(0);
}

/* Reads acknowledgements until n_wanted have come, kills, reads the rest. Returns how many batches were
 * acknowledged. */
static uint64_t run_and_kill(const char *path, uint64_t n_before, uint64_t n_wanted)
{
    int fds[2], status = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        commit_for_ever(path, n_before, fds[1]);
    }
    close(fds[1]);
    uint64_t sequence = n_before, n_read = 0;
    bool is_killed = false;
    for (;;) {
        if (!is_killed && n_read >= n_wanted) {
            kill(child, SIGKILL);
            is_killed = true;
        }
        uint64_t next;
        if (read(fds[0], &next, sizeof next) != sizeof next)
            break;
        assert_int_equal(next, sequence + 1);
        sequence = next;
        n_read++;
    }
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return sequence;
}

/* How many whole batches are there; fails on a half one. */
static uint64_t check(struct subject *subject, uint64_t n_acknowledged)
{
    uint64_t n = 0;
    for (; n < BATCHES_MAX && has(subject, call_id(call_of(n, 0))); n++) {
        bool is_last = !has(subject, call_id(call_of(n + 1, 0)));
        for (uint64_t i = 0; i < BATCH_CALLS; i++) {
            struct call_record record = get(subject, call_id(call_of(n, i)));
            assert_int_equal(record.state, is_last ? CALL_SCHEDULED : CALL_DONE);
            assert_non_null(record.input);
            assert_int_equal(record.input->len, i % 4 ? 100 : 4000);
            assert_int_equal(blob_slice(record.output).len, is_last ? 0 : i % 5 ? 10 : 4000);
            record_deinit(&record);
        }
    }
    for (uint64_t i = 0; i < BATCH_CALLS; i++)
        assert_false(has(subject, call_id(call_of(n, i))));
    assert_true(n >= n_acknowledged);
    struct store_counts counts;
    assert_int_equal(store_counts(subject->store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, n ? BATCH_CALLS : 0);
    assert_int_equal(counts.n_done, n ? (n - 1) * BATCH_CALLS : 0);
    return n;
}

static unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void every_acknowledged_batch_survives_kill_9_and_none_by_half(void **state)
{
    struct subject *subject = *state;
    unsigned long seed = number_from_environment("KILL_SEED", (unsigned long)clock_real_ns());
    unsigned long n_rounds = number_from_environment("KILL_ROUNDS", ROUNDS_DEFAULT);
    struct random random;
    printf("KILL_SEED=%lu\n", seed);
    random_init(&random, seed);
    store_close(subject->store);
    subject->store = NULL;
    uint64_t n = 0;
    for (unsigned long round = 0; round < n_rounds && n < BATCHES_MAX; round++) {
        uint64_t n_acknowledged = run_and_kill(subject->path, n, random_below(&random, 30));
        assert_int_equal(
            store_sqlite_open(&(struct store_sqlite_options){.path = subject->path}, &subject->store, NULL),
            DR_OK);
        n = check(subject, n_acknowledged);
        store_close(subject->store);
        subject->store = NULL;
    }
    printf("%llu batches\n", (unsigned long long)n);
}

/* Killed while the file is made: the next opening makes it, or finds it. */
static void a_creation_that_is_killed_can_be_repeated(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, (uint64_t)clock_real_ns());
    store_close(subject->store);
    subject->store = NULL;
    for (unsigned round = 0; round < 20; round++) {
        char name[320];
        (void)unlink(subject->path);
        (void)unlink(path_with(subject->path, "-wal", name));
        (void)unlink(path_with(subject->path, "-journal", name));
        pid_t child = fork();
        if (child == 0) {
            struct store *store;
            (void)store_sqlite_open(&(struct store_sqlite_options){.path = subject->path}, &store, NULL);
            _exit(0);
        }
        int64_t until_ns = clock_monotonic_ns() + (int64_t)random_below(&random, 6000) * NS_PER_US;
        while (clock_monotonic_ns() < until_ns)
            ;
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        struct dr_error error = {0};
        if (store_sqlite_open(&(struct store_sqlite_options){.path = subject->path}, &subject->store,
                              &error) != DR_OK)
            fail_msg("round %u: %s", round, error.message);
        put_new(subject, call_make(1));
        store_close(subject->store);
        subject->store = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(every_acknowledged_batch_survives_kill_9_and_none_by_half,
                                                 subject_open, subject_close, SUBJECT_SQLITE),
        cmocka_unit_test_prestate_setup_teardown(a_creation_that_is_killed_can_be_repeated, subject_open,
                                                 subject_close, SUBJECT_SQLITE),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
