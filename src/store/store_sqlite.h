/* Insides of the SQLite store, shared by store_sqlite*.c only. docs/design/storage.md describes the schema.
 * Statements are prepared at first use and kept. One thread at a time. */
#ifndef STORE_STORE_SQLITE_H
#define STORE_STORE_SQLITE_H

#include "base/map.h"
#include "store/store.h"

#include <sqlite3.h>

/* A longer payload lies in table `payload`, so that a change of the row does not rewrite it. */
#define SQLITE_INLINE_BYTES_MAX STORE_LISTED_BYTES_MAX
/* Work of one list, in steps of SQLite's machine (some four a row): tenths of a second, while commits wait.
 */
#define SQLITE_LIST_STEPS_MAX 1000000

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_INSERT,
    STATEMENT_CONSUME,
    STATEMENT_SWEPT,
    STATEMENT_TALLY,
    STATEMENT_PAYLOAD_PUT,
    STATEMENT_PAYLOAD_REMOVE,
    STATEMENT_PAYLOAD_READ,
    STATEMENT_READ,
    STATEMENT_CHILDREN_DONE,
    STATEMENT_CHILDREN_LIVE_COUNT,
    STATEMENT_CHILDREN_DONE_COUNT,
    STATEMENT_SCAN_DUE,
    STATEMENT_LIVE_CHILDREN,
    STATEMENT_SCAN_MAIL,
    STATEMENT_SCAN_SWEEPS,
    STATEMENT_PURGE_FIND,
    STATEMENT_PURGE,
    STATEMENT_NEXT_DONE,
    STATEMENT_COUNTS,
    STATEMENT_NEWEST,
    STATEMENT_UPDATE_FIRST, /* one per combination of enum record_fields */
    STATEMENT_COUNT = STATEMENT_UPDATE_FIRST + 16
};

struct store_sqlite {
    struct store store;
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    int list_steps_max;
    enum store_durability durability;
    bool is_ours; /* the file's header bears our mark: what is wrong with it is damage */
    int guard; /* holds the lock of checkpoints; or SQLITE_GUARD_... */
    bool has_payloads; /* there may be rows in `payload` */
    struct map damaged; /* calls that were told as damaged */
};

struct store_sqlite *sqlite_self(struct store *store);
/* The errno for which the file, or one in its folder, cannot be written; 0 when that is not so. */
int sqlite_why_read_only(const struct store_sqlite *sqlite);
/* Translates what SQLite says last: "commit: dispatch.db: disk full". */
dr_code sqlite_fail(struct store_sqlite *sqlite, int result, const char *what, struct dr_error *error);
/* Runs SQL text that gives no rows, once. */
dr_code sqlite_execute(struct store_sqlite *sqlite, const char *text, const char *what,
                       struct dr_error *error);
/* The first column of the first row. */
dr_code sqlite_read_number(struct store_sqlite *sqlite, const char *text, int64_t *ret_number,
                           struct dr_error *error);
/* The kept statement, prepared from `text` when it is not there yet; reset, bindings undefined. */
dr_code sqlite_statement(struct store_sqlite *sqlite, enum statement which, const char *text,
                         sqlite3_stmt **ret_statement, struct dr_error *error);
/* Steps a statement that gives no rows, and resets it. */
dr_code sqlite_step(struct store_sqlite *sqlite, sqlite3_stmt *statement, const char *what,
                    struct dr_error *error);
/* Both in one, for a statement without parameters. */
dr_code sqlite_run(struct store_sqlite *sqlite, enum statement which, const char *text,
                   struct dr_error *error);
/* Ends the transaction that sqlite_begin began: commits it, or rolls it back when `code` is an error. */
dr_code sqlite_begin(struct store_sqlite *sqlite, struct dr_error *error);
dr_code sqlite_end(struct store_sqlite *sqlite, dr_code code, struct dr_error *error);
/* In a transaction: adds to the counts of live and done calls. */
dr_code sqlite_tally(struct store_sqlite *sqlite, int64_t n_live, int64_t n_done, struct dr_error *error);

/* Column lists in the order of sqlite_read_record; each group ends with its sum. */
/* clang-format off */
#define SQLITE_FIXED "id,partition,parent,root,project,parent_generation,depth,correlation_id,created_ns,expires_ns,sum_fixed"
#define SQLITE_CODE "endpoint,function,version,input,generation,sum_code"
#define SQLITE_PROGRESS \
    "state,mail,sweep,has_children,wake_ns,due_ns,attempts,failures,last_status,last_error,sum_progress"
#define SQLITE_POLL "state_arm,is_resume,poll_state,poll_error,min_results,max_results,sum_poll"
#define SQLITE_RESULT \
    "status,done_ns,done_sequence,output,error_type,error_message,error_value,error_traceback,sum_result"
#define SQLITE_ALL SQLITE_FIXED "," SQLITE_CODE "," SQLITE_PROGRESS "," SQLITE_POLL "," SQLITE_RESULT
/* clang-format on */
/* Without the sums. */
#define SQLITE_COLUMNS_FIXED 10
#define SQLITE_COLUMNS_CODE 5
#define SQLITE_COLUMNS_PROGRESS 10
#define SQLITE_COLUMNS_POLL 6
#define SQLITE_COLUMNS_RESULT 8
#define SQLITE_COLUMNS 44
#define SQLITE_PROGRESS_AT (SQLITE_COLUMNS_FIXED + 1 + SQLITE_COLUMNS_CODE + 1)
#define SQLITE_MAIL_COLUMN (SQLITE_PROGRESS_AT + 1)
#define SQLITE_SWEEP_COLUMN (SQLITE_PROGRESS_AT + 2)
#define SQLITE_WAKE_COLUMN (SQLITE_PROGRESS_AT + 4)
#define SQLITE_DONE_COLUMN (SQLITE_PROGRESS_AT + SQLITE_COLUMNS_PROGRESS + 1 + SQLITE_COLUMNS_POLL + 1 + 1)

/* None = NULL. Not copied, like every other value: it lives until the statement has run. A copy could fail, and
 * a NULL in its place would change another call, or none. */
void sqlite_bind_id(sqlite3_stmt *statement, int at, const struct id *id);
struct id sqlite_column_id(sqlite3_stmt *statement, int at);
/* The record of the present row of a `SELECT SQLITE_ALL`. Owned by the caller; nothing on failure. DR_DATA_LOSS is a
 * matter of this row alone, and has been told. is_shown: without the long payloads. */
dr_code sqlite_read_record(struct store_sqlite *sqlite, sqlite3_stmt *row, bool is_shown,
                           struct call_record *ret_record, struct dr_error *error);
dr_code sqlite_add_record(struct store_sqlite *sqlite, sqlite3_stmt *row, bool is_shown,
                          struct store_records *records, struct dr_error *error);
/* All rows of a statement, bindings done, as records; resets it. At most `limit`. Leaves damaged rows out, and says how
 * many. */
dr_code sqlite_collect(struct store_sqlite *sqlite, sqlite3_stmt *row, size_t limit,
                       struct store_records *ret_records, uint64_t *ret_n_damaged, const char *what,
                       struct dr_error *error);

/* store_sqlite_payload.c. Payloads are numbered in the order of the groups; the number is on disk. */
enum sqlite_payload {
    PAYLOAD_INPUT = 1, /* RECORD_CODE */
    PAYLOAD_LAST_ERROR, /* RECORD_PROGRESS */
    PAYLOAD_POLL_STATE, /* RECORD_POLL */
    PAYLOAD_POLL_ERROR,
    PAYLOAD_OUTPUT, /* RECORD_RESULT */
    PAYLOAD_ERROR_TYPE,
    PAYLOAD_ERROR_MESSAGE,
    PAYLOAD_ERROR_VALUE,
    PAYLOAD_ERROR_TRACEBACK
};
/* In a transaction: the long payloads of the groups `fields` of a new or changed row. */
dr_code sqlite_write_payloads(struct store_sqlite *sqlite, const struct call_record *record, unsigned fields,
                              bool is_new, struct dr_error *error);
/* In a transaction: all of a call that is deleted. */
dr_code sqlite_remove_payloads(struct store_sqlite *sqlite, struct id id, struct dr_error *error);
dr_code sqlite_read_payload(struct store_sqlite *sqlite, struct id id, enum sqlite_payload which,
                            struct blob **ret_blob, struct dr_error *error);

/* store_sqlite_sum.c */
/* DR_DATA_LOSS: the present row of a `SELECT SQLITE_ALL` is not as it was written. */
dr_code sqlite_check_row(struct store_sqlite *sqlite, sqlite3_stmt *row, struct dr_error *error);
bool sqlite_is_row_whole(sqlite3_stmt *row, struct id id);
/* Columns `at`, the bytes, and `at` + 1, their sum. */
bool sqlite_is_payload_whole(sqlite3_stmt *row, struct id id, enum sqlite_payload which, int at);
/* The error of a damaged call; tells store_on_damaged, once for each call. */
dr_code sqlite_tell_damaged(struct store_sqlite *sqlite, struct id id, const char *what, struct dr_error *error);
/* dispatch_sum and dispatch_resum, for the statements of this store. */
dr_code sqlite_add_functions(struct store_sqlite *sqlite, struct dr_error *error);

/* store_sqlite_open.c */
#define SQLITE_APPLICATION_ID 0x44525031 /* "DRP1" */
#define SQLITE_SCHEMA_VERSION 3
dr_code sqlite_set_up(struct store_sqlite *sqlite, struct dr_error *error);
/* The tables of the present version, in an empty database. */
dr_code sqlite_make_schema(struct store_sqlite *sqlite, struct dr_error *error);

/* store_sqlite_checkpoint.c */
/* A lock of our own, in the page that SQLite never uses: shared by backups, exclusive during a checkpoint. */
#define SQLITE_CHECKPOINT_BYTE (0x40000000 + 600)
#define SQLITE_GUARD_NONE (-1) /* no real disk, no backups */
#define SQLITE_GUARD_LATER (-2) /* no checkpoints yet */
/* Takes checkpoints from SQLite, before the first transaction ... */
void sqlite_put_off_checkpoints(struct store_sqlite *sqlite);
/* ... and makes them from now on, when the log is long and no backup runs. The file must be ours alone. */
dr_code sqlite_guard_checkpoints(struct store_sqlite *sqlite, bool is_real_disk, struct dr_error *error);
/* After sqlite_secure_log: what is in the log goes into the file, and the log begins anew. */
dr_code sqlite_retire_log(struct store_sqlite *sqlite, struct dr_error *error);
void sqlite_close_guarded(struct store_sqlite *sqlite);

/* store_sqlite_recover.c */
/* Is there a rollback journal that begins with an empty file? Then the creation was interrupted: whatever the header
 * says, SQLite will make the file empty again. */
dr_code sqlite_check_creation(struct store_sqlite *sqlite, bool *ret_is_interrupted, struct dr_error *error);
/* The file is empty. Was that made by the rollback of a creation, whose sync failed? Then pages of it may be on the medium,
 * where nobody sees them before the power fails; and SQLite is about to delete the journal, without which they would be a
 * damaged database. Makes it empty there too, first. */
dr_code sqlite_secure_emptiness(struct store_sqlite *sqlite, struct dr_error *error);
/* The log of a process that did not close the store may hold commits that no sync has brought to the medium, and some
 * that the operating system takes for synced although it failed to (Linux marks the pages clean). They will be seen now,
 * so they may not be lost with the power (I7), nor what stands behind them: writes the log again, byte for byte, and
 * syncs it. The file must be locked and the log be read. */
dr_code sqlite_secure_log(struct store_sqlite *sqlite, struct dr_error *error);

/* store_sqlite_commit.c, store_sqlite_read.c, store_sqlite_list.c, store_sqlite_upkeep.c */
dr_code sqlite_commit(struct store *store, struct batch *const *batches, size_t n_batches,
                      struct dr_error *error);
dr_code sqlite_read(struct store *store, struct id id, struct call_record *ret_record,
                    struct dr_error *error);
dr_code sqlite_read_children(struct store *store, struct id parent, uint32_t generation,
                             struct store_records *ret_done, uint64_t *ret_outstanding,
                             struct dr_error *error);
dr_code sqlite_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                              struct record_children *ret_children, struct dr_error *error);
dr_code sqlite_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                        size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error);
dr_code sqlite_scan_live_children(struct store *store, struct id parent, uint32_t below_generation,
                                  size_t limit, struct store_records *ret_records, struct dr_error *error);
dr_code sqlite_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                         size_t *ret_n, struct dr_error *error);
dr_code sqlite_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids,
                           size_t *ret_n, struct dr_error *error);
dr_code sqlite_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error);
dr_code sqlite_purge(struct store *store, const struct purge_order *order, struct purge_result *ret_result,
                     struct dr_error *error);
dr_code sqlite_counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error);
dr_code sqlite_newest(struct store *store, int64_t *ret_newest_ns, struct dr_error *error);

#endif
