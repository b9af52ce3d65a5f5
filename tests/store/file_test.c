/* What only a file can show: who may open it, what is left of it, what happens when it is damaged. */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"
#include "store/store_sqlite.h"
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static dr_code open_at(const char *path, struct store **ret_store, struct dr_error *error)
{
    *error = (struct dr_error){0};
    struct store_sqlite_options options = {.path = path, .busy_timeout_ms = 1};
    return store_sqlite_open(&options, ret_store, error);
}

/* Refused with this code and text, and not one byte of the file changed. */
static void assert_refused(const char *path, dr_code code, const char *text)
{
    struct buf before = file_read(path);
    struct store *store = NULL;
    struct dr_error error;
    assert_int_equal(open_at(path, &store, &error), code);
    if (!strstr(error.message, text) || !strstr(error.message, path))
        fail_msg("%s", error.message);
    struct buf after = file_read(path);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_deinit(&before);
    buf_deinit(&after);
}

static void close_only(struct subject *subject)
{
    store_close(subject->store);
    subject->store = NULL;
}

static void sql(const char *path, const char *text)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static int64_t sql_number(const char *path, const char *text)
{
    sqlite3 *database;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, text, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(database);
    return number;
}

static void is_one_file_when_closed(void **state)
{
    struct subject *subject = *state;
    char name[320];
    for (uint64_t n = 0; n < 2; n++) {
        put_new(subject, call_make(n));
        assert_true(file_exists(path_with(subject->path, "-wal", name)));
        assert_false(file_exists(path_with(subject->path, "-shm", name)));
        subject_reopen(subject);
    }
    close_only(subject);
    assert_true(file_exists(subject->path));
    assert_false(file_exists(path_with(subject->path, "-wal", name)));
    assert_false(file_exists(path_with(subject->path, "-journal", name)));
}

static void bears_its_mark_before_the_first_call(void **state)
{
    struct subject *subject = *state;
    struct buf bytes = file_read(subject->path); /* while it is open: nothing but the file itself */
    assert_true(bytes.len > 100);
    assert_memory_equal(bytes.data, "SQLite format 3", 16);
    assert_memory_equal(bytes.data + 68, "DRP1", 4);
    buf_deinit(&bytes);
}

static void a_second_server_is_refused(void **state)
{
    struct subject *subject = *state;
    int status = 0;
    pid_t child = fork(); /* the operating system's locks are between processes */
    if (child == 0) {
        struct store *store;
        struct dr_error error;
        dr_code code = open_at(subject->path, &store, &error);
        bool is_clear =
            strstr(error.message, "in use by another server") && strstr(error.message, subject->path);
        _exit(code == DR_FAILED_PRECONDITION && is_clear ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    put_new(subject, call_make(1)); /* and the first one goes on */
    struct store *second;
    struct dr_error error;
    assert_int_equal(open_at(subject->path, &second, &error), DR_FAILED_PRECONDITION);
    put_new(subject, call_make(2));
}

static void a_second_store_of_this_process_leaves_the_lock(void **state)
{
    struct subject *subject = *state;
    struct store *second;
    struct dr_error error;
    assert_int_equal(open_at(subject->path, &second, &error), DR_FAILED_PRECONDITION);
    a_second_server_is_refused(state);
}

static void a_text_file_is_refused(void **state)
{
    struct subject *subject = *state;
    close_only(subject);
    char text[5000];
    memset(text, 'x', sizeof text);
    file_write(subject->path, slice_of(text, sizeof text));
    assert_refused(subject->path, DR_FAILED_PRECONDITION, "is not a database of dispatch");
    file_write(subject->path, slice_text("short"));
    assert_refused(subject->path, DR_FAILED_PRECONDITION, "is not a database of dispatch");
}

static void a_database_of_others_is_refused(void **state)
{
    struct subject *subject = *state;
    char path[320];
    path_with(subject->path, ".other", path);
    sql(path, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    assert_refused(path, DR_FAILED_PRECONDITION, "is not a database of dispatch");
    sql(path, "PRAGMA journal_mode=WAL");
    assert_refused(path, DR_FAILED_PRECONDITION, "is not a database of dispatch");
}

static void a_newer_version_is_refused(void **state)
{
    struct subject *subject = *state;
    char statement[64], version[64];
    put_new(subject, call_make(1));
    close_only(subject);
    struct buf bytes = file_read(subject->path);
    unsigned ours = buf_slice(&bytes).data[63]; /* the last byte of user_version */
    buf_deinit(&bytes);
    for (unsigned newer = ours + 1; newer < 1000000; newer *= 100) {
        snprintf(statement, sizeof statement, "PRAGMA user_version=%u", newer);
        snprintf(version, sizeof version, "schema version %u", newer);
        sql(subject->path, statement);
        assert_refused(subject->path, DR_FAILED_PRECONDITION, version);
    }
}

/* As a newer server leaves it when it is killed right after its migration: the file itself still says 1. */
static void a_newer_version_in_the_log_is_refused(void **state)
{
    struct subject *subject = *state;
    char log[320], copy[320], copy_log[320];
    sqlite3 *database;
    put_new(subject, call_make(1));
    close_only(subject);
    assert_int_equal(sqlite3_open(subject->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version=1000000", NULL, NULL, NULL), SQLITE_OK);
    struct buf bytes = file_read(subject->path);
    struct buf log_bytes = file_read(path_with(subject->path, "-wal", log));
    sqlite3_close(database);
    file_write(path_with(subject->path, ".copy", copy), buf_slice(&bytes));
    file_write(path_with(copy, "-wal", copy_log), buf_slice(&log_bytes));
    assert_refused(copy, DR_FAILED_PRECONDITION, "schema version 1000000");
    struct buf after = file_read(copy_log);
    assert_true(slice_equal(buf_slice(&log_bytes), buf_slice(&after)));
    buf_deinit(&after);
    buf_deinit(&bytes);
    buf_deinit(&log_bytes);
}

static void a_directory_cannot_be_opened(void **state)
{
    struct subject *subject = *state;
    struct store *store;
    struct dr_error error;
    assert_int_equal(open_at(subject->directory, &store, &error), DR_UNAVAILABLE);
    assert_non_null(strstr(error.message, subject->directory));
}

static void a_missing_directory_is_named(void **state)
{
    struct subject *subject = *state;
    struct store *store;
    struct dr_error error;
    char path[320];
    path_with(subject->directory, "/no/dispatch.db", path);
    assert_int_equal(open_at(path, &store, &error), DR_UNAVAILABLE);
    assert_non_null(strstr(error.message, path));
}

static void an_empty_file_becomes_a_store(void **state)
{
    struct subject *subject = *state;
    close_only(subject);
    file_write(subject->path, slice_text(""));
    struct dr_error error;
    assert_int_equal(open_at(subject->path, &subject->store, &error), DR_OK);
    put_new(subject, call_make(1));
}

static void put_many(struct subject *subject)
{
    for (uint64_t n = 0; n < 200; n++)
        put_new(subject, call_make(n));
}

static void a_truncated_file_is_data_loss(void **state)
{
    struct subject *subject = *state;
    put_many(subject);
    close_only(subject);
    struct buf bytes = file_read(subject->path);
    file_write(subject->path, slice_of(bytes.data, bytes.len / 2));
    buf_deinit(&bytes);
    assert_refused(subject->path, DR_DATA_LOSS, "is damaged");
}

static void a_damaged_header_is_refused(void **state)
{
    struct subject *subject = *state;
    put_many(subject);
    close_only(subject);
    struct buf bytes = file_read(subject->path);
    static const struct {
        size_t at;
        dr_code code;
        const char *text;
    } DAMAGES[] = {{0, DR_FAILED_PRECONDITION, "is not a database of dispatch"},
                   {16, DR_DATA_LOSS, "is damaged"}, /* page size */
                   {68, DR_FAILED_PRECONDITION, "is not a database of dispatch"}}; /* our mark */
    for (size_t i = 0; i < sizeof DAMAGES / sizeof DAMAGES[0]; i++) {
        bytes.data[DAMAGES[i].at] ^= 0x55;
        file_write(subject->path, buf_slice(&bytes));
        bytes.data[DAMAGES[i].at] ^= 0x55;
        assert_refused(subject->path, DAMAGES[i].code, DAMAGES[i].text);
    }
    file_write(subject->path, buf_slice(&bytes));
    struct dr_error error;
    assert_int_equal(open_at(subject->path, &subject->store, &error), DR_OK);
    buf_deinit(&bytes);
}

/* Whichever page is overwritten: an error, or an answer; never a crash. */
static void damaged_pages_give_errors_only(void **state)
{
    struct subject *subject = *state;
    put_many(subject);
    close_only(subject);
    struct buf bytes = file_read(subject->path);
    size_t n_damages = 0;
    for (size_t page = 1; page < bytes.len / 4096; page++) {
        struct buf copy = file_read(subject->path);
        memset(copy.data + page * 4096, 0xa5, 4096);
        char path[320];
        path_with(subject->path, ".damaged", path);
        file_write(path, buf_slice(&copy));
        struct store *store = NULL;
        struct dr_error error;
        dr_code code = open_at(path, &store, &error);
        struct store_scan_result scan = {0};
        if (!code)
            code = store_scan_due(store, (struct store_cursor){INT64_MIN, {{0}}}, TIME_NEVER, 1000, SIZE_MAX,
                                  &scan, &error);
        for (uint64_t n = 0; n < 200 && !code; n++) {
            struct call_record record = {0};
            code = store_read(store, call_id(n), &record, &error);
            record_deinit(&record);
        }
        if (code == DR_DATA_LOSS)
            n_damages++;
        else
            assert_true(code == DR_OK || code == DR_NOT_FOUND);
        store_records_deinit(&scan.records);
        store_close(store);
        buf_deinit(&copy);
    }
    assert_true(n_damages > 0);
    buf_deinit(&bytes);
}

static void long_payloads_lie_apart_and_go_with_their_call(void **state)
{
    struct subject *subject = *state;
    char *text = mem_must_zalloc(100001);
    memset(text, 'p', 100000);
    struct call_record record = call_make(1);
    record.input = text_blob(text);
    record.last_error = text_blob(text);
    put(subject, &record);
    subject_reopen(subject);
    call_finish(&record, 10, 1);
    blob_set(&record.last_error, NULL);
    record.output = text_blob(text);
    record.error.message = text_blob(text);
    change(subject, RECORD_PROGRESS | RECORD_RESULT, &record);
    close_only(subject);
    assert_int_equal(sql_number(subject->path, "SELECT count(*) FROM payload"), 3);
    assert_int_equal(sql_number(subject->path, "SELECT max(length(input)) FROM call"),
                     6); /* its length, "100000" */
    struct dr_error error;
    assert_int_equal(open_at(subject->path, &subject->store, &error), DR_OK);
    struct call_record stored = get(subject, record.id);
    assert_same_call(&record, &stored);
    record_deinit(&stored);
    record_deinit(&record);
    struct purge_order order = {.done_before_ns = 11, .limit = 10};
    struct purge_result purged;
    assert_int_equal(store_purge(subject->store, &order, &purged, NULL), DR_OK);
    assert_int_equal(purged.n_purged, 1);
    close_only(subject);
    assert_int_equal(sql_number(subject->path, "SELECT count(*) FROM payload"), 0);
    mem_free(text);
}

/* The partition is on disk: other programs and later versions must get the same number for a tree. */
static void a_tree_lies_in_one_partition(void **state)
{
    struct subject *subject = *state;
    put_new(subject, call_make(1));
    put_new(subject, call_make_child(2, 1, 0));
    put_new(subject, call_make(3));
    close_only(subject);
    assert_int_equal(sql_number(subject->path, "SELECT count(DISTINCT partition) FROM call WHERE root = "
                                               "(SELECT root FROM call WHERE parent IS NOT NULL)"),
                     1);
    assert_int_equal(sql_number(subject->path, "SELECT count(DISTINCT partition) FROM call"), 2);
    assert_int_equal(sql_number(subject->path, "SELECT partition FROM call WHERE parent IS NOT NULL"),
                     (int64_t)(id_hash(call_id(1)) & 0xffff));
    assert_true(sql_number(subject->path, "SELECT max(partition) FROM call") <= 65535);
}

static void the_log_does_not_grow_without_end(void **state)
{
    struct subject *subject = *state;
    char name[320], *text = mem_must_zalloc(1000001);
    struct stat status;
    memset(text, 'p', 1000000);
    struct call_record record = call_make(1);
    record.input = text_blob(text);
    put(subject, &record);
    for (uint32_t i = 0; i < 150; i++) { /* 150 MB */
        record.generation = i;
        change(subject, RECORD_CODE, &record);
    }
    assert_int_equal(stat(path_with(subject->path, "-wal", name), &status), 0);
    assert_true(status.st_size < 70000000);
    record_deinit(&record);
    mem_free(text);
}

static void a_log_that_one_commit_blew_up_is_cut(void **state)
{
    struct subject *subject = *state;
    char name[320];
    struct stat status;
    uint8_t *bytes = mem_must_zalloc(20000000);
    struct batch *batch = batch_create(1);
    for (uint64_t n = 0; n < 5; n++) {
        struct call_record record = call_make(n);
        record.input = blob_create(slice_of(bytes, 20000000));
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
    }
    commit(subject, batch);
    assert_int_equal(stat(path_with(subject->path, "-wal", name), &status), 0);
    assert_true(status.st_size > 100000000);
    put_new(subject, call_make(100));
    assert_int_equal(stat(name, &status), 0);
    assert_true(status.st_size < 70000000);
    mem_free(bytes);
}

static void a_list_that_looks_through_too_much_says_where_it_goes_on(void **state)
{
    struct subject *subject = *state;
    put_many(subject);
    put_new(subject, call_make_child(300, 1, 0));
    close_only(subject);
    struct dr_error error = {0};
    struct store_sqlite_options options = {.path = subject->path, .list_steps_max = 5000};
    assert_int_equal(store_sqlite_open(&options, &subject->store, &error), DR_OK);
    struct call_record rare = call_make(999);
    blob_set(&rare.function, text_blob("rare"));
    put_new(subject, rare);
    for (uint64_t n = 1000; n < 3000; n++)
        put_new(subject, call_make(n));
    struct store_records records = {0};
    struct store_filter filter = {.status = -1, .limit = 10, .function = slice_text("rare")};
    size_t n_pages = 0, n_found = 0;
    do { /* it is found in the end, whatever is asked; the pages before are empty */
        assert_int_equal(store_list(subject->store, &filter, &records, &error), DR_OK);
        n_found += records.n_records;
        assert_true(id_is_none(filter.before) || id_compare(records.next_before, filter.before) < 0);
        filter.before = records.next_before;
        store_records_deinit(&records);
        assert_true(++n_pages < 20);
    } while (!id_is_none(filter.before));
    assert_true(n_pages > 1);
    assert_int_equal(n_found, 1);
    filter = (struct store_filter){.status = -1, .limit = 10};
    assert_int_equal(store_list(subject->store, &filter, &records, &error), DR_OK);
    assert_int_equal(records.n_records, 10);
    store_records_deinit(&records);
    filter.root = call_id(1);
    assert_int_equal(store_list(subject->store, &filter, &records, &error), DR_OK);
    assert_string_equal(numbers_of(&records), "300 1");
    put_new(subject, call_make(5000)); /* nothing is left interrupted */
}

/* The disk is "full": files may not grow past what the log has now. */
static void a_full_disk_fails_a_commit_whole_and_the_same_commit_works_later(void **state)
{
    struct subject *subject = *state;
    char name[320];
    struct stat status;
    struct rlimit usual, tight;
    put_new(subject, call_make(1));
    assert_int_equal(stat(path_with(subject->path, "-wal", name), &status), 0);
    struct batch *batch = batch_create(1);
    for (uint64_t n = 2; n < 1000; n++) {
        struct call_record record = call_make(n);
        batch_add(batch, BATCH_INSERT, 0, &record);
        record_deinit(&record);
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    tight = usual;
    tight.rlim_cur = (rlim_t)status.st_size + 8192;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct dr_error error = {0};
    dr_code first = store_commit(subject->store, &batch, 1, &error);
    dr_code second = store_commit(subject->store, &batch, 1, &error);
    bool is_there = has(subject, call_id(2));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
    assert_int_equal(first, DR_UNAVAILABLE);
    assert_int_equal(second, DR_UNAVAILABLE);
    assert_non_null(strstr(error.message, subject->path));
    assert_false(is_there);
    commit(subject, batch);
    subject_reopen(subject);
    struct store_counts counts;
    assert_int_equal(store_counts(subject->store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, 999);
    assert_true(has(subject, call_id(999)));
}

/* Every question of the engine has an index that answers it, in the order asked for. */
static void no_read_looks_through_a_table_or_sorts(void **state)
{
    struct subject *subject = *state;
    struct store *store = subject->store;
    struct store_scan_result scan = {0};
    struct store_records records = {0};
    struct store_counts counts;
    struct call_record record = {0};
    struct id ids[10];
    uint64_t n_outstanding;
    size_t n;
    put_many(subject);
    for (uint64_t i = 1000; i < 1050; i++) {
        struct call_record child = call_make_child(i, i % 7, 0);
        if (i % 2)
            call_finish(&child, (int64_t)i, i);
        child.sweep_below = i % 3 == 0 ? 2 : 0;
        put_new(subject, child);
    }
    assert_int_equal(store_read(store, call_id(1), &record, NULL), DR_OK);
    record_deinit(&record);
    assert_int_equal(store_scan_due(store, (struct store_cursor){0}, 100, 10, SIZE_MAX, &scan, NULL), DR_OK);
    store_records_deinit(&scan.records);
    assert_int_equal(store_read_children(store, call_id(1), 0, &records, &n_outstanding, NULL), DR_OK);
    store_records_deinit(&records);
    struct record_children children;
    assert_int_equal(store_count_children(store, call_id(1), 0, 10, &children, NULL), DR_OK);
    assert_int_equal(store_scan_live_children(store, call_id(1), 5, 10, &records, NULL), DR_OK);
    store_records_deinit(&records);
    assert_int_equal(store_scan_mail(store, call_id(1), 10, ids, &n, NULL), DR_OK);
    assert_int_equal(store_scan_sweeps(store, call_id(1), 10, ids, &n, NULL), DR_OK);
    assert_int_equal(store_counts(store, &counts, NULL), DR_OK);
    struct purge_order order = {.done_before_ns = 1020, .limit = 10};
    struct purge_result purged;
    assert_int_equal(store_purge(store, &order, &purged, NULL), DR_OK);
    int64_t newest_ns;
    assert_int_equal(store_newest(store, &newest_ns, NULL), DR_OK);
    size_t n_statements = 0;
    sqlite3_stmt *statement = NULL;
    while ((statement = sqlite3_next_stmt(sqlite_self(store)->database, statement))) {
        bool is_scan = sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0) > 0;
        if (is_scan || sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 0) > 0)
            fail_msg("%s: %s", is_scan ? "looks through a table" : "sorts", sqlite3_sql(statement));
        n_statements++;
    }
    assert_in_range(n_statements, 14, 40);
}

static dr_code open_close(void *arg)
{
    struct store *store = NULL;
    struct dr_error error;
    dr_code code = open_at(arg, &store, &error);
    store_close(store);
    return code;
}

static void opening_survives_any_failed_allocation(void **state)
{
    struct subject *subject = *state;
    close_only(subject);
    assert_survives_allocation_faults(open_close, subject->path);
}

#define ON_FILE(test)                                                                                        \
    {                                                                                                        \
#test, test, subject_open, subject_close, SUBJECT_SQLITE                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILE(is_one_file_when_closed),
        ON_FILE(bears_its_mark_before_the_first_call),
        ON_FILE(a_second_server_is_refused),
        ON_FILE(a_second_store_of_this_process_leaves_the_lock),
        ON_FILE(a_text_file_is_refused),
        ON_FILE(a_database_of_others_is_refused),
        ON_FILE(a_newer_version_is_refused),
        ON_FILE(a_newer_version_in_the_log_is_refused),
        ON_FILE(a_directory_cannot_be_opened),
        ON_FILE(a_missing_directory_is_named),
        ON_FILE(an_empty_file_becomes_a_store),
        ON_FILE(a_truncated_file_is_data_loss),
        ON_FILE(a_damaged_header_is_refused),
        ON_FILE(damaged_pages_give_errors_only),
        ON_FILE(long_payloads_lie_apart_and_go_with_their_call),
        ON_FILE(a_tree_lies_in_one_partition),
        ON_FILE(the_log_does_not_grow_without_end),
        ON_FILE(a_log_that_one_commit_blew_up_is_cut),
        ON_FILE(a_list_that_looks_through_too_much_says_where_it_goes_on),
        ON_FILE(a_full_disk_fails_a_commit_whole_and_the_same_commit_works_later),
        ON_FILE(no_read_looks_through_a_table_or_sorts),
        ON_FILE(opening_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
