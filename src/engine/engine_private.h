/* The engine's insides, shared by the files of src/engine only. docs/design/engine.md has the rules (E1 to E13) that
 * this code cites; T1 to T9 and I1 to I8 are the design's.
 *
 * Files, each using only those before it: output.c (batch, effects, what is held back), mail.c, sweep.c, creation.c,
 * resident.c (what is in memory, E1 E2), wait.c, poll.c (T6 T7), finish.c (T3 T4 T5 T9), submit.c (T1), attempt.c (T2,
 * replies), cancel.c (T8), read.c (loads and scans, E3 E4), purge.c (E12), engine.c (create, step, deadlines). why.c looks on. */
#ifndef ENGINE_ENGINE_PRIVATE_H
#define ENGINE_ENGINE_PRIVATE_H

#include "base/arena.h"
#include "base/check.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/scheduler.h"

/* Deadlines this near are kept in memory and read ahead (E1, E2). */
#define ENGINE_LOOK_AHEAD_NS (5 * NS_PER_S)
#define ENGINE_SCAN_LIMIT 4096u
#define ENGINE_SCAN_BYTES_MAX 64000000u
#define ENGINE_SWEEP_LIMIT 256u
#define ENGINE_READ_RETRY_NS NS_PER_S /* after a read that failed */
#define ENGINE_MAIL_SCAN_LIMIT 1024u
#define ENGINE_BACKLOG_PAUSE_NS (1 * NS_PER_S)
#define ENGINE_BACKLOG_PAUSE_FACTOR 8 /* a pause is so many times as long as the pass before it ... */
#define ENGINE_BACKLOG_PAUSE_MAX_NS (600 * NS_PER_S) /* ... and never longer than this */
#define ENGINE_PURGE_LIMIT 1000u
#define ENGINE_PURGE_PAUSE_NS (1 * NS_PER_S)
#define ENGINE_PURGE_PASS_PART 16 /* purging begins anew, for what was still needed, after a 16th of the retention ... */
#define ENGINE_PURGE_KEPT_NS (100 * NS_PER_US) /* ... or so long for each result to be looked at again ... */
#define ENGINE_PURGE_PASS_MAX_NS (3600 * NS_PER_S) /* ... but after an hour at the latest */
/* Results outstanding and undelivered of one call (docs/design/engine.md, Polls). */
#define ENGINE_MAIL_MAX 100000u
#define ENGINE_RESULTS_MAX 10000u
/* Payload of the results in one resume; what remains is for the state (E7). */
#define ENGINE_RESULT_BYTES_MAX 12000000u

enum call_phase { PHASE_LOADING = 1, PHASE_IDLE, PHASE_RECORDING, PHASE_READY, PHASE_RUNNING };

/* A resident call, or the placeholder of one that is being read. */
struct call {
    struct call_record record;   /* as persisted by the last batch; only .id while loading */
    enum call_phase phase;
    struct heap_node timer;      /* in engine.timers: wake while idle, expiration while active */
    struct scheduler_entry entry;
    struct list node;            /* in engine.idle or engine.recording */
    size_t n_bytes;              /* payload, as counted in engine.idle_bytes or engine.ready_bytes */
    uint64_t after_batch;        /* the batch its next attempt depends on (E5) */
    struct attempt *attempt;     /* while running */

    /* mail (E6, E7), oldest completion first */
    struct list mail;
    uint32_t n_mail;
    size_t mail_bytes;
    uint64_t n_outstanding;      /* children of this generation that are not done */
    uint32_t n_delivering;       /* the first so many are in the attempt in flight, or will be in its retry */
    bool is_delivery_fixed;

    struct list asks;            /* cancel requests that arrived while loading */
};

struct mail {
    struct list node;
    struct id child;
    uint32_t generation;         /* of the parent, when it made the child */
    uint64_t correlation_id;
    uint64_t done_sequence;
    uint64_t after_batch;        /* deliverable once that is durable (E5) */
    struct blob *output;
    struct error_record error;
};

struct attempt {
    struct id id;
    uint32_t number;
    struct scheduler_group *group;
    bool is_probe;
    struct call *call;           /* NULL when the call ended meanwhile (E8) */
};

struct ask {
    struct list node;
    uint64_t token;
    uint32_t project;
};

struct waiter {
    struct list node;            /* in waiters_of.list */
    struct heap_node timer;
    uint64_t token;
    uint32_t project;
    struct id id;
};

struct waiters_of {
    struct list list;
};

/* An effect that waits for a batch (E5), with what it points to. */
struct held {
    struct list node;
    enum engine_effect_kind kind;
    uint64_t after_batch;
    uint64_t token;
    dr_code code;
    char message[160];
    struct id *ids;
    size_t n_ids;
    struct call_record record;
    bool has_record;
};

struct sweep {
    struct list node;
    struct id parent;
    uint32_t below_generation;
};

enum scan_kind { SCAN_NONE = 0, SCAN_EDGE, SCAN_BACKLOG, SCAN_CHILDREN, SCAN_MAIL, SCAN_SWEEPS, SCAN_KINDS };

struct position { /* in the order of deadlines */
    int64_t wake_ns;
    struct id id;
};

struct engine {
    struct engine_config config;
    struct random random;
    struct id_source ids;
    int64_t now_ns;
    bool is_paused;

    /* calls */
    struct map resident;         /* id -> struct call */
    struct map attempts;         /* id -> struct attempt, in flight */
    struct scheduler *scheduler;
    struct heap timers;          /* struct call.timer */
    struct list idle;            /* evictable, longest idle first */
    size_t n_idle;
    size_t idle_bytes;           /* payload of those */
    size_t ready_bytes;          /* payload of calls that are recording or ready */
    struct list recording;       /* in batch order */
    uint32_t next_attempt;
    uint64_t done_sequence;

    /* waits */
    struct map waiters;          /* call id -> struct waiters_of */
    struct map waiter_tokens;    /* token as id -> struct waiter */
    struct heap waiter_timers;

    /* output of a step */
    struct batch *batch;         /* of this step; NULL while nothing was written */
    uint64_t next_batch;
    uint64_t durable;
    struct list held;            /* in batch order */
    struct list shown;           /* held effects that this step emits; freed by the next */
    struct engine_effect *effects;
    size_t n_effects, cap_effects;
    struct arena arena;          /* what effects borrow; reset by each step */

    /* reading (E1, E4) */
    struct position edge;        /* live calls at or before it are resident or in the backlog */
    int64_t far_wake_ns;         /* lower bound of the wakes behind the edge that are not resident */
    enum scan_kind scan;         /* under way */
    enum scan_kind last_scan;
    int64_t scan_retry_ns[SCAN_KINDS]; /* after a failure: not before this */
    int64_t edge_until_ns;       /* of the edge scan under way */
    struct position edge_floor;  /* lowest position behind the edge that left memory during it */
    bool has_backlog;            /* due calls that found no room (E2) */
    struct position backlog_at;  /* the pass over the backlog has come so far */
    struct position backlog_low; /* lowest position that joined the backlog during the pass */
    bool is_backlog_urgent;      /* the last portion had little that fitted: go on at once */
    bool is_backlog_pass;        /* begun by time, at backlog_pass_ns, and not at the end yet */
    int64_t backlog_pass_ns;
    int64_t next_backlog_ns;
    uint64_t backlog_started;    /* counts.started at the last portion ... */
    uint64_t backlog_goal;       /* ... and how many starts later the next one is read */
    struct map gone;             /* ids that left memory during a scan */
    size_t n_loading;
    struct list sweeps;
    struct map sweep_of;         /* parent -> struct sweep */
    bool has_mail_to_scan, has_sweeps_to_scan;
    struct id mail_after, sweeps_after;

    /* purging (E12) */
    int64_t next_purge_ns;
    bool is_purging;
    int64_t purge_at_ns;         /* the pass has come so far, in the order of completion */
    struct id purge_at;
    int64_t next_pass_ns;
    uint64_t n_kept;             /* the pass left so many that are still needed by someone */

    struct engine_counts counts;
};

/* output.c */
struct engine_effect *output_effect(struct engine *engine, enum engine_effect_kind kind, uint64_t after_batch);
/* Sequence of this step's batch; the operation is appended to it. */
uint64_t output_write(struct engine *engine, enum batch_op_kind kind, unsigned fields, const struct call_record *record);
/* Held until the batch of this step, or emitted in this step when nothing was written. */
struct held *output_hold(struct engine *engine, enum engine_effect_kind kind, uint64_t token, uint64_t after_batch);
void output_release(struct engine *engine); /* emits what is durable now */
void output_begin(struct engine *engine);
void output_finish(struct engine *engine, struct engine_update *update);
void output_deinit(struct engine *engine);

/* resident.c */
int position_compare(struct position a, struct position b);
extern const struct position POSITION_LAST;
/* A due call that is not resident lies at this position (E1). */
void backlog_add(struct engine *engine, struct position at);
struct call *resident_get(const struct engine *engine, struct id id); /* also placeholders */
struct call *resident_create(struct engine *engine, struct call_record *record); /* moves; phase idle, not placed */
struct call *resident_placeholder(struct engine *engine, struct id id);
/* The load of a placeholder failed: it is ordered again after ENGINE_READ_RETRY_NS, by the call's timer. */
void resident_load_later(struct engine *engine, struct call *call);
void resident_load_again(struct engine *engine, struct call *call);
/* Moves a record into a placeholder. */
void resident_fill(struct call *call, struct call_record *record);
void resident_remove(struct engine *engine, struct call *call); /* out of memory, freed */
void resident_set_idle(struct engine *engine, struct call *call);
/* Its turn has come: recording or ready; or it leaves memory under E2. */
void resident_set_ready(struct engine *engine, struct call *call);
void resident_set_running(struct engine *engine, struct call *call, struct attempt *attempt);
/* Mail of so many bytes came. */
void resident_grow(struct engine *engine, struct call *call, size_t n_bytes);
void resident_recorded(struct engine *engine); /* recording calls whose batch is durable become ready */
void resident_trim(struct engine *engine);     /* E2: more than resident_max idle */
/* Decides from its record and mail what the call waits for; it may leave memory. */
void resident_place(struct engine *engine, struct call *call);
void resident_deinit(struct engine *engine);

/* read.c */
void read_loaded(struct engine *engine, const struct engine_event *event);
void read_failed(struct engine *engine, const struct engine_event *event);
void read_next_scan(struct engine *engine); /* starts a scan when one is due and none is under way */
void read_due_scanned(struct engine *engine, const struct engine_event *event);
void read_children_scanned(struct engine *engine, const struct engine_event *event);
void read_mail_scanned(struct engine *engine, const struct engine_event *event);
void read_sweeps_scanned(struct engine *engine, const struct engine_event *event);
int64_t read_deadline(const struct engine *engine);

/* purge.c */
void purge_recover(struct engine *engine);
void purge_plan(struct engine *engine); /* a call is done: it will have to go */
void purge_maybe(struct engine *engine);
void purge_purged(struct engine *engine, const struct engine_event *event);
void purge_failed(struct engine *engine);
int64_t purge_deadline(const struct engine *engine);

/* submit.c */
void submit_calls(struct engine *engine, const struct engine_event *event);

/* creation.c */
/* A new scheduled call from a wire call; copies. Expiration from the wish, default and maximum. */
void creation_record(struct engine *engine, const struct wire_call *wire, struct call_record *ret_record);
/* A reference to `previous` when it has the same bytes, else a copy; NULL for an empty slice. Returns owned. */
struct blob *creation_text(struct slice bytes, struct blob *previous);

/* attempt.c */
void attempt_start_all(struct engine *engine); /* T2, as far as limits allow */
void attempt_done(struct engine *engine, const struct engine_event *event);

/* finish.c */
struct outcome {
    dr_status status;
    struct slice output;         /* any; data NULL = absent */
    struct wire_error error;     /* all empty = none */
};
/* T3, T8: done. The call is out of memory afterwards. `is_mailed` false: the parent abandoned it. */
void finish_call(struct engine *engine, struct call *call, const struct outcome *outcome, bool is_mailed);
void finish_failed(struct engine *engine, struct call *call, dr_status status, const char *type, const char *message);
void finish_retry(struct engine *engine, struct call *call, dr_status status, struct slice reason, int64_t retry_after_ns);
void finish_tail_call(struct engine *engine, struct call *call, const struct wire_run_response *response,
                      int64_t retry_after_ns);
void finish_restart(struct engine *engine, struct call *call, struct slice reason, int64_t retry_after_ns);

/* poll.c */
void poll_suspend(struct engine *engine, struct call *call, const struct wire_poll *poll); /* T6 */
void poll_wake_if_satisfied(struct engine *engine, struct call *call);
void poll_deliver(struct engine *engine, const struct call_record *child, uint64_t after_batch); /* of a done child */

/* mail.c */
/* T7: true when the suspended call has what it waits for (time not considered). */
bool mail_satisfies_poll(const struct call *call);
struct mail *mail_create(const struct call_record *child, uint64_t after_batch);
void mail_add(struct engine *engine, struct call *call, struct mail *mail); /* takes; keeps the order of completion */
/* Mail that arrived while loading, for another generation than the record turned out to have, does not count (E6). */
void mail_drop_foreign(struct call *call);
void mail_drop(struct call *call, uint32_t n);
/* The batch consumes the first n (E7). */
void mail_consume(struct engine *engine, struct call *call, uint32_t n);
void mail_fix_delivery(struct engine *engine, struct call *call);

/* cancel.c */
void cancel_asked(struct engine *engine, const struct engine_event *event);
void cancel_answer_asks(struct engine *engine, struct call *call); /* after loading */
void cancel_refuse_asks(struct engine *engine, struct call *call, dr_code code, const char *message);
void cancel_call(struct engine *engine, struct call *call, const char *message, bool is_mailed);
void cancel_expire(struct engine *engine, struct call *call);

/* sweep.c */
void sweep_add(struct engine *engine, struct id parent, uint32_t below_generation);
void sweep_deinit(struct engine *engine);

/* wait.c */
void wait_asked(struct engine *engine, const struct engine_event *event);
void wait_abandoned(struct engine *engine, uint64_t token);
void wait_expire(struct engine *engine);
/* `after_batch` 0: the record was read from the store. */
void wait_wake(struct engine *engine, const struct call_record *record, uint64_t after_batch);
/* A live call has been read. Waiters of another project learn nothing: not found. Those whose time is over, which nobody
 * could tell whether the call was done, are told now. */
void wait_loaded(struct engine *engine, const struct call_record *record);
void wait_not_found(struct engine *engine, struct id id);
void wait_refuse(struct engine *engine, struct id id, dr_code code, const char *message);
void wait_deinit(struct engine *engine);

/* Copies; an absent slice (data NULL) gives NULL. Aborts when out of memory. */
struct blob *engine_blob(struct slice bytes);
struct blob *engine_blob_text(const char *text);

#endif
