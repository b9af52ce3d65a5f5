/* A history of commits for tests that take the power away: made once from a seed, with the state of the store
 * after each commit as one number, taken from the memory store. Whatever happens to a disk, the store on it
 * must be in one of those states. Functions fail the running test when something is not as it must be. */
#ifndef TESTS_CRASH_HISTORY_H
#define TESTS_CRASH_HISTORY_H

#include "store/store.h"

struct sim_disk;

struct step { /* one transaction of the store */
    struct batch *batches[3]; /* owned */
    size_t n_batches; /* 0: a purge */
    int64_t purge_before_ns;
};

struct history {
    struct step *steps; /* the n-th leads from state n to state n + 1 */
    uint64_t *states; /* n_steps + 1 of them; no two neighbours are equal */
    size_t n_steps;
};

/* Inserts, updates, results, consumes, ends of sweeps, now and then a purge; payloads from none to three
 * pages. */
void history_make(struct history *history, uint64_t seed, size_t n_steps);
void history_deinit(struct history *history);
dr_code history_apply(struct store *store, const struct step *step, struct dr_error *error);
/* Everything that the store answers, as one number. */
uint64_t history_state(struct store *store);

/* The store on the simulated disk; checkpoints after every `checkpoint_pages` pages of WAL (0: as the store
 * does). */
dr_code history_open(struct sim_disk *disk, int checkpoint_pages, struct store **ret_store,
                     struct dr_error *error);
dr_code history_open_as(struct sim_disk *disk, int checkpoint_pages, enum store_durability durability,
                        struct store **ret_store, struct dr_error *error);

#endif
