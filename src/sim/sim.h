/* The simulator: the real engine, the real SQLite store on a simulated disk, the real wire encoding; clock,
 * network, endpoints, clients and every fault from one seed, in one thread. docs/design/simulator.md tells
 * what is checked.
 *
 *     struct sim_options options = {.seed = 42};
 *     struct sim_report report;
 *     sim_run(&options, &report);
 *     if (report.violation[0]) ... report.trace ...
 *     sim_report_deinit(&report);
 *
 * The same options give the same run, byte for byte, whichever compiler built it: compare report.digest.
 * A failed CHECK of the product aborts the process, as it does in production: run a seed in a child process
 * (sim_run_child) to see that as a violation too.
 *
 * One thread at a time: SQLite's random numbers belong to the process. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/buf.h"
#include "sim/dice.h"

#define SIM_VIOLATION_SIZE 400
#define SIM_OPERATIONS_MOST 24
#define SIM_SECONDS_MAX 120 /* of real time: a run in a process of its own that takes longer hangs, and dies */

/* What happened, for coverage: T1 to T9 and what the outside asked for. */
#define SIM_DEED_TABLE(X)                                                                                    \
    X(SIM_T1, "T1 submitted")                                                                                \
    X(SIM_T2, "T2 started") X(SIM_T3, "T3 exited") X(SIM_T4, "T4 retried") X(SIM_T5, "T5 tail-called")       \
        X(SIM_T6, "T6 polled") X(SIM_T7, "T7 resumed") X(SIM_T8_CANCEL, "T8 cancelled")                      \
            X(SIM_T8_EXPIRE, "T8 expired") X(SIM_T9, "T9 restarted") X(SIM_SUBMIT_OK, "submit ok")           \
                X(SIM_SUBMIT_FAILED, "submit failed") X(SIM_WAIT_OK, "wait ok") X(                           \
                    SIM_WAIT_FAILED, "wait failed") X(SIM_GET_OK, "get ok") X(SIM_GET_FAILED, "get failed")  \
                    X(SIM_LIST_OK, "list ok") X(SIM_LIST_FAILED, "list failed")                              \
                        X(SIM_CANCEL_OK, "cancel ok") X(SIM_CANCEL_FAILED, "cancel failed")                  \
                            X(SIM_PURGED, "purged") X(SIM_LATE_ANSWERS, "late answers dropped")              \
                                X(SIM_COMMIT_FAILED, "commit failed") X(SIM_READ_FAILED, "read failed") X(SIM_READ_GIVEN_UP, "read given up")      \
                                    X(SIM_OPEN_FAILED, "open failed") X(SIM_RESTARTS, "server starts")       \
                                        X(SIM_UNSURE_COMMITS, "commits in doubt at a crash")

enum sim_deed {
#define X(name, text) name,
    SIM_DEED_TABLE(X)
#undef X
        SIM_DEED_COUNT
};

struct sim_options {
    uint64_t seed;
    uint32_t n_operations; /* of the clients; 0 = drawn, at most SIM_OPERATIONS_MOST */
    uint64_t kinds_off; /* fault kinds left out, a bit each */
    const struct dice_mask *masks; /* strikes left out; borrowed */
    size_t n_masks;
    uint64_t operations_off[4]; /* operations of the clients left out, a bit each (the first 256) */
    bool has_trace; /* keep the trace's text */
    bool is_quiet; /* sim_run_child: nothing on stderr */
};

struct sim_report {
    char violation[SIM_VIOLATION_SIZE]; /* empty: all is well */
    uint64_t digest; /* of the whole trace */
    uint64_t n_steps; /* events that happened */
    uint64_t n_calls;
    int64_t simulated_ns;
    uint64_t deeds[SIM_DEED_COUNT];
    uint64_t strikes[SIM_FAULT_COUNT];
    struct dice_mask *struck; /* owned: each strike, in order, at most SIM_STRUCK_MAX */
    size_t n_struck;
    struct buf trace; /* owned */
};

#define SIM_STRUCK_MAX 4096

void sim_run(const struct sim_options *options, struct sim_report *ret_report);
void sim_report_deinit(struct sim_report *report);
/* The same in a child process; an abort or a sanitizer's report there is a violation. trace and struck stay
 * empty when the child died. */
void sim_run_child(const struct sim_options *options, struct sim_report *ret_report);
const char *sim_deed_name(enum sim_deed deed);

#endif
