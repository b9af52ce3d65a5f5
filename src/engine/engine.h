/* The engine: what happens to a call, and when. One pure step (DESIGN section 4):
 *
 *     engine_step(engine, event, now) -> update
 *
 * No I/O, no threads, no clock, no randomness but the seed it is given: the same events at the same times give the
 * same updates. One thread at a time. The driver (server, test mode, simulator) owns everything else. Its duties:
 *
 *  D1  Feed events one at a time; `now` never goes back.
 *  D2  Hand update.batch to the store in order, and feed ENGINE_BATCH_DURABLE once it is durable. Durable means all
 *      batches up to that sequence.
 *  D3  Perform the effects of each update at once. The engine itself holds an effect back until the batch it depends
 *      on is durable; effect.after_batch names it so that a driver can assert it.
 *  D4  Perform a read effect (ENGINE_LOAD ... ENGINE_PURGE) so that it sees every batch handed out before it,
 *      and feed the matching event exactly once, or ENGINE_READ_FAILED: the engine orders the read again later. Only a
 *      load that failed with DR_DATA_LOSS is final: that call is left alone, and who waits for it gets the error.
 *  D5  Answer each ENGINE_START by exactly one ENGINE_ATTEMPT_DONE with the same id and attempt number.
 *  D6  Feed ENGINE_TICK when update.next_deadline_ns is reached.
 *
 * Memory: calls that run, are ready or soon due are *resident*; the others live in the store only. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/clock.h"
#include "base/record.h"
#include "wire/types.h"

struct engine;

/* Zero members mean the default in brackets. */
struct engine_config {
    uint64_t seed[4];                 /* ids and jitter */
    int64_t default_expiration_ns;    /* [24 h] */
    int64_t max_expiration_ns;        /* [7 d] longer wishes are cut */
    int64_t run_timeout_ns;           /* [10 min] one attempt */
    int64_t retention_ns;             /* [24 h] results are kept after completion; TIME_NEVER keeps them */
    int64_t backoff_base_ns;          /* [100 ms] */
    int64_t backoff_max_ns;           /* [60 s] */
    uint32_t in_flight_max;           /* [4096] attempts in flight */
    uint32_t group_cap;               /* [none] attempts in flight per flow group */
    uint32_t resident_max;            /* [200000] calls in memory that are not running */
    size_t resident_bytes_max;        /* [256 MiB] payload of those that wait idle, and again of those that are due */
    uint32_t tree_resident_max;       /* [4096] ready calls of one tree in memory */
    uint32_t waiters_max;             /* [100000] */
};

enum engine_event_kind {
    ENGINE_RECOVER = 1,     /* first event after creation on a store that may hold calls */
    ENGINE_TICK,            /* time passed */
    ENGINE_BATCH_DURABLE,
    ENGINE_SUBMIT,
    ENGINE_ATTEMPT_DONE,
    ENGINE_CANCEL_CALL,
    ENGINE_WAIT,
    ENGINE_WAIT_ABANDONED,  /* the waiter left; only a wake that is held back already still comes: ignore it */
    ENGINE_LOADED,          /* answers ENGINE_LOAD */
    ENGINE_DUE_SCANNED,     /* answers ENGINE_SCAN_DUE */
    ENGINE_CHILDREN_SCANNED,
    ENGINE_MAIL_SCANNED,
    ENGINE_SWEEPS_SCANNED,
    ENGINE_PURGED,
    ENGINE_READ_FAILED      /* instead of any of these */
};

struct engine_event {
    enum engine_event_kind kind;
    union {
        uint64_t durable_sequence;
        struct {
            uint64_t token;               /* the driver's name for the request, echoed */
            uint32_t project;
            const struct wire_call *calls; /* borrowed until the step returns; at most WIRE_CALLS_MAX */
            size_t n_calls;
        } submit;
        struct {
            struct id id;
            uint32_t attempt;
            const struct wire_run_response *response; /* borrowed; NULL = no RunResponse came back, see below */
            dr_status status;             /* without response: category of the failure */
            struct slice error_type;      /* without response: e.g. "HTTPError"; copied */
            struct slice error_message;
            int64_t retry_after_ns;       /* from a Retry-After header; 0 = none */
        } attempt_done;
        struct {
            uint64_t token;
            uint32_t project;             /* 0 = whatever project; else another project's call is not found */
            struct id id;
            int64_t deadline_ns;          /* of a wait; TIME_NEVER = none */
        } ask;                            /* CANCEL_CALL, WAIT, WAIT_ABANDONED (token only) */
        struct {
            struct id id;
            bool is_found;
            struct call_record *record;   /* moved into the engine; zeroed */
            struct call_record *children; /* done with open mail, oldest completion first; moved, zeroed */
            size_t n_children;
            uint64_t n_outstanding;
        } loaded;
        struct {
            struct call_record *records;  /* moved, zeroed */
            size_t n_records;
            bool is_complete;
            int64_t next_wake_ns;
        } scanned;                        /* DUE_SCANNED */
        struct {
            struct id parent;             /* CHILDREN_SCANNED */
            uint32_t below_generation;
            struct call_record *records;  /* CHILDREN_SCANNED; moved, zeroed */
            const struct id *ids;         /* MAIL_SCANNED, SWEEPS_SCANNED; borrowed */
            size_t n;                     /* fewer than the limit asked for = the end */
        } found;
        struct purge_result purged;
        struct {
            int effect;                   /* enum engine_effect_kind of the read */
            struct id id;                 /* of a load */
            dr_code code;
            const char *message;          /* borrowed */
        } read_failed;
    };
};

enum engine_effect_kind {
    ENGINE_START = 1,       /* make an attempt */
    ENGINE_ABORT,           /* call off the attempt in flight (cancelled, expired); D5 still holds */
    ENGINE_ANSWER_SUBMIT,
    ENGINE_ANSWER_CANCEL,
    ENGINE_WAKE,            /* answers a wait */
    ENGINE_LOAD,            /* read a call; of a live one with has_children also store_read_children(id, generation) */
    ENGINE_SCAN_DUE,
    ENGINE_SCAN_CHILDREN,
    ENGINE_SCAN_MAIL,
    ENGINE_SCAN_SWEEPS,
    ENGINE_PURGE
};

/* Everything an effect points to is borrowed until the next engine_step. */
struct engine_effect {
    enum engine_effect_kind kind;
    uint64_t after_batch;             /* this batch is durable already; 0 = depends on none */
    union {
        struct {
            struct id id;
            uint32_t attempt;         /* counts all requests of this call since it became resident; fences late replies */
            struct slice endpoint;
            int64_t timeout_ns;       /* from the moment the request leaves */
            struct wire_run_request request;
        } start;                      /* ABORT uses id and attempt only */
        struct {
            uint64_t token;
            dr_code code;             /* DR_OK, or nothing was done */
            const char *message;      /* when not DR_OK */
            const struct id *ids;     /* ANSWER_SUBMIT: one per call, in order */
            size_t n_ids;
            const struct call_record *record; /* WAKE with DR_OK: the done call, result included */
        } answer;
        struct {
            struct id id;             /* LOAD; SCAN_CHILDREN: the parent; SCAN_MAIL, SCAN_SWEEPS: after this one */
            uint32_t below_generation;/* SCAN_CHILDREN */
            int64_t after_wake_ns;    /* SCAN_DUE: behind (after_wake_ns, id) */
            int64_t until_ns;
            size_t limit;
            size_t bytes_max;
        } read;
        struct purge_order purge;
    };
};

struct engine_update {
    struct batch *batch;              /* owned by the driver now; NULL when nothing is to be persisted */
    const struct engine_effect *effects; /* borrowed until the next step */
    size_t n_effects;
    int64_t next_deadline_ns;         /* TIME_NEVER = only events move it */
};

/* Why a call is not running (I8). */
enum engine_why_kind {
    ENGINE_WHY_UNKNOWN_CALL = 0,      /* not resident: ask the store; engine_why_record explains a record */
    ENGINE_WHY_RUNNING,
    ENGINE_WHY_RECORDING,             /* its last change is not durable yet */
    ENGINE_WHY_TURN,                  /* due: others have their turn, it is in the backlog, or the engine is paused */
    ENGINE_WHY_CONCURRENCY,           /* due: the limit on attempts in flight is reached, its group's or that of all */
    ENGINE_WHY_ENDPOINT_DOWN,         /* due: the endpoint could not be reached; until_ns is the next probe's time */
    ENGINE_WHY_RETRY_TIME,
    ENGINE_WHY_RESULTS,               /* waits for results of its children; until_ns: and its max_wait, if sooner */
    ENGINE_WHY_SLEEP,                 /* waits for its max_wait */
    ENGINE_WHY_EXPIRATION,            /* nothing happens before it expires: it waits for nothing (Q10), or for later */
    ENGINE_WHY_LOADING,               /* being read from the store */
    ENGINE_WHY_DONE
};

struct engine_why {
    enum engine_why_kind kind;
    int64_t until_ns;                 /* RETRY_TIME, SLEEP, EXPIRATION, ENDPOINT_DOWN */
    uint32_t n_results;               /* RESULTS: there already ... */
    uint32_t n_results_wanted;        /* ... and wanted */
    uint32_t in_flight;               /* CONCURRENCY, TURN */
    uint32_t limit;
};

struct engine_counts {
    uint64_t resident;
    uint64_t ready;
    uint64_t in_flight;
    uint64_t waiters;
    uint64_t started, finished, retried, polled, tail_called, done, cancelled, expired, restarted, purged; /* since creation */
};

/* Aborts when out of memory, as every function here (base/mem.h). Copies the config. */
struct engine *engine_create(const struct engine_config *config);
void engine_destroy(struct engine *engine); /* accepts NULL */
/* One event. *ret_update is filled; its borrowed parts live until the next step. */
void engine_step(struct engine *engine, const struct engine_event *event, int64_t now_ns,
                 struct engine_update *ret_update);
/* While paused no attempt starts (graceful stop); everything else goes on. Takes effect with the next step. */
void engine_set_paused(struct engine *engine, bool is_paused);
/* For people, between steps. */
struct engine_why engine_why(const struct engine *engine, struct id id);
/* The same for a call that is not resident, from its record. Of a suspended one that has children, the numbers of those
 * of its generation must be known to tell whether it waits for them; NULL: it is taken to. Each may be counted to
 * min_results only. */
struct engine_why engine_why_record(const struct engine *engine, const struct call_record *record,
                                    const struct record_children *children);
/* One line: "retries at 2026-07-01T10:00:00Z", "waits for 3 of 5 results", ... into text. */
void engine_why_format(const struct engine_why *why, char *text, size_t size);
/* The record of a resident call, borrowed until the next step; NULL when not resident. */
const struct call_record *engine_peek(const struct engine *engine, struct id id);
void engine_counts(const struct engine *engine, struct engine_counts *ret_counts);
/* Flow groups, for metrics; see scheduler.h. */
struct scheduler_group_view;
bool engine_group_at(const struct engine *engine, size_t index, struct scheduler_group_view *ret_view);
/* True when nothing can happen before the next deadline without an event from outside: n attempts in flight, no read
 * under way, no batch waiting. The virtual clock may jump then. */
bool engine_is_idle(const struct engine *engine, size_t n_attempts);

#endif
