/* What SQLite does with names, time and randomness. */
#include "sim/disk_private.h"

#include "base/clock.h"
#include <stdio.h>

/* Counts and tells the owner; false when the process died meanwhile, or its death is not over. */
static bool begin(struct sim_disk *disk, enum sim_disk_op op)
{
    uint64_t n_ends = disk->n_ends;
    if (!disk_is_down(disk))
        disk_before(disk, op);
    return !disk_is_down(disk) && disk->n_ends == n_ends;
}

static bool end(struct sim_disk *disk, enum sim_disk_op op)
{
    uint64_t n_ends = disk->n_ends;
    disk_after(disk, op);
    return disk->n_ends == n_ends;
}

/* ---- names ---- */

/* Finds or makes the file. SQLITE_READONLY: it is there, to be read only. */
static int find_file(struct sim_disk *disk, const char *text, int flags, struct disk_name **ret_name)
{
    struct disk_name *name = disk_name_find(disk, text);
    bool is_there = name && disk_name_now(name);
    if (disk_strikes(disk, DISK_FAULT_OPEN))
        return SQLITE_CANTOPEN;
    if (is_there && flags & SQLITE_OPEN_CREATE && flags & SQLITE_OPEN_EXCLUSIVE)
        return SQLITE_CANTOPEN;
    *ret_name = name;
    if (is_there)
        return disk->is_read_only ? SQLITE_READONLY : SQLITE_OK;
    if (!(flags & SQLITE_OPEN_CREATE) || disk->is_read_only)
        return SQLITE_CANTOPEN;
    *ret_name = disk_create(disk, text);
    if (!*ret_name)
        return SQLITE_CANTOPEN;
    disk_record_create(disk, text);
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, const char *text, sqlite3_file *file, int flags, int *ret_flags)
{
    struct sim_disk *disk = vfs->pAppData;
    struct disk_handle *handle = (struct disk_handle *)file;
    enum { JOURNALS = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL };
    *handle = (struct disk_handle){.disk = disk};
    list_init(&handle->link);
    if ((text && strlen(text) >= DISK_NAME_BYTES_MAX) || !begin(disk, DISK_OP_OPEN))
        return SQLITE_CANTOPEN;
    int result = text ? find_file(disk, text, flags, &handle->name) : SQLITE_OK;
    if (result != SQLITE_OK && result != SQLITE_READONLY)
        return result;
    if (!end(disk, DISK_OP_OPEN))
        return SQLITE_CANTOPEN;
    handle->inode = text ? disk_name_now(handle->name) : disk_inode_create();
    handle->inode->n_refs += text != NULL;
    handle->is_read_only = result == SQLITE_READONLY || !(flags & SQLITE_OPEN_READWRITE);
    handle->syncs_directory = flags & SQLITE_OPEN_CREATE && flags & JOURNALS; /* also when it is there already */
    handle->deletes_at_close = flags & SQLITE_OPEN_DELETEONCLOSE;
    list_push_back(&disk->handles, &handle->link);
    if (ret_flags)
        *ret_flags = handle->is_read_only
                         ? (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY
                         : flags;
    handle->base.pMethods = &DISK_FILE_METHODS;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *text, int syncs_directory)
{
    struct sim_disk *disk = vfs->pAppData;
    if (!begin(disk, DISK_OP_DELETE))
        return SQLITE_IOERR_DELETE;
    struct disk_name *name = disk_name_find(disk, text);
    if (!name || !disk_name_now(name))
        return SQLITE_IOERR_DELETE_NOENT;
    if (disk->is_read_only || disk_strikes(disk, DISK_FAULT_DELETE))
        return SQLITE_IOERR_DELETE;
    disk_record_delete(disk, text, syncs_directory);
    disk_delete(name);
    int result = SQLITE_OK;
    if (syncs_directory && disk_strikes(disk, DISK_FAULT_SYNC))
        result = SQLITE_IOERR_DIR_FSYNC;
    else if (syncs_directory)
        disk_sync_directory(disk);
    return end(disk, DISK_OP_DELETE) ? result : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *vfs, const char *text, int flags, int *ret_is_allowed)
{
    struct sim_disk *disk = vfs->pAppData;
    if (disk_is_down(disk))
        return SQLITE_IOERR_ACCESS;
    struct slice bytes = sim_disk_file_bytes(disk, text);
    *ret_is_allowed = sim_disk_has_file(disk, text);
    if (flags == SQLITE_ACCESS_EXISTS && bytes.len == 0)
        *ret_is_allowed = 0; /* as the unix VFS: an empty file is none */
    if (flags == SQLITE_ACCESS_READWRITE && disk->is_read_only)
        *ret_is_allowed = 0;
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *text, int size, char *out)
{
    (void)vfs;
    int len = snprintf(out, (size_t)size, "%s", text);
    return len < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* ---- the rest of the world ---- */

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    struct sim_disk *disk = vfs->pAppData;
    for (int i = 0; i < n; i++)
        out[i] = (char)disk_below(disk, 256);
    return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    struct sim_disk *disk = vfs->pAppData;
    if (disk->config.sleep)
        disk->config.sleep(disk->config.arg, microseconds * NS_PER_US);
    return microseconds;
}

static int vfs_current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    static const sqlite3_int64 UNIX_EPOCH_MS = 24405875 * INT64_C(8640000); /* from the Julian one */
    struct sim_disk *disk = vfs->pAppData;
    int64_t now_ns = disk->config.now_ns ? disk->config.now_ns(disk->config.arg) : 0;
    *ret_ms = UNIX_EPOCH_MS + now_ns / NS_PER_MS;
    return SQLITE_OK;
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_days)
{
    sqlite3_int64 ms;
    (void)vfs_current_time_ms(vfs, &ms);
    *ret_days = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    if (size > 0)
        out[0] = '\0';
    return 0;
}

void disk_vfs_init(struct sim_disk *disk)
{
    snprintf(disk->vfs_name, sizeof disk->vfs_name, "sim-disk-%p",
             (void *)disk); /* unique among those that live */
    disk->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct disk_handle),
        .mxPathname = DISK_NAME_BYTES_MAX,
        .zName = disk->vfs_name,
        .pAppData = disk,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_current_time_ms,
    };
}
