/* The power goes after every single operation of the disk: the store opens, and holds a prefix of the commits
 * that includes every one that had returned (I4), each whole (I6). See sim/disk.h for what a disk may do. */
#include "base/testing.h"

#include "history.h"

#include "base/random.h"
#include "sim/disk.h"
#include <stdio.h>

#define STEPS_DEFAULT 36
#define STEPS_PER_LIFE 15 /* then the store is closed and opened again */
#define CHECKPOINT_PAGES 50

static uint64_t below(void *arg, uint64_t bound)
{
    return random_below(arg, bound);
}

static bool strikes(void *arg, enum sim_disk_fault fault)
{
    return fault == DISK_FAULT_TORN_SECTOR && random_below(arg, 4) == 0;
}

static struct sim_disk_config config_of(struct random *random)
{
    return (struct sim_disk_config){.arg = random, .below = below, .strikes = strikes};
}

/* ---- a run that is recorded ---- */

struct run {
    struct history history;
    struct sim_recording *recording;
    size_t *begun; /* operations there were when a step began, and when it had returned */
    size_t *returned;
};

/* With the creation of the file, or from then on. */
static void record_run(struct run *run, uint64_t seed, size_t n_steps, bool has_creation)
{
    struct random random;
    random_init(&random, seed);
    history_make(&run->history, seed, n_steps);
    run->begun = mem_must_zalloc(n_steps * sizeof *run->begun);
    run->returned = mem_must_zalloc(n_steps * sizeof *run->returned);
    struct sim_disk_config config = config_of(&random);
    struct sim_disk *disk = sim_disk_create(&config);
    struct store *store = NULL;
    struct dr_error error = {0};
    sim_disk_make_default(disk);
    if (!has_creation)
        assert_int_equal(history_open(disk, CHECKPOINT_PAGES, &store, &error), DR_OK);
    sim_disk_record(disk);
    for (size_t i = 0; i < n_steps; i++) {
        if (!store || (i > 0 && i % STEPS_PER_LIFE == 0)) {
            store_close(store);
            assert_int_equal(history_open(disk, CHECKPOINT_PAGES, &store, &error), DR_OK);
        }
        run->begun[i] = sim_disk_recorded(disk);
        if (history_apply(store, &run->history.steps[i], &error) != DR_OK)
            fail_msg("step %zu: %s", i, error.message);
        run->returned[i] = sim_disk_recorded(disk);
        assert_int_equal(history_state(store), run->history.states[i + 1]);
    }
    store_close(store);
    run->recording = sim_disk_recording_take(disk);
    sim_disk_destroy(disk);
}

static void run_deinit(struct run *run)
{
    sim_recording_destroy(run->recording);
    history_deinit(&run->history);
    mem_free(run->begun);
    mem_free(run->returned);
}

static unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

/* Opens what is left at operation n, looks, and takes the disk. */
static void check(const struct run *run, struct sim_disk *disk, size_t n, const char *what)
{
    struct store *store = NULL;
    struct dr_error error = {0};
    size_t low = 0, high = 0;
    for (size_t i = 0; i < run->history.n_steps; i++) {
        low += run->returned[i] <= n;
        high += run->begun[i] < n;
    }
    sim_disk_make_default(disk);
    if (history_open(disk, 0, &store, &error) != DR_OK)
        fail_msg("operation %zu, %s: %s", n, what, error.message);
    uint64_t state = history_state(store);
    bool is_known = false;
    for (size_t k = low; k <= high; k++)
        is_known = is_known || run->history.states[k] == state;
    if (!is_known)
        fail_msg("operation %zu, %s: not the state after commits %zu to %zu", n, what, low, high);
    sim_disk_kill(disk); /* so that closing does nothing */
    store_close(store);
    sim_disk_destroy(disk);
}

/* Every prefix of the operations, then with what of the unsynced ones is left by sectors, then with the next
 * write torn. */
static void check_all(const struct run *run, uint64_t seed, size_t n_operations)
{
    struct random random;
    random_init(&random, seed);
    struct sim_disk_config config = config_of(&random);
    struct sim_disk *disk = sim_disk_replay(run->recording, 0, &config);
    size_t n_opened = 0;
    for (size_t n = 0; n <= n_operations; n++) {
        check(run, sim_disk_clone(disk, &config), n, "in order");
        struct sim_disk *lost = sim_disk_clone(disk, &config);
        sim_disk_crash(lost);
        check(run, lost, n, "by sectors");
        n_opened += 2;
        if (n == n_operations)
            break;
        if (sim_recording_op(run->recording, n) == DISK_OP_WRITE) {
            struct sim_disk *torn = sim_disk_clone(disk, &config);
            sim_disk_replay_torn(torn, run->recording, n);
            check(run, torn, n + 1, "the last write torn");
            n_opened++;
        }
        sim_disk_replay_on(disk, run->recording, n, n + 1);
    }
    printf("%zu operations, %zu stores opened\n", n_operations, n_opened);
    sim_disk_destroy(disk);
}

static void the_store_survives_loss_of_power_after_every_operation(void **state)
{
    (void)state;
    struct run run = {0};
    unsigned long seed = number_from_environment("POWER_LOSS_SEED", 1);
    record_run(&run, seed, number_from_environment("POWER_LOSS_STEPS", STEPS_DEFAULT), false);
    check_all(&run, seed, sim_recording_length(run.recording));
    run_deinit(&run);
}

static void the_creation_of_the_file_survives_loss_of_power_after_every_operation(void **state)
{
    (void)state;
    struct run run = {0};
    record_run(&run, 1, 1, true);
    for (uint64_t seed = 0; seed < 20; seed++)
        check_all(&run, seed, run.returned[0]);
    run_deinit(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_survives_loss_of_power_after_every_operation),
        cmocka_unit_test(the_creation_of_the_file_survives_loss_of_power_after_every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
