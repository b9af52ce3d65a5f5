/* A thousand random ends of a store's life: loss of power or death of the process, before or after any
 * operation of the disk, with and without failing operations before. The store opens again and holds exactly
 * the commits that had returned, and perhaps the one that had not, whole (I4, I6). CRASHES and CRASH_SEED in
 * the environment. */
#include "base/testing.h"

#include "history.h"

#include "base/random.h"
#include "sim/disk.h"
#include <stdio.h>
#include <sys/types.h>

#define CRASHES_DEFAULT 1000
#define STEPS 120 /* then it begins anew */
#define CHECKPOINT_PAGES 40
#define OPERATIONS_PER_LIFE 200 /* at most */
#define TRIES_MAX 1000

struct world {
    struct random random;
    struct history history;
    struct sim_disk *disk;
    struct store *store;
    uint32_t rates[DISK_FAULT_COUNT]; /* in a million */
    unsigned operations_left; /* of this life; 0: immortal */
    bool ends_by_power_loss; /* else the process dies */
    bool ends_after; /* else before the operation */
    bool is_over;
    size_t n_returned; /* commits that will not be taken back */
    size_t n_begun;
    enum store_durability durability;
    size_t n_safe; /* commits that were there when the store was last opened: synced in either durability */
    uint64_t n_lost;
    uint64_t n_power_losses, n_kills, n_commits, n_failures, n_unreturned;
};

/* ---- the owner of the disk ---- */

static uint64_t below(void *arg, uint64_t bound)
{
    return random_below(&((struct world *)arg)->random, bound);
}

static bool strikes(void *arg, enum sim_disk_fault fault)
{
    struct world *world = arg;
    return world->rates[fault] > 0 && random_below(&world->random, 1000000) < world->rates[fault];
}

static void end_life(struct world *world)
{
    world->is_over = true;
    if (world->ends_by_power_loss)
        sim_disk_crash(world->disk);
    else
        sim_disk_kill(world->disk);
}

/* Only operations that change something count: a death between two reads is like one before the first. */
static bool counts(enum sim_disk_op op)
{
    return op != DISK_OP_READ && op != DISK_OP_LOCK;
}

static void before(void *arg, enum sim_disk_op op)
{
    struct world *world = arg;
    if (counts(op) && world->operations_left == 1 && !world->ends_after && !world->is_over)
        end_life(world);
}

static void after(void *arg, enum sim_disk_op op)
{
    struct world *world = arg;
    if (counts(op) && world->operations_left > 0 && --world->operations_left == 0 && !world->is_over)
        end_life(world);
}

static void make_disk(struct world *world)
{
    struct sim_disk_config config = {
        .arg = world, .strikes = strikes, .below = below, .before = before, .after = after};
    sim_disk_destroy(world->disk);
    world->disk = sim_disk_create(&config);
    sim_disk_make_default(world->disk);
    world->n_returned = world->n_begun = world->n_safe = 0;
}

/* ---- a life ---- */

static void set_rates(struct world *world, bool has_faults)
{
    static const uint32_t RATES[DISK_FAULT_COUNT] = {
        [DISK_FAULT_OPEN] = 10000,        [DISK_FAULT_READ] = 1000,          [DISK_FAULT_SHORT_READ] = 1000,
        [DISK_FAULT_WRITE] = 3000,        [DISK_FAULT_PARTIAL_WRITE] = 3000, [DISK_FAULT_FULL] = 3000,
        [DISK_FAULT_SYNC] = 20000,        [DISK_FAULT_TRUNCATE] = 20000,     [DISK_FAULT_DELETE] = 20000,
        [DISK_FAULT_TORN_SECTOR] = 100000};
    for (int i = 0; i < DISK_FAULT_COUNT; i++)
        world->rates[i] = has_faults || i == DISK_FAULT_TORN_SECTOR ? RATES[i] : 0;
}

static void close_dead(struct world *world)
{
    store_close(world->store);
    world->store = NULL;
}

/* As a server does: tries again what fails, until it dies. */
static bool try_open(struct world *world)
{
    struct dr_error error = {0};
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        dr_code code = history_open_as(world->disk, CHECKPOINT_PAGES, world->durability, &world->store, &error);
        if (!code || world->is_over)
            return !world->is_over;
        if (code != DR_UNAVAILABLE)
            fail_msg("open: %s", error.message);
        world->n_failures++;
    }
    fail_msg("open, %u times: %s", TRIES_MAX, error.message);
    return false;
}

static bool try_step(struct world *world, const struct step *step)
{
    struct dr_error error = {0};
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        dr_code code = history_apply(world->store, step, &error);
        if (!code || world->is_over)
            return !code;
        if (code != DR_UNAVAILABLE)
            fail_msg("commit: %s", error.message);
        world->n_failures++;
    }
    fail_msg("commit, %u times: %s", TRIES_MAX, error.message);
    return false;
}

static void live(struct world *world)
{
    world->is_over = false;
    world->ends_by_power_loss = random_below(&world->random, 3) > 0;
    world->ends_after = random_below(&world->random, 2);
    world->operations_left = 1 + (unsigned)random_below(&world->random, OPERATIONS_PER_LIFE);
    if (try_open(world))
        while (!world->is_over && world->n_returned < STEPS) {
            world->n_begun = world->n_returned + 1;
            bool is_done = try_step(world, &world->history.steps[world->n_returned]);
            world->n_returned += is_done;
            world->n_commits += is_done;
        }
    world->operations_left = 0;
    if (!world->is_over)
        end_life(world);
    close_dead(world);
    world->n_power_losses += world->ends_by_power_loss;
    world->n_kills += !world->ends_by_power_loss;
}

static ssize_t find_state(const struct world *world, uint64_t state)
{
    for (size_t i = 0; i <= STEPS; i++)
        if (world->history.states[i] == state)
            return (ssize_t)i;
    return -1;
}

/* Loss of power may take the latest commits, when they are not synced; never a part of one, nor one from the middle. */
static void take_back(struct world *world, uint64_t state)
{
    bool may_lose = world->durability == STORE_SURVIVES_PROCESS && world->ends_by_power_loss;
    size_t n = world->n_returned;
    while (may_lose && n > world->n_safe && world->history.states[n] != state)
        n--;
    if (!may_lose || world->history.states[n] != state)
        return;
    world->n_lost += world->n_returned - n;
    world->n_returned = n;
}

/* What the next process finds; it goes on from there, so what it has seen must stay. */
static void look(struct world *world, uint64_t round)
{
    struct dr_error error = {0};
    set_rates(world, false);
    world->is_over = false;
    if (history_open_as(world->disk, CHECKPOINT_PAGES, world->durability, &world->store, &error) != DR_OK)
        fail_msg("round %llu: %s", (unsigned long long)round, error.message);
    uint64_t state = history_state(world->store);
    bool has_begun = world->n_begun > world->n_returned && state == world->history.states[world->n_begun];
    if (!has_begun)
        take_back(world, state);
    if (!has_begun && state != world->history.states[world->n_returned])
        fail_msg("round %llu: %zd commits, not %zu or %zu", (unsigned long long)round,
                 find_state(world, state), world->n_returned, world->n_begun);
    world->n_unreturned += has_begun;
    world->n_returned += has_begun;
    world->n_begun = world->n_safe = world->n_returned;
}

static unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void survive(bool has_faults, enum store_durability durability)
{
    struct world *world = mem_must_zalloc(sizeof *world);
    world->durability = durability;
    unsigned long n_crashes = number_from_environment("CRASHES", CRASHES_DEFAULT);
    unsigned long seed = number_from_environment("CRASH_SEED", 1);
    random_init(&world->random, seed);
    history_make(&world->history, seed, STEPS);
    make_disk(world);
    for (unsigned long i = 0; i < n_crashes; i++) {
        set_rates(world, has_faults);
        live(world);
        look(world, i);
        sim_disk_kill(world->disk);
        close_dead(world);
        if (world->n_returned == STEPS)
            make_disk(world);
    }
    printf("CRASH_SEED=%lu: %llu power losses, %llu kills, %llu failures, %llu commits nobody had heard of\n",
           seed, (unsigned long long)world->n_power_losses, (unsigned long long)world->n_kills,
           (unsigned long long)world->n_failures, (unsigned long long)world->n_unreturned);
    assert_true(world->n_power_losses && world->n_kills && world->n_unreturned);
    assert_true(has_faults == (world->n_failures > 0));
    assert_true((durability == STORE_SURVIVES_PROCESS) == (world->n_lost > 0));
    sim_disk_destroy(world->disk);
    history_deinit(&world->history);
    mem_free(world);
}

static void a_store_survives_a_thousand_crashes(void **state)
{
    (void)state;
    survive(false, STORE_SURVIVES_POWER_LOSS);
}

static void a_store_survives_a_thousand_crashes_of_a_failing_disk(void **state)
{
    (void)state;
    survive(true, STORE_SURVIVES_POWER_LOSS);
}

static void without_syncs_the_end_of_a_process_loses_nothing_and_loss_of_power_the_end_only(void **state)
{
    (void)state;
    survive(false, STORE_SURVIVES_PROCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_survives_a_thousand_crashes),
        cmocka_unit_test(a_store_survives_a_thousand_crashes_of_a_failing_disk),
        cmocka_unit_test(without_syncs_the_end_of_a_process_loses_nothing_and_loss_of_power_the_end_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
