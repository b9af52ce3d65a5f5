/* Purging what nobody can need any more, and counting. */
#include "store/store_sqlite.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"

static dr_code find_purgeable(struct store_sqlite *sqlite, int64_t done_before_ns, size_t limit,
                              struct id *ids, size_t *ret_n, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(
        sqlite, STATEMENT_PURGE_FIND,
        "SELECT id FROM call AS c INDEXED BY call_done WHERE c.state=3 AND c.done_ns < ?1 AND c.sweep=0 AND "
        "(c.mail <> 1 OR NOT EXISTS (SELECT 1 FROM call AS p WHERE p.id=c.parent AND p.state IN (1,2))) "
        "ORDER BY c.done_ns, c.id LIMIT ?2",
        &row, error);
    if (code)
        return code;
    sqlite3_bind_int64(row, 1, done_before_ns);
    sqlite3_bind_int64(row, 2, (int64_t)limit);
    size_t n = 0;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW)
        ids[n++] = sqlite_column_id(row, 0);
    if (result != SQLITE_DONE)
        code = sqlite_fail(sqlite, result, "purge", error);
    sqlite3_reset(row);
    *ret_n = n;
    return code;
}

static dr_code delete_one(struct store_sqlite *sqlite, struct id id, struct dr_error *error)
{
    sqlite3_stmt *statement;
    dr_code code =
        sqlite_statement(sqlite, STATEMENT_PURGE, "DELETE FROM call WHERE id=?", &statement, error);
    if (code)
        return code;
    sqlite_bind_id(statement, 1, &id);
    code = sqlite_step(sqlite, statement, "purge", error);
    return code ? code : sqlite_remove_payloads(sqlite, id, error);
}

static dr_code delete_all(struct store_sqlite *sqlite, const struct id *ids, size_t n, struct dr_error *error)
{
    dr_code code = sqlite_begin(sqlite, error);
    if (code)
        return code;
    for (size_t i = 0; i < n && !code; i++)
        code = delete_one(sqlite, ids[i], error);
    if (!code)
        code = sqlite_tally(sqlite, 0, -(int64_t)n, error);
    return sqlite_end(sqlite, code, error);
}

static dr_code next_done(struct store_sqlite *sqlite, int64_t *ret_done_ns, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(
        sqlite, STATEMENT_NEXT_DONE,
        "SELECT done_ns FROM call INDEXED BY call_done WHERE state=3 ORDER BY done_ns LIMIT 1", &row, error);
    if (code)
        return code;
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW)
        *ret_done_ns = sqlite3_column_int64(row, 0);
    else if (result == SQLITE_DONE)
        *ret_done_ns = TIME_NEVER;
    else
        code = sqlite_fail(sqlite, result, "purge", error);
    sqlite3_reset(row);
    return code;
}

dr_code sqlite_purge(struct store *store, int64_t done_before_ns, size_t limit, size_t *ret_purged,
                     int64_t *ret_next_done_ns, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    struct id *ids = mem_alloc(limit * sizeof *ids);
    size_t n = 0;
    dr_code code = ids ? find_purgeable(sqlite, done_before_ns, limit, ids, &n, error)
                       : error_set(error, DR_NO_MEMORY, "purge: out of memory");
    if (!code && n > 0)
        code = delete_all(sqlite, ids, n, error);
    mem_free(ids);
    int64_t oldest_ns = TIME_NEVER;
    if (!code)
        code = next_done(sqlite, &oldest_ns, error);
    if (code)
        return code;
    *ret_purged = n;
    *ret_next_done_ns = oldest_ns;
    return DR_OK;
}

/* Kept by every transaction, because counting ten million rows takes seconds. */
dr_code sqlite_tally(struct store_sqlite *sqlite, int64_t n_live, int64_t n_done, struct dr_error *error)
{
    if (n_live == 0 && n_done == 0)
        return DR_OK;
    sqlite3_stmt *statement;
    dr_code code = sqlite_statement(sqlite, STATEMENT_TALLY,
                                    "UPDATE tally SET n_live=n_live+?1, n_done=n_done+?2", &statement, error);
    if (code)
        return code;
    sqlite3_bind_int64(statement, 1, n_live);
    sqlite3_bind_int64(statement, 2, n_done);
    return sqlite_step(sqlite, statement, "commit", error);
}

dr_code sqlite_counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    dr_code code =
        sqlite_statement(sqlite, STATEMENT_COUNTS, "SELECT n_live, n_done FROM tally", &row, error);
    if (code)
        return code;
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW) {
        ret_counts->n_live = (uint64_t)sqlite3_column_int64(row, 0);
        ret_counts->n_done = (uint64_t)sqlite3_column_int64(row, 1);
    } else {
        code = sqlite_fail(sqlite, result, "count", error);
    }
    sqlite3_reset(row);
    return code;
}
