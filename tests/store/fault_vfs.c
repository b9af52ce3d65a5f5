#include "fault_vfs.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

#include <sqlite3.h>
#include <string.h>

struct file {
    sqlite3_file base;
    bool is_unsynced;
    sqlite3_file *real; /* behind this struct */
};

static struct {
    enum fault_kind kind;
    unsigned long left;
    bool is_hit;
    size_t n_unsynced;
    unsigned long n_syncs;
    sqlite3_vfs *real;
    sqlite3_mem_methods memory;
} faults;

void fault_set(enum fault_kind kind, unsigned long nth)
{
    mem_fault_set(kind == FAULT_MEMORY ? nth : 0);
    faults.kind = kind;
    faults.left = nth;
    faults.is_hit = false;
    faults.n_syncs = 0;
}

bool fault_is_hit(void)
{
    return faults.kind == FAULT_MEMORY ? mem_fault_hit() : faults.is_hit;
}

size_t fault_unsynced_files(void)
{
    return faults.n_unsynced;
}

unsigned long fault_syncs(void)
{
    return faults.n_syncs;
}

static bool fails(enum fault_kind kind)
{
    if (faults.kind != kind || faults.left == 0 || --faults.left > 0)
        return false;
    faults.is_hit = true;
    return true;
}

static struct file *file_of(sqlite3_file *base)
{
    return container_of(base, struct file, base);
}

static void set_unsynced(struct file *file, bool is_unsynced)
{
    faults.n_unsynced -= file->is_unsynced;
    file->is_unsynced = is_unsynced;
    faults.n_unsynced += file->is_unsynced;
}

static int file_close(sqlite3_file *base)
{
    struct file *file = file_of(base);
    set_unsynced(file, false);
    return file->real->pMethods->xClose(file->real);
}

static int file_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 at)
{
    sqlite3_file *real = file_of(base)->real;
    return fails(FAULT_READ) ? SQLITE_IOERR_READ : real->pMethods->xRead(real, bytes, len, at);
}

static int file_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
    sqlite3_file *real = file_of(base)->real;
    if (fails(FAULT_WRITE))
        return SQLITE_IOERR_WRITE;
    set_unsynced(file_of(base), true);
    if (fails(FAULT_FULL)) {
        (void)real->pMethods->xWrite(real, bytes, len / 2, at);
        return SQLITE_FULL;
    }
    return real->pMethods->xWrite(real, bytes, len, at);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    sqlite3_file *real = file_of(base)->real;
    return fails(FAULT_TRUNCATE) ? SQLITE_IOERR_TRUNCATE : real->pMethods->xTruncate(real, size);
}

static int file_sync(sqlite3_file *base, int flags)
{
    (void)flags; /* not really synced: nobody pulls the plug here, and the tests are many */
    if (fails(FAULT_SYNC))
        return SQLITE_IOERR_FSYNC;
    faults.n_syncs++;
    set_unsynced(file_of(base), false);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    sqlite3_file *real = file_of(base)->real;
    return fails(FAULT_SIZE) ? SQLITE_IOERR_FSTAT : real->pMethods->xFileSize(real, ret_size);
}

static int file_lock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xLock(real, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xUnlock(real, level);
}

static int file_check_lock(sqlite3_file *base, int *ret_is_locked)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xCheckReservedLock(real, ret_is_locked);
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xFileControl(real, op, arg);
}

static int file_sector(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xSectorSize(real);
}

static int file_characteristics(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xDeviceCharacteristics(real);
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_characteristics,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *ret_flags)
{
    struct file *file = file_of(base);
    (void)vfs;
    *file = (struct file){.real = (sqlite3_file *)(void *)(file + 1)};
    memset(file->real, 0, (size_t)faults.real->szOsFile);
    if (fails(FAULT_OPEN))
        return SQLITE_CANTOPEN;
    if (fails(FAULT_READ_ONLY))
        flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    int result = faults.real->xOpen(faults.real, name, file->real, flags, ret_flags);
    if (result == SQLITE_OK)
        file->base.pMethods = &METHODS;
    return result;
}

static void *memory_alloc(int size)
{
    return fails(FAULT_SQLITE_MEMORY) ? NULL : faults.memory.xMalloc(size);
}

static void *memory_realloc(void *pointer, int size)
{
    return fails(FAULT_SQLITE_MEMORY) ? NULL : faults.memory.xRealloc(pointer, size);
}

void fault_vfs_register(void)
{
    static sqlite3_vfs vfs;
    sqlite3_mem_methods memory;
    CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &faults.memory) == SQLITE_OK);
    memory = faults.memory;
    memory.xMalloc = memory_alloc;
    memory.xRealloc = memory_realloc;
    CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) == SQLITE_OK);
    faults.real = sqlite3_vfs_find(NULL);
    vfs = *faults.real;
    vfs.zName = FAULT_VFS;
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct file) + faults.real->szOsFile;
    vfs.xOpen = vfs_open;
    CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}
