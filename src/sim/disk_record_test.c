/* Recordings, and the disks that come of their prefixes. */
#include "base/testing.h"

#include "sim/disk_testing.h"

static struct sim_disk_config quiet(void)
{
    return (struct sim_disk_config){0}; /* loss of power loses all that was not synced */
}

static void assert_on(struct sim_disk *disk, const char *name, const char *text)
{
    struct owner owner = {.disk = disk};
    assert_file(&owner, name, text);
}

/* A disk with the file "old", and a recording of 8 operations on it. */
static struct sim_recording *record(struct owner *owner)
{
    sim_disk_put_file(owner->disk, "old", slice_text("old"));
    sim_disk_record(owner->disk);
    sqlite3_file *old = file_open(owner, "old", MAIN), *new = file_open(owner, "new-wal", WAL); /* 1 */
    assert_int_equal(file_write(old, "OLDER", 0), SQLITE_OK); /* 2 */
    assert_int_equal(file_write(new, "new", 0), SQLITE_OK); /* 3 */
    assert_int_equal(file_sync(new), SQLITE_OK); /* 4, directory as well */
    assert_int_equal(old->pMethods->xTruncate(old, 2), SQLITE_OK); /* 5 */
    assert_int_equal(file_sync(old), SQLITE_OK); /* 6 */
    file_close(old);
    file_close(new);
    assert_int_equal(file_delete(owner, "old", false), SQLITE_OK); /* 7 */
    assert_int_equal(file_delete(owner, "new-wal", true), SQLITE_OK); /* 8 */
    assert_int_equal(sim_disk_recorded(owner->disk), 8);
    struct sim_recording *recording = sim_disk_recording_take(owner->disk);
    assert_int_equal(sim_disk_recorded(owner->disk), 0);
    assert_int_equal(sim_recording_length(recording), 8);
    assert_int_equal(sim_recording_op(recording, 1), DISK_OP_WRITE);
    assert_int_equal(sim_recording_op(recording, 7), DISK_OP_DELETE);
    return recording;
}

static void a_replay_has_the_first_operations_and_no_more(void **state)
{
    struct sim_recording *recording = record(*state);
    static const struct {
        const char *old, *new;
    } EXPECTED[] = {{"old", NULL}, {"old", ""},   {"OLDER", ""}, {"OLDER", "new"}, {"OLDER", "new"},
                    {"OL", "new"}, {"OL", "new"}, {NULL, "new"}, {NULL, NULL}};
    struct sim_disk_config config = quiet();
    struct sim_disk *stepped = sim_disk_replay(recording, 0, &config);
    for (size_t n = 0; n <= 8; n++) {
        struct sim_disk *disk = sim_disk_replay(recording, n, &config);
        assert_on(disk, "old", EXPECTED[n].old);
        assert_on(disk, "new-wal", EXPECTED[n].new);
        assert_on(stepped, "old", EXPECTED[n].old);
        assert_on(stepped, "new-wal", EXPECTED[n].new);
        sim_disk_destroy(disk);
        if (n < 8)
            sim_disk_replay_on(stepped, recording, n, n + 1);
    }
    sim_disk_destroy(stepped);
    sim_recording_destroy(recording);
}

static void a_replay_knows_what_was_synced(void **state)
{
    struct sim_recording *recording = record(*state);
    static const struct {
        const char *old, *new;
    } EXPECTED[] = {{"old", NULL},  {"old", NULL}, {"old", NULL}, {"old", NULL}, {"old", "new"},
                    {"old", "new"}, {"OL", "new"}, {"OL", "new"}, {NULL, NULL}};
    struct sim_disk_config config = quiet();
    for (size_t n = 0; n <= 8; n++) {
        struct sim_disk *disk = sim_disk_replay(recording, n, &config);
        struct sim_disk *clone = sim_disk_clone(disk, &config);
        sim_disk_crash(disk);
        sim_disk_crash(clone);
        assert_on(disk, "old", EXPECTED[n].old);
        assert_on(disk, "new-wal", EXPECTED[n].new);
        assert_on(clone, "old", EXPECTED[n].old);
        assert_on(clone, "new-wal", EXPECTED[n].new);
        sim_disk_destroy(disk);
        sim_disk_destroy(clone);
    }
    sim_recording_destroy(recording);
}

static void a_torn_write_has_some_of_its_sectors(void **state)
{
    struct owner *owner = *state;
    sim_disk_record(owner->disk);
    sqlite3_file *file = file_open(owner, "a", WAL);
    file_fill(file, 'o', 1024, 0);
    file_fill(file, 'n', 1024, 100); /* three sectors, two of them in part */
    file_close(file);
    struct sim_recording *recording = sim_disk_recording_take(owner->disk);
    struct sim_disk_config config = owner_config(owner);
    unsigned n_middle_only = 0, n_last_only = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct sim_disk *disk = sim_disk_replay(recording, 2, &config);
        sim_disk_replay_torn(disk, recording, 2);
        sim_disk_replay_torn(disk, recording, 0); /* not a write */
        struct slice bytes = sim_disk_file_bytes(disk, "a");
        assert_true(bytes.len == 1024 || bytes.len == 1124);
        assert_int_equal(bytes.data[99], 'o');
        assert_int_equal(bytes.data[100], bytes.data[511]);
        assert_int_equal(bytes.data[512], bytes.data[1023]);
        bool has_first = bytes.data[100] == 'n', has_middle = bytes.data[512] == 'n';
        n_middle_only += !has_first && has_middle && bytes.len == 1024;
        n_last_only += !has_first && !has_middle && bytes.len == 1124;
        sim_disk_destroy(disk);
    }
    assert_true(n_middle_only && n_last_only);
    sim_recording_destroy(recording);
}

static void files_without_a_name_are_not_recorded(void **state)
{
    struct owner *owner = *state;
    sim_disk_record(owner->disk);
    sqlite3_file *temporary = file_open(owner, NULL, MAIN | SQLITE_OPEN_DELETEONCLOSE);
    sqlite3_file *file = file_open(owner, "a", MAIN);
    file_fill(temporary, 'x', 10, 0);
    assert_int_equal(file_delete(owner, "a", false), SQLITE_OK);
    file_fill(file, 'x', 10, 0);
    assert_int_equal(file_sync(file), SQLITE_OK);
    assert_int_equal(sim_disk_recorded(owner->disk), 2);
    file_close(temporary);
    file_close(file);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, owner_open, owner_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(a_replay_has_the_first_operations_and_no_more),
        ON_DISK(a_replay_knows_what_was_synced),
        ON_DISK(a_torn_write_has_some_of_its_sectors),
        ON_DISK(files_without_a_name_are_not_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
