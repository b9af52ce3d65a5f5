/* Scheduler: whose turn it is, and how many attempts may be in flight.
 *
 * A *group* is (project, endpoint host); it has an adaptive limit on attempts in flight (additive increase,
 * multiplicative decrease by the status table) and an optional hard cap. Inside a group, attempts are started
 * round-robin over call trees (DESIGN section 4, "Fairness"): a tree with a million ready calls never holds up a tree
 * with one. Inside a tree: first come, first served. Groups themselves take turns round-robin too.
 *
 * Pure: no clock, no I/O, no randomness. Used by the engine only, from one thread. Groups and trees that hold
 * nothing are freed (a group keeps its learned limit for SCHEDULER_IDLE_GROUPS_MAX idle groups, oldest forgotten).
 *
 * A caller embeds `struct scheduler_entry` in its call object. Life of an entry:
 *     init -> push (ready) -> next (in flight: takes one slot) -> finish (slot back) -> push ...
 *     or: push -> remove (no longer ready). */
#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include "base/id.h"
#include "base/list.h"
#include "base/slice.h"
#include <dispatchrun/status.h>

#define SCHEDULER_LIMIT_START 16u       /* attempts in flight a new group may have */
#define SCHEDULER_LIMIT_MIN 1u
#define SCHEDULER_IDLE_GROUPS_MAX 10000u

struct scheduler;
struct scheduler_group;
struct scheduler_tree;

struct scheduler_entry {
    struct list node;              /* in its tree's queue while ready */
    struct scheduler_tree *tree;   /* while ready */
    struct scheduler_group *group; /* while ready or in flight */
};

struct scheduler_config {
    uint32_t in_flight_max;        /* over all groups */
    uint32_t group_cap;            /* hard cap per group; 0 = none but in_flight_max */
};

/* What a group looks like to `why`, metrics and console. */
struct scheduler_group_view {
    uint32_t project;
    struct slice host;             /* borrowed until the next call */
    uint32_t limit;                /* the adaptive limit now, rounded down */
    uint32_t in_flight;
    uint64_t ready;
};

/* Aborts when out of memory, like all of the engine (base/mem.h). */
struct scheduler *scheduler_create(const struct scheduler_config *config);
void scheduler_destroy(struct scheduler *scheduler); /* entries are not touched; accepts NULL */

void scheduler_entry_init(struct scheduler_entry *entry);
/* Host part of an endpoint URL (host:port as written, lower-cased by comparison; "bridge://x" and ARNs as a whole). */
struct slice scheduler_host(struct slice endpoint);
/* The entry is ready, at the back of its tree's queue. */
void scheduler_push(struct scheduler *scheduler, struct scheduler_entry *entry, uint32_t project,
                    struct slice endpoint, struct id root);
/* No longer ready; harmless when it is not. */
void scheduler_remove(struct scheduler *scheduler, struct scheduler_entry *entry);
static inline bool scheduler_is_ready(const struct scheduler_entry *entry) { return entry->tree != NULL; }
/* The next entry that may start, its slot taken; NULL when nothing is ready or every limit is reached. O(1) amortised. */
struct scheduler_entry *scheduler_next(struct scheduler *scheduler);
/* An attempt is over: its slot comes back and its status moves the group's limit: +1 statuses raise it by 1/limit
 * (one per round of a full window, and only when the group actually used its window), -1 statuses halve it, at most
 * once per round (a round = as many finished attempts as were in flight at the last decrease). `group` is the
 * entry's group at the time of scheduler_next; the entry itself may be gone by now. */
void scheduler_finish(struct scheduler *scheduler, struct scheduler_group *group, dr_status status);
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
