/* What all of the SQLite store shares: statements, transactions, errors; and its doors. */
#include "store/store_sqlite.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

struct store_sqlite *sqlite_self(struct store *store)
{
    return container_of(store, struct store_sqlite, store);
}

/* ---- errors ---- */

static dr_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_NOMEM:
        return DR_NO_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: /* the header has been looked at before */
        return DR_DATA_LOSS;
    case SQLITE_BUSY:
        return DR_FAILED_PRECONDITION;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
        return DR_INTERNAL;
    default:
        return DR_UNAVAILABLE; /* full, I/O error, read-only, cannot open: another day it may work */
    }
}

static int why_not(const char *path)
{
    if (access(path, W_OK) == 0)
        return 0;
    return errno == EROFS || errno == EACCES || errno == EPERM || errno == ENOENT ? errno : 0;
}

int sqlite_why_read_only(const struct store_sqlite *sqlite)
{
    int cause = why_not(sqlite->path);
    if (cause != ENOENT)
        return cause;
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", sqlite->path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0'; /* the root keeps its own */
    cause = why_not(slash ? folder : ".");
    return cause == ENOENT ? 0 : cause;
}

/* Of the log or the file: SQLite itself forgets it for what fails in a COMMIT. */
static int last_errno(const struct store_sqlite *sqlite)
{
    int number = 0;
    sqlite3_file *log = NULL;
    (void)sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods)
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
    if (number == 0)
        (void)sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

/* What the system says; 0 = nothing that helps. */
static int cause_of(const struct store_sqlite *sqlite, int result)
{
    int kind = result & 0xff;
    if (!sqlite->database || (kind != SQLITE_CANTOPEN && kind != SQLITE_IOERR))
        return 0;
    int cause = kind == SQLITE_IOERR ? last_errno(sqlite) : sqlite3_system_errno(sqlite->database);
    /* of a file that it could not make it tells how the second try went, to read it */
    int better = kind == SQLITE_CANTOPEN && cause == ENOENT ? sqlite_why_read_only(sqlite) : 0;
    return better ? better : cause;
}

dr_code sqlite_fail(struct store_sqlite *sqlite, int result, const char *what, struct dr_error *error)
{
    dr_code code = code_of(result);
    if (code == DR_FAILED_PRECONDITION)
        return error_set(error, code, "%s: %s is in use by another server", what, sqlite->path);
    const char *text = sqlite->database ? sqlite3_errmsg(sqlite->database) : sqlite3_errstr(result);
    int cause = cause_of(sqlite, result);
    return error_set(error, code, "%s: %s%s: %s%s%s", what, sqlite->path, code == DR_DATA_LOSS ? " is damaged" : "",
                     text, cause ? ": " : "", cause ? strerror(cause) : "");
}

/* ---- statements ---- */

dr_code sqlite_statement(struct store_sqlite *sqlite, enum statement which, const char *text,
                         sqlite3_stmt **ret_statement, struct dr_error *error)
{
    sqlite3_stmt **statement = &sqlite->statements[which];
    if (!*statement) {
        int result =
            sqlite3_prepare_v3(sqlite->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
        if (result != SQLITE_OK)
            return sqlite_fail(sqlite, result, "prepare", error);
    }
    *ret_statement = *statement;
    return DR_OK;
}

dr_code sqlite_step(struct store_sqlite *sqlite, sqlite3_stmt *statement, const char *what,
                    struct dr_error *error)
{
    int result = sqlite3_step(statement);
    dr_code code =
        result == SQLITE_DONE || result == SQLITE_ROW ? DR_OK : sqlite_fail(sqlite, result, what, error);
    sqlite3_reset(statement);
    return code;
}

dr_code sqlite_run(struct store_sqlite *sqlite, enum statement which, const char *text,
                   struct dr_error *error)
{
    sqlite3_stmt *statement = NULL;
    dr_code code = sqlite_statement(sqlite, which, text, &statement, error);
    return code ? code : sqlite_step(sqlite, statement, text, error);
}

dr_code sqlite_execute(struct store_sqlite *sqlite, const char *text, const char *what,
                       struct dr_error *error)
{
    int result = sqlite3_exec(sqlite->database, text, NULL, NULL, NULL);
    return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, what, error);
}

dr_code sqlite_read_number(struct store_sqlite *sqlite, const char *text, int64_t *ret_number,
                           struct dr_error *error)
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

/* ---- transactions ---- */

dr_code sqlite_begin(struct store_sqlite *sqlite, struct dr_error *error)
{
    return sqlite_run(sqlite, STATEMENT_BEGIN, "BEGIN IMMEDIATE", error);
}

dr_code sqlite_end(struct store_sqlite *sqlite, dr_code code, struct dr_error *error)
{
    if (!code)
        code = sqlite_run(sqlite, STATEMENT_COMMIT, "COMMIT", error);
    if (code && !sqlite3_get_autocommit(sqlite->database)) /* some failures have rolled back by themselves */
        (void)sqlite_run(sqlite, STATEMENT_ROLLBACK, "ROLLBACK", NULL);
    return code;
}

/* ---- doors ---- */

static void close_sqlite(struct store *store)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(sqlite->statements[i]);
    sqlite_close_guarded(sqlite);
    map_deinit(&sqlite->damaged);
    mem_free(sqlite->path);
    mem_free(sqlite);
}

static const struct store_methods METHODS = {
    .commit = sqlite_commit,
    .read = sqlite_read,
    .read_children = sqlite_read_children,
    .count_children = sqlite_count_children,
    .scan_due = sqlite_scan_due,
    .scan_live_children = sqlite_scan_live_children,
    .scan_mail = sqlite_scan_mail,
    .scan_sweeps = sqlite_scan_sweeps,
    .list = sqlite_list,
    .purge = sqlite_purge,
    .counts = sqlite_counts,
    .newest = sqlite_newest,
    .close = close_sqlite,
};

dr_code store_sqlite_open(const struct store_sqlite_options *options, struct store **ret_store,
                          struct dr_error *error)
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
    map_init(&sqlite->damaged);
    sqlite->guard = -1;
    sqlite->list_steps_max = options->list_steps_max > 0 ? options->list_steps_max : SQLITE_LIST_STEPS_MAX;
    sqlite->durability = options->durability;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path, &sqlite->database, flags, options->vfs);
    dr_code code = result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
    if (!code)
        sqlite3_busy_timeout(sqlite->database,
                             options->busy_timeout_ms > 0 ? options->busy_timeout_ms : BUSY_TIMEOUT_MS);
    if (!code) {
        sqlite_put_off_checkpoints(sqlite);
        code = sqlite_add_functions(sqlite, error);
    }
    if (!code)
        code = sqlite_set_up(sqlite, error);
    if (!code)
        code = sqlite_guard_checkpoints(sqlite, options->vfs == NULL, error);
    if (!code)
        code = sqlite_retire_log(sqlite, error);
    if (code) {
        close_sqlite(&sqlite->store);
        return code;
    }
    *ret_store = &sqlite->store;
    return DR_OK;
}
