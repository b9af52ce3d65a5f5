/* Scheduler: whose turn it is, and how many attempts may be in flight.
 *
 * A *group* is (project, endpoint host); it has an adaptive limit on attempts in flight (additive increase,
 * multiplicative decrease by the status table) and an optional hard cap. Inside a group, attempts are started
 * round-robin over call trees (DESIGN section 4, "Fairness"): a tree with a million ready calls never holds up a tree
 * with one. Inside a tree: first come, first served. Groups themselves take turns round-robin too.
 *
 * A group whose endpoint could not be reached (no connection) is *down* until it answers: its starts are *probes*, with
 * a pause between them that doubles (docs/decisions/007).
 *
 * Pure: no I/O, no clock and no randomness of its own. Used by the engine only, from one thread. Groups and trees that hold
 * nothing are freed (a group keeps its learned limit for SCHEDULER_IDLE_GROUPS_MAX idle groups, oldest forgotten).
 *
 * A caller embeds `struct scheduler_entry` in its call object. Life of an entry:
 *     init -> push (ready) -> next (in flight: takes one slot) -> finish (slot back) -> push ...
 *     or: push -> remove (no longer ready). */
#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/list.h"
#include "base/random.h"
#include "base/slice.h"
#include <dispatchrun/status.h>

#define SCHEDULER_LIMIT_START 16u       /* attempts in flight a new group may have */
#define SCHEDULER_LIMIT_MIN 1u
#define SCHEDULER_IDLE_GROUPS_MAX 10000u
/* Between probes of an endpoint that is down: doubling from the first to the second; the half of it is jitter. */
#define SCHEDULER_PAUSE_MIN_NS (10 * NS_PER_MS)
#define SCHEDULER_PAUSE_MAX_NS (5 * NS_PER_S)

struct scheduler;
struct scheduler_group;
struct scheduler_tree;

struct scheduler_entry {
    struct list node;              /* in its tree's queue while ready */
    struct scheduler_tree *tree;   /* while ready */
    struct scheduler_group *group; /* while ready or in flight */
    bool is_probe;                 /* in flight: the group was down when it started */
};

struct scheduler_config {
    uint32_t in_flight_max;        /* over all groups */
    uint32_t group_cap;            /* hard cap per group; 0 = none but in_flight_max */
    struct random *random;         /* jitter of the pauses; borrowed for life; NULL = none */
};

/* What an attempt learned about the way to its endpoint. */
enum scheduler_reach {
    SCHEDULER_ANSWERED = 1,        /* something came back: not down */
    SCHEDULER_UNREACHED,           /* no connection: down, and a probe doubles the pause */
    SCHEDULER_UNDECIDED            /* neither */
};

struct scheduler_outcome {
    dr_status status;
    enum scheduler_reach reach;
    bool is_probe;                 /* the entry's, at the time of scheduler_next */
};

/* What a group looks like to `why`, metrics and console. */
struct scheduler_group_view {
    uint32_t project;
    struct slice host;             /* borrowed until the next call */
    uint32_t limit;                /* the adaptive limit now, rounded down */
    uint32_t in_flight;
    uint64_t ready;
    bool is_paused;                /* down: nothing starts before probe_ns */
    int64_t probe_ns;
};

/* Aborts when out of memory, like all of the engine (base/mem.h). */
struct scheduler *scheduler_create(const struct scheduler_config *config);
void scheduler_destroy(struct scheduler *scheduler); /* entries are not touched; accepts NULL */

void scheduler_entry_init(struct scheduler_entry *entry);
/* Time goes on, never back: pauses may end. */
void scheduler_set_time(struct scheduler *scheduler, int64_t now_ns);
/* When the first pause ends that a ready entry waits for; TIME_NEVER when none. */
int64_t scheduler_deadline(const struct scheduler *scheduler);
/* Host part of an endpoint URL (host:port as written, lower-cased by comparison; "bridge://x" and ARNs as a whole). */
struct slice scheduler_host(struct slice endpoint);
uint8_t scheduler_host_lower(uint8_t c);
struct id scheduler_group_key(uint32_t project, struct slice host);
/* The entry is ready, at the back of its tree's queue. */
void scheduler_push(struct scheduler *scheduler, struct scheduler_entry *entry, uint32_t project,
                    struct slice endpoint, struct id root);
/* No longer ready; harmless when it is not. */
void scheduler_remove(struct scheduler *scheduler, struct scheduler_entry *entry);
static inline bool scheduler_is_ready(const struct scheduler_entry *entry) { return entry->tree != NULL; }
/* The next entry that may start, its slot taken; NULL when nothing is ready or every limit is reached. O(1) amortised. */
struct scheduler_entry *scheduler_next(struct scheduler *scheduler);
/* Whether scheduler_next would give one. */
bool scheduler_has_turn(const struct scheduler *scheduler);
/* An attempt is over: its slot comes back and its status moves the group's limit: +1 statuses raise it by 1/limit
 * (one per round of a full window, and only when the group actually used its window), -1 statuses halve it, at most
 * once per round (a round = as many finished attempts as were in flight at the last decrease); a probe that reached
 * nothing leaves it. `group` is the entry's group at the time of scheduler_next; the entry itself may be gone by now. */
void scheduler_finish(struct scheduler *scheduler, struct scheduler_group *group,
                      const struct scheduler_outcome *outcome);
/* The slot comes back and the limit stays: the attempt never left, or was called off by us. */
void scheduler_release(struct scheduler *scheduler, struct scheduler_group *group);

/* Ready entries of a tree in a group (0 when none): the engine keeps at most so many of one tree in memory. */
size_t scheduler_tree_ready(const struct scheduler *scheduler, uint32_t project, struct slice endpoint, struct id root);
size_t scheduler_ready(const struct scheduler *scheduler);     /* over all groups */
size_t scheduler_in_flight(const struct scheduler *scheduler); /* over all groups */
/* False when there is no such group (then nothing of it is ready or in flight). */
bool scheduler_group_view(const struct scheduler *scheduler, uint32_t project, struct slice endpoint,
                          struct scheduler_group_view *ret_view);
/* The i-th group in no particular order, for metrics; false behind the last. */
bool scheduler_group_at(const struct scheduler *scheduler, size_t index, struct scheduler_group_view *ret_view);

#endif
