/* Programs of the simulated users: what a function does follows from the seed in its input, and so does the
 * result that it must have. A pure function of the request; what it saves between polls is its state, as a
 * coroutine's is.
 *
 * Between them the programs use every directive of the protocol: exits with a value, with an error, with
 * nothing; tail calls; polls with calls, without calls (later results), without calls and results (a sleep),
 * without anything to wait for (only expiration ends it, Q10), and with a call that is refused; both arms of
 * the state.
 *
 * They also check what only the function sees: that it is the function the input names, that its state comes
 * back as it was sent and in the same arm (Q7), that no result comes twice (I2) or with a wrong correlation
 * id, that a result is the one its child must have, and that min_results, max_results and max_wait were
 * honoured.
 *
 * Some end oddly: with neither exit nor poll, with a failure without error, with a poll and a failure, with a
 * tail call to nowhere. Inputs, states and results are small, or longer than what a row of the store holds. */
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H

#include "base/arena.h"
#include "wire/types.h"

#define PROGRAM_DEPTH_MAX 3
#define PROGRAM_CALLS_MAX 64 /* that one run makes */
#define PROGRAM_ENDPOINTS 3

enum program_kind {
    PROGRAM_RETURNS,
    PROGRAM_RAISES,
    PROGRAM_SLEEPS,
    PROGRAM_TAIL_CALLS,
    PROGRAM_WAITS_FOR_NOTHING, /* expires */
    PROGRAM_IS_REFUSED, /* polls with an invalid call first */
    PROGRAM_ENDS_ODDLY,
    PROGRAM_RACES, /* the first of several results is enough */
    PROGRAM_GATHERS,
    PROGRAM_KIND_COUNT
};

struct program_input {
    uint64_t seed;
    uint8_t depth;
    uint8_t n_tail_calls;
};

/* How a call ends when nobody cancels it and it does not expire early. */
struct program_result {
    bool is_lost; /* ended by the server: expired, cancelled, or because of a reply that is none */
    bool is_error; /* ended by the program's own error */
    uint64_t value;
    bool is_tainted; /* a call below was lost that need not have been: the value is anything */
};

struct program_run {
    const struct wire_run_request *request;
    uint32_t version; /* of the code that runs: a coroutine of another version does not go on (T9) */
    int64_t now_ns; /* the server's clock; 0 = it jumped, waits are not checked */
    struct arena *arena; /* for the response */
    char violation[200]; /* out: empty when all is well */
};

/* A root call, or whichever `input` says. Payloads live in the arena. */
void program_call(struct program_input input, struct arena *arena, struct wire_call *ret_call);
struct program_result program_expected(struct program_input input);
enum program_kind program_kind_of(struct program_input input);
/* The status by which a call ends that ends oddly, also after tail calls; 0 = it does not. */
dr_status program_odd_status(struct program_input input);
const char *program_name(enum program_kind kind);
/* Runs one attempt. */
void program_run(struct program_run *run, struct wire_run_response *ret_response);
/* Reads the result of a done call: `output` and error as the server shows them. False when nobody can have
 * made it. */
bool program_read_result(struct slice output, struct slice error_type, struct slice error_message,
                         struct program_result *ret_result);
/* False when `result` cannot be the result of a call with this input. */
bool program_may_end(struct program_input input, const struct program_result *result);
bool program_read_input(struct slice any, struct program_input *ret_input);

#endif
