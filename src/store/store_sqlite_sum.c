/* Sums of rows: checked when a row is read, and the SQL functions for changes that do not know the whole group. */
#include "store/store_sqlite.h"

#include "base/error.h"
#include "store/store_sum.h"

enum { DAMAGED_TOLD_MAX = 1000 };

/* ---- checking ---- */

static void sum_column(struct store_sum *sum, sqlite3_stmt *row, int at)
{
    int type = sqlite3_column_type(row, at);
    if (type == SQLITE_INTEGER) {
        sum_integer(sum, sqlite3_column_int64(row, at));
    } else if (type == SQLITE_NULL) {
        sum_null(sum);
    } else {
        const void *bytes = sqlite3_column_blob(row, at);
        enum sum_type kind = type == SQLITE_BLOB ? SUM_BLOB : type == SQLITE_TEXT ? SUM_TEXT : SUM_OTHER;
        sum_bytes(sum, kind, slice_of(bytes, bytes ? (size_t)sqlite3_column_bytes(row, at) : 0));
    }
}

static bool is_sum(sqlite3_stmt *row, int at, uint64_t sum)
{
    return sqlite3_column_type(row, at) == SQLITE_INTEGER && (uint64_t)sqlite3_column_int64(row, at) == sum;
}

static const struct {
    enum sum_group group;
    int n_columns; /* the sum stands behind them */
} GROUPS[] = {{SUM_FIXED, SQLITE_COLUMNS_FIXED},
              {SUM_CODE, SQLITE_COLUMNS_CODE},
              {SUM_PROGRESS, SQLITE_COLUMNS_PROGRESS},
              {SUM_POLL, SQLITE_COLUMNS_POLL},
              {SUM_RESULT, SQLITE_COLUMNS_RESULT}};

bool sqlite_is_row_whole(sqlite3_stmt *row, struct id id)
{
    bool is_whole = true;
    int at = 0;
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++) {
        struct store_sum sum;
        uint64_t parts = 0;
        sum_begin(&sum, GROUPS[i].group, id);
        for (int end = at + GROUPS[i].n_columns; at < end; at++) {
            if (at == SQLITE_MAIL_COLUMN || at == SQLITE_SWEEP_COLUMN) {
                parts ^= sum_part(at == SQLITE_MAIL_COLUMN ? SUM_MAIL : SUM_SWEEP, id, sqlite3_column_int64(row, at));
                is_whole = is_whole && sqlite3_column_type(row, at) == SQLITE_INTEGER;
            } else {
                sum_column(&sum, row, at);
            }
        }
        is_whole = is_whole && is_sum(row, at++, sum_end(&sum) ^ parts);
    }
    return is_whole;
}

dr_code sqlite_tell_damaged(struct store_sqlite *sqlite, struct id id, const char *what, struct dr_error *error)
{
    struct dr_error said = {0};
    char text[ID_TEXT_SIZE];
    if (sqlite3_errcode(sqlite->database) == SQLITE_NOMEM)
        return error_set(error, DR_NO_MEMORY, "read: out of memory");
    (void)error_set(&said, DR_DATA_LOSS, "read: %s is damaged: %s of call %s", sqlite->path, what,
                    id_format(id, text));
    bool is_new = !map_get(&sqlite->damaged, id);
    if (is_new && sqlite->damaged.len < DAMAGED_TOLD_MAX && map_put(&sqlite->damaged, id, sqlite) == DR_OK &&
        sqlite->store.on_damaged)
        sqlite->store.on_damaged(sqlite->store.damaged_arg, id, said.message);
    return error_set(error, DR_DATA_LOSS, "%s", said.message);
}

dr_code sqlite_check_row(struct store_sqlite *sqlite, sqlite3_stmt *row, struct dr_error *error)
{
    struct id id = sqlite_column_id(row, 0);
    return !id_is_none(id) && sqlite_is_row_whole(row, id) ? DR_OK : sqlite_tell_damaged(sqlite, id, "wrong sum", error);
}

bool sqlite_is_payload_whole(sqlite3_stmt *row, struct id id, enum sqlite_payload which, int at)
{
    struct store_sum sum;
    sum_begin(&sum, SUM_PAYLOAD, id);
    sum_integer(&sum, which);
    sum_column(&sum, row, at);
    return is_sum(row, at + 1, sum_end(&sum));
}

/* ---- SQL functions ---- */

static struct id id_of(sqlite3_value *value)
{
    struct id id = {{0}};
    if (sqlite3_value_type(value) == SQLITE_BLOB && sqlite3_value_bytes(value) == ID_BYTES)
        memcpy(id.bytes, sqlite3_value_blob(value), ID_BYTES);
    return id;
}

static void sum_value(struct store_sum *sum, sqlite3_value *value)
{
    int type = sqlite3_value_type(value);
    const void *bytes = type == SQLITE_INTEGER || type == SQLITE_NULL ? NULL : sqlite3_value_blob(value);
    if (type == SQLITE_INTEGER)
        sum_integer(sum, sqlite3_value_int64(value));
    else if (type == SQLITE_NULL)
        sum_null(sum);
    else
        sum_bytes(sum, type == SQLITE_BLOB ? SUM_BLOB : type == SQLITE_TEXT ? SUM_TEXT : SUM_OTHER,
                  slice_of(bytes, bytes ? (size_t)sqlite3_value_bytes(value) : 0));
}

/* dispatch_sum(group, id, column, ...) */
static void sql_sum(sqlite3_context *context, int n, sqlite3_value **values)
{
    struct store_sum sum;
    if (n < 2 || n > 2 + SUM_COLUMNS_MAX) {
        sqlite3_result_error(context, "dispatch_sum: that many columns have no sum", -1);
        return;
    }
    sum_begin(&sum, (enum sum_group)sqlite3_value_int(values[0]), id_of(values[1]));
    for (int i = 2; i < n; i++)
        sum_value(&sum, values[i]);
    sqlite3_result_int64(context, (int64_t)sum_end(&sum));
}

/* dispatch_resum(sum, id, column, old, new): what a column changed alone makes of its group's sum. A sum that was wrong
 * stays wrong. old NULL: it had no part yet. */
static void sql_resum(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    struct id id = id_of(values[1]);
    enum sum_group column = (enum sum_group)sqlite3_value_int(values[2]);
    uint64_t sum = (uint64_t)sqlite3_value_int64(values[0]);
    if (sqlite3_value_type(values[3]) != SQLITE_NULL)
        sum ^= sum_part(column, id, sqlite3_value_int64(values[3]));
    sum ^= sum_part(column, id, sqlite3_value_int64(values[4]));
    sqlite3_result_int64(context, (int64_t)sum);
}

dr_code sqlite_add_functions(struct store_sqlite *sqlite, struct dr_error *error)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int result = sqlite3_create_function_v2(sqlite->database, "dispatch_sum", -1, flags, NULL, sql_sum, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_create_function_v2(sqlite->database, "dispatch_resum", 5, flags, NULL, sql_resum, NULL, NULL,
                                            NULL);
    return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
}
