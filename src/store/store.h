/* The store: calls that survive. One contract, several implementations (memory, SQLite, later PostgreSQL).
 *
 * The interface is synchronous and single-threaded: one thread at a time uses a store. Threads, group commit
 * and call-backs are store_queue.h's business, so that the simulator can drive the same stores in one thread.
 * docs/design/storage.md describes the SQLite schema and what each crash leaves behind.
 *
 * Durability: when store_commit returns DR_OK, the batches survive any crash (SQLite: synchronous=FULL).
 * Order: batches are applied in the order given; a commit applies all of its batches or none (I6).
 * Relied upon: a live child's mail is open; an update to CALL_DONE comes once per call and carries
 * RECORD_PROGRESS and RECORD_RESULT; done_sequence is below 2^63.
 * Reads see every commit that returned before. Records read are owned by the caller (record_deinit).
 * Damage: a record that is not as it was written, by its sums, is never handed out. store_read and store_list fail with
 * DR_DATA_LOSS and name the call; scans leave it out, and a damaged child counts as outstanding. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/record.h"

struct store;

/* Position in the order of deadlines, (wake_ns, id). A scan returns what lies behind it. */
struct store_cursor {
    int64_t wake_ns;
    struct id id;
};

/* Records handed out; free with store_records_deinit. */
struct store_records {
    struct call_record *records;
    size_t n_records;
    size_t cap_records;
    struct id next_before; /* of store_list: it looked at calls down to this id only; else none */
};

struct store_scan_result {
    struct store_records records;
    bool is_complete; /* nothing more up to `until_ns` */
    int64_t next_wake_ns; /* wake of the first live call behind the last returned one; TIME_NEVER when none */
};

/* What people ask for (list calls). Empty or zero members do not filter. */
struct store_filter {
    uint32_t project;
    struct slice function;
    struct slice endpoint;
    int state; /* enum call_state, 0 = any */
    bool is_live; /* only calls that are not done */
    int status; /* dr_status of done calls, -1 = any */
    struct id root;
    struct id parent;
    struct id before; /* paging: only ids smaller than this one; newest first */
    size_t limit; /* 1..1000 */
};

struct store_counts {
    uint64_t n_live; /* scheduled and suspended */
    uint64_t n_done;
};

struct store_methods {
    dr_code (*commit)(struct store *, struct batch *const *batches, size_t n_batches, struct dr_error *);
    dr_code (*read)(struct store *, struct id id, struct call_record *ret_record, struct dr_error *);
    dr_code (*read_children)(struct store *, struct id parent, uint32_t generation,
                             struct store_records *ret_done, uint64_t *ret_outstanding, struct dr_error *);
    dr_code (*count_children)(struct store *, struct id parent, uint32_t generation, uint64_t limit,
                              struct record_children *ret_children, struct dr_error *);
    dr_code (*scan_due)(struct store *, struct store_cursor after, int64_t until_ns, size_t limit,
                        size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *);
    dr_code (*scan_live_children)(struct store *, struct id parent, uint32_t below_generation, size_t limit,
                                  struct store_records *ret_records, struct dr_error *);
    dr_code (*scan_mail)(struct store *, struct id after_parent, size_t limit, struct id *ret_parents,
                         size_t *ret_n, struct dr_error *);
    dr_code (*scan_sweeps)(struct store *, struct id after, size_t limit, struct id *ret_ids, size_t *ret_n,
                           struct dr_error *);
    dr_code (*list)(struct store *, const struct store_filter *, struct store_records *ret_records,
                    struct dr_error *);
    dr_code (*purge)(struct store *, const struct purge_order *, struct purge_result *ret_result, struct dr_error *);
    dr_code (*counts)(struct store *, struct store_counts *ret_counts, struct dr_error *);
    dr_code (*newest)(struct store *, int64_t *ret_newest_ns, struct dr_error *);
    void (*close)(struct store *);
};

typedef void store_damaged_fn(void *arg, struct id id, const char *message);

/* First member of every implementation. */
struct store {
    const struct store_methods *methods;
    bool is_instant; /* commits and reads wait for nothing */
    store_damaged_fn *on_damaged; /* may be NULL */
    void *damaged_arg;
};

/* Memory: as durable as the process. Never fails but for lack of memory. DR_NO_MEMORY. */
dr_code store_memory_open(struct store **ret_store, struct dr_error *error);

/* What a commit that returned survives. In both modes what is found later is a prefix of the commits, each whole (I6). */
enum store_durability {
    STORE_SURVIVES_POWER_LOSS = 0, /* every commit is synced */
    STORE_SURVIVES_PROCESS /* the death of the process; loss of power may take the latest ones: nothing is synced but
                              before a checkpoint and at opening */
};

struct store_sqlite_options {
    const char *path; /* created when missing */
    const char *vfs; /* SQLite's name of the file system; NULL = the real one */
    int busy_timeout_ms; /* 0 = 5000: another process holds the file */
    int list_steps_max; /* 0 = 1,000,000: how much one store_list may look through */
    enum store_durability durability;
};
/* One file, WAL. DR_FAILED_PRECONDITION: not our file, a newer schema, or in use by another
 * server; DR_DATA_LOSS: damaged; DR_UNAVAILABLE: cannot be opened or written. The text names the file. */
dr_code store_sqlite_open(const struct store_sqlite_options *options, struct store **ret_store,
                          struct dr_error *error);

/* Who hears of a damaged call: once for each (of the first 1,000), on the thread that read it. */
void store_on_damaged(struct store *store, store_damaged_fn *on_damaged, void *arg);
/* Releases everything; accepts NULL. */
void store_close(struct store *store);
/* Makes the batches durable, all or none. On failure nothing is applied and the same commit may be tried
 * again. */
dr_code store_commit(struct store *store, struct batch *const *batches, size_t n_batches,
                     struct dr_error *error);
/* DR_NOT_FOUND for an unknown id. */
dr_code store_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error);
/* The children of `parent` made in `generation` whose mail is open: the done ones in order of completion
 * (done_sequence), and how many are not done. */
dr_code store_read_children(struct store *store, struct id parent, uint32_t generation,
                            struct store_records *ret_done, uint64_t *ret_outstanding,
                            struct dr_error *error);
/* The same as numbers, each counted to `limit` at most. */
dr_code store_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                             struct record_children *ret_children, struct dr_error *error);
/* Live calls with (wake, id) > after and wake <= until, in that order: at most `limit`, and at least one if
 * there is any, stopping early once the payloads exceed bytes_max. */
dr_code store_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                       size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error);
/* Children of `parent` that are not done and were made in a generation < below_generation (UINT32_MAX = all).
 */
dr_code store_scan_live_children(struct store *store, struct id parent, uint32_t below_generation,
                                 size_t limit, struct store_records *ret_records, struct dr_error *error);
/* Recovery of T7: ids of parents > after_parent, ascending, each once, that have a done child with open mail.
 */
dr_code store_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                        size_t *ret_n, struct dr_error *error);
/* Recovery of T8 and T9: ids > after of calls with sweep_below set, ascending. */
dr_code store_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids,
                          size_t *ret_n, struct dr_error *error);
/* For people: without input, poll state, output, error value and traceback, and without texts longer than
 * STORE_LISTED_BYTES_MAX (NULL). SQLite gives up when too many calls must be looked through for the few that fit,
 * because commits wait meanwhile: what was found so far, maybe nothing, and `next_before` of the records, which as the
 * filter's `before` goes on from there. */
#define STORE_LISTED_BYTES_MAX 2000u
dr_code store_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                   struct dr_error *error);
/* Deletes done calls whose result nobody can need: roots, children with consumed mail, children whose parent is
 * done or gone; but none with sweep_below set. See base/record.h. */
dr_code store_purge(struct store *store, const struct purge_order *order, struct purge_result *ret_result,
                    struct dr_error *error);
dr_code store_counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error);
/* How far time had come, as far as the store can tell: created_ns of the call with the largest id, or the largest
 * done_ns, whichever is later; INT64_MIN when empty. */
dr_code store_newest(struct store *store, int64_t *ret_newest_ns, struct dr_error *error);

void store_records_deinit(struct store_records *records); /* accepts a zeroed struct */

/* For implementations: room for one more record, zeroed; NULL when out of memory. */
struct call_record *store_records_add(struct store_records *records);
/* For implementations: takes away what store_list leaves out. */
void store_leave_out_payloads(struct call_record *record);
/* For implementations: roughly what a record holds in memory. */
size_t store_record_bytes(const struct call_record *record);

#endif
