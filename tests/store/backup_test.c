/* Backups: of a file at rest, and of one that another process writes to all the time. */
#include "base/testing.h"

#include "store/store_backup.h"
#include "store/store_sqlite.h"
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKUPS = 4, BIG = 200000 };

static dr_code backup(const char *path, const char *target, struct dr_error *error)
{
    struct store_verify_result result;
    struct store_backup_options options = {.path = path, .target = target};
    return store_backup(&options, &result, error);
}

static void close_only(struct subject *subject)
{
    store_close(subject->store);
    subject->store = NULL;
}

static void a_file_at_rest_is_copied(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    char target[320], path[320];
    put_new(subject, call_make(1));
    close_only(subject);
    struct buf before = file_read(subject->path);
    if (backup(subject->path, path_with(subject->path, ".copy", target), &error))
        fail_msg("%s", error.message);
    struct buf after = file_read(subject->path);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    assert_false(file_exists(path_with(target, "-wal", path)));
    assert_false(file_exists(path_with(target, ".incomplete", path)));
    (void)snprintf(subject->path, sizeof subject->path, "%s", target);
    subject_reopen(subject);
    assert_true(has(subject, call_id(1)));
    buf_deinit(&before);
    buf_deinit(&after);
}

static void nothing_is_overwritten(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    char target[320], incomplete[320];
    put_new(subject, call_make(1));
    close_only(subject);
    (void)path_with(subject->path, ".copy", target);
    (void)path_with(target, ".incomplete", incomplete);
    for (int i = 0; i < 2; i++) {
        const char *in_the_way = i == 0 ? target : incomplete;
        file_write(in_the_way, slice_text("mine"));
        assert_int_equal(backup(subject->path, target, &error), DR_ALREADY_EXISTS);
        struct buf kept = file_read(in_the_way);
        assert_true(slice_equal(buf_slice(&kept), slice_text("mine")));
        buf_deinit(&kept);
        (void)unlink(in_the_way);
    }
    assert_int_equal(backup(subject->path, subject->path, &error), DR_ALREADY_EXISTS);
}

static void what_is_no_database_or_damaged_gives_no_copy(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    char target[320], path[320];
    put_new(subject, call_make(1));
    close_only(subject);
    (void)path_with(subject->path, ".copy", target);
    struct buf whole = file_read(subject->path);
    whole.data[whole.len - 20] ^= 1; /* in the last cell of some index or table */
    for (size_t at = 4096; at + 1 < whole.len; at += 4096)
        whole.data[at + 4095] ^= 0x10;
    file_write(subject->path, buf_slice(&whole));
    assert_int_equal(backup(subject->path, target, &error), DR_DATA_LOSS);
    file_write(subject->path, slice_text("some text that is no database, and long enough to have a header: it has more "
                                         "than a hundred bytes in it"));
    assert_int_equal(backup(subject->path, target, &error), DR_FAILED_PRECONDITION);
    assert_int_equal(backup(path_with(subject->path, ".none", path), target, &error), DR_UNAVAILABLE);
    assert_false(file_exists(target));
    assert_false(file_exists(path_with(target, ".incomplete", path)));
    buf_deinit(&whole);
}

/* ---- while another process writes ---- */

static _Noreturn void write_all_the_time(const char *path, int to)
{
    static uint8_t bytes[BIG];
    struct store *store;
    struct store_sqlite_options options = {.path = path};
    if (store_sqlite_open(&options, &store, NULL))
        _exit(1);
    for (uint64_t n = 1;; n++) {
        struct call_record record = call_make(n);
        if (n % 3 == 0)
            record.input = blob_create(slice_of(bytes, sizeof bytes));
        struct batch *batch = batch_create(n);
        batch_add(batch, BATCH_INSERT, 0, &record);
        if (store_commit(store, &batch, 1, NULL) || write(to, &n, sizeof n) != sizeof n)
            _exit(1);
        batch_destroy(batch);
        record_deinit(&record);
    }
}

/* Acknowledged so far; waits for at least `least`. */
static uint64_t read_progress(int from, uint64_t least)
{
    uint64_t n = 0;
    do
        assert_int_equal(read(from, &n, sizeof n), sizeof n);
    while (n < least);
    return n;
}

static void the_copy_has_what_was_acknowledged_and_no_gap(void **state)
{
    struct subject *subject = *state;
    int ends[2];
    char target[320], name[20];
    uint64_t acknowledged = 0;
    close_only(subject);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        write_all_the_time(subject->path, ends[1]);
    (void)close(ends[1]);
    for (int i = 0; i < BACKUPS; i++) {
        struct dr_error error = {0};
        struct store_verify_result result;
        acknowledged = read_progress(ends[0], acknowledged + 150); /* some 10 MB on: the log begins anew at times */
        (void)snprintf(name, sizeof name, ".copy%d", i);
        struct store_backup_options options = {.path = subject->path,
                                               .target = path_with(subject->path, name, target)};
        if (store_backup(&options, &result, &error))
            fail_msg("%s", error.message);
        struct subject copy = {.is_sqlite = true};
        struct store_sqlite_options opening = {.path = target};
        assert_int_equal(store_sqlite_open(&opening, &copy.store, NULL), DR_OK);
        assert_true(result.n_calls >= acknowledged);
        assert_true(has(&copy, call_id(result.n_calls))); /* as many as there are up to the last: no gap */
        assert_false(has(&copy, call_id(result.n_calls + 1)));
        store_close(copy.store);
        (void)unlink(target);
    }
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
}

#define ON_FILE(test) {#test, test, subject_open, subject_close, SUBJECT_SQLITE}

static bool lock_as_a_backup(int file, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = SQLITE_CHECKPOINT_BYTE, .l_len = 1};
    return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

static off_t size_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* More than the log is meant to have. */
static void put_much(struct subject *subject, uint64_t n)
{
    enum { MUCH = 10000000 };
    uint8_t *bytes = mem_must_zalloc(MUCH);
    for (uint64_t i = 0; i < 4; i++) {
        struct call_record record = call_make(n + i);
        blob_unref(record.input);
        record.input = blob_create(slice_of(bytes, MUCH));
        put_new(subject, record);
    }
    mem_free(bytes);
}

static void nothing_is_played_back_during_a_backup(void **state)
{
    struct subject *subject = *state;
    char log[320];
    int file = open(subject->path, O_RDONLY | O_CLOEXEC);
    assert_true(lock_as_a_backup(file, F_RDLCK));
    off_t size = size_of(subject->path);
    put_much(subject, 1);
    assert_int_equal(size_of(subject->path), size);
    assert_true(lock_as_a_backup(file, F_UNLCK));
    put_much(subject, 11);
    assert_true(size_of(subject->path) > size);
    assert_true(lock_as_a_backup(file, F_RDLCK)); /* who played it back has not kept the lock */
    size = size_of(subject->path);
    put_new(subject, call_make(21));
    close_only(subject);
    assert_int_equal(size_of(subject->path), size);
    assert_true(file_exists(path_with(subject->path, "-wal", log)));
    (void)close(file);
}

static void a_file_that_was_being_made_is_not_copied(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    char target[320], journal[320];
    put_new(subject, call_make(1));
    close_only(subject);
    (void)path_with(subject->path, ".copy", target);
    file_write(path_with(subject->path, "-journal", journal), slice_text("x"));
    assert_int_equal(backup(subject->path, target, &error), DR_FAILED_PRECONDITION);
    (void)unlink(journal);
    file_write(subject->path, slice_text(""));
    assert_int_equal(backup(subject->path, target, &error), DR_FAILED_PRECONDITION);
    assert_false(file_exists(target));
}

struct copying {
    const char *path, *target;
    dr_code code;
};

static void *copy(void *arg)
{
    struct copying *copying = arg;
    copying->code = backup(copying->path, copying->target, NULL);
    return NULL;
}

static void a_backup_waits_for_a_checkpoint_to_end(void **state)
{
    struct subject *subject = *state;
    char target[320], incomplete[320];
    put_new(subject, call_make(1));
    close_only(subject);
    int file = open(subject->path, O_RDWR | O_CLOEXEC);
    assert_true(lock_as_a_backup(file, F_WRLCK)); /* as a checkpoint does */
    struct copying copying = {.path = subject->path, .target = path_with(subject->path, ".copy", target)};
    (void)path_with(target, ".incomplete", incomplete);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, copy, &copying), 0);
    bool is_early = false;
    for (int i = 0; i < 20000; i++) { /* one that does not wait is through by now */
        is_early = is_early || file_exists(target) || file_exists(incomplete);
        sched_yield();
    }
    (void)close(file);
    pthread_join(thread, NULL);
    assert_false(is_early);
    assert_int_equal(copying.code, DR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILE(a_file_at_rest_is_copied),
        ON_FILE(nothing_is_overwritten),
        ON_FILE(what_is_no_database_or_damaged_gives_no_copy),
        ON_FILE(the_copy_has_what_was_acknowledged_and_no_gap),
        ON_FILE(nothing_is_played_back_during_a_backup),
        ON_FILE(a_file_that_was_being_made_is_not_copied),
        ON_FILE(a_backup_waits_for_a_checkpoint_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
