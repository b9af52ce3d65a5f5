/* Insides of the SQLite store, shared by store_sqlite*.c only. docs/design/storage.md describes the schema.
 * Statements are prepared at first use and kept. One thread at a time. */
#ifndef STORE_STORE_SQLITE_H
#define STORE_STORE_SQLITE_H

#include "store/store.h"

#include <sqlite3.h>

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_INSERT,
    STATEMENT_CONSUME,
    STATEMENT_SWEPT,
    STATEMENT_READ,
    STATEMENT_CHILDREN_DONE,
    STATEMENT_CHILDREN_LIVE_COUNT,
    STATEMENT_SCAN_DUE,
    STATEMENT_LIVE_CHILDREN,
    STATEMENT_SCAN_MAIL,
    STATEMENT_SCAN_SWEEPS,
    STATEMENT_PURGE_FIND,
    STATEMENT_PURGE,
    STATEMENT_NEXT_DONE,
    STATEMENT_COUNTS,
    STATEMENT_UPDATE_FIRST, /* one per combination of enum record_fields */
    STATEMENT_COUNT = STATEMENT_UPDATE_FIRST + 16
};

struct store_sqlite {
    struct store store;
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    bool has_counts;             /* counted once at first ask, kept up to date since */
    struct store_counts counts;
};

struct store_sqlite *sqlite_self(struct store *store);
/* Translates what SQLite says last: "commit: dispatch.db: disk full". */
dr_code sqlite_fail(struct store_sqlite *sqlite, int result, const char *what, struct dr_error *error);
/* The kept statement, prepared from `text` when it is not there yet; reset and without bindings. */
dr_code sqlite_statement(struct store_sqlite *sqlite, enum statement which, const char *text, sqlite3_stmt **ret_statement,
                         struct dr_error *error);
/* Steps a statement that gives no rows, and resets it. */
dr_code sqlite_run(struct store_sqlite *sqlite, enum statement which, const char *text, struct dr_error *error);

/* Column lists in the order of sqlite_read_record. */
#define SQLITE_FIXED                                                                                          \
    "id,partition,parent,root,project,parent_generation,depth,correlation_id,created_ns,expires_ns"
#define SQLITE_CODE "endpoint,function,version,input,generation"
#define SQLITE_PROGRESS                                                                                       \
    "state,mail,sweep,has_children,wake_ns,due_ns,attempts,failures,last_status,last_error"
#define SQLITE_POLL "state_arm,is_resume,poll_state,poll_error,min_results,max_results"
#define SQLITE_RESULT                                                                                         \
    "status,done_ns,done_sequence,output,error_type,error_message,error_value,error_traceback"
#define SQLITE_ALL SQLITE_FIXED "," SQLITE_CODE "," SQLITE_PROGRESS "," SQLITE_POLL "," SQLITE_RESULT
#define SQLITE_COLUMNS_FIXED 10
#define SQLITE_COLUMNS 39

void sqlite_bind_id(sqlite3_stmt *statement, int at, struct id id); /* none = NULL; borrows until the step */
struct id sqlite_column_id(sqlite3_stmt *statement, int at);
/* The record of the present row of a `SELECT SQLITE_ALL`. DR_NO_MEMORY. */
dr_code sqlite_read_record(sqlite3_stmt *statement, struct call_record *ret_record);

/* store_sqlite_commit.c, store_sqlite_read.c, store_sqlite_upkeep.c */
dr_code sqlite_commit(struct store *store, struct batch *const *batches, size_t n_batches, struct dr_error *error);
dr_code sqlite_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error);
dr_code sqlite_read_children(struct store *store, struct id parent, uint32_t generation, struct store_records *ret_done,
                             uint64_t *ret_outstanding, struct dr_error *error);
dr_code sqlite_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit, size_t bytes_max,
                        struct store_scan_result *ret_result, struct dr_error *error);
dr_code sqlite_scan_live_children(struct store *store, struct id parent, uint32_t below_generation, size_t limit,
                                  struct store_records *ret_records, struct dr_error *error);
dr_code sqlite_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                         size_t *ret_n, struct dr_error *error);
dr_code sqlite_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids, size_t *ret_n,
                           struct dr_error *error);
dr_code sqlite_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error);
dr_code sqlite_purge(struct store *store, int64_t done_before_ns, size_t limit, size_t *ret_purged,
                     int64_t *ret_next_done_ns, struct dr_error *error);
dr_code sqlite_counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error);

#endif
