/* A world for engine scenarios: the real engine and the real memory store, a clock moved by hand, and endpoints that
 * are the test itself. Everything the outside may see is written to a trace, one line each, which a scenario asserts:
 *
 *     submit: 1 call          an answer to a submit
 *     start f                 an attempt of function f leaves (a first run)
 *     resume f [3 2]          ... with the results of the calls with these correlation ids
 *     abort f                 the attempt was called off
 *     wake ok "x"             a waiter got an output (or: wake <code>, wake STATUS Type: message)
 *     cancel: ok              an answer to a cancel
 *
 * Calls are known by their function names, which a scenario keeps unique. One attempt per name is in flight. */
#ifndef TESTS_ENGINE_WORLD_H
#define TESTS_ENGINE_WORLD_H

#include "base/buf.h"
#include "engine/engine.h"
#include "store/store.h"

#define WORLD_CALLS_MAX 64
#define WORLD_READS_MAX 2048

struct world_attempt {
    struct id id;
    uint32_t number;
    char function[64];
    bool is_in_flight;
    enum wire_state_arm state_arm;
    char state[64];
    char poll_error[200];
};

struct world;
/* The status of an attempt: OK ends its call, another one comes without a RunResponse. */
typedef dr_status world_endpoint_fn(struct world *world, const struct engine_effect *start, void *arg);

struct world_reply {
    struct id id;
    uint32_t number;
    dr_status status;
};

struct world {
    struct engine *engine;
    struct engine_config config;
    struct store *store;
    int64_t now_ns;
    int64_t deadline_ns;
    struct buf trace;
    struct world_attempt attempts[WORLD_CALLS_MAX];
    size_t n_attempts;
    struct id submitted[WORLD_CALLS_MAX]; /* ids of the last submit */
    size_t n_submitted;
    bool holds_commits;          /* batches gather in `pending` until world_commit */
    bool holds_reads;            /* read effects gather until world_read */
    struct batch *pending[256];
    size_t n_pending;
    struct engine_effect reads[WORLD_READS_MAX];
    size_t n_reads;
    bool is_reading;
    uint64_t next_token;
    bool is_quiet;               /* nothing goes to the trace */
    /* When set, it answers every attempt as soon as its step is over; nothing of attempts goes to the trace. */
    world_endpoint_fn *endpoint;
    void *endpoint_arg;
    struct world_reply *replies;
    size_t n_replies, cap_replies;
    bool is_replying;
};

void world_init(struct world *world, const struct engine_config *config); /* config may be NULL */
void world_deinit(struct world *world);
/* The process dies and starts again: engine and what was not committed are lost, the store stays. */
void world_crash(struct world *world);

/* Submits root calls of these functions to http://a. */
void world_submit(struct world *world, size_t n, const char *const *functions);
void world_submit_call(struct world *world, struct wire_call call);
void world_wait(struct world *world, struct id id);
void world_cancel(struct world *world, struct id id);
/* Time passes; everything due on the way happens at its time. */
void world_advance(struct world *world, int64_t duration_ns);
void world_commit(struct world *world); /* releases held batches */
void world_read(struct world *world);   /* performs held reads */
void world_read_one(struct world *world); /* the first of them */
void world_event(struct world *world, const struct engine_event *event);

/* Replies to the attempt of `function` in flight. */
void world_reply(struct world *world, const char *function, const struct wire_run_response *response);
void world_return(struct world *world, const char *function, const char *output);
void world_fail(struct world *world, const char *function, dr_status status);
void world_lose(struct world *world, const char *function, dr_status status, int64_t retry_after_ns);
/* A poll with state "S" (typed) that makes these calls, correlation ids 1, 2, 3, ... from `first`. */
void world_poll(struct world *world, const char *function, int32_t min_results, int32_t max_results,
                int64_t max_wait_ns, uint64_t first, size_t n, const char *const *functions);
void world_tail_call(struct world *world, const char *function, dr_status status, const char *to);

bool world_is_running(const struct world *world, const char *function);
const struct world_attempt *world_attempt_of(const struct world *world, const char *function);
/* Id of the latest attempt of a function. */
struct id world_id(const struct world *world, const char *function);
/* Asserts the whole trace since the last check and forgets it. */
void world_expect(struct world *world, const char *trace);
/* The record as the store has it; found or the test fails. Owned by the caller. */
struct call_record world_stored(struct world *world, struct id id);

#endif
