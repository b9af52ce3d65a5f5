#include "base/testing.h"

#include "sim/disk_testing.h"

static bool strikes(void *arg, enum sim_disk_fault fault)
{
    struct owner *owner = arg;
    return owner->countdown[fault] > 0 && --owner->countdown[fault] == 0;
}

static uint64_t below(void *arg, uint64_t bound)
{
    struct owner *owner = arg;
    return random_below(&owner->random, bound);
}

static int64_t now_ns(void *arg)
{
    return ((struct owner *)arg)->now_ns;
}

static void sleep_ns(void *arg, int64_t ns)
{
    ((struct owner *)arg)->slept_ns += ns;
}

static void before(void *arg, enum sim_disk_op op)
{
    struct owner *owner = arg;
    owner->n_before[op]++;
    if (op == owner->ends_at && owner->ends_before > 0 && --owner->ends_before == 0)
        sim_disk_crash(owner->disk);
}

static void after(void *arg, enum sim_disk_op op)
{
    struct owner *owner = arg;
    if (op == owner->ends_at && owner->ends_after > 0 && --owner->ends_after == 0)
        sim_disk_crash(owner->disk);
}

struct sim_disk_config owner_config(struct owner *owner)
{
    return (struct sim_disk_config){
        .arg = owner,
        .strikes = strikes,
        .below = below,
        .now_ns = now_ns,
        .sleep = sleep_ns,
        .before = before,
        .after = after,
    };
}

int owner_open(void **state)
{
    struct owner *owner = mem_must_zalloc(sizeof *owner);
    random_init(&owner->random, 1);
    struct sim_disk_config config = owner_config(owner);
    owner->disk = sim_disk_create(&config);
    *state = owner;
    return 0;
}

int owner_close(void **state)
{
    struct owner *owner = *state;
    sim_disk_destroy(owner->disk);
    mem_free(owner);
    return 0;
}

static int open_in(struct owner *owner, const char *name, int flags, sqlite3_file **ret_file)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(sim_disk_vfs_name(owner->disk));
    assert_non_null(vfs);
    *ret_file = mem_must_zalloc((size_t)vfs->szOsFile);
    return vfs->xOpen(vfs, name, *ret_file, flags, NULL);
}

sqlite3_file *file_open(struct owner *owner, const char *name, int flags)
{
    sqlite3_file *file;
    assert_int_equal(open_in(owner, name, flags, &file), SQLITE_OK);
    return file;
}

int file_try(struct owner *owner, const char *name, int flags)
{
    sqlite3_file *file;
    int result = open_in(owner, name, flags, &file);
    assert_int_equal(result == SQLITE_OK, file->pMethods != NULL);
    if (file->pMethods)
        file->pMethods->xClose(file);
    mem_free(file);
    return result;
}

void file_close(sqlite3_file *file)
{
    assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
    mem_free(file);
}

int file_write(sqlite3_file *file, const char *text, int64_t at)
{
    return file->pMethods->xWrite(file, text, (int)strlen(text), at);
}

void file_fill(sqlite3_file *file, char fill, size_t n, int64_t at)
{
    char *bytes = mem_must_alloc(n);
    memset(bytes, fill, n);
    assert_int_equal(file->pMethods->xWrite(file, bytes, (int)n, at), SQLITE_OK);
    mem_free(bytes);
}

int file_sync(sqlite3_file *file)
{
    return file->pMethods->xSync(file, SQLITE_SYNC_FULL);
}

int file_delete(struct owner *owner, const char *name, bool syncs_directory)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(sim_disk_vfs_name(owner->disk));
    return vfs->xDelete(vfs, name, syncs_directory);
}

void assert_file(struct owner *owner, const char *name, const char *text)
{
    assert_int_equal(sim_disk_has_file(owner->disk, name), text != NULL);
    struct slice bytes = sim_disk_file_bytes(owner->disk, name);
    if (!slice_equal(bytes, slice_text(text)))
        fail_msg("%s is \"%.*s\", not \"%s\"", name, (int)bytes.len, (const char *)bytes.data, text);
}
