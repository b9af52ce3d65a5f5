/* Many seeds, in several processes. */
#ifndef SIM_RUNNER_H
#define SIM_RUNNER_H

#include "sim/sim.h"

#define RUNNER_JOBS_MAX 64
#define RUNNER_SHOWN_MAX 20 /* violations kept per process */

struct runner_options {
    uint64_t first_seed;
    uint64_t n_seeds;
    unsigned n_jobs; /* processes; 1..RUNNER_JOBS_MAX */
    uint32_t n_operations; /* of each run; 0 = the default */
};

struct runner_violation {
    uint64_t seed;
    char text[SIM_VIOLATION_SIZE];
};

struct runner_report {
    uint64_t n_runs, n_violations, n_steps, n_calls;
    uint64_t digest; /* of all runs; the order does not matter */
    uint64_t deeds[SIM_DEED_COUNT];
    uint64_t strikes[SIM_FAULT_COUNT];
    struct runner_violation violations[RUNNER_SHOWN_MAX]; /* lowest seeds of each process first */
    unsigned n_shown;
};

/* A seed whose process dies counts as a violation; the others go on. */
void runner_run(const struct runner_options *options, struct runner_report *ret_report);

#endif
