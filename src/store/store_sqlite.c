/* Opening and closing the file; what all of the SQLite store shares. */
#include "store/store_sqlite.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

#include <stdio.h>

#define APPLICATION_ID 0x44525031 /* "DRP1" */
#define SCHEMA_VERSION 1

static const char SCHEMA[] =
    "CREATE TABLE call ("
    " id BLOB PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, parent BLOB, root BLOB NOT NULL,"
    " project INTEGER NOT NULL, parent_generation INTEGER NOT NULL, depth INTEGER NOT NULL,"
    " correlation_id INTEGER NOT NULL, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,"
    " endpoint TEXT NOT NULL, function TEXT NOT NULL, version TEXT, input BLOB, generation INTEGER NOT NULL,"
    " state INTEGER NOT NULL, mail INTEGER NOT NULL, sweep INTEGER NOT NULL, has_children INTEGER NOT NULL,"
    " wake_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, attempts INTEGER NOT NULL, failures INTEGER NOT NULL,"
    " last_status INTEGER NOT NULL, last_error TEXT,"
    " state_arm INTEGER NOT NULL, is_resume INTEGER NOT NULL, poll_state BLOB, poll_error TEXT,"
    " min_results INTEGER NOT NULL, max_results INTEGER NOT NULL,"
    " status INTEGER NOT NULL, done_ns INTEGER NOT NULL, done_sequence INTEGER NOT NULL, output BLOB,"
    " error_type TEXT, error_message TEXT, error_value BLOB, error_traceback BLOB"
    ") WITHOUT ROWID;"
    "CREATE INDEX call_wake ON call(wake_ns, id) WHERE state <> 3;"
    "CREATE INDEX call_mail ON call(parent, parent_generation, state, id) WHERE mail = 1;"
    "CREATE INDEX call_sweep ON call(id) WHERE sweep = 1;"
    "CREATE INDEX call_done ON call(done_ns, id) WHERE state = 3;";

struct store_sqlite *sqlite_self(struct store *store)
{
    return container_of(store, struct store_sqlite, store);
}

static dr_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_NOMEM:
        return DR_NO_MEMORY;
    case SQLITE_CORRUPT:
        return DR_DATA_LOSS;
    case SQLITE_NOTADB:
    case SQLITE_BUSY:
        return DR_FAILED_PRECONDITION;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
        return DR_INTERNAL;
    default:
        return DR_UNAVAILABLE; /* full, I/O error, read-only, cannot open: another day it may work */
    }
}

dr_code sqlite_fail(struct store_sqlite *sqlite, int result, const char *what, struct dr_error *error)
{
    if ((result & 0xff) == SQLITE_BUSY)
        return error_set(error, DR_FAILED_PRECONDITION, "%s: %s is in use by another server", what, sqlite->path);
    if ((result & 0xff) == SQLITE_NOTADB)
        return error_set(error, DR_FAILED_PRECONDITION, "%s: %s is not a database of dispatch", what, sqlite->path);
    const char *text = sqlite->database ? sqlite3_errmsg(sqlite->database) : sqlite3_errstr(result);
    return error_set(error, code_of(result), "%s: %s: %s", what, sqlite->path, text);
}

dr_code sqlite_statement(struct store_sqlite *sqlite, enum statement which, const char *text, sqlite3_stmt **ret_statement,
                         struct dr_error *error)
{
    sqlite3_stmt **statement = &sqlite->statements[which];
    if (!*statement) {
        int result = sqlite3_prepare_v3(sqlite->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
        if (result != SQLITE_OK)
            return sqlite_fail(sqlite, result, "prepare", error);
    }
    *ret_statement = *statement;
    return DR_OK;
}

dr_code sqlite_run(struct store_sqlite *sqlite, enum statement which, const char *text, struct dr_error *error)
{
    sqlite3_stmt *statement = NULL;
    dr_code code = sqlite_statement(sqlite, which, text, &statement, error);
    if (code)
        return code;
    int result = sqlite3_step(statement);
    if (result != SQLITE_DONE && result != SQLITE_ROW)
        code = sqlite_fail(sqlite, result, text, error);
    sqlite3_reset(statement);
    return code;
}

static dr_code execute(struct store_sqlite *sqlite, const char *text, struct dr_error *error)
{
    int result = sqlite3_exec(sqlite->database, text, NULL, NULL, NULL);
    return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
}

static dr_code read_number(struct store_sqlite *sqlite, const char *text, int64_t *ret_number, struct dr_error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(sqlite->database, text, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    dr_code code = result == SQLITE_ROW ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
    sqlite3_finalize(statement);
    return code;
}

/* Before anything is written: a file that is not ours, or newer than we are, stays as it is. */
static dr_code check_file(struct store_sqlite *sqlite, bool *ret_is_new, struct dr_error *error)
{
    int64_t n_tables = 0, application = 0, version = 0;
    dr_code code = read_number(sqlite, "SELECT count(*) FROM sqlite_schema", &n_tables, error);
    if (!code)
        code = read_number(sqlite, "PRAGMA application_id", &application, error);
    if (!code)
        code = read_number(sqlite, "PRAGMA user_version", &version, error);
    if (code)
        return code;
    bool is_new = n_tables == 0 && application == 0 && version == 0;
    if (!is_new && application != APPLICATION_ID)
        return error_set(error, DR_FAILED_PRECONDITION, "open store: %s is not a database of dispatch", sqlite->path);
    if (!is_new && version > SCHEMA_VERSION)
        return error_set(error, DR_FAILED_PRECONDITION,
                         "open store: %s has schema version %lld, this dispatch knows %d: use a newer dispatch",
                         sqlite->path, (long long)version, SCHEMA_VERSION);
    if (!is_new && version < 1)
        return error_set(error, DR_DATA_LOSS, "open store: %s has no schema version", sqlite->path);
    *ret_is_new = is_new;
    return DR_OK;
}

static dr_code create_schema(struct store_sqlite *sqlite, struct dr_error *error)
{
    char marks[100];
    snprintf(marks, sizeof marks, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID, SCHEMA_VERSION);
    dr_code code = execute(sqlite, "BEGIN IMMEDIATE", error);
    if (!code)
        code = execute(sqlite, SCHEMA, error);
    if (!code)
        code = execute(sqlite, marks, error);
    if (!code)
        code = execute(sqlite, "COMMIT", error);
    return code;
}

static dr_code set_up(struct store_sqlite *sqlite, struct dr_error *error)
{
    bool is_new = false;
    /* Exclusive: the lock is taken by the first read and kept until the process ends, however it ends. */
    dr_code code = execute(sqlite, "PRAGMA page_size=8192; PRAGMA locking_mode=EXCLUSIVE;", error);
    if (!code)
        code = check_file(sqlite, &is_new, error);
    if (!code)
        code = execute(sqlite,
                       "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
                       "PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY;",
                       error);
    if (!code && is_new)
        code = create_schema(sqlite, error);
    if (!code) /* takes the write lock now, so that a second server is refused at its start */
        code = execute(sqlite, "BEGIN IMMEDIATE; COMMIT;", error);
    return code;
}

static void close_sqlite(struct store *store)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(sqlite->statements[i]);
    sqlite3_close(sqlite->database);
    mem_free(sqlite->path);
    mem_free(sqlite);
}

static const struct store_methods METHODS = {
    .commit = sqlite_commit,
    .read = sqlite_read,
    .read_children = sqlite_read_children,
    .scan_due = sqlite_scan_due,
    .scan_live_children = sqlite_scan_live_children,
    .scan_mail = sqlite_scan_mail,
    .scan_sweeps = sqlite_scan_sweeps,
    .list = sqlite_list,
    .purge = sqlite_purge,
    .counts = sqlite_counts,
    .close = close_sqlite,
};

dr_code store_sqlite_open(const struct store_sqlite_options *options, struct store **ret_store, struct dr_error *error)
{
    struct store_sqlite *sqlite = mem_zalloc(sizeof *sqlite);
    char *path = mem_strndup(options->path, strlen(options->path));
    if (!sqlite || !path) {
        mem_free(sqlite);
        mem_free(path);
        return error_set(error, DR_NO_MEMORY, "open store: out of memory");
    }
    sqlite->store.methods = &METHODS;
    sqlite->path = path;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path, &sqlite->database, flags, NULL);
    dr_code code = result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
    if (!code)
        sqlite3_busy_timeout(sqlite->database, options->busy_timeout_ms > 0 ? options->busy_timeout_ms : 5000);
    if (!code)
        code = set_up(sqlite, error);
    if (code) {
        close_sqlite(&sqlite->store);
        return code;
    }
    *ret_store = &sqlite->store;
    return DR_OK;
}
