/* Files that hold less than they should: what is missing is named, never guessed. */
#include "base/testing.h"

#include "subject.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static void sql(const char *path, const char *text)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static dr_code reopen_after(struct subject *subject, const char *text, struct dr_error *error)
{
    store_close(subject->store);
    subject->store = NULL;
    sql(subject->path, text);
    struct store_sqlite_options options = {.path = subject->path};
    return store_sqlite_open(&options, &subject->store, error);
}

static void put_call_with_long_input(struct subject *subject)
{
    uint8_t bytes[5000];
    memset(bytes, 'x', sizeof bytes);
    struct call_record record = call_make(1);
    record.input = blob_create(slice_of(bytes, sizeof bytes));
    put_new(subject, record);
}

static void a_long_payload_that_is_missing_is_data_loss(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    struct call_record record = {0};
    struct store_scan_result scan = {0};
    put_call_with_long_input(subject);
    if (reopen_after(subject, "DELETE FROM payload", &error) == DR_OK) { /* else opening has found it already */
        assert_int_equal(store_read(subject->store, call_id(1), &record, &error), DR_DATA_LOSS);
        struct store_cursor start = {INT64_MIN, {{0}}};
        assert_int_equal(store_scan_due(subject->store, start, 100, 10, SIZE_MAX, &scan, NULL), DR_OK);
        assert_int_equal(scan.records.n_records, 0);
        store_records_deinit(&scan.records);
    }
    assert_int_equal(error.code, DR_DATA_LOSS);
    assert_non_null(strstr(error.message, subject->path));
}

static void a_file_without_its_counts_is_data_loss(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    put_new(subject, call_make(1));
    assert_int_equal(reopen_after(subject, "DELETE FROM tally", &error), DR_DATA_LOSS);
    assert_non_null(strstr(error.message, subject->path));
}

static void a_call_without_texts_comes_back_with_empty_ones(void **state)
{
    struct subject *subject = *state;
    struct call_record record = {.id = call_id(1), .root = call_id(1), .state = CALL_SCHEDULED};
    put(subject, &record);
    record = get(subject, call_id(1));
    assert_int_equal(blob_slice(record.endpoint).len, 0);
    assert_int_equal(blob_slice(record.function).len, 0);
    assert_null(record.input);
    record_deinit(&record);
}

/* Group by group, and all of them together. */
static void any_combination_of_groups_can_be_updated(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, 7);
    for (unsigned fields = 1; fields < 16; fields++) {
        struct call_record record = call_make(fields), changed = call_make(fields);
        put(subject, &record);
        call_fill(&changed, &random);
        changed.state = CALL_SCHEDULED;
        change(subject, fields, &changed);
        record_apply(&record, &changed, fields);
        struct call_record stored = get(subject, record.id);
        assert_same_call(&stored, &record);
        record_deinit(&stored);
        record_deinit(&record);
        record_deinit(&changed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"a_long_payload_that_is_missing_is_data_loss", a_long_payload_that_is_missing_is_data_loss, subject_open,
         subject_close, SUBJECT_SQLITE},
        {"a_file_without_its_counts_is_data_loss", a_file_without_its_counts_is_data_loss, subject_open,
         subject_close, SUBJECT_SQLITE},
        ON_BOTH(any_combination_of_groups_can_be_updated),
        {"a_call_without_texts_comes_back_with_empty_ones", a_call_without_texts_comes_back_with_empty_ones,
         subject_open, subject_close, SUBJECT_SQLITE},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
