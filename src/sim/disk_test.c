/* The disk as SQLite uses it while power is on: files, faults, space, locks, time. */
#include "base/testing.h"

#include "sim/disk_testing.h"

#include "base/clock.h"

static void what_is_written_can_be_read(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    char bytes[6] = {0};
    assert_int_equal(file_write(file, "hello", 0), SQLITE_OK);
    assert_int_equal(file_write(file, "p", 3), SQLITE_OK);
    assert_int_equal(file->pMethods->xRead(file, bytes, 5, 0), SQLITE_OK);
    assert_string_equal(bytes, "helpo");
    assert_file(owner, "a", "helpo");
    file_close(file);
    assert_file(owner, "a", "helpo");
}

static void reading_past_the_end_gives_zeros_and_says_so(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    char bytes[4] = {'x', 'x', 'x', 'x'};
    assert_int_equal(file_write(file, "ab", 0), SQLITE_OK);
    assert_int_equal(file->pMethods->xRead(file, bytes, 4, 1), SQLITE_IOERR_SHORT_READ);
    assert_memory_equal(bytes, "b\0\0\0", 4);
    assert_int_equal(file->pMethods->xRead(file, bytes, 4, 100), SQLITE_IOERR_SHORT_READ);
    assert_memory_equal(bytes, "\0\0\0\0", 4);
    file_close(file);
}

static void a_gap_reads_as_zeros(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    assert_int_equal(file_write(file, "xx", 0), SQLITE_OK);
    assert_int_equal(file->pMethods->xTruncate(file, 1), SQLITE_OK);
    assert_int_equal(file_write(file, "y", 3), SQLITE_OK);
    struct slice bytes = sim_disk_file_bytes(owner->disk, "a");
    assert_true(slice_equal(bytes, slice_of("x\0\0y", 4)));
    file_close(file);
}

static void a_temporary_file_has_no_name_and_leaves_nothing(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, NULL, MAIN | SQLITE_OPEN_DELETEONCLOSE);
    assert_int_equal(file_write(file, "ab", 0), SQLITE_OK);
    assert_int_equal(sim_disk_used_bytes(owner->disk), 2);
    file_close(file);
    assert_int_equal(sim_disk_used_bytes(owner->disk), 0);
    file = file_open(owner, "a", MAIN | SQLITE_OPEN_DELETEONCLOSE);
    file_close(file);
    assert_file(owner, "a", NULL);
}

static void a_deleted_file_lives_on_for_who_has_it_open(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *old = file_open(owner, "a", MAIN);
    assert_int_equal(file_write(old, "old", 0), SQLITE_OK);
    assert_int_equal(file_delete(owner, "a", true), SQLITE_OK);
    assert_int_equal(file_delete(owner, "a", true), SQLITE_IOERR_DELETE_NOENT);
    sqlite3_file *new = file_open(owner, "a", MAIN);
    assert_int_equal(file_write(new, "new", 0), SQLITE_OK);
    char bytes[4] = {0};
    assert_int_equal(old->pMethods->xRead(old, bytes, 3, 0), SQLITE_OK);
    assert_string_equal(bytes, "old");
    assert_int_equal(sim_disk_used_bytes(owner->disk), 6);
    file_close(old);
    file_close(new);
    assert_file(owner, "a", "new");
    assert_int_equal(sim_disk_used_bytes(owner->disk), 3);
}

static void a_missing_file_is_made_only_if_asked(void **state)
{
    struct owner *owner = *state;
    assert_int_equal(file_try(owner, "a", SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE), SQLITE_CANTOPEN);
    assert_int_equal(file_try(owner, "a", MAIN), SQLITE_OK);
    assert_int_equal(file_try(owner, "a", MAIN | SQLITE_OPEN_EXCLUSIVE), SQLITE_CANTOPEN);
}

static void the_number_of_files_has_a_limit(void **state)
{
    struct owner *owner = *state;
    char name[8] = "a";
    for (int i = 0; i < SIM_DISK_FILES_MAX; i++, name[0]++)
        assert_int_equal(file_try(owner, name, MAIN), SQLITE_OK);
    assert_int_equal(file_try(owner, name, MAIN), SQLITE_CANTOPEN);
    assert_int_equal(file_delete(owner, "a", true), SQLITE_OK);
    assert_int_equal(file_try(owner, name, MAIN), SQLITE_OK);
}

/* ---- faults ---- */

static void read_faults_are_errors_and_never_look_like_the_end_of_the_file(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    char bytes[4];
    file_fill(file, 'x', 4, 0);
    owner->countdown[DISK_FAULT_READ] = 1;
    assert_int_equal(file->pMethods->xRead(file, bytes, 4, 0), SQLITE_IOERR_READ);
    owner->countdown[DISK_FAULT_SHORT_READ] = 1;
    assert_int_equal(file->pMethods->xRead(file, bytes, 4, 0), SQLITE_IOERR_READ);
    assert_int_equal(file->pMethods->xRead(file, bytes, 4, 0), SQLITE_OK);
    assert_int_equal(sim_disk_n_faults(owner->disk, DISK_FAULT_READ), 1);
    assert_int_equal(sim_disk_n_faults(owner->disk, DISK_FAULT_SHORT_READ), 1);
    assert_int_equal(sim_disk_n_ops(owner->disk, DISK_OP_READ), 3);
    assert_int_equal(owner->n_before[DISK_OP_READ], 3);
    file_close(file);
}

static void a_failed_write_writes_nothing_and_a_partial_one_a_part(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    owner->countdown[DISK_FAULT_WRITE] = 1;
    assert_int_equal(file_write(file, "0123456789", 0), SQLITE_IOERR_WRITE);
    assert_file(owner, "a", "");
    bool has_some = false;
    for (int i = 0; i < 20; i++) {
        owner->countdown[DISK_FAULT_PARTIAL_WRITE] = 1;
        assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_OK);
        assert_int_equal(file_write(file, "0123456789", 0), SQLITE_IOERR_WRITE);
        size_t len = sim_disk_file_bytes(owner->disk, "a").len;
        assert_in_range(len, 0, 9);
        has_some = has_some || len > 0;
    }
    assert_true(has_some);
    file_close(file);
}

static void other_faults_change_nothing(void **state)
{
    struct owner *owner = *state;
    owner->countdown[DISK_FAULT_OPEN] = 1;
    assert_int_equal(file_try(owner, "a", MAIN), SQLITE_CANTOPEN);
    assert_file(owner, "a", NULL);
    sqlite3_file *file = file_open(owner, "a", MAIN);
    assert_int_equal(file_write(file, "abc", 0), SQLITE_OK);
    owner->countdown[DISK_FAULT_TRUNCATE] = 1;
    assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_IOERR_TRUNCATE);
    owner->countdown[DISK_FAULT_DELETE] = 1;
    assert_int_equal(file_delete(owner, "a", false), SQLITE_IOERR_DELETE);
    assert_file(owner, "a", "abc");
    file_close(file);
}

static void a_full_disk_takes_what_fits_and_goes_on_when_there_is_room(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *a = file_open(owner, "a", MAIN), *b = file_open(owner, "b", MAIN);
    sim_disk_set_capacity(owner->disk, 6);
    assert_int_equal(file_write(a, "1234", 0), SQLITE_OK);
    assert_int_equal(file_write(b, "1234", 0), SQLITE_FULL);
    assert_file(owner, "b", "12");
    assert_int_equal(file_write(a, "abcd", 0), SQLITE_OK); /* in place */
    sim_disk_set_capacity(owner->disk, 3);
    assert_int_equal(file_write(b, "x", 2), SQLITE_FULL);
    assert_int_equal(a->pMethods->xTruncate(a, 0), SQLITE_OK);
    assert_int_equal(file_write(b, "x", 2), SQLITE_OK);
    sim_disk_set_capacity(owner->disk, 0);
    owner->countdown[DISK_FAULT_FULL] = 1;
    assert_int_equal(file_write(b, "1234", 0), SQLITE_FULL);
    assert_int_equal(file_write(b, "1234", 0), SQLITE_OK);
    file_close(a);
    file_close(b);
}

static void a_file_has_a_greatest_length(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    assert_int_equal(file_write(file, "x", (int64_t)SIM_DISK_FILE_BYTES_MAX + 1), SQLITE_FULL);
    assert_int_equal(file_write(file, "x", SIM_DISK_FILE_BYTES_MAX), SQLITE_FULL);
    assert_int_equal(file->pMethods->xTruncate(file, (int64_t)SIM_DISK_FILE_BYTES_MAX + 1),
                     SQLITE_IOERR_TRUNCATE);
    assert_file(owner, "a", "");
    file_close(file);
}

static void a_read_only_disk_reads_and_does_nothing_else(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    char bytes[3];
    assert_int_equal(file_write(file, "abc", 0), SQLITE_OK);
    sim_disk_set_read_only(owner->disk, true);
    assert_int_equal(file->pMethods->xRead(file, bytes, 3, 0), SQLITE_OK);
    assert_int_equal(file_write(file, "x", 0), SQLITE_IOERR_WRITE);
    assert_int_equal(file_sync(file), SQLITE_IOERR_FSYNC);
    assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_IOERR_TRUNCATE);
    assert_int_equal(file_delete(owner, "a", true), SQLITE_IOERR_DELETE);
    assert_int_equal(file_try(owner, "b", MAIN), SQLITE_CANTOPEN);
    int flags = 0;
    sqlite3_vfs *vfs = sqlite3_vfs_find(sim_disk_vfs_name(owner->disk));
    sqlite3_file *other = mem_must_zalloc((size_t)vfs->szOsFile);
    assert_int_equal(vfs->xOpen(vfs, "a", other, MAIN, &flags), SQLITE_OK);
    assert_true(flags & SQLITE_OPEN_READONLY);
    assert_false(flags & SQLITE_OPEN_READWRITE);
    file_close(other);
    sim_disk_set_read_only(owner->disk, false);
    assert_int_equal(file_write(file, "x", 0), SQLITE_OK);
    assert_int_equal(file_sync(file), SQLITE_OK);
    assert_file(owner, "a", "xbc");
    file_close(file);
}

static void a_bit_flips(void **state)
{
    struct owner *owner = *state;
    sim_disk_put_file(owner->disk, "a", slice_text("abc"));
    assert_true(sim_disk_flip_bit(owner->disk, "a", 1, 0));
    assert_file(owner, "a", "acc");
    assert_false(sim_disk_flip_bit(owner->disk, "a", 3, 0));
    assert_false(sim_disk_flip_bit(owner->disk, "b", 0, 0));
    sim_disk_crash(owner->disk);
    assert_file(owner, "a", "acc");
}

/* ---- locks, time, randomness ---- */

static int lock(sqlite3_file *file, int level)
{
    return file->pMethods->xLock(file, level);
}

static void locks_exclude_as_those_of_sqlite_do(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *a = file_open(owner, "a", MAIN), *b = file_open(owner, "a", MAIN);
    sqlite3_file *other = file_open(owner, "b", MAIN);
    int is_reserved = 1;
    assert_int_equal(lock(a, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(b->pMethods->xCheckReservedLock(b, &is_reserved), SQLITE_OK);
    assert_false(is_reserved);
    assert_int_equal(lock(a, SQLITE_LOCK_RESERVED), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_RESERVED), SQLITE_BUSY);
    assert_int_equal(b->pMethods->xCheckReservedLock(b, &is_reserved), SQLITE_OK);
    assert_true(is_reserved);
    assert_int_equal(lock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
    b->pMethods->xUnlock(b, SQLITE_LOCK_NONE);
    assert_int_equal(lock(b, SQLITE_LOCK_SHARED), SQLITE_BUSY); /* the writer waits */
    assert_int_equal(lock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_SHARED), SQLITE_BUSY);
    assert_int_equal(lock(other, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    a->pMethods->xUnlock(a, SQLITE_LOCK_SHARED);
    assert_int_equal(lock(b, SQLITE_LOCK_SHARED), SQLITE_OK);
    file_close(a);
    assert_int_equal(lock(b, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    file_close(b);
    file_close(other);
}

static void a_dead_process_holds_no_lock(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *dead = file_open(owner, "a", MAIN);
    assert_int_equal(lock(dead, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    sim_disk_kill(owner->disk);
    file_close(dead);
    sqlite3_file *file = file_open(owner, "a", MAIN);
    assert_int_equal(lock(file, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    file_close(file);
}

static void time_and_sleep_are_the_owners(void **state)
{
    struct owner *owner = *state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(sim_disk_vfs_name(owner->disk));
    sqlite3_int64 ms = 0;
    owner->now_ns = 1700000000 * NS_PER_S;
    assert_int_equal(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
    assert_int_equal(ms, INT64_C(210866760000000) + INT64_C(1700000000000));
    vfs->xSleep(vfs, 5000);
    assert_int_equal(owner->slept_ns, 5 * NS_PER_MS);
}

/* Two databases of the same history are the same to the byte, salts included. */
static void write_history(uint64_t seed, struct sim_disk **ret_disk)
{
    struct owner owner = {0};
    random_init(&owner.random, seed);
    struct sim_disk_config config = owner_config(&owner);
    owner.disk = sim_disk_create(&config);
    sim_disk_make_default(owner.disk);
    sqlite3 *database;
    assert_int_equal(sqlite3_open("a", &database), SQLITE_OK); /* the default */
    assert_int_equal(sqlite3_exec(database,
                                  "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                  "CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(20));",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sim_disk_kill(owner.disk);
    sqlite3_close(database);
    assert_true(sim_disk_file_bytes(owner.disk, "a-wal").len > 0);
    *ret_disk = sim_disk_clone(owner.disk, &(struct sim_disk_config){0});
    sim_disk_destroy(owner.disk);
}

static void the_same_answers_give_the_same_bytes(void **state)
{
    (void)state;
    struct sim_disk *a, *b, *c;
    write_history(1, &a);
    write_history(1, &b);
    write_history(2, &c);
    assert_true(slice_equal(sim_disk_file_bytes(a, "a"), sim_disk_file_bytes(b, "a")));
    assert_true(slice_equal(sim_disk_file_bytes(a, "a-wal"), sim_disk_file_bytes(b, "a-wal")));
    assert_false(slice_equal(sim_disk_file_bytes(a, "a-wal"), sim_disk_file_bytes(c, "a-wal")));
    sim_disk_destroy(a);
    sim_disk_destroy(b);
    sim_disk_destroy(c);
    assert_string_equal(sqlite3_vfs_find(NULL)->zName, "unix");
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, owner_open, owner_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(what_is_written_can_be_read),
        ON_DISK(reading_past_the_end_gives_zeros_and_says_so),
        ON_DISK(a_gap_reads_as_zeros),
        ON_DISK(a_temporary_file_has_no_name_and_leaves_nothing),
        ON_DISK(a_deleted_file_lives_on_for_who_has_it_open),
        ON_DISK(a_missing_file_is_made_only_if_asked),
        ON_DISK(the_number_of_files_has_a_limit),
        ON_DISK(read_faults_are_errors_and_never_look_like_the_end_of_the_file),
        ON_DISK(a_failed_write_writes_nothing_and_a_partial_one_a_part),
        ON_DISK(other_faults_change_nothing),
        ON_DISK(a_full_disk_takes_what_fits_and_goes_on_when_there_is_room),
        ON_DISK(a_file_has_a_greatest_length),
        ON_DISK(a_read_only_disk_reads_and_does_nothing_else),
        ON_DISK(a_bit_flips),
        ON_DISK(locks_exclude_as_those_of_sqlite_do),
        ON_DISK(a_dead_process_holds_no_lock),
        ON_DISK(time_and_sleep_are_the_owners),
        cmocka_unit_test(the_same_answers_give_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
