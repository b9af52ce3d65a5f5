/* A sync of the WAL fails, and the process dies before it has written the commit again. What it wrote is in
 * the memory of the operating system, which takes it for synced, and not on the medium: the next process
 * reads a commit that loss of power takes away, from under everything that follows. */
#include "base/testing.h"

#include "history.h"

#include "base/random.h"
#include "sim/disk.h"
#include <stdio.h>

#define STEPS_BEFORE 6
#define STEPS_AFTER 4
#define STEPS (STEPS_BEFORE + 1 + STEPS_AFTER)
#define SEEDS 4 /* of what loss of power leaves; the first one leaves nothing that was not synced */

struct owner {
    struct random random;
    bool is_random; /* else `below` is 0 */
    bool fails_sync;
};

static uint64_t below(void *arg, uint64_t bound)
{
    struct owner *owner = arg;
    return owner->is_random ? random_below(&owner->random, bound) : 0;
}

static bool strikes(void *arg, enum sim_disk_fault fault)
{
    struct owner *owner = arg;
    return owner->fails_sync && fault == DISK_FAULT_SYNC;
}

static struct sim_disk_config config_of(struct owner *owner)
{
    return (struct sim_disk_config){.arg = owner, .below = below, .strikes = strikes};
}

struct scene {
    struct owner owner;
    struct history history;
    struct sim_disk *disk;
    struct sim_recording *recording; /* of the second process */
    size_t returned[STEPS + 1]; /* operations there were when state k could be seen; SIZE_MAX: not yet */
};

static void apply(struct scene *scene, struct store *store, size_t step, dr_code expected)
{
    struct dr_error error = {0};
    if (history_apply(store, &scene->history.steps[step], &error) != expected)
        fail_msg("step %zu: %s", step, error.message);
}

/* Commits; then one whose sync fails, and death. */
static void first_process(struct scene *scene)
{
    struct store *store;
    assert_int_equal(history_open(scene->disk, 0, &store, NULL), DR_OK);
    for (size_t i = 0; i < STEPS_BEFORE; i++)
        apply(scene, store, i, DR_OK);
    scene->owner.fails_sync = true;
    apply(scene, store, STEPS_BEFORE, DR_UNAVAILABLE);
    scene->owner.fails_sync = false;
    sim_disk_kill(scene->disk);
    store_close(store);
}

/* Opens, goes on from what it sees, and closes. */
static void second_process(struct scene *scene)
{
    struct store *store;
    sim_disk_record(scene->disk);
    assert_int_equal(history_open(scene->disk, 0, &store, NULL), DR_OK);
    uint64_t state = history_state(store);
    size_t k = STEPS_BEFORE + (state == scene->history.states[STEPS_BEFORE + 1]);
    assert_int_equal(state, scene->history.states[k]);
    for (scene->returned[k] = sim_disk_recorded(scene->disk); k < STEPS; k++) {
        apply(scene, store, k, DR_OK);
        scene->returned[k + 1] = sim_disk_recorded(scene->disk);
    }
    store_close(store);
    scene->recording = sim_disk_recording_take(scene->disk);
}

static void third_process(struct scene *scene, size_t n, uint64_t seed)
{
    struct sim_disk_config config = config_of(&scene->owner);
    struct store *store;
    struct dr_error error = {0};
    size_t least = STEPS_BEFORE, k;
    for (k = 0; k <= STEPS; k++)
        if (scene->returned[k] <= n && k > least)
            least = k;
    scene->owner.is_random = seed > 0;
    random_init(&scene->owner.random, seed);
    struct sim_disk *disk = sim_disk_replay(scene->recording, n, &config);
    sim_disk_crash(disk);
    if (history_open(disk, 0, &store, &error) != DR_OK)
        fail_msg("operation %zu, seed %d: %s", n, (int)seed, error.message);
    uint64_t state = history_state(store);
    for (k = least; k <= STEPS && scene->history.states[k] != state; k++)
        ;
    if (k > STEPS)
        fail_msg("operation %zu, seed %d: lost what was seen after commit %zu", n, (int)seed, least);
    sim_disk_kill(disk);
    store_close(store);
    sim_disk_destroy(disk);
}

static void what_a_process_sees_after_a_failed_sync_and_a_death_is_not_lost_later(void **state)
{
    (void)state;
    struct scene scene = {0};
    for (size_t k = 0; k <= STEPS; k++)
        scene.returned[k] = k <= STEPS_BEFORE ? 0 : SIZE_MAX;
    struct sim_disk_config config = config_of(&scene.owner);
    history_make(&scene.history, 3, STEPS);
    scene.disk = sim_disk_create(&config);
    sim_disk_make_default(scene.disk);
    first_process(&scene);
    second_process(&scene);
    for (size_t n = 0; n <= sim_recording_length(scene.recording); n++)
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            third_process(&scene, n, seed);
    sim_recording_destroy(scene.recording);
    sim_disk_destroy(scene.disk);
    history_deinit(&scene.history);
}

/* ---- the file is being made -------------------------------------------------------------------------------------- */

#define FIRST_SYNCS 6 /* of the creation */
#define DYING_OPERATIONS 10 /* of the next opening */
#define CREATION_SEEDS 24

struct creation {
    struct random random;
    struct sim_disk *disk;
    unsigned n_syncs, first_failing; /* that one fails and the next, which is the rollback's */
    int n_left; /* operations until loss of power; 0 = none */
};

static uint64_t creation_below(void *arg, uint64_t bound)
{
    return random_below(&((struct creation *)arg)->random, bound);
}

static bool creation_strikes(void *arg, enum sim_disk_fault fault)
{
    struct creation *creation = arg;
    if (fault != DISK_FAULT_SYNC || creation->first_failing == 0)
        return false;
    creation->n_syncs++;
    return creation->n_syncs == creation->first_failing || creation->n_syncs == creation->first_failing + 1;
}

static void creation_after(void *arg, enum sim_disk_op op)
{
    struct creation *creation = arg;
    (void)op;
    if (creation->n_left > 0 && --creation->n_left == 0)
        sim_disk_crash(creation->disk);
}

static dr_code open_and_close(struct creation *creation, struct dr_error *error)
{
    struct store *store = NULL;
    dr_code code = history_open(creation->disk, 0, &store, error);
    store_close(store);
    return code;
}

static void fail_and_lose_power(unsigned first_failing, int n_operations, uint64_t seed)
{
    struct creation creation = {.first_failing = first_failing};
    struct sim_disk_config config = {
        .arg = &creation, .below = creation_below, .strikes = creation_strikes, .after = creation_after};
    struct dr_error error = {0};
    random_init(&creation.random, seed);
    creation.disk = sim_disk_create(&config);
    sim_disk_make_default(creation.disk);
    (void)open_and_close(&creation, NULL);
    creation.first_failing = 0;
    creation.n_left = n_operations;
    (void)open_and_close(&creation, NULL);
    creation.n_left = 0;
    if (open_and_close(&creation, &error) != DR_OK)
        fail_msg("sync %u failed, power lost after operation %d, seed %d: %s", first_failing, n_operations, (int)seed,
                 error.message);
    sim_disk_destroy(creation.disk);
}

/* The rollback of a creation that failed cannot be synced either: then pages of it are on the medium, and the next opening
 * sees an empty file. */
static void a_creation_that_failed_is_made_again_after_loss_of_power(void **state)
{
    (void)state;
    for (unsigned first = 1; first <= FIRST_SYNCS; first++)
        for (int n = 1; n <= DYING_OPERATIONS; n++)
            for (uint64_t seed = 1; seed <= CREATION_SEEDS; seed++)
                fail_and_lose_power(first, n, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_process_sees_after_a_failed_sync_and_a_death_is_not_lost_later),
        cmocka_unit_test(a_creation_that_failed_is_made_again_after_loss_of_power),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
