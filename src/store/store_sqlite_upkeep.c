/* Purging what nobody can need any more, and counting. */
#include "store/store_sqlite.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"

/* Looks at no more rows than are ordered, so that what must be kept costs no more than what goes. */
static dr_code find_purgeable(struct store_sqlite *sqlite, const struct purge_order *order, struct id *ids,
                              struct purge_result *result, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(
        sqlite, STATEMENT_PURGE_FIND,
        "SELECT " SQLITE_ALL ", sweep=0 AND (mail <> 1 OR NOT EXISTS (SELECT 1 FROM call AS p WHERE "
        "p.id=call.parent AND p.state IN (1,2))) FROM call INDEXED BY call_done WHERE state=3 AND "
        "(done_ns,id) > (?1,?2) AND done_ns < ?3 ORDER BY done_ns, id LIMIT ?4",
        &row, error);
    if (code)
        return code;
    sqlite3_bind_int64(row, 1, order->after_done_ns);
    sqlite3_bind_blob(row, 2, order->after.bytes, ID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(row, 3, order->done_before_ns);
    sqlite3_bind_int64(row, 4, (int64_t)order->limit);
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
        result->reached = sqlite_column_id(row, 0);
        result->reached_done_ns = sqlite3_column_int64(row, SQLITE_DONE_COLUMN);
        if (sqlite3_column_int(row, SQLITE_COLUMNS) && sqlite_check_row(sqlite, row, NULL) == DR_OK)
            ids[result->n_purged++] = result->reached;
        else
            result->n_kept++;
    }
    if (rc != SQLITE_DONE)
        code = sqlite_fail(sqlite, rc, "purge", error);
    sqlite3_reset(row);
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

static dr_code find_next_done(struct store_sqlite *sqlite, struct purge_result *result, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, STATEMENT_NEXT_DONE,
                                    "SELECT done_ns FROM call INDEXED BY call_done WHERE state=3 AND "
                                    "(done_ns,id) > (?1,?2) ORDER BY done_ns, id LIMIT 1",
                                    &row, error);
    if (code)
        return code;
    sqlite3_bind_int64(row, 1, result->reached_done_ns);
    sqlite3_bind_blob(row, 2, result->reached.bytes, ID_BYTES, SQLITE_STATIC);
    int rc = sqlite3_step(row);
    if (rc == SQLITE_ROW)
        result->next_done_ns = sqlite3_column_int64(row, 0);
    else if (rc != SQLITE_DONE)
        code = sqlite_fail(sqlite, rc, "purge", error);
    sqlite3_reset(row);
    return code;
}

dr_code sqlite_purge(struct store *store, const struct purge_order *order, struct purge_result *ret_result,
                     struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    struct purge_result result = {
        .reached_done_ns = order->after_done_ns, .reached = order->after, .next_done_ns = TIME_NEVER};
    struct id *ids = mem_alloc(order->limit * sizeof *ids);
    dr_code code = ids ? find_purgeable(sqlite, order, ids, &result, error)
                       : error_set(error, DR_NO_MEMORY, "purge: out of memory");
    if (!code)
        code = find_next_done(sqlite, &result, error);
    if (!code && result.n_purged > 0)
        code = delete_all(sqlite, ids, result.n_purged, error);
    mem_free(ids);
    if (!code)
        *ret_result = result;
    return code;
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

dr_code sqlite_newest(struct store *store, int64_t *ret_newest_ns, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(
        sqlite, STATEMENT_NEWEST,
        "SELECT max(coalesce((SELECT created_ns FROM call ORDER BY id DESC LIMIT 1), ?1), coalesce((SELECT done_ns "
        "FROM call INDEXED BY call_done WHERE state=3 ORDER BY done_ns DESC, id DESC LIMIT 1), ?1))",
        &row, error);
    if (code)
        return code;
    sqlite3_bind_int64(row, 1, INT64_MIN);
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW)
        *ret_newest_ns = sqlite3_column_int64(row, 0);
    else
        code = sqlite_fail(sqlite, result, "open store", error);
    sqlite3_reset(row);
    return code;
}
