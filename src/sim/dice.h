/* Dice: every random decision of a simulated run, from one seed.
 *
 * Two kinds. *Draws* (dice_below) shape the run: times, sizes, which call is asked for. *Strikes*
 * (dice_strikes) are faults: each kind has its own numbers, so that taking one fault out of a run, or all of
 * a kind, leaves the others where they were. That is what makes a run reducible (reduce.h).
 *
 * Each seed has a swarm of its own: about half of the fault kinds are off, the others get a rate of their
 * own. No floating point, no address, no order of a hash: the same seed gives the same numbers everywhere. */
#ifndef SIM_DICE_H
#define SIM_DICE_H

#include "base/random.h"
#include <stdbool.h>

/* X(name, text, most strikes in a million) */
#define SIM_FAULT_TABLE(X)                                                                                   \
    X(SIM_DISK_READ_ERROR, "disk-read-error", 8000)                                                          \
    X(SIM_DISK_SHORT_READ, "disk-short-read", 4000)                                                          \
    X(SIM_DISK_WRITE_ERROR, "disk-write-error", 3000)                                                        \
    X(SIM_DISK_PARTIAL_WRITE, "disk-partial-write", 3000)                                                    \
    X(SIM_DISK_SYNC_ERROR, "disk-sync-error", 20000)                                                         \
    X(SIM_DISK_OPEN_ERROR, "disk-open-error", 50000)                                                         \
    X(SIM_DISK_TRUNCATE_ERROR, "disk-truncate-error", 50000)                                                 \
    X(SIM_DISK_DELETE_ERROR, "disk-delete-error", 50000)                                                     \
    X(SIM_DISK_FULL, "disk-full", 2000)                                                                      \
    X(SIM_DISK_FILLS_UP, "disk-fills-up", 2000)                                                              \
    X(SIM_DISK_TORN, "disk-torn-sector", 200000)                                                             \
    X(SIM_DISK_DELAY, "disk-delay", 20000)                                                                   \
    X(SIM_NET_DROP, "net-drop", 50000)                                                                       \
    X(SIM_NET_DELAY, "net-delay", 100000)                                                                    \
    X(SIM_NET_REPEAT, "net-repeat", 50000)                                                                   \
    X(SIM_NET_CUT, "net-cut", 50000)                                                                         \
    X(SIM_ENDPOINT_CRASH, "endpoint-crash", 50000)                                                           \
    X(SIM_ENDPOINT_HANG, "endpoint-hang", 20000)                                                             \
    X(SIM_ENDPOINT_LATE, "endpoint-late", 50000)                                                             \
    X(SIM_ENDPOINT_TWICE, "endpoint-answers-twice", 50000)                                                   \
    X(SIM_ENDPOINT_GARBAGE, "endpoint-garbage", 10000)                                                       \
    X(SIM_ENDPOINT_TEMPORARY, "endpoint-temporary-error", 100000)                                            \
    X(SIM_ENDPOINT_THROTTLES, "endpoint-throttles", 20000)                                                   \
    X(SIM_ENDPOINT_DOWN, "endpoint-down", 10000)                                                             \
    X(SIM_ENDPOINT_VERSION, "endpoint-new-version", 10000)                                                   \
    X(SIM_POWER_LOSS, "power-loss", 4000)                                                                    \
    X(SIM_POWER_LOSS_IN_WRITE, "power-loss-in-write", 3000)                                                  \
    X(SIM_KILL, "kill", 6000)                                                                                \
    X(SIM_KILL_IN_SWEEP, "kill-in-sweep", 300000)                                                            \
    X(SIM_STOP, "stop", 3000)                                                                                \
    X(SIM_CLOCK_FORWARD, "clock-forward", 3000)                                                              \
    X(SIM_CLOCK_BACK, "clock-back", 3000)

enum sim_fault {
#define X(name, text, rate) name,
    SIM_FAULT_TABLE(X)
#undef X
        SIM_FAULT_COUNT
};

/* One strike taken out of a run. */
struct dice_mask {
    enum sim_fault fault;
    uint64_t number;
};

struct dice {
    uint64_t seed;
    struct random draws;
    uint32_t rates[SIM_FAULT_COUNT]; /* in a million; 0 = off */
    uint64_t asked[SIM_FAULT_COUNT];
    uint64_t struck[SIM_FAULT_COUNT];
    const struct dice_mask *masks; /* borrowed */
    size_t n_masks;
    uint64_t kinds_off; /* bit per fault: as if its rate were 0 */
    bool is_calm; /* nothing strikes any more */
    void (*on_strike)(void *arg, struct dice_mask strike); /* may be NULL */
    void *arg;
};

void dice_init(struct dice *dice, uint64_t seed);
/* Uniform in [0, bound). */
uint64_t dice_below(struct dice *dice, uint64_t bound);
/* Uniform in [low, high]. */
int64_t dice_between(struct dice *dice, int64_t low, int64_t high);
bool dice_strikes(struct dice *dice, enum sim_fault fault);
/* Mixes two numbers into one (splitmix64). Pure; also the programs' way to values. */
uint64_t dice_mix(uint64_t a, uint64_t b);
/* "disk-full". Static. */
const char *sim_fault_name(enum sim_fault fault);

#endif
