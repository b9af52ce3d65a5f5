/* The driver: owns the engine on its one thread and gives it a store, a transport and a clock (duties D1 to D6 of
 * engine.h). The API, the test mode of the SDK and the tests sit on top; the simulator has a driver of its own.
 *
 *     struct driver_config config = {.store = store, .transport = transport};
 *     driver_create(&config, &driver);  driver_start(driver);
 *     driver_submit(driver, &(struct driver_submit){.request = request, .on_done = on_ids, .arg = me}, &error);
 *     driver_stop(driver);  driver_destroy(driver);
 *
 * Threads: every function may be called from any thread, also from inside a callback, but for driver_stop,
 * driver_destroy and driver_advance, which block and must not be called from a callback.
 *
 * Callbacks: a request that was accepted (DR_OK) gets its callback exactly once, on the engine thread (or in
 * driver_turn_end), maybe before the accepting function has returned, never from inside it. It must not block. What it is given is borrowed until it
 * returns. A request that was refused (any other code) takes nothing and gets no callback. `message` is NULL with
 * DR_OK, else one line. Results shown are durable.
 *
 * Limits: requests that are accepted and not answered are counted, see the config; past a maximum the answer is
 * DR_RESOURCE_EXHAUSTED. After driver_stop began: DR_UNAVAILABLE. */
#ifndef SERVER_DRIVER_H
#define SERVER_DRIVER_H

#include "engine/engine.h"
#include "server/chaos.h"
#include "server/transport.h"
#include "store/store.h"

struct driver;

enum driver_clock { DRIVER_CLOCK_REAL = 0, DRIVER_CLOCK_VIRTUAL };

#define DRIVER_SUBMITS_MAX 65536u             /* not answered yet */
#define DRIVER_SUBMIT_BYTES_MAX 268435456u    /* of those */
#define DRIVER_UNSAVED_OPS_MAX 65536u         /* records handed to the store and not durable: then replies wait */
#define DRIVER_UNSAVED_BYTES_MAX 134217728u   /* their payloads */
#define DRIVER_READS_MAX 4096u                /* get, list, counts, cancel */
#define DRIVER_DRAIN_TIMEOUT_NS (30 * NS_PER_S)
#define DRIVER_WHY_SIZE 160

/* Zero members mean the default in brackets. */
struct driver_config {
    struct engine_config engine;   /* a zero seed is drawn from the operating system */
    struct store *store;           /* taken by driver_create; closed by driver_stop */
    struct transport *transport;   /* borrowed until driver_destroy */
    enum driver_clock clock;       /* [real] */
    int64_t virtual_start_ns;      /* [the wall clock's time at creation] where a virtual clock begins */
    uint32_t submits_max;          /* [DRIVER_SUBMITS_MAX] */
    size_t submit_bytes_max;       /* [DRIVER_SUBMIT_BYTES_MAX] */
    /* Replies wait beyond these, large ones from a quarter on. Past them there is at most one reply more. */
    uint32_t unsaved_ops_max;      /* [DRIVER_UNSAVED_OPS_MAX] */
    size_t unsaved_bytes_max;      /* [DRIVER_UNSAVED_BYTES_MAX] */
    uint32_t reads_max;            /* [DRIVER_READS_MAX] */
    struct chaos_options chaos;    /* [none] */
    void (*on_endpoint_crash)(void *arg); /* chaos has cut an endpoint's connections. Engine thread; may be NULL */
    void *endpoint_crash_arg;
    int64_t drain_timeout_ns;      /* [DRIVER_DRAIN_TIMEOUT_NS] real time; < 0 = attempts are called off at once */
    /* Something an operator should know (the disk is full, commits are tried again). Any thread; may be NULL. */
    void (*on_trouble)(void *arg, dr_code code, const char *message);
    /* A call is not as it was written; once for each. On the store's thread; may be NULL. */
    void (*on_damaged)(void *arg, struct id id, const char *message);
    /* A stop calls off what has not ended within the drain timeout. Engine thread; may be NULL. */
    void (*on_called_off)(void *arg, size_t n_attempts);
    void *trouble_arg;             /* of all three */
};

/* A call as shown to people. */
struct driver_call {
    const struct call_record *record;
    enum engine_why_kind why_kind;
    char why[DRIVER_WHY_SIZE];     /* why it is not running (I8), one line; "running", "done" */
};

typedef void driver_submit_fn(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids);
typedef void driver_wait_fn(void *arg, dr_code code, const char *message, const struct call_record *record);
typedef void driver_cancel_fn(void *arg, dr_code code, const char *message);
/* get gives one call, list as many as there are, newest first. next_before: as store_records has it, else none. */
typedef void driver_calls_fn(void *arg, dr_code code, const char *message, const struct driver_call *calls,
                             size_t n_calls, struct id next_before);

struct driver_submit {
    uint32_t project;
    const struct wire_dispatch_request *request; /* borrowed until `release` */
    size_t n_bytes;                              /* memory it holds, for the limit */
    /* Called once on the engine thread, before on_done, when `request` is not needed any more. May be NULL. */
    void (*release)(void *owner);
    void *owner;
    driver_submit_fn *on_done;
    void *arg;
};

struct driver_wait {
    uint32_t project;              /* 0 = whatever project */
    struct id id;
    int64_t timeout_ns;            /* on the driver's clock; TIME_NEVER = none. Over: DR_DEADLINE_EXCEEDED */
    driver_wait_fn *on_done;       /* DR_OK: the done call, result included; DR_NOT_FOUND */
    void *arg;
};

struct driver_counts {
    struct engine_counts engine;
    struct store_counts store;
    uint64_t submits;              /* accepted, not answered */
    uint64_t submit_bytes;
    uint64_t store_jobs;           /* handed to the store, not answered */
    int64_t now_ns;
};
#define DRIVER_STATUSES 16          /* dr_status 0 .. */
#define DRIVER_GROUPS_SHOWN_MAX 100u

struct scheduler_group_view;

/* Since creation, but for what is of now. */
struct driver_stats {
    struct engine_counts engine;
    uint64_t attempts[DRIVER_STATUSES]; /* ended, by status */
    uint64_t chaos[CHAOS_KINDS];        /* what it did */
    bool has_chaos;
    uint64_t submits, submit_bytes;     /* now: accepted, not answered */
    int64_t clock_ahead_ns;             /* now: of the wall clock, after that was set back (decision 004) */
    int64_t clock_jumped_ns;            /* all jumps forward of at least a second */
    uint64_t waits;                     /* now */
    uint64_t batches;                   /* durable */
    uint64_t batches_waiting;           /* now */
    uint64_t replies_waiting;           /* now: too much is not durable yet */
    uint64_t store_failures;            /* how often commits began to fail */
    uint64_t store_read_failures;
    uint64_t store_damaged;        /* calls found damaged since the start */
    bool is_store_failing;              /* now */
    const struct scheduler_group_view *groups; /* borrowed; at most DRIVER_GROUPS_SHOWN_MAX */
    size_t n_groups;
    bool has_more_groups;
};

typedef void driver_stats_fn(void *arg, dr_code code, const char *message, const struct driver_stats *stats);
typedef void driver_counts_fn(void *arg, dr_code code, const char *message, const struct driver_counts *counts);

/* Takes config->store, on failure too. DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (threads). */
dr_code driver_create(const struct driver_config *config, struct driver **ret_driver, struct dr_error *error);
/* Starts the engine thread, which first reads what the store holds. Requests are accepted from now on (they may be
 * handed in before, and wait). Once. */
dr_code driver_start(struct driver *driver, struct dr_error *error);
/* Graceful and blocking: from now on requests are refused, no attempt starts, waits are answered DR_UNAVAILABLE;
 * attempts in flight may end within the drain timeout and are called off then (they will be made again); everything
 * is committed, accepted requests are answered, the store is closed. Whoever calls it, the second time or from a second
 * thread, returns when all that is done. */
void driver_stop(struct driver *driver);
/* Attempts in flight need not end: the drain timeout is over. For a second signal. */
void driver_stop_hurry(struct driver *driver);
/* Stops if need be and releases. Accepts NULL. */
void driver_destroy(struct driver *driver);

dr_code driver_submit(struct driver *driver, const struct driver_submit *submit, struct dr_error *error);
/* ret_token (may be NULL) is written before the callback can come. */
dr_code driver_wait(struct driver *driver, const struct driver_wait *wait, uint64_t *ret_token, struct dr_error *error);
/* The waiter left: on_done comes with DR_CANCELED, unless the answer was quicker. Harmless for an answered token. */
void driver_wait_abandon(struct driver *driver, uint64_t token);
/* DR_OK: cancelled; DR_FAILED_PRECONDITION: done before, its result stays (I7); DR_NOT_FOUND. project 0 = any. */
dr_code driver_cancel(struct driver *driver, uint32_t project, struct id id, driver_cancel_fn *on_done, void *arg,
                      struct dr_error *error);
/* One call; DR_NOT_FOUND, also for a call of another project. project 0 = any. */
dr_code driver_get(struct driver *driver, uint32_t project, struct id id, driver_calls_fn *on_done, void *arg,
                   struct dr_error *error);
/* Copies the filter with its texts. */
dr_code driver_list(struct driver *driver, const struct store_filter *filter, driver_calls_fn *on_done, void *arg,
                    struct dr_error *error);
dr_code driver_counts(struct driver *driver, driver_counts_fn *on_done, void *arg, struct dr_error *error);

/* Never waits for the store. */
dr_code driver_stats(struct driver *driver, driver_stats_fn *on_done, void *arg, struct dr_error *error);

/* The driver's clock. Real: the wall clock, but never going back (a wall clock set back is followed at the pace of the
 * monotonic clock). */
int64_t driver_now_ns(struct driver *driver);

/* Virtual clock. It stands still but for two things.
 *
 * By itself it jumps to the next deadline while somebody waits and nothing can run: no attempt is in flight (a run in
 * this process that executes is one), no event is queued, nothing is with the store. A pending driver_wait is somebody
 * who waits, until its callback is called; for waiting on anything else there is begin and end. Let whatever wakes the
 * waiter call `end` (in its callback, on the engine thread), not the woken thread: the clock could jump in between. */
void driver_virtual_wait_begin(struct driver *driver);
void driver_virtual_wait_end(struct driver *driver);
/* Between the two it does not jump, whoever waits: somebody has something to do first. They nest. */
void driver_virtual_hold(struct driver *driver);
void driver_virtual_release(struct driver *driver);
/* Between the two, what the calling thread gives the driver is not handed to the engine thread: `end` does it, here, and
 * what others give meanwhile. For callers to whom a change of threads costs more than the work; their callbacks then come
 * from inside of `end`. False, and no `end`: the engine thread is at work, or the clock is real, or a stop has begun. */
bool driver_turn_begin(struct driver *driver);
void driver_turn_end(struct driver *driver);
/* By hand, deadline by deadline, blocking until the clock is there. with_runs: before each move wait until no attempt
 * is in flight, for runs that end by themselves; without: move while they run, to let one time out. */
void driver_advance(struct driver *driver, int64_t duration_ns, bool with_runs);

#endif
