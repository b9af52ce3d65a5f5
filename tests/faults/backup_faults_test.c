/* Backups and verifications while allocations and the disk fail: a backup is there whole or not at all, a whole file is
 * not said to be damaged because it cannot be read, and what is copied or verified stays as it is. */
#include "base/testing.h"

#include "faults.h"

#include "../store/subject.h"
#include "store/store_backup.h"
#include "store/store_verify.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CALLS = 5, POINTS = 25 };

struct world {
    char directory[256], path[320];
    bool has_log; /* as a killed server leaves it */
};

static struct {
    bool is_read_lost, is_unlink_lost;
} fault;

static void put_calls(const char *path, const char *copy)
{
    struct store *store = NULL;
    char log[320], log_copy[320];
    assert_int_equal(store_sqlite_open(&(struct store_sqlite_options){.path = path}, &store, NULL), DR_OK);
    for (uint64_t n = 1; n <= CALLS; n++) {
        static uint8_t bytes[6000];
        struct batch *batch = batch_create(n);
        struct call_record call = call_make(n);
        blob_unref(call.input);
        call.input = blob_create(slice_of(bytes, n == 2 ? sizeof bytes : 10));
        batch_add(batch, BATCH_INSERT, 0, &call);
        record_deinit(&call);
        assert_int_equal(store_commit(store, &batch, 1, NULL), DR_OK);
        batch_destroy(batch);
    }
    struct buf bytes = file_read(path), log_bytes = file_read(path_with(path, "-wal", log));
    file_write(copy, buf_slice(&bytes));
    file_write(path_with(copy, "-wal", log_copy), buf_slice(&log_bytes));
    buf_deinit(&bytes);
    buf_deinit(&log_bytes);
    store_close(store);
}

static void expect(dr_code code, const struct dr_error *error)
{
    bool is_known = code == DR_UNAVAILABLE || code == DR_NO_MEMORY || (fault.is_read_lost && code == DR_DATA_LOSS);
    if (code != DR_OK && (fault_hits() == 0 || !is_known))
        fail_msg("%s: %s", dr_code_name(code), error->message);
}

static void on_finding(void *arg, const char *text)
{
    (void)arg;
    if (!fault.is_read_lost)
        fail_msg("%s", text);
}

static void check_whole(const char *path)
{
    struct store_verify_result result = {0};
    struct store_verify_options options = {.path = path, .on_finding = on_finding};
    struct dr_error error = {0};
    if (store_verify(&options, &result, &error))
        fail_msg("%s", error.message);
    assert_int_equal(result.n_calls, CALLS);
    assert_int_equal(result.n_payloads, 1);
    assert_int_equal(result.n_findings, 0);
}

static void backs_up(struct world *world)
{
    struct store_verify_result result = {0};
    struct dr_error error = {0};
    char target[320], incomplete[320];
    (void)path_with(world->directory, "/copy", target);
    fault_begin();
    dr_code code = store_backup(&(struct store_backup_options){.path = world->path, .target = target}, &result, &error);
    fault_end();
    expect(code, &error);
    if (file_exists(target)) /* also when only the folder could not be synced */
        check_whole(target);
    else
        assert_true(code);
    assert_true(fault.is_unlink_lost || !file_exists(path_with(target, ".incomplete", incomplete)));
    assert_true(fault.is_unlink_lost || !file_exists(path_with(target, ".incomplete-wal", incomplete)));
}

static void verifies(struct world *world)
{
    struct store_verify_result result = {0};
    struct store_verify_options options = {.path = world->path, .on_finding = on_finding};
    struct dr_error error = {0};
    fault_begin();
    dr_code code = store_verify(&options, &result, &error);
    fault_end();
    expect(code, &error);
    assert_true(code || fault.is_read_lost || result.n_calls == CALLS);
}

static void scenario(bool has_log, void (*run)(struct world *))
{
    struct world world = {.has_log = has_log};
    char made[320], log[320];
    directory_make(world.directory, sizeof world.directory);
    (void)path_with(world.directory, "/db", made);
    (void)path_with(world.directory, has_log ? "/killed" : "/db", world.path);
    char killed[320];
    put_calls(made, path_with(world.directory, "/killed", killed));
    struct buf before = file_read(world.path);
    run(&world);
    struct buf after = file_read(world.path);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    assert_int_equal(file_exists(path_with(world.path, "-wal", log)), has_log);
    check_whole(world.path);
    buf_deinit(&before);
    buf_deinit(&after);
    directory_remove(world.directory);
}

static void backup_scenario(void *arg) { scenario(*(bool *)arg, backs_up); }
static void verify_scenario(void *arg) { scenario(*(bool *)arg, verifies); }

static void sweep(const char *name, enum fault_kind kind, int error)
{
    fault.is_read_lost = kind == FAULT_READ && error == EIO;
    fault.is_unlink_lost = kind == FAULT_UNLINK;
    for (int i = 0; i < 2; i++) {
        bool has_log = i > 0;
        struct fault_sweep sweep = {.name = name, .kind = kind, .error = error, .points_max = POINTS, .arg = &has_log,
                                    .run = backup_scenario};
        fault_sweep(&sweep);
        if (kind > FAULT_READ)
            continue; /* a verification writes nothing */
        sweep.run = verify_scenario;
        fault_sweep(&sweep);
    }
}

static void a_copy_is_whole_or_not_there_when_memory_is_short(void **state)
{
    (void)state;
    sweep("backup: allocation", FAULT_ALLOC, ENOMEM);
    sweep("backup: allocation in SQLite", FAULT_SQLITE_ALLOC, ENOMEM);
}

static void a_copy_is_whole_or_not_there_when_files_cannot_be_opened_or_read(void **state)
{
    (void)state;
    sweep("backup: open", FAULT_OPEN, EMFILE);
    sweep("backup: read", FAULT_READ, EIO);
    sweep("backup: read, interrupted", FAULT_READ, EINTR);
    sweep("backup: read, in parts", FAULT_READ, 0);
}

static void a_copy_is_whole_or_not_there_when_writes_and_syncs_fail(void **state)
{
    (void)state;
    sweep("backup: write", FAULT_WRITE, ENOSPC);
    sweep("backup: write, interrupted", FAULT_WRITE, EINTR);
    sweep("backup: write, in parts", FAULT_WRITE, 0);
    sweep("backup: sync", FAULT_SYNC, EIO);
    sweep("backup: unlink", FAULT_UNLINK, EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_whole_or_not_there_when_memory_is_short),
        cmocka_unit_test(a_copy_is_whole_or_not_there_when_files_cannot_be_opened_or_read),
        cmocka_unit_test(a_copy_is_whole_or_not_there_when_writes_and_syncs_fail),
    };
    fault_wrap_sqlite();
    return cmocka_run_group_tests_name("backup faults", tests, NULL, NULL);
}
