/* What fails once, anywhere: each read, write, sync, size, truncation, opening and allocation under the SQLite
 * store. A step that met the fault says so and may be done again; what is then in the file is what would be there
 * without it. And a commit that returned leaves nothing unsynced.
 *
 *     store_fault_test [stride of the allocations of SQLite, which are thousands; default: 17] */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"
#include "fault_vfs.h"
#include <stdio.h>
#include <string.h>

struct run {
    char path[300];
    struct store *store;
    struct batch *batches[2]; /* made before the fault is set */
    bool is_open;
};

static unsigned long stride = 17;

static struct blob *long_blob(char fill)
{
    uint8_t bytes[5000];
    memset(bytes, fill, sizeof bytes);
    struct blob *blob = blob_create(slice_of(bytes, sizeof bytes));
    assert_non_null(blob);
    return blob;
}

/* Root 1 with two calls done, one consumed, and one live; a few groups of fields of each. */
static struct batch *first_batch(void)
{
    struct batch *batch = batch_create(1);
    struct call_record record = call_make(1);
    record.input = long_blob('i');
    record.has_children = true;
    record.sweep_below = 7;
    batch_add(batch, BATCH_INSERT, 0, &record);
    record_deinit(&record);
    for (uint64_t n = 2; n <= 4; n++) {
        record = call_make_child(n, 1, 0);
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
    }
    return batch;
}

static struct batch *second_batch(void)
{
    struct batch *batch = batch_create(2);
    struct call_record record = call_make(1);
    record.input = long_blob('j');
    record.poll_state = long_blob('s');
    record.last_error = text_blob("late");
    record.has_children = true;
    record.wake_ns = 50;
    batch_add(batch, BATCH_UPDATE, RECORD_CODE | RECORD_POLL, &record);
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS, &record);
    record_deinit(&record);
    for (uint64_t n = 2; n <= 3; n++) {
        record = call_make_child(n, 1, 0);
        call_finish(&record, (int64_t)n, n);
        record.output = long_blob('o');
        record.error.traceback = text_blob("at line 1");
        batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_RESULT, &record);
        record_deinit(&record);
    }
    record = (struct call_record){.id = call_id(2)};
    batch_add(batch, BATCH_CONSUME, 0, &record);
    record = (struct call_record){.id = call_id(3)};
    batch_add(batch, BATCH_SWEPT, 0, &record);
    return batch;
}

static dr_code open_it(struct run *run)
{
    struct dr_error error = {0};
    struct store_sqlite_options options = {.path = run->path, .busy_timeout_ms = 1, .vfs = FAULT_VFS};
    dr_code code = store_sqlite_open(&options, &run->store, &error);
    run->is_open = code == DR_OK;
    assert_true(code == DR_OK || strlen(error.message) > 0);
    return code;
}

static dr_code close_and_open(struct run *run)
{
    if (run->is_open)
        store_close(run->store);
    run->is_open = false;
    return open_it(run);
}

static dr_code commit_one_batch(struct run *run, size_t which)
{
    dr_code code = store_commit(run->store, &run->batches[which], 1, NULL);
    if (!code)
        assert_int_equal(fault_unsynced_files(), 0);
    return code;
}

static dr_code commit_first(struct run *run)
{
    return commit_one_batch(run, 0);
}

static dr_code commit_second(struct run *run)
{
    return commit_one_batch(run, 1);
}

static dr_code read_calls(struct run *run)
{
    struct call_record record = {0};
    struct store_records children = {0}, live = {0};
    uint64_t n_outstanding = 0;
    dr_code code = store_read(run->store, call_id(1), &record, NULL);
    if (!code)
        code = store_read_children(run->store, call_id(1), 0, &children, &n_outstanding, NULL);
    if (!code)
        code = store_scan_live_children(run->store, call_id(1), UINT32_MAX, 10, &live, NULL);
    if (!code) {
        assert_int_equal(record.input->len, 5000);
        assert_int_equal(record.input->data[4999], 'j');
        assert_int_equal(record.poll_state->data[0], 's');
        assert_string_equal(blob_text(record.last_error), "late");
        assert_int_equal(record.sweep_below, 0);
        assert_int_equal(n_outstanding, 1);
        assert_int_equal(children.records[0].output->data[4999], 'o');
        assert_string_equal(numbers_of(&children), "3");
        assert_string_equal(numbers_of(&live), "4");
    }
    record_deinit(&record);
    store_records_deinit(&children);
    store_records_deinit(&live);
    return code;
}

static dr_code read_many(struct run *run)
{
    struct store_scan_result scan = {0};
    struct store_records list = {0};
    struct store_filter filter = {.status = -1, .limit = 10};
    struct store_counts counts = {0};
    struct id ids[4];
    size_t n = 0, n_sweeps = 1;
    struct store_cursor start = {INT64_MIN, {{0}}};
    dr_code code = store_scan_due(run->store, start, 100, 10, SIZE_MAX, &scan, NULL);
    if (!code)
        code = store_scan_sweeps(run->store, (struct id){{0}}, 4, ids, &n_sweeps, NULL);
    if (!code)
        code = store_scan_mail(run->store, (struct id){{0}}, 4, ids, &n, NULL);
    if (!code)
        code = store_list(run->store, &filter, &list, NULL);
    if (!code)
        code = store_counts(run->store, &counts, NULL);
    if (!code) {
        assert_int_equal(scan.records.records[1].input->data[0], 'j');
        assert_string_equal(numbers_of(&scan.records), "4 1");
        assert_int_equal(n_sweeps, 0);
        assert_string_equal(numbers_of_ids(ids, n), "1");
        assert_string_equal(numbers_of(&list), "4 3 2 1");
        assert_int_equal(counts.n_live, 2);
        assert_int_equal(counts.n_done, 2);
    }
    store_records_deinit(&scan.records);
    store_records_deinit(&list);
    return code;
}

/* Call 3 has open mail of a live parent, call 2 can go. */
static dr_code purge(struct run *run)
{
    struct purge_order order = {.done_before_ns = 1000, .limit = 10};
    struct purge_result purged;
    dr_code code = store_purge(run->store, &order, &purged, NULL);
    if (!code)
        assert_int_equal(purged.n_kept, 1);
    return code;
}

static dr_code read_what_is_left(struct run *run)
{
    struct store_counts counts = {0};
    struct call_record kept = {0}, purged = {0};
    dr_code code = store_counts(run->store, &counts, NULL);
    if (!code)
        code = store_read(run->store, call_id(3), &kept, NULL);
    if (!code)
        code = store_read(run->store, call_id(2), &purged, NULL);
    if (code == DR_NOT_FOUND) {
        assert_int_equal(counts.n_live, 2);
        assert_int_equal(counts.n_done, 1);
        assert_string_equal(blob_text(kept.error.traceback), "at line 1");
        code = DR_OK;
    } else {
        assert_int_not_equal(code, DR_OK);
    }
    record_deinit(&kept);
    return code;
}

static dr_code (*const STEPS[])(struct run *) = {
    open_it, commit_first, commit_second, close_and_open, read_calls, read_many, close_and_open, read_many,
    purge,   close_and_open, read_what_is_left,
};

/* True when the fault was met. */
static bool run_with(const char *directory, enum fault_kind kind, unsigned long nth)
{
    struct run run = {.batches = {first_batch(), second_batch()}};
    snprintf(run.path, sizeof run.path, "%s/%d-%lu.db", directory, (int)kind, nth);
    fault_set(kind, nth);
    bool is_hit = false;
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        dr_code code = STEPS[i](&run);
        is_hit = is_hit || fault_is_hit();
        if (code == DR_OK)
            continue;
        if (!is_hit || code == DR_INTERNAL)
            fail_msg("kind %d, number %lu: step %zu gives %s", (int)kind, nth, i, dr_code_name(code));
        fault_set(FAULT_NONE, 0);
        if (STEPS[i](&run) != DR_OK)
            fail_msg("kind %d, number %lu: step %zu cannot be done again", (int)kind, nth, i);
    }
    fault_set(FAULT_NONE, 0);
    store_close(run.store);
    batch_destroy(run.batches[0]);
    batch_destroy(run.batches[1]);
    return is_hit;
}

static void any_fault_is_told_and_the_step_can_be_done_again(void **state)
{
    (void)state;
    for (enum fault_kind kind = FAULT_OPEN; kind < FAULT_KINDS; kind++) {
        char directory[256];
        unsigned long nth = 1;
        directory_make(directory, sizeof directory);
        while (run_with(directory, kind, nth))
            nth += kind == FAULT_SQLITE_MEMORY ? stride : 1;
        directory_remove(directory);
        if (nth == 1)
            fail_msg("kind %d never happens", (int)kind);
    }
}

static void a_commit_that_returned_has_left_nothing_unsynced(void **state)
{
    (void)state;
    struct run run = {0};
    char directory[256];
    directory_make(directory, sizeof directory);
    snprintf(run.path, sizeof run.path, "%s/synced.db", directory);
    assert_int_equal(open_it(&run), DR_OK);
    assert_int_equal(fault_unsynced_files(), 0);
    for (uint64_t n = 1; n <= 20; n++) {
        struct batch *batch = batch_create(n);
        struct call_record record = call_make(n);
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
        fault_set(FAULT_NONE, 0);
        assert_int_equal(store_commit(run.store, &batch, 1, NULL), DR_OK);
        assert_int_equal(fault_unsynced_files(), 0);
        assert_in_range(fault_syncs(), 1, 4);
        batch_destroy(batch);
    }
    store_close(run.store);
    directory_remove(directory);
}

static void a_file_that_cannot_be_written_is_refused(void **state)
{
    struct subject *subject = *state;
    struct store *store = NULL;
    struct dr_error error = {0};
    put_new(subject, call_make(1));
    store_close(subject->store);
    subject->store = NULL;
    fault_set(FAULT_READ_ONLY, 1);
    struct store_sqlite_options options = {.path = subject->path, .vfs = FAULT_VFS};
    assert_int_equal(store_sqlite_open(&options, &store, &error), DR_UNAVAILABLE);
    assert_non_null(strstr(error.message, "cannot be written"));
    assert_null(store);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        stride = strtoul(argv[1], NULL, 10);
    fault_vfs_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_fault_is_told_and_the_step_can_be_done_again),
        cmocka_unit_test(a_commit_that_returned_has_left_nothing_unsynced),
        {"a_file_that_cannot_be_written_is_refused", a_file_that_cannot_be_written_is_refused, subject_open,
         subject_close, SUBJECT_SQLITE},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
