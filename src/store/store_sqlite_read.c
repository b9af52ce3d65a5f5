/* Reads and scans. Each statement's WHERE repeats the condition of the index it is meant
 * for. */
#include "store/store_sqlite.h"

#include "base/clock.h"
#include "base/error.h"

dr_code sqlite_collect(struct store_sqlite *sqlite, sqlite3_stmt *row, size_t limit,
                       struct store_records *ret_records, uint64_t *ret_n_damaged, const char *what,
                       struct dr_error *error)
{
    struct store_records records = {0};
    uint64_t n_damaged = 0;
    dr_code code = DR_OK;
    int result = SQLITE_DONE;
    while (!code && records.n_records < limit && (result = sqlite3_step(row)) == SQLITE_ROW) {
        code = sqlite_add_record(sqlite, row, false, &records, error);
        n_damaged += code == DR_DATA_LOSS;
        code = code == DR_DATA_LOSS ? DR_OK : code;
    }
    if (!code && result != SQLITE_ROW && result != SQLITE_DONE)
        code = sqlite_fail(sqlite, result, what, error);
    sqlite3_reset(row);
    if (code) {
        store_records_deinit(&records);
        return code;
    }
    *ret_records = records;
    *ret_n_damaged = n_damaged;
    return DR_OK;
}

dr_code sqlite_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    dr_code code =
        sqlite_statement(sqlite, STATEMENT_READ, "SELECT " SQLITE_ALL " FROM call WHERE id=?", &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, &id);
    int result = sqlite3_step(row);
    char text[ID_TEXT_SIZE];
    if (result == SQLITE_ROW)
        code = sqlite_read_record(sqlite, row, false, ret_record, error);
    else if (result == SQLITE_DONE)
        code = error_set(error, DR_NOT_FOUND, "there is no call %s", id_format(id, text));
    else
        code = sqlite_fail(sqlite, result, "read", error);
    sqlite3_reset(row);
    return code;
}

static dr_code count_some(struct store_sqlite *sqlite, enum statement which, const char *text, struct id parent,
                          uint32_t generation, uint64_t limit, uint64_t *ret_n, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, which, text, &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, &parent);
    sqlite3_bind_int64(row, 2, generation);
    sqlite3_bind_int64(row, 3, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW)
        *ret_n = (uint64_t)sqlite3_column_int64(row, 0);
    else
        code = sqlite_fail(sqlite, result, "read children", error);
    sqlite3_reset(row);
    return code;
}

static dr_code count_live_children(struct store_sqlite *sqlite, struct id parent, uint32_t generation, uint64_t limit,
                                   uint64_t *ret_n, struct dr_error *error)
{
    return count_some(sqlite, STATEMENT_CHILDREN_LIVE_COUNT,
                      "SELECT count(*) FROM (SELECT 1 FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 AND "
                      "parent_generation=?2 AND state IN (1,2) LIMIT ?3)",
                      parent, generation, limit, ret_n, error);
}

dr_code sqlite_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                              struct record_children *ret_children, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    struct record_children children = {0};
    dr_code code = count_live_children(sqlite, parent, generation, limit, &children.n_outstanding, error);
    if (!code)
        code = count_some(sqlite, STATEMENT_CHILDREN_DONE_COUNT,
                          "SELECT count(*) FROM (SELECT 1 FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 "
                          "AND parent_generation=?2 AND state=3 LIMIT ?3)",
                          parent, generation, limit, &children.n_done, error);
    if (!code)
        *ret_children = children;
    return code;
}

dr_code sqlite_read_children(struct store *store, struct id parent, uint32_t generation,
                             struct store_records *ret_done, uint64_t *ret_outstanding,
                             struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    uint64_t n_outstanding = 0, n_damaged = 0;
    dr_code code = count_live_children(sqlite, parent, generation, UINT64_MAX, &n_outstanding, error);
    sqlite3_stmt *row;
    if (!code)
        code = sqlite_statement(sqlite, STATEMENT_CHILDREN_DONE,
                                "SELECT " SQLITE_ALL
                                " FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 AND "
                                "parent_generation=?2 AND state=3 ORDER BY done_sequence",
                                &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, &parent);
    sqlite3_bind_int64(row, 2, generation);
    code = sqlite_collect(sqlite, row, SIZE_MAX, ret_done, &n_damaged, "read children", error);
    if (!code)
        *ret_outstanding = n_outstanding + n_damaged;
    return code;
}

dr_code sqlite_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                        size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    dr_code code =
        sqlite_statement(sqlite, STATEMENT_SCAN_DUE,
                         "SELECT " SQLITE_ALL " FROM call INDEXED BY call_wake WHERE state <> 3 AND "
                         "(wake_ns,id) > (?1,?2) ORDER BY wake_ns,id",
                         &row, error);
    if (code)
        return code;
    sqlite3_bind_int64(row, 1, after.wake_ns);
    sqlite3_bind_blob(row, 2, after.id.bytes, ID_BYTES, SQLITE_STATIC);
    struct store_scan_result scan = {.is_complete = true, .next_wake_ns = TIME_NEVER};
    size_t bytes = 0;
    int result;
    while (!code && (result = sqlite3_step(row)) != SQLITE_DONE) {
        if (result != SQLITE_ROW) {
            code = sqlite_fail(sqlite, result, "scan", error);
            break;
        }
        int64_t wake_ns = sqlite3_column_int64(row, SQLITE_WAKE_COLUMN);
        bool is_full = scan.records.n_records == limit || (bytes > bytes_max && scan.records.n_records > 0);
        if (wake_ns > until_ns || is_full) {
            scan.is_complete = wake_ns > until_ns;
            scan.next_wake_ns = wake_ns;
            break;
        }
        code = sqlite_add_record(sqlite, row, false, &scan.records, error);
        if (code == DR_DATA_LOSS)
            code = DR_OK;
        else if (!code)
            bytes += store_record_bytes(&scan.records.records[scan.records.n_records - 1]);
    }
    sqlite3_reset(row);
    if (code)
        store_records_deinit(&scan.records);
    else
        *ret_result = scan;
    return code;
}

dr_code sqlite_scan_live_children(struct store *store, struct id parent, uint32_t below_generation,
                                  size_t limit, struct store_records *ret_records, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    /* mail is open as long as a child is live, so the mail index has them all */
    dr_code code = sqlite_statement(sqlite, STATEMENT_LIVE_CHILDREN,
                                    "SELECT " SQLITE_ALL
                                    " FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 AND "
                                    "parent_generation < ?2 AND state IN (1,2)",
                                    &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, &parent);
    sqlite3_bind_int64(row, 2, below_generation == UINT32_MAX ? INT64_MAX : (int64_t)below_generation);
    uint64_t n_damaged = 0;
    return sqlite_collect(sqlite, row, limit, ret_records, &n_damaged, "scan children", error);
}

static dr_code scan_ids(struct store_sqlite *sqlite, enum statement which, const char *text, struct id after,
                        size_t limit, struct id *ret_ids, size_t *ret_n, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, which, text, &row, error);
    if (code)
        return code;
    sqlite3_bind_blob(row, 1, after.bytes, ID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(row, 2, (int64_t)limit);
    size_t n = 0;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW)
        ret_ids[n++] = sqlite_column_id(row, 0);
    if (result != SQLITE_DONE)
        code = sqlite_fail(sqlite, result, "scan", error);
    else
        *ret_n = n;
    sqlite3_reset(row);
    return code;
}

dr_code sqlite_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                         size_t *ret_n, struct dr_error *error)
{
    return scan_ids(
        sqlite_self(store), STATEMENT_SCAN_MAIL,
        "SELECT DISTINCT parent FROM call INDEXED BY call_mail WHERE mail=1 AND parent > ?1 AND state=3 "
        "ORDER BY parent LIMIT ?2",
        after_parent, limit, ret_parents, ret_n, error);
}

dr_code sqlite_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids,
                           size_t *ret_n, struct dr_error *error)
{
    return scan_ids(
        sqlite_self(store), STATEMENT_SCAN_SWEEPS,
        "SELECT id FROM call INDEXED BY call_sweep WHERE sweep<>0 AND id > ?1 ORDER BY id LIMIT ?2", after,
        limit, ret_ids, ret_n, error);
}
