/* Long payloads: in a table of their own, while the row has their length. A row's column is NULL for an
 * absent payload, a text or blob for a short one, and an integer for one that lies here. */
#include "store/store_sqlite.h"

#include "base/error.h"

struct place {
    enum sqlite_payload which;
    const struct blob *blob;
};

enum { PLACES_MAX = 9 };

/* The payloads of the groups, in the order of their numbers. */
static size_t places_of(const struct call_record *record, unsigned fields, struct place places[PLACES_MAX])
{
    size_t n = 0;
    if (fields & RECORD_CODE)
        places[n++] = (struct place){PAYLOAD_INPUT, record->input};
    if (fields & RECORD_PROGRESS)
        places[n++] = (struct place){PAYLOAD_LAST_ERROR, record->last_error};
    if (fields & RECORD_POLL) {
        places[n++] = (struct place){PAYLOAD_POLL_STATE, record->poll_state};
        places[n++] = (struct place){PAYLOAD_POLL_ERROR, record->poll_error};
    }
    if (fields & RECORD_RESULT) {
        places[n++] = (struct place){PAYLOAD_OUTPUT, record->output};
        places[n++] = (struct place){PAYLOAD_ERROR_TYPE, record->error.type};
        places[n++] = (struct place){PAYLOAD_ERROR_MESSAGE, record->error.message};
        places[n++] = (struct place){PAYLOAD_ERROR_VALUE, record->error.value};
        places[n++] = (struct place){PAYLOAD_ERROR_TRACEBACK, record->error.traceback};
    }
    return n;
}

static dr_code put(struct store_sqlite *sqlite, struct id id, const struct place *place,
                   struct dr_error *error)
{
    sqlite3_stmt *statement;
    dr_code code =
        sqlite_statement(sqlite, STATEMENT_PAYLOAD_PUT,
                         "INSERT INTO payload(call,field,bytes,sum) VALUES(?1,?2,?3,dispatch_sum(6,?1,?2,?3))", &statement, error);
    if (code)
        return code;
    sqlite->has_payloads = true;
    sqlite_bind_id(statement, 1, &id);
    sqlite3_bind_int(statement, 2, (int)place->which);
    sqlite3_bind_blob(statement, 3, place->blob->data, (int)place->blob->len, SQLITE_STATIC);
    return sqlite_step(sqlite, statement, "commit", error);
}

static dr_code remove_range(struct store_sqlite *sqlite, struct id id, enum sqlite_payload first,
                            enum sqlite_payload last, struct dr_error *error)
{
    sqlite3_stmt *statement;
    dr_code code =
        sqlite_statement(sqlite, STATEMENT_PAYLOAD_REMOVE,
                         "DELETE FROM payload WHERE call=?1 AND field BETWEEN ?2 AND ?3", &statement, error);
    if (code)
        return code;
    sqlite_bind_id(statement, 1, &id);
    sqlite3_bind_int(statement, 2, (int)first);
    sqlite3_bind_int(statement, 3, (int)last);
    return sqlite_step(sqlite, statement, "commit", error);
}

/* What the row had before in these groups. */
static dr_code remove_groups(struct store_sqlite *sqlite, struct id id, unsigned fields,
                             struct dr_error *error)
{
    static const struct {
        unsigned group;
        enum sqlite_payload first, last;
    } GROUPS[] = {{RECORD_CODE, PAYLOAD_INPUT, PAYLOAD_INPUT},
                  {RECORD_PROGRESS, PAYLOAD_LAST_ERROR, PAYLOAD_LAST_ERROR},
                  {RECORD_POLL, PAYLOAD_POLL_STATE, PAYLOAD_POLL_ERROR},
                  {RECORD_RESULT, PAYLOAD_OUTPUT, PAYLOAD_ERROR_TRACEBACK}};
    dr_code code = DR_OK;
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0] && !code; i++)
        if (fields & GROUPS[i].group)
            code = remove_range(sqlite, id, GROUPS[i].first, GROUPS[i].last, error);
    return code;
}

dr_code sqlite_write_payloads(struct store_sqlite *sqlite, const struct call_record *record, unsigned fields,
                              bool is_new, struct dr_error *error)
{
    struct place places[PLACES_MAX];
    dr_code code = DR_OK;
    if (!is_new && sqlite->has_payloads)
        code = remove_groups(sqlite, record->id, fields, error);
    size_t n = places_of(record, fields, places);
    for (size_t i = 0; i < n && !code; i++)
        if (places[i].blob && places[i].blob->len > SQLITE_INLINE_BYTES_MAX)
            code = put(sqlite, record->id, &places[i], error);
    return code;
}

dr_code sqlite_remove_payloads(struct store_sqlite *sqlite, struct id id, struct dr_error *error)
{
    return sqlite->has_payloads ? remove_range(sqlite, id, PAYLOAD_INPUT, PAYLOAD_ERROR_TRACEBACK, error)
                                : DR_OK;
}

dr_code sqlite_read_payload(struct store_sqlite *sqlite, struct id id, enum sqlite_payload which,
                            struct blob **ret_blob, struct dr_error *error)
{
    sqlite3_stmt *row;
    dr_code code = sqlite_statement(sqlite, STATEMENT_PAYLOAD_READ,
                                    "SELECT bytes,sum FROM payload WHERE call=?1 AND field=?2", &row, error);
    if (code)
        return code;
    sqlite_bind_id(row, 1, &id);
    sqlite3_bind_int(row, 2, (int)which);
    int result = sqlite3_step(row);
    if (result == SQLITE_ROW && !sqlite_is_payload_whole(row, id, which, 0)) {
        code = sqlite_tell_damaged(sqlite, id, "wrong sum of a payload", error);
    } else if (result == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(row, 0);
        struct blob *blob = bytes ? blob_create(slice_of(bytes, (size_t)sqlite3_column_bytes(row, 0))) : NULL;
        if (blob)
            *ret_blob = blob;
        else
            code = error_set(error, DR_NO_MEMORY, "read: out of memory");
    } else if (result == SQLITE_DONE) {
        code = sqlite_tell_damaged(sqlite, id, "missing payload", error);
    } else {
        code = sqlite_fail(sqlite, result, "read", error);
    }
    sqlite3_reset(row);
    return code;
}
