/* The program of the tests that kill, stop and starve real processes: an endpoint in a process of its own, and the
 * results that its functions must have.
 *
 *  - leaf(n) answers 3n + 1; now and then only after a temporary error
 *  - sleep(n) answers the same after 20 ms, chain(n) after a few tail calls
 *  - parent(n) calls five of these in one poll, takes their results in portions of at most two, keeps the sum and a mask of
 *    what it got in its state, and answers the sum. The state is what the server recorded, so a result that comes although
 *    the mask has it was delivered twice.
 *  - nap(n) answers the same after PROGRAM_NAP_MS, stuck(n) after an hour: to be cancelled, or when the clock is set
 *
 * What must not happen is a line in the program's file of violations. The test's main() calls program_main first: the
 * process is the test's own binary. One owner, not thread-safe. */
#ifndef TESTS_CRASH_PROGRAM_H
#define TESTS_CRASH_PROGRAM_H

#include "base/arena.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_NAP_MS 1500

struct program {
    pid_t pid;
    uint16_t port;
    char url[64];
    int violations; /* a file without a name; outlives the process */
};

/* When the arguments say that this process is the endpoint: serves until it is killed. Else returns. */
void program_main(int argc, char **argv);

/* Starts the endpoint, the first time on a free port and then on the same; returns when it listens. */
void program_start(struct program *program);
void program_kill(struct program *program);
/* Kills it; prints its violations to stderr and returns how many bytes they are. */
size_t program_end(struct program *program);

/* A number as an Any, in the arena. */
struct slice program_value(uint64_t number, struct arena *arena);
bool program_number(struct slice any, uint64_t *ret_number);

/* The function that call n of the load is for, and its result. */
const char *program_function(uint64_t n);
uint64_t program_result(uint64_t n);
uint64_t program_result_of(const char *function, uint64_t n);

#endif
