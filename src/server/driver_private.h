/* The driver's insides, shared by src/server/driver*.c only.
 *
 * Files: driver.c (create, start, stop) - driver_loop.c (the engine thread: inbox, steps, effects, drain) -
 * driver_clock.c (real and virtual time) - driver_run.c (attempts) - driver_pressure.c (replies that wait for the store) -
 * driver_chaos.c (faults on purpose) - driver_store.c (batches and reads) -
 * driver_request.c (submit, wait, cancel) - driver_wait_look.c (waits while commits fail) - driver_show.c (get, list, counts) -
 * driver_stats.c (counters)
 *
 * Everything that reaches the engine thread is a driver_event in the inbox: whoever has something to say embeds one in
 * its own object, posts it, and its function is called once on the engine thread. */
#ifndef SERVER_DRIVER_PRIVATE_H
#define SERVER_DRIVER_PRIVATE_H

#include "base/arena.h"
#include "base/check.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/scheduler.h"
#include "server/driver.h"
#include "store/store_queue.h"
#include <pthread.h>
#include <stdatomic.h>

struct submit_request;

struct driver_event {
    struct list node;
    void (*handle)(struct driver *driver, struct driver_event *event); /* engine thread; owns the event from then on */
};

enum driver_phase {
    DRIVER_CREATED = 1, /* requests wait in the inbox */
    DRIVER_RUNNING,
    DRIVER_DRAINING,    /* paused; attempts in flight may end */
    DRIVER_CLOSING,     /* what was handed to the store ends; reads of the engine are not performed any more */
    DRIVER_STOPPED
};

/* Monotone wall time (driver_clock.c). */
struct driver_real_clock {
    _Atomic int64_t offset_ns; /* wall = monotonic + offset; only rises */
    _Atomic int64_t jumped_ns; /* by steps of at least a second */
};

/* What is not durable, and the replies that wait for it (driver_pressure.c). */
struct driver_pressure {
    struct list batches;     /* handed to the store, oldest first */
    size_t n_ops, n_bytes;   /* of those: operations and payload */
    struct list small, large; /* attempts, by their events */
    uint32_t n_deferred;     /* in both */
};

struct driver_virtual_clock { /* under driver.lock, but for now_ns, which anybody reads */
    _Atomic int64_t now_ns;
    uint32_t n_waits;        /* somebody waits */
    uint32_t n_holds;        /* somebody has something to do first */
    bool is_advancing;       /* by hand, to target_ns */
    bool with_runs;
    int64_t target_ns;
};

struct driver {
    struct driver_config config; /* constant */
    uint32_t waits_max;          /* constant */
    struct store_queue *store;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock;
    pthread_cond_t wake;     /* the engine thread: inbox, phase, virtual clock, the turn */
    pthread_cond_t moved;    /* driver_advance: the clock is there */

    /* under lock */
    bool is_turning;           /* somebody steps the engine, and looks at the inbox again before it leaves off */
    struct list inbox;
    uint64_t durable_sequence; /* told by the store */
    bool is_durable_told;      /* ... and not looked at yet */
    bool is_store_troubled;    /* commits fail and are tried again */
    struct driver_event trouble_event; /* posted when that begins */
    bool is_trouble_posted;
    uint64_t n_store_failures; /* how often that began */
    uint64_t n_read_failures;
    int64_t next_read_report_ns;
    uint64_t n_damaged;        /* calls found damaged */
    enum driver_phase phase;
    bool is_stop_begun;
    bool is_stop_over; /* the engine thread is joined */
    bool is_hurrying;          /* the drain timeout is over */
    uint32_t n_submits;
    size_t submit_bytes;
    uint32_t n_reads;
    uint32_t n_waits;
    uint64_t last_token;
    struct driver_virtual_clock virtual_clock;
    struct driver_real_clock real_clock;

    /* whoever has the turn only: the engine thread, unless driver_turn_begin took it */
    struct engine *engine;
    int64_t next_deadline_ns;
    uint64_t handed_sequence;  /* batches given to the store */
    uint64_t stepped_sequence; /* durable, as told to the engine */
    uint32_t n_store_jobs;     /* reads given to the store and not answered */
    uint64_t n_attempts[DRIVER_STATUSES]; /* ended, by status */
    struct driver_pressure pressure;
    struct map attempts;       /* id -> struct driver_attempt */
    struct heap timeouts;      /* of attempts, on the driver's clock */
    struct chaos chaos;
    struct heap held;          /* attempts whose results are late on purpose */
    uint32_t n_held;
    struct list ghosts;        /* second runs of duplicated attempts */
    uint32_t n_ghosts;
    struct map waits;          /* token -> struct wait_request */
    struct list submits;       /* handed to the engine and not answered */
    struct list cancels;       /* requests the engine has not answered */
    struct submit_request *submitting; /* inside its step, its calls not released yet */
    bool is_drain_begun;
    bool is_closing;           /* the phase is DRIVER_CLOSING or later */
    bool is_closed;            /* the store is gone: no more steps */
    bool is_calling_off;       /* what is in flight is called off; its replies are dropped */
    int64_t drain_deadline_ns; /* monotonic */
};

/* driver_loop.c */
void *driver_loop(void *arg);
/* Any thread. */
void driver_post(struct driver *driver, struct driver_event *event);
void driver_post_locked(struct driver *driver, struct driver_event *event);
/* One step with all its effects. Engine thread. */
void driver_step(struct driver *driver, const struct engine_event *event);
/* Whether the caller is an engine thread: it must not block. */
bool driver_is_on_engine_thread(void);

/* driver_clock.c */
/* Time begins no sooner than `newest_ns`, the newest of the store, so that durations go on over a restart with a clock
 * that was set back (docs/decisions/008). */
void driver_clock_init(struct driver *driver, int64_t newest_ns);
/* Under lock, nothing in the inbox. Moves a virtual clock if it may; true when it moved, and deadlines may be due. */
bool driver_virtual_move(struct driver *driver);
/* Under lock, nobody has the turn: whether driver_virtual_move would do something. */
bool driver_virtual_may_move(const struct driver *driver);
/* Nothing handed to the store is unanswered. */
bool driver_is_store_quiet(const struct driver *driver);
/* The next moment at which the driver must act by itself. */
int64_t driver_next_deadline_ns(const struct driver *driver);

/* driver_run.c */
void driver_attempt_start(struct driver *driver, const struct engine_effect *effect);
void driver_attempt_abort(struct driver *driver, struct id id, uint32_t attempt);
void driver_attempts_expire(struct driver *driver, int64_t now_ns);
void driver_attempts_abort_all(struct driver *driver);

/* driver_store.c */
dr_code driver_store_open(struct driver *driver, struct dr_error *error);
void driver_store_close(struct driver *driver); /* works off the queue */
void driver_store_commit(struct driver *driver, struct batch *batch);
void driver_store_perform(struct driver *driver, const struct engine_effect *effect);
/* A read for people: `read` runs on the store's thread, then `answer` on the engine thread. Its event is posted with
 * driver_read_handle. */
struct driver_read {
    struct driver_event event;
    struct driver *driver;
    void (*read)(struct driver_read *read, struct store *store);
    void (*answer)(struct driver *driver, struct driver_read *read);
};
void driver_read_handle(struct driver *driver, struct driver_event *event);

/* driver_request.c */
void driver_answer_submit(struct driver *driver, const struct engine_effect *effect);
void driver_answer_cancel(struct driver *driver, const struct engine_effect *effect);
void driver_answer_wait(struct driver *driver, const struct engine_effect *effect);
/* By the driver, in the engine's place. Does nothing when it has its answer. */
void driver_wait_end(struct driver *driver, uint64_t token, dr_code code, const char *message,
                     const struct call_record *record);
/* Commits have begun to fail: looks for all of them. */
void driver_waits_look(struct driver *driver, struct driver_event *event);
void driver_waits_refuse(struct driver *driver);   /* all, because the driver stops */
void driver_unanswered_refuse(struct driver *driver); /* submits and cancels that nobody will answer any more */
/* Under lock: DR_OK, or why no request is accepted now. */
dr_code driver_check_accepting(const struct driver *driver, struct dr_error *error);
/* Posts the event of a request that counts as one of reads_max until driver_read_done. */
dr_code driver_read_begin(struct driver *driver, struct driver_event *event, struct dr_error *error);
void driver_read_done(struct driver *driver);

/* driver_wait_look.c */
/* While commits fail: the wait is answered from the disk if its call is not in memory. Engine thread. */
void driver_wait_look(struct driver *driver, uint64_t token, const struct driver_wait *wait);

#endif
