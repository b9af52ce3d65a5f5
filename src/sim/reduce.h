/* Reduction: the smallest run that still goes wrong. It leaves out what a run can do without, as long as a
 * violation remains: whole kinds of faults first, then operations of the clients, then single faults, in
 * halves down to one by one (delta debugging). Each try is a run in a child process. */
#ifndef SIM_REDUCE_H
#define SIM_REDUCE_H

#include "sim/sim.h"

#define REDUCE_RUNS_MAX 600

struct reduction {
    struct sim_options options; /* of the smallest run; its masks are in `masks` */
    struct dice_mask *masks; /* owned */
    size_t n_masks;
    unsigned n_runs;
    uint64_t n_steps; /* of the smallest run */
    char violation[SIM_VIOLATION_SIZE];
};

/* `options` went wrong with `report` (sim_run_child). */
void reduce_run(const struct sim_options *options, const struct sim_report *report,
                struct reduction *ret_reduction);
void reduction_deinit(struct reduction *reduction);

#endif
