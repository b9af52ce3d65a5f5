#include "store/store_verify.h"

#include "store/store_verify_private.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

void verify_found(struct verify *verify, const char *format, ...)
{
    char text[DR_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (verify->result.n_findings++ < STORE_FINDINGS_MAX && verify->options->on_finding)
        verify->options->on_finding(verify->options->arg, text);
}

/* Every failure of SQLite is a finding, but for what has nothing to do with the file. */
static dr_code found_by_sqlite(struct verify *verify, const char *where, struct dr_error *error)
{
    sqlite3 *database = verify->sqlite.database;
    if ((sqlite3_errcode(database) & 0xff) == SQLITE_NOMEM)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    verify_found(verify, "%s: %s", where, sqlite3_errmsg(database));
    return DR_OK;
}

/* ---- SQLite's own structure ---- */

static void call_of_row(struct verify *verify, long long rowid, char text[ID_TEXT_SIZE])
{
    sqlite3_stmt *row = NULL;
    (void)snprintf(text, ID_TEXT_SIZE, "unknown");
    if (sqlite3_prepare_v2(verify->sqlite.database, "SELECT id FROM call NOT INDEXED WHERE rowid=?", -1, &row, NULL) ==
        SQLITE_OK) {
        sqlite3_bind_int64(row, 1, rowid);
        if (sqlite3_step(row) == SQLITE_ROW)
            id_format(sqlite_column_id(row, 0), text);
    }
    sqlite3_finalize(row);
}

/* "row 7 missing from index call_wake", "On tree page 9 cell 5: ..." */
static void tell_line(struct verify *verify, const char *said, size_t len)
{
    long long number = 0;
    char id[ID_TEXT_SIZE];
    if (sscanf(said, "row %lld ", &number) == 1) {
        call_of_row(verify, number, id);
        verify_found(verify, "structure: %.*s (call %s)", (int)len, said, id);
    } else if (len > 0 && strncmp(said, "***", 3) != 0) { /* the database's name */
        verify_found(verify, "structure: %.*s", (int)len, said);
    }
}

static void tell_structure(struct verify *verify, const char *said)
{
    while (*said) {
        size_t len = strcspn(said, "\n");
        tell_line(verify, said, len);
        said += len + (said[len] == '\n');
    }
}

static dr_code check_structure(struct verify *verify, struct dr_error *error)
{
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(verify->sqlite.database, "PRAGMA integrity_check(1000)", -1, &row, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(row);
        const char *said = result == SQLITE_ROW ? (const char *)sqlite3_column_text(row, 0) : NULL;
        if (said && strcmp(said, "ok") != 0)
            tell_structure(verify, said);
    }
    dr_code code = result == SQLITE_DONE ? DR_OK : found_by_sqlite(verify, "structure", error);
    sqlite3_finalize(row);
    return code;
}

#define SCHEMA_TEXT                                                                                                  \
    "SELECT group_concat(said, x'0a') FROM (SELECT type || ' ' || name || ' ' || tbl_name || ' ' || "                \
    "coalesce(sql,'') AS said FROM sqlite_schema ORDER BY name)"

static int read_schema(sqlite3 *database, sqlite3_stmt **ret_row)
{
    int result = sqlite3_prepare_v2(database, SCHEMA_TEXT, -1, ret_row, NULL);
    return result == SQLITE_OK ? sqlite3_step(*ret_row) : result;
}

/* The text of the schema is data like any other; a changed name in it could hide a column. */
static dr_code check_schema(struct verify *verify, struct dr_error *error)
{
    struct store_sqlite fresh = {.path = verify->path};
    sqlite3_stmt *expected = NULL, *row = NULL;
    int result = sqlite3_open_v2(":memory:", &fresh.database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    dr_code code = result == SQLITE_OK ? sqlite_add_functions(&fresh, error) : DR_NO_MEMORY;
    if (!code)
        code = sqlite_make_schema(&fresh, error);
    if (!code && read_schema(fresh.database, &expected) != SQLITE_ROW)
        code = error_set(error, DR_NO_MEMORY, "out of memory");
    if (!code && read_schema(verify->sqlite.database, &row) != SQLITE_ROW) {
        code = found_by_sqlite(verify, "schema", error);
    } else if (!code) {
        const char *a = (const char *)sqlite3_column_text(expected, 0), *b = (const char *)sqlite3_column_text(row, 0);
        if (!a || !b || strcmp(a, b) != 0)
            verify_found(verify, "page 1: the schema is not that of version %d", SQLITE_SCHEMA_VERSION);
    }
    sqlite3_finalize(expected);
    sqlite3_finalize(row);
    sqlite3_close(fresh.database);
    return code;
}

/* ---- sums ---- */

static void check_call(struct verify *verify, sqlite3_stmt *row)
{
    char text[ID_TEXT_SIZE];
    struct id id = sqlite_column_id(row, 0);
    if (id_is_none(id) || !sqlite_is_row_whole(row, id))
        verify_found(verify, "call %s: wrong sum (row %lld)", id_format(id, text),
                     (long long)sqlite3_column_int64(row, SQLITE_COLUMNS));
    verify->result.n_calls++;
}

static void check_payload(struct verify *verify, sqlite3_stmt *row)
{
    char text[ID_TEXT_SIZE];
    struct id id = sqlite_column_id(row, 0);
    int field = sqlite3_column_int(row, 1);
    if (sqlite3_column_type(row, 1) != SQLITE_INTEGER ||
        !sqlite_is_payload_whole(row, id, (enum sqlite_payload)field, 2))
        verify_found(verify, "call %s: wrong sum of payload %d", id_format(id, text), field);
    verify->result.n_payloads++;
}

static dr_code check_each(struct verify *verify, const char *text, const char *where,
                          void (*check)(struct verify *, sqlite3_stmt *), struct dr_error *error)
{
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(verify->sqlite.database, text, -1, &row, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(row);
        if (result == SQLITE_ROW)
            check(verify, row);
    }
    dr_code code = result == SQLITE_DONE ? DR_OK : found_by_sqlite(verify, where, error);
    sqlite3_finalize(row);
    return code;
}

dr_code store_verify(const struct store_verify_options *options, struct store_verify_result *ret_result,
                     struct dr_error *error)
{
    struct verify verify = {.options = options};
    dr_code code = verify_open(&verify, error);
    if (!code)
        code = check_structure(&verify, error);
    if (!code)
        code = check_schema(&verify, error);
    if (!code)
        code = check_each(&verify, "SELECT " SQLITE_ALL ",rowid FROM call NOT INDEXED", "calls", check_call, error);
    if (!code)
        code = check_each(&verify, "SELECT call,field,bytes,sum FROM payload", "payloads", check_payload, error);
    if (!code)
        code = verify_rules(&verify, error);
    verify_close(&verify);
    if (!code)
        *ret_result = verify.result;
    return code;
}
