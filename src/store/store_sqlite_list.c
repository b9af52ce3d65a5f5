/* Lists for people: whatever is asked, newest first. Nobody may hold up the commits by asking for what is
 * rare. */
#include "store/store_sqlite.h"

#include "base/error.h"

#include <stdio.h>

#define STEPS_AT_ONCE 1000

struct list_text {
    char text[2 * sizeof SQLITE_ALL + 800];
};

/* A tree is read from its own index: the descendants, and the root itself. */
static void list_text(const struct store_filter *filter, struct list_text *ret_text)
{
    char rest[300];
    snprintf(rest, sizeof rest, "%s%s%s%s%s%s%s", filter->project ? " AND project=?1" : "",
             filter->state ? " AND state=?2" : "", filter->status >= 0 ? " AND state=3 AND status=?3" : "",
             id_is_none(filter->parent) ? "" : " AND parent=?5",
             id_is_none(filter->before) ? "" : " AND id<?6", filter->function.len ? " AND function=?7" : "",
             filter->endpoint.len ? " AND endpoint=?8" : "");
    if (id_is_none(filter->root))
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

/* A damaged call fails the list: what people are shown is whole. */
static dr_code collect(struct store_sqlite *sqlite, sqlite3_stmt *row, size_t limit, struct store_records *ret_records,
                       struct dr_error *error)
{
    struct store_records records = {0};
    dr_code code = DR_OK;
    int result = SQLITE_DONE;
    while (!code && records.n_records < limit && (result = sqlite3_step(row)) == SQLITE_ROW) {
        code = sqlite_add_record(sqlite, row, true, &records, error);
        if (!code)
            store_leave_out_payloads(&records.records[records.n_records - 1]);
    }
    if (!code && result != SQLITE_ROW && result != SQLITE_DONE)
        code = sqlite_fail(sqlite, result, "list", error);
    if (code)
        store_records_deinit(&records);
    else
        *ret_records = records;
    return code;
}

dr_code sqlite_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    struct list_text text;
    list_text(filter, &text);
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(sqlite->database, text.text, -1, &row, NULL);
    if (result != SQLITE_OK)
        return sqlite_fail(sqlite, result, "list", error);
    bind_filter(row, filter);
    int steps_left = sqlite->list_steps_max;
    sqlite3_progress_handler(sqlite->database, STEPS_AT_ONCE, spend, &steps_left);
    dr_code code = collect(sqlite, row, filter->limit, ret_records, error);
    sqlite3_progress_handler(sqlite->database, 0, NULL, NULL);
    sqlite3_finalize(row);
    if (code && steps_left < 0)
        return error_set(
            error, DR_RESOURCE_EXHAUSTED,
            "list: too many calls to look through for %zu that fit; ask for fewer, or for one call tree",
            filter->limit);
    return code;
}
