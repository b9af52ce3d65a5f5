/* Rows to records. */
#include "store/store_sqlite.h"

#include "base/check.h"
#include "base/error.h"

struct id sqlite_column_id(sqlite3_stmt *statement, int at)
{
    struct id id = {{0}};
    if (sqlite3_column_bytes(statement, at) == ID_BYTES)
        memcpy(id.bytes, sqlite3_column_blob(statement, at), ID_BYTES);
    return id;
}

/* A record being read. The first failure stays; what follows is skipped. */
struct reading {
    struct store_sqlite *sqlite;
    sqlite3_stmt *row;
    int at; /* the next column */
    bool is_shown;
    struct call_record record;
    dr_code code;
    struct dr_error *error;
};

static int64_t next_number(struct reading *reading)
{
    return sqlite3_column_int64(reading->row, reading->at++);
}

static struct id next_id(struct reading *reading)
{
    return sqlite_column_id(reading->row, reading->at++);
}

static void next_text(struct reading *reading, struct blob **ret_blob)
{
    int at = reading->at++;
    if (reading->code || sqlite3_column_type(reading->row, at) == SQLITE_NULL)
        return;
    const void *bytes = sqlite3_column_blob(reading->row, at); /* NULL when empty */
    *ret_blob = blob_create(slice_of(bytes, bytes ? (size_t)sqlite3_column_bytes(reading->row, at) : 0));
    if (!*ret_blob)
        reading->code = error_set(reading->error, DR_NO_MEMORY, "read: out of memory");
}

static void next_payload(struct reading *reading, enum sqlite_payload which, struct blob **ret_blob)
{
    if (sqlite3_column_type(reading->row, reading->at) != SQLITE_INTEGER) {
        next_text(reading, ret_blob);
        return;
    }
    reading->at++;
    if (!reading->code && !reading->is_shown)
        reading->code =
            sqlite_read_payload(reading->sqlite, reading->record.id, which, ret_blob, reading->error);
}

static void read_fixed(struct reading *reading)
{
    struct call_record *record = &reading->record;
    record->id = next_id(reading);
    reading->at++; /* partition */
    record->parent = next_id(reading);
    record->root = next_id(reading);
    record->project = (uint32_t)next_number(reading);
    record->parent_generation = (uint32_t)next_number(reading);
    record->depth = (uint32_t)next_number(reading);
    record->correlation_id = (uint64_t)next_number(reading);
    record->created_ns = next_number(reading);
    record->expires_ns = next_number(reading);
    reading->at++; /* sum */
}

static void read_code(struct reading *reading)
{
    struct call_record *record = &reading->record;
    next_text(reading, &record->endpoint);
    next_text(reading, &record->function);
    next_text(reading, &record->version);
    next_payload(reading, PAYLOAD_INPUT, &record->input);
    record->generation = (uint32_t)next_number(reading);
    reading->at++; /* sum */
}

static void read_progress(struct reading *reading)
{
    struct call_record *record = &reading->record;
    record->state = (uint8_t)next_number(reading);
    record->mail = (uint8_t)next_number(reading);
    record->sweep_below = (uint32_t)next_number(reading);
    record->has_children = next_number(reading) != 0;
    record->wake_ns = next_number(reading);
    record->due_ns = next_number(reading);
    record->attempts = (uint32_t)next_number(reading);
    record->failures = (uint32_t)next_number(reading);
    record->last_status = (uint8_t)next_number(reading);
    next_payload(reading, PAYLOAD_LAST_ERROR, &record->last_error);
    reading->at++; /* sum */
}

static void read_poll(struct reading *reading)
{
    struct call_record *record = &reading->record;
    record->state_arm = (uint8_t)next_number(reading);
    record->is_resume = next_number(reading) != 0;
    next_payload(reading, PAYLOAD_POLL_STATE, &record->poll_state);
    next_payload(reading, PAYLOAD_POLL_ERROR, &record->poll_error);
    record->min_results = (int32_t)next_number(reading);
    record->max_results = (int32_t)next_number(reading);
    reading->at++; /* sum */
}

static void read_result(struct reading *reading)
{
    struct call_record *record = &reading->record;
    record->status = (uint8_t)next_number(reading);
    record->done_ns = next_number(reading);
    record->done_sequence = (uint64_t)next_number(reading);
    next_payload(reading, PAYLOAD_OUTPUT, &record->output);
    next_payload(reading, PAYLOAD_ERROR_TYPE, &record->error.type);
    next_payload(reading, PAYLOAD_ERROR_MESSAGE, &record->error.message);
    next_payload(reading, PAYLOAD_ERROR_VALUE, &record->error.value);
    next_payload(reading, PAYLOAD_ERROR_TRACEBACK, &record->error.traceback);
    reading->at++; /* sum */
}

dr_code sqlite_read_record(struct store_sqlite *sqlite, sqlite3_stmt *row, bool is_shown,
                           struct call_record *ret_record, struct dr_error *error)
{
    struct reading reading = {.sqlite = sqlite, .row = row, .is_shown = is_shown, .error = error};
    dr_code code = sqlite_check_row(sqlite, row, error);
    if (code)
        return code;
    read_fixed(&reading);
    read_code(&reading);
    read_progress(&reading);
    read_poll(&reading);
    read_result(&reading);
    CHECK(reading.at == SQLITE_COLUMNS);
    if (reading.code)
        record_deinit(&reading.record);
    else
        *ret_record = reading.record;
    return reading.code;
}

dr_code sqlite_add_record(struct store_sqlite *sqlite, sqlite3_stmt *row, bool is_shown,
                          struct store_records *records, struct dr_error *error)
{
    struct call_record *record = store_records_add(records);
    if (!record)
        return error_set(error, DR_NO_MEMORY, "read: out of memory");
    dr_code code = sqlite_read_record(sqlite, row, is_shown, record, error);
    if (code)
        records->n_records--;
    return code;
}
