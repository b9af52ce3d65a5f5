/* The SQLite store while allocations and the disk fail: every operation ends with an answer or an error that says what
 * is wrong, a failed commit can be tried again, and after a reopening all is there that was acknowledged, and of the rest
 * a batch is there whole or not at all (I4, I6). */
#include "base/testing.h"

#include "faults.h"

#include "../store/subject.h"
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCHES = 8, TRIES = 3, PURGED = 2 };

/* A disk that answers EIO to a read has lost what it held: SQLite says so, and so do we. */
static bool is_read_lost;

struct world {
    char directory[256], path[320];
    struct store *store;
    bool is_acknowledged[BATCHES + 1];
    bool is_purged_maybe;
};

static void expect(dr_code code, const struct dr_error *error)
{
    if (code == DR_OK)
        return;
    bool is_known = code == DR_UNAVAILABLE || code == DR_NO_MEMORY || (is_read_lost && code == DR_DATA_LOSS);
    if (fault_hits() == 0 || !is_known)
        fail_msg("%s: %s", dr_code_name(code), error->message);
    assert_true(error->message[0] != '\0');
}

/* Batch n makes call n, with a long input now and then, and ends call n - 1. */
static struct batch *batch_of(uint64_t n)
{
    static uint8_t bytes[6000];
    struct batch *batch = batch_create(n);
    struct call_record call = call_make(n);
    blob_unref(call.input);
    call.input = blob_create(slice_of(bytes, n % 3 == 0 ? sizeof bytes : 10));
    batch_add(batch, BATCH_INSERT, 0, &call);
    record_deinit(&call);
    if (n > 1) {
        call = call_make(n - 1);
        call_finish(&call, (int64_t)n * 1000, n);
        batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_RESULT, &call);
        record_deinit(&call);
    }
    return batch;
}

/* A commit that has failed may be tried again: it works when the disk does. */
static bool commit_one(struct world *world, uint64_t n)
{
    fault_end();
    struct batch *batch = batch_of(n);
    fault_begin();
    struct dr_error error = {0};
    dr_code code = DR_UNAVAILABLE;
    for (int i = 0; i < TRIES && code; i++) {
        code = store_commit(world->store, &batch, 1, &error);
        expect(code, &error);
    }
    if (code && !fault_goes_on())
        fail_msg("a commit that was tried again: %s", error.message);
    batch_destroy(batch);
    world->is_acknowledged[n] = code == DR_OK;
    return code == DR_OK;
}

/* What is read is right, or it is not read. */
static void read_all(struct world *world, uint64_t n_calls)
{
    struct dr_error error = {0};
    for (uint64_t n = 1; n <= n_calls; n++) {
        struct call_record record = {0};
        dr_code code = store_read(world->store, call_id(n), &record, &error);
        expect(code, &error);
        if (!code) {
            assert_int_equal(record.state, n < n_calls ? CALL_DONE : CALL_SCHEDULED);
            assert_int_equal(record.input->len, n % 3 == 0 ? 6000 : 10);
        }
        record_deinit(&record);
    }
    struct store_scan_result due = {0};
    struct store_records listed = {0};
    struct store_filter filter = {.status = -1, .limit = 100};
    dr_code code = store_scan_due(world->store, (struct store_cursor){0}, TIME_NEVER - 1, 10, 100000, &due, &error);
    expect(code, &error);
    assert_true(code || due.records.n_records == (n_calls > 0));
    code = store_list(world->store, &filter, &listed, &error);
    expect(code, &error);
    assert_true(code || listed.n_records == n_calls);
    store_records_deinit(&due.records);
    store_records_deinit(&listed);
}

static void use(struct world *world)
{
    struct dr_error error = {0};
    uint64_t n = 0;
    while (n < BATCHES && commit_one(world, n + 1))
        n++;
    read_all(world, n);
    struct purge_order order = {.after_done_ns = INT64_MIN, .done_before_ns = 1000 * (PURGED + 2), .limit = PURGED};
    struct purge_result purged = {0};
    world->is_purged_maybe = true;
    expect(store_purge(world->store, &order, &purged, &error), &error);
}

static void check_call(struct world *world, uint64_t n, bool is_next_there)
{
    struct call_record record = {0};
    dr_code code = store_read(world->store, call_id(n), &record, NULL);
    bool is_purged = world->is_purged_maybe && n <= PURGED;
    if (code == DR_NOT_FOUND) {
        assert_true(is_purged || !world->is_acknowledged[n]);
        assert_true(is_purged || !is_next_there);
        return;
    }
    assert_int_equal(code, DR_OK);
    assert_int_equal(record.state, is_next_there ? CALL_DONE : CALL_SCHEDULED); /* one batch made the one and ended the other */
    record_deinit(&record);
}

static void check(struct world *world)
{
    struct dr_error error = {0};
    struct store_counts counts;
    if (store_sqlite_open(&(struct store_sqlite_options){.path = world->path}, &world->store, &error))
        fail_msg("reopen: %s", error.message);
    for (uint64_t n = BATCHES; n >= 1; n--) {
        struct call_record next = {0};
        bool is_next_there = n < BATCHES && store_read(world->store, call_id(n + 1), &next, NULL) == DR_OK;
        record_deinit(&next);
        check_call(world, n, is_next_there);
    }
    assert_int_equal(store_counts(world->store, &counts, &error), DR_OK);
    assert_true(counts.n_live <= 1);
    store_close(world->store);
}

static void scenario(void *arg)
{
    (void)arg;
    struct world world = {0};
    struct dr_error error = {0};
    directory_make(world.directory, sizeof world.directory);
    (void)path_with(world.directory, "/db", world.path);
    fault_begin();
    dr_code code = store_sqlite_open(&(struct store_sqlite_options){.path = world.path}, &world.store, &error);
    expect(code, &error);
    if (!code) {
        use(&world);
        store_close(world.store);
    }
    fault_end();
    check(&world);
    directory_remove(world.directory);
}

/* Once with one fault, once with faults from there on; but nobody is interrupted for ever. */
static void sweep(const char *name, enum fault_kind kind, int error)
{
    struct fault_sweep sweep = {.name = name, .kind = kind, .error = error, .run = scenario};
    is_read_lost = kind == FAULT_READ && error == EIO;
    fault_sweep(&sweep);
    sweep.goes_on = true;
    if (error != EINTR && error != 0)
        fault_sweep(&sweep);
}

static void loses_nothing_when_memory_is_short(void **state)
{
    (void)state;
    sweep("store: allocation", FAULT_ALLOC, ENOMEM);
    sweep("store: allocation in SQLite", FAULT_SQLITE_ALLOC, ENOMEM);
}

static void loses_nothing_when_files_cannot_be_opened(void **state)
{
    (void)state;
    sweep("store: open, no descriptors", FAULT_OPEN, EMFILE);
    sweep("store: open, not permitted", FAULT_OPEN, EACCES);
}

static void loses_nothing_when_reads_fail(void **state)
{
    (void)state;
    sweep("store: read", FAULT_READ, EIO);
    sweep("store: read, interrupted", FAULT_READ, EINTR);
    sweep("store: read, in parts", FAULT_READ, 0);
}

static void loses_nothing_when_writes_fail(void **state)
{
    (void)state;
    sweep("store: write", FAULT_WRITE, EIO);
    sweep("store: write, disk full", FAULT_WRITE, ENOSPC);
    sweep("store: write, in parts", FAULT_WRITE, 0);
}

static void loses_nothing_when_syncs_fail(void **state)
{
    (void)state;
    sweep("store: sync", FAULT_SYNC, EIO);
}

static void loses_nothing_when_files_cannot_be_cut_or_removed(void **state)
{
    (void)state;
    sweep("store: truncate", FAULT_TRUNCATE, EIO);
    sweep("store: unlink", FAULT_UNLINK, EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing_when_memory_is_short),
        cmocka_unit_test(loses_nothing_when_files_cannot_be_opened),
        cmocka_unit_test(loses_nothing_when_reads_fail),
        cmocka_unit_test(loses_nothing_when_writes_fail),
        cmocka_unit_test(loses_nothing_when_syncs_fail),
        cmocka_unit_test(loses_nothing_when_files_cannot_be_cut_or_removed),
    };
    fault_wrap_sqlite();
    return cmocka_run_group_tests_name("store faults", tests, NULL, NULL);
}
