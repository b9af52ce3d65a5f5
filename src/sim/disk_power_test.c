/* What is left after loss of power, after the death of the process, and after a failed sync. What the disk
 * may do, it must be seen doing: each test tries many seeds and names what it met. */
#include "base/testing.h"

#include "sim/disk_testing.h"

#include <stdio.h>

#define SEEDS 300
#define SECTORS 8
#define SECTOR SIM_DISK_SECTOR_BYTES

static void start(struct owner *owner, uint64_t seed)
{
    sim_disk_destroy(owner->disk);
    struct sim_disk_config config = owner_config(owner);
    random_init(&owner->random, seed);
    owner->disk = sim_disk_create(&config);
}

/* Eight sectors of one letter, durable. */
static sqlite3_file *start_with(struct owner *owner, uint64_t seed, char letter)
{
    start(owner, seed);
    sqlite3_file *file = file_open(owner, "a", WAL);
    file_fill(file, letter, SECTORS * SECTOR, 0);
    assert_int_equal(file_sync(file), SQLITE_OK);
    return file;
}

static void crash(struct owner *owner, sqlite3_file *file)
{
    sim_disk_crash(owner->disk);
    file_close(file);
}

/* One letter a sector: its byte, or '?' when they differ. */
static const char *sectors(struct owner *owner, const char *name, char text[64])
{
    struct slice bytes = sim_disk_file_bytes(owner->disk, name);
    size_t n = 0;
    for (size_t at = 0; at < bytes.len && n < 63; at += SECTOR, n++) {
        text[n] = bytes.data[at] ? (char)bytes.data[at] : '0';
        for (size_t i = at; i < bytes.len && i < at + SECTOR; i++)
            if (bytes.data[i] != bytes.data[at])
                text[n] = '?';
    }
    text[n] = '\0';
    return text;
}

static void what_was_synced_survives(void **state)
{
    struct owner *owner = *state;
    char text[64];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, 'n', 2 * SECTOR, SECTOR);
        assert_int_equal(file_sync(file), SQLITE_OK);
        crash(owner, file);
        assert_string_equal(sectors(owner, "a", text), "onnooooo");
    }
}

static void of_what_was_not_synced_any_sectors_are_left(void **state)
{
    struct owner *owner = *state;
    char text[64];
    unsigned n_all = 0, n_none = 0, n_first_only = 0, n_second_only = 0, n_hole = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, '1', 4 * SECTOR, 0);
        file_fill(file, '2', 2 * SECTOR, 3 * SECTOR);
        crash(owner, file);
        sectors(owner, "a", text);
        assert_int_equal(strlen(text), SECTORS);
        assert_int_equal(strspn(text, "o1"), strcspn(text, "2"));
        assert_null(strpbrk(text, "?0"));
        assert_string_equal(text + 5, "ooo");
        n_all += strcmp(text, "11122ooo") == 0;
        n_none += strcmp(text, "oooooooo") == 0;
        n_first_only += strcmp(text, "1111oooo") == 0;
        n_second_only += text[0] == 'o' && text[4] == '2';
        n_hole += text[0] == '1' && text[1] == 'o' && text[2] == '1';
    }
    assert_true(n_all && n_none && n_first_only && n_second_only && n_hole);
}

static void a_file_may_have_grown_without_its_bytes_or_not_have_shrunk(void **state)
{
    struct owner *owner = *state;
    char text[64];
    unsigned n_long = 0, n_short = 0, n_zeros = 0, n_shrunk = 0, n_not_shrunk = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, 'n', 2 * SECTOR, SECTORS * SECTOR);
        crash(owner, file);
        sectors(owner, "a", text);
        assert_memory_equal(text, "oooooooo", SECTORS);
        n_long += strcmp(text + SECTORS, "nn") == 0;
        n_short += strcmp(text + SECTORS, "") == 0;
        n_zeros += strchr(text, '0') != NULL;
        file = start_with(owner, seed, 'o');
        assert_int_equal(file->pMethods->xTruncate(file, SECTOR), SQLITE_OK);
        crash(owner, file);
        n_shrunk += strcmp(sectors(owner, "a", text), "o") == 0;
        n_not_shrunk += strcmp(text, "oooooooo") == 0;
    }
    assert_true(n_long && n_short && n_zeros);
    assert_int_equal(n_shrunk + n_not_shrunk, SEEDS);
    assert_true(n_shrunk && n_not_shrunk);
}

static void a_torn_sector_is_mixed(void **state)
{
    struct owner *owner = *state;
    unsigned n_mixed = 0;
    char text[64];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, 'n', 3 * SECTOR, SECTOR);
        owner->countdown[DISK_FAULT_TORN_SECTOR] = 1;
        crash(owner, file);
        owner->countdown[DISK_FAULT_TORN_SECTOR] = 0;
        sectors(owner, "a", text);
        struct slice bytes = sim_disk_file_bytes(owner->disk, "a");
        for (size_t i = 0; i < bytes.len; i++)
            assert_true(bytes.data[i] == 'o' || (bytes.data[i] == 'n' && i / SECTOR >= 1 && i / SECTOR <= 3));
        n_mixed += strchr(text, '?') != NULL;
        assert_true(strchr(text, '?') == NULL || strchr(strchr(text, '?') + 1, '?') == NULL);
    }
    assert_true(n_mixed > 0);
    assert_true(n_mixed < SEEDS);
}

static void a_disk_without_powersafe_overwrite_destroys_what_is_beside(void **state)
{
    struct owner *owner = *state;
    unsigned n_beside = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(owner, seed);
        sim_disk_destroy(owner->disk);
        struct sim_disk_config config = owner_config(owner);
        config.is_not_powersafe = seed % 2;
        owner->disk = sim_disk_create(&config);
        sqlite3_file *file = file_open(owner, "a", WAL);
        assert_int_equal(file->pMethods->xDeviceCharacteristics(file),
                         seed % 2 ? 0 : SQLITE_IOCAP_POWERSAFE_OVERWRITE);
        file_fill(file, 'o', SECTOR, 0);
        assert_int_equal(file_sync(file), SQLITE_OK);
        file_fill(file, 'n', 1, 100);
        owner->countdown[DISK_FAULT_TORN_SECTOR] = 1;
        crash(owner, file);
        owner->countdown[DISK_FAULT_TORN_SECTOR] = 0;
        bool is_beside = sim_disk_file_bytes(owner->disk, "a").data[0] != 'o';
        assert_true(!is_beside || seed % 2);
        n_beside += is_beside;
    }
    assert_true(n_beside > 0);
}

static void a_failed_sync_forgets_what_it_did_not_bring(void **state)
{
    struct owner *owner = *state;
    char text[64];
    unsigned n_lost = 0, n_there = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, 'n', SECTOR, 0);
        owner->countdown[DISK_FAULT_SYNC] = 1;
        assert_int_equal(file_sync(file), SQLITE_IOERR_FSYNC);
        assert_string_equal(sectors(owner, "a", text), "nooooooo");
        assert_int_equal(file_sync(file), SQLITE_OK); /* as Linux says */
        crash(owner, file);
        n_lost += strcmp(sectors(owner, "a", text), "oooooooo") == 0;
        n_there += strcmp(text, "nooooooo") == 0;
    }
    assert_int_equal(n_lost + n_there, SEEDS);
    assert_true(n_lost && n_there);
}

static void what_is_written_again_after_a_failed_sync_is_synced(void **state)
{
    struct owner *owner = *state;
    char text[64];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, 'n', SECTOR, 0);
        owner->countdown[DISK_FAULT_SYNC] = 1;
        assert_int_equal(file_sync(file), SQLITE_IOERR_FSYNC);
        file_fill(file, 'n', 1, 5); /* one byte brings its sector */
        assert_int_equal(file_sync(file), SQLITE_OK);
        crash(owner, file);
        assert_string_equal(sectors(owner, "a", text), "nooooooo");
    }
}

/* ---- names ---- */

static void names_are_durable_once_the_directory_is_synced(void **state)
{
    struct owner *owner = *state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(owner, seed);
        sqlite3_file *file = file_open(owner, "a", MAIN), *wal = file_open(owner, "a-wal", WAL);
        assert_int_equal(file_write(file, "a", 0), SQLITE_OK);
        assert_int_equal(file_sync(file), SQLITE_OK);
        assert_int_equal(file_sync(wal), SQLITE_OK); /* a new WAL syncs the directory, so `a` as well */
        assert_int_equal(file_try(owner, "b", MAIN), SQLITE_OK);
        assert_int_equal(file_delete(owner, "b", true), SQLITE_OK);
        sim_disk_crash(owner->disk);
        file_close(file);
        file_close(wal);
        assert_file(owner, "a", "a");
        assert_file(owner, "a-wal", "");
        assert_file(owner, "b", NULL);
    }
}

static void names_that_are_not_durable_vanish_and_come_back(void **state)
{
    struct owner *owner = *state;
    unsigned n_vanished = 0, n_there = 0, n_back = 0, n_gone = 0, n_first = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(owner, seed);
        sim_disk_put_file(owner->disk, "old", slice_text("old"));
        sqlite3_file *file = file_open(owner, "new", MAIN);
        assert_int_equal(file_write(file, "new", 0), SQLITE_OK);
        assert_int_equal(file_sync(file), SQLITE_OK); /* a database does not sync the directory */
        assert_int_equal(file_delete(owner, "old", false), SQLITE_OK);
        assert_int_equal(file_try(owner, "old", MAIN), SQLITE_OK); /* again, empty */
        crash(owner, file);
        bool is_there = sim_disk_has_file(owner->disk, "new");
        assert_file(owner, "new", is_there ? "new" : NULL);
        n_there += is_there;
        n_vanished += !is_there;
        n_gone += !sim_disk_has_file(owner->disk, "old");
        n_back += sim_disk_file_bytes(owner->disk, "old").len == 3;
        n_first += sim_disk_has_file(owner->disk, "old") && sim_disk_file_bytes(owner->disk, "old").len == 0;
    }
    assert_true(n_vanished && n_there && n_back && n_gone && n_first);
    assert_int_equal(n_back + n_gone + n_first, SEEDS);
}

static void a_failed_sync_of_the_directory_makes_nothing_durable(void **state)
{
    struct owner *owner = *state;
    unsigned n_back = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(owner, seed);
        sim_disk_put_file(owner->disk, "a", slice_text("a"));
        owner->countdown[DISK_FAULT_SYNC] = 1;
        assert_int_equal(file_delete(owner, "a", true), SQLITE_IOERR_DIR_FSYNC);
        sim_disk_crash(owner->disk);
        n_back += sim_disk_has_file(owner->disk, "a");
    }
    assert_true(n_back > 0);
}

/* ---- death ---- */

static void the_death_of_a_process_loses_nothing_and_makes_nothing_durable(void **state)
{
    struct owner *owner = *state;
    char text[64];
    unsigned n_lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = start_with(owner, seed, 'o');
        file_fill(file, 'n', SECTOR, 0);
        sim_disk_kill(owner->disk);
        file_close(file);
        assert_string_equal(sectors(owner, "a", text), "nooooooo");
        sim_disk_crash(owner->disk);
        n_lost += strcmp(sectors(owner, "a", text), "oooooooo") == 0;
    }
    assert_true(n_lost > 0);
}

static void a_dead_handle_does_nothing_and_the_disk_is_down_until_it_is_closed(void **state)
{
    struct owner *owner = *state;
    sqlite3_file *file = file_open(owner, "a", MAIN);
    sqlite3_int64 size;
    char bytes[1];
    int is_reserved;
    sim_disk_put_file(owner->disk, "b", slice_text("b"));
    sim_disk_kill(owner->disk);
    assert_int_equal(file_write(file, "abc", 0), SQLITE_IOERR_WRITE);
    assert_int_equal(file->pMethods->xRead(file, bytes, 1, 0), SQLITE_IOERR_READ);
    assert_int_equal(file_sync(file), SQLITE_IOERR_FSYNC);
    assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_IOERR_TRUNCATE);
    assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_IOERR_FSTAT);
    assert_int_equal(file->pMethods->xLock(file, SQLITE_LOCK_SHARED), SQLITE_IOERR_LOCK);
    assert_int_equal(file->pMethods->xCheckReservedLock(file, &is_reserved), SQLITE_IOERR_CHECKRESERVEDLOCK);
    assert_int_equal(file->pMethods->xUnlock(file, SQLITE_LOCK_NONE), SQLITE_OK);
    assert_int_equal(file_delete(owner, "b", false), SQLITE_IOERR_DELETE);
    assert_int_equal(file_try(owner, "b", MAIN), SQLITE_CANTOPEN);
    file_close(file);
    assert_int_equal(file_try(owner, "b", MAIN), SQLITE_OK);
    assert_file(owner, "b", "b");
    assert_file(owner, "a", "");
}

static void power_is_lost_in_the_middle_of_an_operation(void **state)
{
    struct owner *owner = *state;
    char text[64];
    unsigned n_some = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool is_before = seed % 2;
        sqlite3_file *file = start_with(owner, seed, 'o');
        owner->ends_at = DISK_OP_WRITE;
        owner->ends_before = is_before;
        owner->ends_after = !is_before;
        char bytes[2 * SECTOR];
        memset(bytes, 'n', sizeof bytes);
        assert_int_equal(file->pMethods->xWrite(file, bytes, sizeof bytes, 0) & 0xff, SQLITE_IOERR);
        assert_int_equal(file_sync(file), SQLITE_IOERR_FSYNC);
        file_close(file);
        bool has_some = strchr(sectors(owner, "a", text), 'n') != NULL;
        assert_true(!has_some || !is_before);
        n_some += has_some;
    }
    assert_true(n_some > 0);
    owner->ends_at = DISK_OP_OPEN;
    owner->ends_before = 1;
    assert_int_equal(file_try(owner, "b", MAIN), SQLITE_CANTOPEN);
    assert_file(owner, "b", NULL);
    owner->ends_after = 1;
    assert_int_equal(file_try(owner, "b", MAIN), SQLITE_CANTOPEN);
    owner->ends_at = DISK_OP_DELETE;
    owner->ends_after = 1;
    assert_int_equal(file_delete(owner, "a", true), SQLITE_IOERR_DELETE);
    assert_file(owner, "a", NULL);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, owner_open, owner_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(what_was_synced_survives),
        ON_DISK(of_what_was_not_synced_any_sectors_are_left),
        ON_DISK(a_file_may_have_grown_without_its_bytes_or_not_have_shrunk),
        ON_DISK(a_torn_sector_is_mixed),
        ON_DISK(a_disk_without_powersafe_overwrite_destroys_what_is_beside),
        ON_DISK(a_failed_sync_forgets_what_it_did_not_bring),
        ON_DISK(what_is_written_again_after_a_failed_sync_is_synced),
        ON_DISK(names_are_durable_once_the_directory_is_synced),
        ON_DISK(names_that_are_not_durable_vanish_and_come_back),
        ON_DISK(a_failed_sync_of_the_directory_makes_nothing_durable),
        ON_DISK(the_death_of_a_process_loses_nothing_and_makes_nothing_durable),
        ON_DISK(a_dead_handle_does_nothing_and_the_disk_is_down_until_it_is_closed),
        ON_DISK(power_is_lost_in_the_middle_of_an_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
