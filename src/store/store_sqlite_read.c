/* Rows to records: reads, scans and lists. Each statement's WHERE repeats the condition of the index it is meant for. */
#include "store/store_sqlite.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>

struct id sqlite_column_id(sqlite3_stmt *statement, int at)
{
    struct id id = {{0}};
    if (sqlite3_column_bytes(statement, at) == ID_BYTES)
        memcpy(id.bytes, sqlite3_column_blob(statement, at), ID_BYTES);
    return id;
}

static dr_code column_blob(sqlite3_stmt *statement, int at, struct blob **ret_blob)
{
    if (sqlite3_column_type(statement, at) == SQLITE_NULL)
        return DR_OK;
    const void *data = sqlite3_column_blob(statement, at);
    *ret_blob = blob_create(slice_of(data, (size_t)sqlite3_column_bytes(statement, at)));
    return *ret_blob ? DR_OK : DR_NO_MEMORY;
}

static int read_fixed(sqlite3_stmt *row, struct call_record *record)
{
    int at = 0;
    record->id = sqlite_column_id(row, at++);
    at++; /* partition */
    record->parent = sqlite_column_id(row, at++);
    record->root = sqlite_column_id(row, at++);
    record->project = (uint32_t)sqlite3_column_int64(row, at++);
    record->parent_generation = (uint32_t)sqlite3_column_int64(row, at++);
    record->depth = (uint32_t)sqlite3_column_int64(row, at++);
    record->correlation_id = (uint64_t)sqlite3_column_int64(row, at++);
    record->created_ns = sqlite3_column_int64(row, at++);
    record->expires_ns = sqlite3_column_int64(row, at++);
    return at;
}

static int read_progress(sqlite3_stmt *row, int at, struct call_record *record, dr_code *code)
{
    record->state = (uint8_t)sqlite3_column_int(row, at++);
    record->mail = (uint8_t)sqlite3_column_int(row, at++);
    record->sweep = sqlite3_column_int(row, at++) != 0;
    record->has_children = sqlite3_column_int(row, at++) != 0;
    record->wake_ns = sqlite3_column_int64(row, at++);
    record->due_ns = sqlite3_column_int64(row, at++);
    record->attempts = (uint32_t)sqlite3_column_int64(row, at++);
    record->failures = (uint32_t)sqlite3_column_int64(row, at++);
    record->last_status = (uint8_t)sqlite3_column_int(row, at++);
    *code |= column_blob(row, at++, &record->last_error);
    return at;
}

static int read_poll(sqlite3_stmt *row, int at, struct call_record *record, dr_code *code)
{
    record->state_arm = (uint8_t)sqlite3_column_int(row, at++);
    record->is_resume = sqlite3_column_int(row, at++) != 0;
    *code |= column_blob(row, at++, &record->poll_state);
    *code |= column_blob(row, at++, &record->poll_error);
    record->min_results = sqlite3_column_int(row, at++);
    record->max_results = sqlite3_column_int(row, at++);
    return at;
}

static int read_result(sqlite3_stmt *row, int at, struct call_record *record, dr_code *code)
{
    record->status = (uint8_t)sqlite3_column_int(row, at++);
    record->done_ns = sqlite3_column_int64(row, at++);
    record->done_sequence = (uint64_t)sqlite3_column_int64(row, at++);
    *code |= column_blob(row, at++, &record->output);
    *code |= column_blob(row, at++, &record->error.type);
    *code |= column_blob(row, at++, &record->error.message);
    *code |= column_blob(row, at++, &record->error.value);
    *code |= column_blob(row, at++, &record->error.traceback);
    return at;
}

dr_code sqlite_read_record(sqlite3_stmt *row, struct call_record *ret_record)
{
    struct call_record record = {0};
    dr_code code = DR_OK; /* DR_NO_MEMORY is all that can be or-ed in */
    int at = read_fixed(row, &record);
    code |= column_blob(row, at++, &record.endpoint);
    code |= column_blob(row, at++, &record.function);
    code |= column_blob(row, at++, &record.version);
    code |= column_blob(row, at++, &record.input);
    record.generation = (uint32_t)sqlite3_column_int64(row, at++);
    at = read_progress(row, at, &record, &code);
    at = read_poll(row, at, &record, &code);
    at = read_result(row, at, &record, &code);
    CHECK(at == SQLITE_COLUMNS);
    if (code)
        record_deinit(&record);
    else
        *ret_record = record;
    return code;
}

dr_code sqlite_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, STATEMENT_READ, "SELECT " SQLITE_ALL " FROM call WHERE id=?", &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, id);
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW) {
        code = sqlite_read_record(row, ret_record);
        if (code)
            error_set(error, code, "read: out of memory");
    } else if (result == SQLITE_DONE) {
        char text[ID_TEXT_SIZE];
        code = error_set(error, DR_NOT_FOUND, "there is no call %s", id_format(id, text));
    } else {
        code = sqlite_fail(sqlite, result, "read", error);
    }
    sqlite3_reset(row);
    return code;
}

/* All rows of a statement, bindings done, as records. At most `limit`, or until the payloads exceed bytes_max. */
static dr_code collect(struct store_sqlite *sqlite, sqlite3_stmt *row, size_t limit, struct store_records *ret_records,
                       struct dr_error *error)
{
    struct store_records records = {0};
    dr_code code = DR_OK;
    int result = SQLITE_DONE;
    while (!code && records.n_records < limit && (result = sqlite3_step(row)) == SQLITE_ROW) {
        struct call_record *record = store_records_add(&records);
        code = record ? sqlite_read_record(row, record) : DR_NO_MEMORY;
        if (code)
            error_set(error, code, "scan: out of memory");
    }
    if (!code && result != SQLITE_ROW && result != SQLITE_DONE)
        code = sqlite_fail(sqlite, result, "scan", error);
    sqlite3_reset(row);
    if (code)
        store_records_deinit(&records);
    else
        *ret_records = records;
    return code;
}

static dr_code count_live_children(struct store_sqlite *sqlite, struct id parent, uint32_t generation, uint64_t *ret_n,
                                   struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, STATEMENT_CHILDREN_LIVE_COUNT,
                                    "SELECT count(*) FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 AND "
                                    "parent_generation=?2 AND state IN (1,2)",
                                    &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, parent);
    sqlite3_bind_int64(row, 2, generation);
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW)
        *ret_n = (uint64_t)sqlite3_column_int64(row, 0);
    else
        code = sqlite_fail(sqlite, result, "read children", error);
    sqlite3_reset(row);
    return code;
}

dr_code sqlite_read_children(struct store *store, struct id parent, uint32_t generation, struct store_records *ret_done,
                             uint64_t *ret_outstanding, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    uint64_t n_outstanding = 0;
    dr_code code = count_live_children(sqlite, parent, generation, &n_outstanding, error);
    sqlite3_stmt *row;
    if (!code)
        code = sqlite_statement(sqlite, STATEMENT_CHILDREN_DONE,
                                "SELECT " SQLITE_ALL " FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 AND "
                                "parent_generation=?2 AND state=3 ORDER BY done_sequence",
                                &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, parent);
    sqlite3_bind_int64(row, 2, generation);
    code = collect(sqlite, row, SIZE_MAX, ret_done, error);
    if (!code)
        *ret_outstanding = n_outstanding;
    return code;
}

dr_code sqlite_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit, size_t bytes_max,
                        struct store_scan_result *ret_result, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, STATEMENT_SCAN_DUE,
                                    "SELECT " SQLITE_ALL " FROM call INDEXED BY call_wake WHERE state <> 3 AND "
                                    "(wake_ns,id) > (?1,?2) ORDER BY wake_ns,id",
                                    &row, error);
    if (code)
        return code;
    sqlite3_bind_int64(row, 1, after.wake_ns);
    sqlite3_bind_blob(row, 2, after.id.bytes, ID_BYTES, SQLITE_TRANSIENT);
    struct store_scan_result scan = {.is_complete = true, .next_wake_ns = TIME_NEVER};
    enum { WAKE_COLUMN = SQLITE_COLUMNS_FIXED + 5 + 4 };
    size_t bytes = 0;
    int result;
    while (!code && (result = sqlite3_step(row)) != SQLITE_DONE) {
        if (result != SQLITE_ROW) {
            code = sqlite_fail(sqlite, result, "scan", error);
            break;
        }
        int64_t wake_ns = sqlite3_column_int64(row, WAKE_COLUMN);
        bool is_full = scan.records.n_records == limit || (bytes > bytes_max && scan.records.n_records > 0);
        if (wake_ns > until_ns || is_full) {
            scan.is_complete = wake_ns > until_ns;
            scan.next_wake_ns = wake_ns;
            break;
        }
        struct call_record *record = store_records_add(&scan.records);
        code = record ? sqlite_read_record(row, record) : DR_NO_MEMORY;
        if (code)
            error_set(error, code, "scan: out of memory");
        else
            bytes += store_record_bytes(record);
    }
    sqlite3_reset(row);
    if (code)
        store_records_deinit(&scan.records);
    else
        *ret_result = scan;
    return code;
}

dr_code sqlite_scan_live_children(struct store *store, struct id parent, uint32_t below_generation, size_t limit,
                                  struct store_records *ret_records, struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    sqlite3_stmt *row;
    /* mail is open as long as a child is live, so the mail index has them all */
    dr_code code = sqlite_statement(sqlite, STATEMENT_LIVE_CHILDREN,
                                    "SELECT " SQLITE_ALL " FROM call INDEXED BY call_mail WHERE mail=1 AND parent=?1 AND "
                                    "parent_generation < ?2 AND state IN (1,2) LIMIT ?3",
                                    &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, parent);
    sqlite3_bind_int64(row, 2, below_generation == UINT32_MAX ? INT64_MAX : (int64_t)below_generation);
    sqlite3_bind_int64(row, 3, (int64_t)limit);
    return collect(sqlite, row, limit, ret_records, error);
}

static dr_code scan_ids(struct store_sqlite *sqlite, enum statement which, const char *text, struct id after, size_t limit,
                        struct id *ret_ids, size_t *ret_n, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, which, text, &row, error);
    if (code)
        return code;
    sqlite3_bind_blob(row, 1, after.bytes, ID_BYTES, SQLITE_TRANSIENT);
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
    return scan_ids(sqlite_self(store), STATEMENT_SCAN_MAIL,
                    "SELECT DISTINCT parent FROM call INDEXED BY call_mail WHERE mail=1 AND parent > ?1 AND state=3 "
                    "ORDER BY parent LIMIT ?2",
                    after_parent, limit, ret_parents, ret_n, error);
}

dr_code sqlite_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids, size_t *ret_n,
                           struct dr_error *error)
{
    return scan_ids(sqlite_self(store), STATEMENT_SCAN_SWEEPS,
                    "SELECT id FROM call INDEXED BY call_sweep WHERE sweep=1 AND id > ?1 ORDER BY id LIMIT ?2", after,
                    limit, ret_ids, ret_n, error);
}

dr_code sqlite_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    char text[sizeof SQLITE_ALL + 400];
    snprintf(text, sizeof text, "SELECT %s FROM call WHERE 1%s%s%s%s%s%s%s%s ORDER BY id DESC", SQLITE_ALL,
             filter->project ? " AND project=?1" : "", filter->state ? " AND state=?2" : "",
             filter->status >= 0 ? " AND state=3 AND status=?3" : "", id_is_none(filter->root) ? "" : " AND root=?4",
             id_is_none(filter->parent) ? "" : " AND parent=?5", id_is_none(filter->before) ? "" : " AND id<?6",
             filter->function.len ? " AND function=?7" : "", filter->endpoint.len ? " AND endpoint=?8" : "");
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(sqlite->database, text, -1, &row, NULL);
    if (result != SQLITE_OK)
        return sqlite_fail(sqlite, result, "list", error);
    sqlite3_bind_int64(row, 1, filter->project); /* a parameter that is not in the text is refused, harmlessly */
    sqlite3_bind_int(row, 2, filter->state);
    sqlite3_bind_int(row, 3, filter->status);
    sqlite_bind_id(row, 4, filter->root);
    sqlite_bind_id(row, 5, filter->parent);
    sqlite_bind_id(row, 6, filter->before);
    sqlite3_bind_text(row, 7, (const char *)filter->function.data, (int)filter->function.len, SQLITE_STATIC);
    sqlite3_bind_text(row, 8, (const char *)filter->endpoint.data, (int)filter->endpoint.len, SQLITE_STATIC);
    dr_code code = collect(sqlite, row, filter->limit, ret_records, error);
    sqlite3_finalize(row);
    return code;
}
