/* A run of a function: the struct behind dr_call. The handler (handler.h) makes one for a first request, resumes the
 * parked one for a poll result, or makes one that goes through its journal first.
 *
 * One thread at a time. Values are decoded and encoded here, on the thread's own stack, never on the coroutine's. */
#ifndef SDK_RUN_H
#define SDK_RUN_H

#include "base/id.h"
#include "sdk/caller.h"
#include "sdk/coroutine.h"
#include "sdk/journal.h"
#include "wire/types.h"

enum run_end { RUN_GOES_ON = 0, RUN_RETURNED, RUN_FAILED, RUN_BECAME, RUN_INCOMPATIBLE, RUN_NO_MEMORY };

/* What a suspension asks for. */
struct run_terms {
    size_t min_results, max_results;
};

struct dr_call {
    struct caller caller;
    const dr_function *function;
    struct coroutine *coroutine;
    const char *dispatch_id, *parent_dispatch_id, *root_dispatch_id;
    int64_t creation_ns, expiration_ns;
    uint64_t random_state;

    dr_value *input;         /* as dr_input shows it */
    dr_value *arguments;     /* a list; NULL when it was not called with arguments */
    dr_value *keywords;

    struct journal journal;
    size_t n_revealed;       /* resumes whose results the function has */
    size_t n_named;          /* tasks whose names are in the journal */
    size_t n_sent;           /* tasks that polls before this suspension have carried: the first ones */
    bool is_restored;        /* and has not yet come to where its journal ends */
    dr_result ***results;    /* decoded, by resume; an entry is NULL once it was handed to its task */

    /* the suspension */
    size_t n_wanted;
    int64_t max_wait_ns;     /* < 0 = none */

    /* the end */
    enum run_end end;
    dr_status status;
    dr_value *output;        /* or the input of the tail call */
    const char *error_type, *error_message;
    struct slice error_value, error_traceback;
    const char *tail_function, *tail_endpoint;
    bool tail_is_python;

    /* while parked */
    struct id key;
    uint8_t *state;          /* what was sent: the state that may resume this stack */
    size_t state_len;
};

uint64_t run_fingerprint(const dr_function *function);
/* A run for a first request. Returns owned; NULL when out of memory, or when the input cannot be read (*error says). */
struct dr_call *run_create(const dr_function *function, const struct wire_run_request *request, struct dr_error *error);
/* A run that goes through the journal in the request's state: its first run_continue takes it to the suspension where the
 * journal ends. DR_FAILED_PRECONDITION: the journal does not fit; DR_NO_MEMORY. */
dr_code run_restore(const dr_function *function, const struct wire_run_request *request, struct dr_call **ret_call,
                    struct dr_error *error);
/* Adds what the request's poll result brings, to a run that is suspended. */
dr_code run_add_resume(struct dr_call *call, const struct wire_poll_result *poll, int64_t now_ns, struct dr_error *error);
/* Of the suspension that the run is in, or was in when it had begun the tasks that it has; its poll leaves n_unsent. */
struct run_terms run_terms(const struct dr_call *call, size_t n_unsent);
/* Notes the suspension in the journal, but for what its poll leaves unsent. DR_NO_MEMORY. */
dr_code run_note_suspension(struct dr_call *call, struct dr_error *error);
/* Runs until the end (call->end says which) or the next suspension (RUN_GOES_ON). */
void run_continue(struct dr_call *call);
/* The RunResponse of the end, or the poll of the suspension, whose state is kept in call->state. */
dr_code run_encode(struct dr_call *call, struct buf *buf, struct dr_error *error);
void run_destroy(struct dr_call *call); /* accepts NULL */

#endif
