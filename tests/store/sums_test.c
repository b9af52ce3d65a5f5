/* Sums: whatever changes in a row beside the store is found by the next read, and named. */
#include "base/testing.h"

#include "base/clock.h"
#include "store/store_sum.h"
#include "subject.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* By its number, which call_id puts in front, one more. */
#define IS_CALL(number) "substr(hex(id),1,16) LIKE '" number "'"

enum { COLUMNS = 44, LONG = 5000 };

struct told {
    struct id id;
    int n;
    char message[DR_ERROR_MESSAGE_SIZE];
};

static void on_damaged(void *arg, struct id id, const char *message)
{
    struct told *told = arg;
    told->id = id;
    told->n++;
    (void)snprintf(told->message, sizeof told->message, "%s", message);
}

/* SQL beside the store; the file is closed meanwhile. */
static void reopen_after(struct subject *subject, const char *text)
{
    sqlite3 *database;
    char *message = NULL;
    store_close(subject->store);
    assert_int_equal(sqlite3_open(subject->path, &database), SQLITE_OK);
    if (sqlite3_exec(database, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    struct store_sqlite_options options = {.path = subject->path};
    assert_int_equal(store_sqlite_open(&options, &subject->store, NULL), DR_OK);
}

static void put_three(struct subject *subject)
{
    static uint8_t bytes[LONG];
    struct call_record record = call_make(1);
    record.has_children = true;
    put_new(subject, record);
    record = call_make_child(2, 1, 0);
    record.input = blob_create(slice_of(bytes, sizeof bytes));
    record.last_error = text_blob("why");
    put_new(subject, record);
    record = call_make_child(3, 1, 0);
    put_new(subject, record);
}

static void column_name(struct subject *subject, int at, char name[64])
{
    sqlite3 *database;
    sqlite3_stmt *row;
    store_close(subject->store);
    assert_int_equal(sqlite3_open(subject->path, &database), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(database, "SELECT name FROM pragma_table_info('call') WHERE cid=?", -1, &row, NULL),
        SQLITE_OK);
    sqlite3_bind_int(row, 1, at);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    (void)snprintf(name, 64, "%s", (const char *)sqlite3_column_text(row, 0));
    sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    struct store_sqlite_options options = {.path = subject->path};
    assert_int_equal(store_sqlite_open(&options, &subject->store, NULL), DR_OK);
}

static void a_change_of_any_column_is_found(void **state)
{
    struct subject *subject = *state;
    char name[64], text[300];
    put_three(subject);
    for (int at = 1; at < COLUMNS; at++) { /* the id itself is the key */
        column_name(subject, at, name);
        (void)snprintf(text, sizeof text,
                       "CREATE TABLE kept AS SELECT id, %s AS value FROM call; UPDATE call SET %s = "
                       "CASE typeof(%s) WHEN 'integer' THEN %s+1 WHEN 'null' THEN x'' WHEN 'text' THEN %s || 'x' "
                       "ELSE zeroblob(16) END WHERE " IS_CALL("%%03"), name, name, name, name, name);
        reopen_after(subject, text);
        struct told told = {0};
        struct dr_error error = {0};
        struct call_record record;
        store_on_damaged(subject->store, on_damaged, &told);
        assert_int_equal(store_read(subject->store, call_id(2), &record, &error), DR_DATA_LOSS);
        char id[ID_TEXT_SIZE];
        assert_non_null(strstr(error.message, id_format(call_id(2), id)));
        assert_int_equal(told.n, 1);
        assert_true(id_equal(told.id, call_id(2)));
        (void)snprintf(text, sizeof text,
                       "UPDATE call SET %s = (SELECT value FROM kept WHERE kept.id=call.id); DROP TABLE kept", name);
        reopen_after(subject, text);
        record = get(subject, call_id(2));
        record_deinit(&record);
    }
}

static void a_blob_is_not_a_text(void **state)
{
    struct subject *subject = *state;
    struct call_record record;
    put_three(subject);
    reopen_after(subject, "UPDATE call SET last_error=CAST(last_error AS BLOB) WHERE last_error IS NOT NULL");
    assert_int_equal(store_read(subject->store, call_id(2), &record, NULL), DR_DATA_LOSS);
}

static void a_row_in_the_place_of_another_is_found(void **state)
{
    struct subject *subject = *state;
    struct call_record record;
    put_three(subject);
    reopen_after(subject, "CREATE TABLE two AS SELECT id FROM call WHERE " IS_CALL("%03") ";"
                          "DELETE FROM call WHERE id IN two; DELETE FROM payload;"
                          "UPDATE call SET id=(SELECT id FROM two) WHERE " IS_CALL("%04") "; DROP TABLE two");
    assert_int_equal(store_read(subject->store, call_id(2), &record, NULL), DR_DATA_LOSS);
}

static void a_change_of_a_long_payload_is_found(void **state)
{
    struct subject *subject = *state;
    struct call_record record;
    struct dr_error error = {0};
    put_three(subject);
    reopen_after(subject, "UPDATE payload SET bytes=zeroblob(4999) || x'01'");
    assert_int_equal(store_read(subject->store, call_id(2), &record, &error), DR_DATA_LOSS);
    assert_non_null(strstr(error.message, "payload"));
}

static void a_damaged_call_is_left_out_and_the_others_are_read(void **state)
{
    struct subject *subject = *state;
    struct told told = {0};
    put_three(subject);
    struct call_record record = get(subject, call_id(3));
    call_finish(&record, 5, 5);
    change(subject, RECORD_PROGRESS | RECORD_RESULT, &record);
    record_deinit(&record);
    reopen_after(subject, "UPDATE call SET project=project+1 WHERE " IS_CALL("%03") " OR " IS_CALL("%04"));
    store_on_damaged(subject->store, on_damaged, &told);
    for (int pass = 0; pass < 2; pass++) {
        struct store_scan_result scan;
        struct store_records children;
        uint64_t n_outstanding = 0;
        assert_int_equal(store_scan_due(subject->store, (struct store_cursor){INT64_MIN, {{0}}}, TIME_NEVER, 10, SIZE_MAX,
                                        &scan, NULL), DR_OK);
        assert_string_equal(numbers_of(&scan.records), "1");
        assert_true(scan.is_complete);
        assert_int_equal(store_read_children(subject->store, call_id(1), 0, &children, &n_outstanding, NULL), DR_OK);
        assert_int_equal(children.n_records, 0);
        assert_int_equal(n_outstanding, 2);
        store_records_deinit(&children);
        assert_int_equal(store_scan_live_children(subject->store, call_id(1), UINT32_MAX, 1, &children, NULL), DR_OK);
        assert_int_equal(children.n_records, 0);
        store_records_deinit(&children);
    }
    assert_int_equal(told.n, 2); /* each once */
    struct store_records records;
    struct store_filter filter = {.status = -1, .limit = 10};
    assert_int_equal(store_list(subject->store, &filter, &records, NULL), DR_DATA_LOSS);
}

static void a_damaged_call_is_not_purged(void **state)
{
    struct subject *subject = *state;
    struct purge_order order = {.after_done_ns = INT64_MIN, .done_before_ns = 100, .limit = 10};
    struct purge_result result;
    for (uint64_t n = 1; n <= 3; n++) {
        struct call_record record = call_make(n);
        call_finish(&record, (int64_t)n, n);
        put_new(subject, record);
    }
    reopen_after(subject, "UPDATE call SET project=project+1 WHERE " IS_CALL("%03"));
    assert_int_equal(store_purge(subject->store, &order, &result, NULL), DR_OK);
    assert_int_equal(result.n_purged, 2);
    assert_int_equal(result.n_kept, 1);
    assert_int_equal(result.reached_done_ns, 3);
}

/* A change of one column alone keeps a wrong sum wrong. */
static void consuming_and_sweeping_do_not_heal(void **state)
{
    struct subject *subject = *state;
    static const char *const DAMAGES[] = {"mail=0", "sweep=9", "attempts=77"};
    for (uint64_t n = 0; n < 3; n++) {
        char text[200];
        struct call_record record = call_make_child(n + 5, 1, 0);
        record.sweep_below = 3;
        put_new(subject, record);
        (void)snprintf(text, sizeof text, "UPDATE call SET %s WHERE substr(hex(id),15,2)='%02X'", DAMAGES[n],
                       (int)call_id(n + 5).bytes[7]);
        reopen_after(subject, text);
        touch(subject, BATCH_CONSUME, call_id(n + 5));
        touch(subject, BATCH_SWEPT, call_id(n + 5));
        assert_int_equal(store_read(subject->store, call_id(n + 5), &record, NULL), DR_DATA_LOSS);
    }
}

/* The numbers are on disk: a change of the library, the machine or the layout would make every file look damaged. */
static void the_sum_of_known_columns_is_a_known_number(void **state)
{
    struct store_sum sum;
    (void)state;
    sum_begin(&sum, SUM_POLL, call_id(1));
    sum_integer(&sum, -2);
    sum_null(&sum);
    sum_bytes(&sum, SUM_TEXT, slice_text("text"));
    sum_bytes(&sum, SUM_BLOB, slice_text(""));
    assert_true(sum_end(&sum) == UINT64_C(0x36e73d98a27772ec));
    assert_true(sum_part(SUM_MAIL, call_id(1), 1) == UINT64_C(0x54847f2fefe92aab));
}

#define ON_FILE(test) {#test, test, subject_open, subject_close, SUBJECT_SQLITE}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILE(a_change_of_any_column_is_found),
        ON_FILE(a_blob_is_not_a_text),
        ON_FILE(a_row_in_the_place_of_another_is_found),
        ON_FILE(a_change_of_a_long_payload_is_found),
        ON_FILE(a_damaged_call_is_left_out_and_the_others_are_read),
        ON_FILE(a_damaged_call_is_not_purged),
        ON_FILE(consuming_and_sweeping_do_not_heal),
        cmocka_unit_test(the_sum_of_known_columns_is_a_known_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
