/* What SQLite does with an open file. */
#include "sim/disk_private.h"

/* NULL when the process is dead, or dies now. */
static struct disk_handle *begin(sqlite3_file *file, enum sim_disk_op op)
{
    struct disk_handle *handle = (struct disk_handle *)file;
    if (handle->inode)
        disk_before(handle->disk, op);
    return handle->inode ? handle : NULL;
}

/* What a process that died in the operation gets, matters to nobody; it must not go on as if it lived. */
static int end(struct disk_handle *handle, enum sim_disk_op op, int result)
{
    disk_after(handle->disk, op);
    return handle->inode ? result : SQLITE_IOERR;
}

static bool has_name(const struct disk_handle *handle)
{
    return handle->name && disk_name_now(handle->name) == handle->inode;
}

static int file_close(sqlite3_file *file)
{
    struct disk_handle *handle = (struct disk_handle *)file;
    list_remove(&handle->link);
    if (handle->inode && handle->deletes_at_close && has_name(handle)) {
        disk_record_delete(handle->disk, handle->name->text, false);
        disk_delete(handle->name);
    }
    disk_inode_unref(handle->inode);
    handle->inode = NULL;
    return SQLITE_OK;
}

/* ---- bytes ---- */

/* Copies what there is of `amount` bytes and zeroes the rest; how many there were. */
static uint64_t copy_out(const struct disk_image *image, uint8_t *out, uint64_t amount, uint64_t at)
{
    uint64_t n = at >= image->len ? 0 : image->len - at < amount ? image->len - at : amount;
    if (n > 0)
        memcpy(out, image->bytes + at, n);
    memset(out + n, 0, amount - n);
    return n;
}

static int file_read(sqlite3_file *file, void *out, int amount, sqlite3_int64 at)
{
    struct disk_handle *handle = begin(file, DISK_OP_READ);
    if (!handle)
        return SQLITE_IOERR_READ;
    uint64_t wanted = (uint64_t)amount;
    int result = SQLITE_OK;
    if (disk_strikes(handle->disk, DISK_FAULT_READ)) {
        result = SQLITE_IOERR_READ;
    } else if (disk_strikes(handle->disk, DISK_FAULT_SHORT_READ)) {
        /* not SQLITE_IOERR_SHORT_READ, which means the end of the file: a read that stops before it is an
         * error */
        copy_out(&handle->inode->seen, out, disk_below(handle->disk, wanted), (uint64_t)at);
        result = SQLITE_IOERR_READ;
    } else if (copy_out(&handle->inode->seen, out, wanted, (uint64_t)at) < wanted) {
        result = SQLITE_IOERR_SHORT_READ;
    }
    return end(handle, DISK_OP_READ, result);
}

/* How many of the bytes the disk takes, and what it says of the others. */
static uint64_t accepted(struct disk_handle *handle, uint64_t at, uint64_t len, int *ret_result)
{
    struct sim_disk *disk = handle->disk;
    *ret_result = SQLITE_IOERR_WRITE;
    if (disk->is_read_only || handle->is_read_only || disk_strikes(disk, DISK_FAULT_WRITE))
        return 0;
    if (disk_strikes(disk, DISK_FAULT_PARTIAL_WRITE))
        return disk_below(disk, len);
    *ret_result = SQLITE_FULL;
    if (disk_strikes(disk, DISK_FAULT_FULL))
        return disk_below(disk, len);
    uint64_t size = handle->inode->seen.len, capacity = disk->config.capacity_bytes;
    uint64_t n = at > SIM_DISK_FILE_BYTES_MAX         ? 0
                 : SIM_DISK_FILE_BYTES_MAX - at < len ? SIM_DISK_FILE_BYTES_MAX - at
                                                      : len;
    uint64_t grows = at + n > size ? at + n - size : 0;
    uint64_t used = capacity && grows > 0 ? sim_disk_used_bytes(disk) : 0;
    uint64_t room = used < capacity ? capacity - used : 0;
    if (capacity && grows > room)
        n = grows - room < n ? n - (grows - room) : 0;
    if (n == len)
        *ret_result = SQLITE_OK;
    return n;
}

static int file_write(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 at)
{
    struct disk_handle *handle = begin(file, DISK_OP_WRITE);
    if (!handle)
        return SQLITE_IOERR_WRITE;
    int result;
    uint64_t n = accepted(handle, (uint64_t)at, (uint64_t)amount, &result);
    disk_record_write(handle->disk, handle, (uint64_t)at, bytes, n);
    disk_inode_write(handle->inode, (uint64_t)at, bytes, n);
    return end(handle, DISK_OP_WRITE, result);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 len)
{
    struct disk_handle *handle = begin(file, DISK_OP_TRUNCATE);
    if (!handle)
        return SQLITE_IOERR_TRUNCATE;
    struct sim_disk *disk = handle->disk;
    bool is_refused = disk->is_read_only || handle->is_read_only || (uint64_t)len > SIM_DISK_FILE_BYTES_MAX;
    int result = SQLITE_IOERR_TRUNCATE;
    if (!is_refused && !disk_strikes(disk, DISK_FAULT_TRUNCATE)) {
        disk_record_truncate(disk, handle, (uint64_t)len);
        disk_inode_truncate(handle->inode, (uint64_t)len);
        result = SQLITE_OK;
    }
    return end(handle, DISK_OP_TRUNCATE, result);
}

static int file_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    struct disk_handle *handle = begin(file, DISK_OP_SYNC);
    if (!handle)
        return SQLITE_IOERR_FSYNC;
    struct sim_disk *disk = handle->disk;
    int result = SQLITE_OK;
    if (disk->is_read_only && handle->inode->n_changes > 0) {
        result = SQLITE_IOERR_FSYNC;
    } else if (disk_strikes(disk, DISK_FAULT_SYNC)) {
        disk_inode_sync_failed(disk, handle->inode);
        result = SQLITE_IOERR_FSYNC;
    } else {
        disk_record_sync(disk, handle, handle->syncs_directory);
        disk_inode_sync(handle->inode);
        if (handle->syncs_directory)
            disk_sync_directory(disk);
        handle->syncs_directory = false;
    }
    return end(handle, DISK_OP_SYNC, result);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    struct disk_handle *handle = (struct disk_handle *)file;
    if (!handle->inode)
        return SQLITE_IOERR_FSTAT;
    *ret_size = (sqlite3_int64)handle->inode->seen.len;
    return SQLITE_OK;
}

/* ---- locks: SQLite's five, between the handles of a file ---- */

static int strongest_other_lock(const struct disk_handle *handle)
{
    int strongest = SQLITE_LOCK_NONE;
    const struct list *handles = &handle->disk->handles;
    for (const struct list *at = handles->next; at != handles; at = at->next) {
        const struct disk_handle *other = container_of(at, struct disk_handle, link);
        if (other != handle && other->inode == handle->inode && other->lock > strongest)
            strongest = other->lock;
    }
    return strongest;
}

static int file_lock(sqlite3_file *file, int lock)
{
    struct disk_handle *handle = begin(file, DISK_OP_LOCK);
    if (!handle)
        return SQLITE_IOERR_LOCK;
    int others = strongest_other_lock(handle);
    int result = SQLITE_OK;
    if (handle->lock >= lock)
        ;
    else if (lock == SQLITE_LOCK_SHARED ? others >= SQLITE_LOCK_PENDING : others >= SQLITE_LOCK_RESERVED)
        result = SQLITE_BUSY;
    else if (lock == SQLITE_LOCK_EXCLUSIVE && others >= SQLITE_LOCK_SHARED) {
        handle->lock = SQLITE_LOCK_PENDING; /* no new readers */
        result = SQLITE_BUSY;
    } else {
        handle->lock = lock;
    }
    return end(handle, DISK_OP_LOCK, result);
}

static int file_unlock(sqlite3_file *file, int lock)
{
    struct disk_handle *handle = (struct disk_handle *)file;
    if (handle->lock > lock)
        handle->lock = lock;
    return SQLITE_OK;
}

static int file_check_reserved_lock(sqlite3_file *file, int *ret_is_reserved)
{
    struct disk_handle *handle = (struct disk_handle *)file;
    if (!handle->inode)
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    *ret_is_reserved =
        handle->lock >= SQLITE_LOCK_RESERVED || strongest_other_lock(handle) >= SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
    (void)file;
    return SIM_DISK_SECTOR_BYTES;
}

static int file_device_characteristics(sqlite3_file *file)
{
    const struct disk_handle *handle = (const struct disk_handle *)file;
    return handle->disk->config.is_not_powersafe ? 0 : SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

const sqlite3_io_methods DISK_FILE_METHODS = {
    .iVersion = 1, /* no shared memory */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
};
