/* Lists for people: whatever is asked, newest first. Nobody may hold up the commits by asking for what is
 * rare. */
#include "store/store_sqlite.h"

#include "base/error.h"

#include <stdio.h>

#define STEPS_AT_ONCE 1000
/* A call that does not fit costs less, whatever the filter. */
#define STEPS_PER_CALL 16

struct list_text {
    char text[2 * sizeof SQLITE_ALL + 800];
};

/* A tree is read from its own index: the descendants, and the root itself. A window goes by id, down to ?9, so that how
 * much is looked through does not depend on what is asked. */
static void list_text(const struct store_filter *filter, bool is_window, struct list_text *ret_text)
{
    char rest[300];
    snprintf(rest, sizeof rest, "%s%s%s%s%s%s%s%s", filter->project ? " AND project=?1" : "",
             filter->state ? " AND state=?2" : "", filter->is_live ? " AND state<>3" : "",
             filter->status >= 0 ? " AND state=3 AND status=?3" : "",
             id_is_none(filter->parent) ? "" : " AND parent=?5",
             id_is_none(filter->before) ? "" : " AND id<?6", filter->function.len ? " AND function=?7" : "",
             filter->endpoint.len ? " AND endpoint=?8" : "");
    if (is_window)
        snprintf(ret_text->text, sizeof ret_text->text,
                 "SELECT %s FROM call INDEXED BY sqlite_autoindex_call_1 WHERE id>=?9%s%s ORDER BY id DESC", SQLITE_ALL,
                 id_is_none(filter->root) ? "" : " AND root=?4", rest);
    else if (id_is_none(filter->root))
        snprintf(ret_text->text, sizeof ret_text->text, "SELECT %s FROM call WHERE 1%s ORDER BY id DESC",
                 SQLITE_ALL, rest);
    else
        snprintf(ret_text->text, sizeof ret_text->text,
                 "SELECT %s FROM call INDEXED BY call_tree WHERE root=?4 AND parent IS NOT NULL%s UNION ALL "
                 "SELECT %s FROM call WHERE id=?4 AND parent IS NULL%s ORDER BY id DESC",
                 SQLITE_ALL, rest, SQLITE_ALL, rest);
}

static void bind_filter(sqlite3_stmt *row, const struct store_filter *filter)
{
    sqlite3_bind_int64(row, 1,
                       filter->project); /* a parameter that is not in the text is refused, harmlessly */
    sqlite3_bind_int(row, 2, filter->state);
    sqlite3_bind_int(row, 3, filter->status);
    sqlite_bind_id(row, 4, &filter->root);
    sqlite_bind_id(row, 5, &filter->parent);
    sqlite_bind_id(row, 6, &filter->before);
    sqlite3_bind_text(row, 7, (const char *)filter->function.data, (int)filter->function.len, SQLITE_STATIC);
    sqlite3_bind_text(row, 8, (const char *)filter->endpoint.data, (int)filter->endpoint.len, SQLITE_STATIC);
}

static int spend(void *arg)
{
    int *left = arg;
    *left -= STEPS_AT_ONCE;
    return *left < 0;
}

/* Whether SQLite gave up because the steps are spent. */
static bool is_spent(int result, int steps_left) { return (result & 0xff) == SQLITE_INTERRUPT && steps_left < 0; }

/* A damaged call fails the list: what people are shown is whole. */
static dr_code collect(struct store_sqlite *sqlite, sqlite3_stmt *row, size_t limit, const int *steps_left,
                       struct store_records *records, struct dr_error *error)
{
    dr_code code = DR_OK;
    int result = SQLITE_DONE;
    while (!code && records->n_records < limit && (result = sqlite3_step(row)) == SQLITE_ROW) {
        code = sqlite_add_record(sqlite, row, true, records, error);
        if (!code)
            store_leave_out_payloads(&records->records[records->n_records - 1]);
        else if (is_spent(sqlite3_errcode(sqlite->database), *steps_left))
            return DR_OK; /* while it read a long text of this call: the next page begins with it */
    }
    if (!code && result != SQLITE_ROW && result != SQLITE_DONE && !is_spent(result, *steps_left))
        code = sqlite_fail(sqlite, result, "list", error);
    return code;
}

/* What fits, newest first, of all calls or of those down to `floor`. *ret_is_spent: there may be more. */
static dr_code look(struct store_sqlite *sqlite, const struct store_filter *filter, const struct id *floor,
                    struct store_records *ret_records, bool *ret_is_spent, struct dr_error *error)
{
    struct list_text text;
    list_text(filter, floor != NULL, &text);
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(sqlite->database, text.text, -1, &row, NULL);
    if (result != SQLITE_OK)
        return sqlite_fail(sqlite, result, "list", error);
    bind_filter(row, filter);
    if (floor)
        sqlite3_bind_blob(row, 9, floor->bytes, ID_BYTES, SQLITE_STATIC);
    int steps_left = sqlite->list_steps_max;
    struct store_records records = {0};
    sqlite3_progress_handler(sqlite->database, STEPS_AT_ONCE, spend, &steps_left);
    dr_code code = collect(sqlite, row, filter->limit, &steps_left, &records, error);
    sqlite3_progress_handler(sqlite->database, 0, NULL, NULL);
    sqlite3_finalize(row);
    *ret_is_spent = steps_left < 0 && records.n_records < filter->limit;
    if (code)
        store_records_deinit(&records);
    else
        *ret_records = records;
    return code;
}

/* The id down to which one window goes; none: it reaches the oldest call. */
static dr_code find_floor(struct store_sqlite *sqlite, const struct store_filter *filter, struct id *ret_floor,
                          struct dr_error *error)
{
    const char *text = id_is_none(filter->before)
                           ? "SELECT id FROM call ORDER BY id DESC LIMIT 1 OFFSET ?9"
                           : "SELECT id FROM call WHERE id<?6 ORDER BY id DESC LIMIT 1 OFFSET ?9";
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(sqlite->database, text, -1, &row, NULL);
    if (result == SQLITE_OK) {
        sqlite_bind_id(row, 6, &filter->before);
        sqlite3_bind_int(row, 9, sqlite->list_steps_max / STEPS_PER_CALL);
        result = sqlite3_step(row);
    }
    *ret_floor = result == SQLITE_ROW ? sqlite_column_id(row, 0) : (struct id){{0}};
    sqlite3_finalize(row);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return sqlite_fail(sqlite, result, "list", error);
    return DR_OK;
}

/* Nothing that fits was found in time: looks at the newest calls only, and says where to go on. */
static dr_code look_in_window(struct store_sqlite *sqlite, const struct store_filter *filter,
                              struct store_records *ret_records, struct dr_error *error)
{
    struct id floor;
    bool spent;
    dr_code code = find_floor(sqlite, filter, &floor, error);
    if (!code)
        code = look(sqlite, filter, &floor, ret_records, &spent, error);
    if (code)
        return code;
    size_t n = ret_records->n_records;
    if (spent && n == 0)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "list: too many calls to look through");
    ret_records->next_before = spent ? ret_records->records[n - 1].id : floor;
    return DR_OK;
}

dr_code sqlite_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    bool spent;
    dr_code code = look(sqlite, filter, NULL, ret_records, &spent, error);
    if (code || !spent)
        return code;
    size_t n = ret_records->n_records;
    if (n == 0) {
        store_records_deinit(ret_records);
        return look_in_window(sqlite, filter, ret_records, error);
    }
    ret_records->next_before = ret_records->records[n - 1].id;
    return DR_OK;
}
