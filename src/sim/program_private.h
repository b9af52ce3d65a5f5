/* Insides of the programs, shared by program.c (what a seed means) and program_run.c (what an attempt does).
 */
#ifndef SIM_PROGRAM_PRIVATE_H
#define SIM_PROGRAM_PRIVATE_H

#include "sim/dice.h"
#include "sim/program.h"

#define PROGRAM_ERROR "ProgramError"

struct program_terms {
    int32_t min_results;
    int32_t max_results;
    int64_t max_wait_ns; /* 0 = none */
    enum wire_state_arm arm;
};

enum program_oddity { ODD_NOTHING, ODD_NO_ERROR, ODD_POLL, ODD_TAIL_CALL, ODDITY_COUNT };

enum program_oddity program_oddity(struct program_input input);
unsigned program_rounds(struct program_input input);
unsigned program_calls(struct program_input input, unsigned round);
/* The number-th call a run makes, from 1: also its correlation id. */
struct program_input program_child(struct program_input input, unsigned number);
struct program_input program_tail(struct program_input input);
struct program_terms program_terms(struct program_input input, unsigned poll);
int64_t program_sleep_ns(struct program_input input);
uint64_t program_value(struct program_input input);
uint64_t program_fold(unsigned number, const struct program_result *result);
/* `value`, then as many bytes as follow from the number: mostly none, sometimes more than fit into a row. */
struct slice program_pad(struct slice value, uint64_t number, struct arena *arena);
/* The value without them; false when they are not those. */
bool program_unpad(struct slice padded, size_t len, uint64_t number, struct slice *ret_value);
struct slice program_output(const struct program_result *result, struct arena *arena);
struct slice program_any(struct slice value, struct arena *arena);
bool program_any_value(struct slice any, struct slice *ret_value);

#endif
