/* Insides of the simulator, shared by src/sim only.
 *
 * Files: sim.c (a run from beginning to end) - trace.c - calls.c (what is known of each call; the shadow) -
 * server.c (the process: start, death, clock, steps) - server_ask.c (its API) - server_store.c (its store thread) -
 * server_run.c (its attempts) - settle.c (what a crash left) - network.c (messages) - endpoint.c (where programs run) -
 * client.c (what users ask) - the model of what must be: check.c, check_new.c, check_reply.c, check_why.c,
 * check_settled.c
 *
 * Time is simulated: things happen when the heap of events says so, in order of time, then of arming.
 * Whatever belongs to a server process carries its epoch; what an earlier process armed is dropped when it
 * comes up.
 *
 * The *shadow* is a memory store that gets every batch once its commit has returned: what must survive. */
#ifndef SIM_SIM_PRIVATE_H
#define SIM_SIM_PRIVATE_H

#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "sim/disk.h"
#include "sim/program.h"
#include "sim/sim.h"
#include "store/store.h"

#define SIM_CLIENTS 3
#define SIM_PROJECTS 2 /* 1 and 2; clients ask in either, now and then for a call of the other */
#define SIM_CALLS_FEW 1000 /* a run has fewer */
#define SIM_SHORT_SLEEP_NS (4 * NS_PER_S) /* who sleeps no longer stays in memory (E2) */
#define SIM_DATABASE "dispatch.db"
#define SIM_START_NS (INT64_C(1767225600) * NS_PER_S) /* 2026-01-01 */
#define SIM_STEPS_MAX 400000 /* more than that, and these for each operation, is a run that does not end */
#define SIM_STEPS_PER_OPERATION_MAX 2000
#define SIM_DISK_DELAY_MAX_NS (20 * NS_PER_S) /* of one job of the store */

struct sim;

struct sim_event {
    struct heap_node node;
    void (*fire)(struct sim *sim, struct sim_event *event); /* owns the event from then on */
    void (*drop)(struct sim_event *event); /* the run is over; NULL = nothing to free */
};

/* ---- calls ---- */

/* Results that an attempt brings. */
struct sim_delivery {
    struct id *ids; /* of the children; owned by the flight, then by the call */
    size_t n_ids;
};

struct sim_call {
    struct id id;
    unsigned number; /* c1, c2, ... in the trace */
    struct sim_call *parent; /* NULL for a root */
    struct sim_call *first_child, *next_sibling;
    struct program_input input; /* as the call was made */
    bool is_durable; /* in the shadow, since durable_ns */
    int64_t durable_ns;
    bool is_purged;
    bool is_done; /* durably */
    int64_t finished_ns; /* since when */
    bool is_ended_by_server; /* durably done by T8, at ended_ns */
    bool is_spoiled; /* an endpoint answered garbage: ends with INVALID_RESPONSE */
    uint32_t project;
    bool is_cancel_asked;
    int64_t ended_ns; /* simulated time */
    uint64_t ended_jobs; /* what the store had done by then */
    uint32_t generation; /* durable */
    uint32_t n_restarts; /* T9, durable */
    int64_t restarted_ns;
    uint64_t restarted_jobs;
    /* what the outside has seen: it became done at one moment in [live_ns, done_ns] */
    int64_t live_ns; /* began an observation that found it not done */
    int64_t done_ns; /* ended an observation that found it done; TIME_NEVER = none */
    bool has_seen_result;
    uint64_t seen_result; /* a hash */
    struct sim_delivery retried; /* of the last attempt, if it is to be tried again */
    uint32_t retried_epoch;
};

/* ---- the server ---- */

struct sim_job {
    struct list node;
    struct batch *batch; /* or */
    struct engine_effect read; /* of the engine, or */
    struct sim_request *request; /* get or list of a client */
};

struct sim_flight {
    struct sim_event timeout;
    struct id id;
    uint32_t attempt;
    struct sim_call *call;
    unsigned host;
    bool is_aborted;
    struct sim_delivery delivered;
};

struct sim_server {
    bool is_up;
    bool is_stopping; /* starts nothing any more, closes its store in a while */
    uint32_t epoch;
    struct engine *engine;
    struct store *store;
    int64_t started_ns;
    int64_t offset_ns; /* its clock is the true time plus this; only rises while it lives */
    int64_t deadline_ns;
    int64_t stepped_ns;     /* time of the last step */
    struct sim_event *tick; /* armed, or NULL */
    struct list jobs; /* first one is in work */
    bool is_working;
    int64_t retry_pause_ns;
    uint64_t handed, committed, told;
    int64_t answered_ns; /* when the last answer of the store thread reaches the engine: they stay in order */
    size_t n_tried; /* batches at the head whose commit was tried and has failed */
    struct list in_doubt; /* those, when the process died */
    bool is_purge_in_doubt;
    struct purge_order purge_in_doubt;
    struct map flights;
    const struct sim_request *submitting; /* whose calls are the event of this step */
    const struct sim_flight *replying; /* whose reply is the event of this step; NULL = none, or a late one */
    unsigned n_flights[PROGRAM_ENDPOINTS];
    struct map requests; /* token -> struct sim_request that the engine has not answered */
    uint64_t last_token;
};

struct sim_endpoint {
    uint32_t version;
    int64_t down_until_ns;
};

/* What a client asks, from its sending to its answer. */
enum sim_request_kind { SIM_SUBMIT = 1, SIM_WAIT, SIM_GET, SIM_LIST, SIM_CANCEL };

struct sim_request {
    enum sim_request_kind kind;
    unsigned number; /* of the operation */
    int64_t sent_ns;
    int64_t deadline_ns; /* of a wait, by the server's clock */
    uint64_t token;
    uint32_t project; /* of who asks */
    bool is_foreign; /* the call is another project's */
    struct id id; /* of wait, get, cancel */
    struct sim_call *call; /* with this id; NULL = there is none */
    int64_t timeout_ns; /* of a wait */
    struct buf bytes; /* of a submit */
    bool is_json;
    bool is_bad; /* one of its calls has no function */
    uint32_t n_calls;
    struct program_input inputs[3];
    struct store_filter filter;
    unsigned n_references; /* messages and the client: the last one frees */
    bool is_over; /* the client has its answer, or has given up */
    bool is_given_up;
    /* the answer */
    dr_code code;
    struct id ids[3];
    bool is_done;
    uint64_t result; /* a hash */
};

struct sim_client {
    struct sim_request *request; /* under way */
    struct sim_event *timer; /* the next operation, or giving this one up */
};

/* ---- the run ---- */

struct sim {
    const struct sim_options *options;
    struct sim_report *report;
    struct dice dice;
    int64_t now_ns; /* the true time */
    int64_t skew_ns; /* what wall clocks are off by */
    bool has_clock_jumped;
    struct heap events;
    struct engine_config config;
    struct sim_disk *disk;
    int64_t disk_delay_ns;        /* of the job in work */
    uint64_t n_jobs; /* of the store that are done */
    int64_t disk_full_until_ns;   /* 0 = there is room */
    int64_t disk_trouble_ns;      /* when it failed or was slow, last */
    struct store *shadow;
    struct sim_server server;
    struct sim_endpoint endpoints[PROGRAM_ENDPOINTS];
    struct sim_client clients[SIM_CLIENTS];
    uint32_t n_operations, n_operations_left;
    struct map calls; /* id -> struct sim_call */
    struct sim_call **call_list; /* by number - 1 */
    size_t n_calls, cap_calls;
    bool is_sweep_recorded; /* in this event: descendants are to be cancelled */
    bool is_dying; /* the power failed inside an operation of the disk */
    uint64_t n_lost; /* calls that ended otherwise than their programs would: cancelled, garbage */
    uint64_t last_done_sequence;
    uint64_t n_deep_retries, n_short_retries, n_longest_retries;
    int64_t calm_ns; /* nothing strikes any more since then; 0 = it still does */
    uint64_t digest;
};

/* trace.c */
void sim_trace(struct sim *sim, const char *format, ...) DR_PRINTF(2, 3);
/* The first violation counts. */
void sim_violate(struct sim *sim, const char *format, ...) DR_PRINTF(2, 3);
bool sim_is_violated(const struct sim *sim);
void sim_did(struct sim *sim, enum sim_deed deed);

/* sim.c */
void sim_after(struct sim *sim, struct sim_event *event, int64_t delay_ns);

/* calls.c */
struct sim_call *sim_call_find(struct sim *sim, struct id id);
/* A batch was made: new calls get their names. */
void sim_calls_see(struct sim *sim, const struct batch *batch);
/* Its commit has returned, or turned out to have happened: the shadow gets it. */
void sim_calls_commit(struct sim *sim, struct batch *batch);
/* The calls of a batch that a crash took. */
void sim_calls_lose(struct sim *sim, const struct batch *batch);
/* The shadow has been purged. */
void sim_calls_see_purged(struct sim *sim);
/* Copy of the shadow's record; false when there is none. */
bool sim_shadow(struct sim *sim, struct id id, struct call_record *ret_record);
uint64_t sim_result_hash(const struct call_record *record);

/* server.c */
void sim_server_start(struct sim *sim);
enum sim_end { SIM_END_KILLED, SIM_END_POWER_LOST, SIM_END_STOPPED };
void sim_server_die(struct sim *sim, enum sim_end how);
/* It is asked to stop: attempts in flight get a while, the store is closed. */
void sim_server_stop(struct sim *sim);
void sim_server_schedule_start(struct sim *sim);
int64_t sim_server_now(struct sim *sim);
void sim_server_step(struct sim *sim, const struct engine_event *event);
void sim_server_deinit(struct sim *sim);

/* server_ask.c */
/* A client's request reaches the server. */
void sim_server_request(struct sim *sim, struct sim_request *request);
void sim_answer_submit(struct sim *sim, const struct engine_effect *effect);
void sim_answer_wait(struct sim *sim, const struct engine_effect *effect);
void sim_answer_cancel(struct sim *sim, const struct engine_effect *effect);
/* A get or a list has its turn in the store; frees the job when it is over. */
void sim_request_read(struct sim *sim, struct sim_job *job);
/* Their connections break. */
void sim_requests_abandon(struct sim *sim);

/* server_store.c */
void sim_store_commit(struct sim *sim, struct batch *batch);
void sim_store_read(struct sim *sim, const struct engine_effect *effect);
void sim_store_request(struct sim *sim, struct sim_request *request);
void sim_store_abandon(struct sim *sim);
bool sim_store_is_quiet(const struct sim *sim);
void sim_job_free(struct sim_job *job);

/* settle.c */
void sim_store_settle(struct sim *sim);
void sim_store_compare(struct sim *sim);

/* server_run.c */
struct sim_failure {
    dr_status status; /* 0 = none */
    const char *type;
    int64_t retry_after_ns;
};
void sim_run_start(struct sim *sim, const struct engine_effect *effect);
void sim_run_abort(struct sim *sim, const struct engine_effect *effect);
void sim_run_failed(struct sim *sim, struct id id, uint32_t attempt, uint32_t epoch, const struct sim_failure *failure);
void sim_run_answered(struct sim *sim, struct id id, uint32_t attempt, uint32_t epoch, struct slice bytes);
void sim_runs_abandon(struct sim *sim);

/* network.c */
void sim_net_run(struct sim *sim, const struct sim_flight *flight, uint8_t *bytes, size_t len);
void sim_net_request(struct sim *sim, struct sim_request *request);
void sim_net_answer(struct sim *sim, struct sim_request *request);

/* endpoint.c: a request arrives; the answer goes back by `reply`. */
struct sim_reply {
    bool is_lost; /* no answer will come */
    struct sim_failure failure; /* the connection broke, or it answers with a status of HTTP only */
    struct buf bytes;
    int64_t delay_ns;
    bool is_twice;
};
void sim_endpoint_run(struct sim *sim, unsigned host, struct slice bytes, struct sim_reply *ret_reply);

/* client.c */
void sim_clients_start(struct sim *sim);
void sim_clients_deinit(struct sim *sim);
/* An answer has come (code set), or cannot come any more. */
void sim_client_answered(struct sim *sim, struct sim_request *request);
void sim_request_unref(struct sim_request *request);
bool sim_clients_are_idle(const struct sim *sim);

/* check_reply.c: a step made an update of a reply. `before` is the record as the attempt began; NULL when the call was
 * gone by then. */
void sim_check_reply(struct sim *sim, const struct sim_flight *flight, const struct call_record *before,
                     const struct engine_event *event, const struct engine_update *update);
void sim_check_late_reply(struct sim *sim, struct id id, const struct engine_update *update);

/* check_new.c */
/* `parent` is NULL for a root. */
void sim_check_new(struct sim *sim, const struct call_record *record, const struct wire_call *wire,
                   const struct call_record *parent);
void sim_check_submit(struct sim *sim, const struct sim_request *request, const struct engine_event *event,
                      const struct batch *batch);

/* check_settled.c: what holds once everything that can happen has happened. */
bool sim_is_settled(struct sim *sim);
void sim_check_settled(struct sim *sim);
/* The store is closed: is the file whole? */
void sim_check_file(struct sim *sim);

/* check.c */
void sim_check_start(struct sim *sim, const struct sim_call *call, const struct engine_effect *effect);
void sim_check_durable_end(struct sim *sim, struct sim_call *call, const struct call_record *record);
void sim_check_why(struct sim *sim, const struct sim_call *call);
struct engine_why sim_why(struct sim *sim, const struct call_record *record);
/* Linearizability: a call becomes done at one moment, which must lie behind the beginning of every
 * observation that found it live, and before the end of every one that found it done. */
void sim_check_seen_live(struct sim *sim, struct sim_call *call, int64_t began_ns);
void sim_check_seen_done(struct sim *sim, struct sim_call *call);
void sim_check_seen_result(struct sim *sim, struct sim_call *call, uint64_t result);
/* The server still has a request that it should have answered. */
void sim_check_unanswered(struct sim *sim, const struct sim_request *request);
void sim_check_wait(struct sim *sim, const struct sim_request *request);

#endif
