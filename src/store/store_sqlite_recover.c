/* What the end of a process or of power leaves beside the file, before anybody reads
 * (docs/design/storage.md). */
#include "store/store_sqlite.h"

#include "base/error.h"
#include "base/mem.h"

/* Reads the first bytes of the rollback journal; zeros where there are none. */
static int read_journal(sqlite3_vfs *vfs, const char *name, uint8_t *header, int len)
{
    int is_there = 0, flags = 0;
    memset(header, 0, (size_t)len);
    int result = vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &is_there);
    if (result != SQLITE_OK || !is_there)
        return result;
    sqlite3_file *journal = mem_zalloc((size_t)vfs->szOsFile);
    if (!journal)
        return SQLITE_NOMEM;
    result = vfs->xOpen(vfs, name, journal, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_JOURNAL, &flags);
    if (result == SQLITE_OK)
        result = journal->pMethods->xRead(journal, header, len, 0);
    if (journal->pMethods)
        journal->pMethods->xClose(journal);
    mem_free(journal);
    return result == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : result;
}

dr_code sqlite_check_creation(struct store_sqlite *sqlite, bool *ret_is_interrupted, struct dr_error *error)
{
    enum { HEADER_BYTES = 20, INITIAL_PAGES_AT = 16 };
    static const uint8_t MAGIC[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    static const uint8_t NO_PAGES[4];
    const char *name = sqlite3_filename_journal(sqlite3_db_filename(sqlite->database, "main"));
    uint8_t header[HEADER_BYTES];
    sqlite3_vfs *vfs = NULL;
    int result = sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_VFS_POINTER, &vfs);
    if (result == SQLITE_OK)
        result = read_journal(vfs, name, header, HEADER_BYTES);
    if (result != SQLITE_OK)
        return sqlite_fail(sqlite, result, "open store", error);
    *ret_is_interrupted = memcmp(header, MAGIC, sizeof MAGIC) == 0 &&
                          memcmp(header + INITIAL_PAGES_AT, NO_PAGES, sizeof NO_PAGES) == 0;
    return DR_OK;
}

static int has_journal(struct store_sqlite *sqlite, int *ret_is_there)
{
    sqlite3_vfs *vfs = NULL;
    int result = sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_VFS_POINTER, &vfs);
    const char *name = sqlite3_filename_journal(sqlite3_db_filename(sqlite->database, "main"));
    return result == SQLITE_OK ? vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, ret_is_there) : result;
}

static int lock_whole(sqlite3_file *file)
{
    static const int LOCKS[] = {SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED, SQLITE_LOCK_EXCLUSIVE};
    int result = SQLITE_OK;
    for (size_t i = 0; i < sizeof LOCKS / sizeof LOCKS[0] && result == SQLITE_OK; i++)
        result = file->pMethods->xLock(file, LOCKS[i]);
    return result;
}

/* Under the locks that SQLite would take: another server may be making the file at this moment. */
static int empty_again(sqlite3_file *file)
{
    sqlite3_int64 size = 0;
    int result = lock_whole(file);
    if (result == SQLITE_OK)
        result = file->pMethods->xFileSize(file, &size);
    if (result == SQLITE_OK && size == 0)
        result = file->pMethods->xTruncate(file, 0);
    if (result == SQLITE_OK && size == 0)
        result = file->pMethods->xSync(file, SQLITE_SYNC_FULL);
    int unlocked = file->pMethods->xUnlock(file, SQLITE_LOCK_NONE);
    return result == SQLITE_OK ? unlocked : result == SQLITE_BUSY ? SQLITE_OK : result; /* busy: it is not empty for long */
}

dr_code sqlite_secure_emptiness(struct store_sqlite *sqlite, struct dr_error *error)
{
    sqlite3_file *file = NULL;
    int is_there = 0;
    int result = has_journal(sqlite, &is_there);
    if (result == SQLITE_OK && is_there)
        result = sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (result == SQLITE_OK && is_there)
        result = empty_again(file);
    return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
}

static int write_again(sqlite3_file *file, uint8_t *chunk, int chunk_bytes)
{
    sqlite3_int64 size = 0;
    int result = file->pMethods->xFileSize(file, &size);
    if (size == 0)
        return result;
    for (sqlite3_int64 at = 0; at < size && result == SQLITE_OK; at += chunk_bytes) {
        int len = size - at < chunk_bytes ? (int)(size - at) : chunk_bytes;
        result = file->pMethods->xRead(file, chunk, len, at);
        if (result == SQLITE_OK)
            result = file->pMethods->xWrite(file, chunk, len, at);
    }
    return result == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : result;
}

/* Not a checkpoint: while it runs, and until the shorter log is on the medium, a log with a hole and a file
 * with the pages behind the hole may both be left. */
dr_code sqlite_secure_log(struct store_sqlite *sqlite, struct dr_error *error)
{
    enum { CHUNK_BYTES = 65536 };
    sqlite3_file *log = NULL;
    int result = sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (result != SQLITE_OK || !log || !log->pMethods)
        return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
    uint8_t *chunk = mem_alloc(CHUNK_BYTES);
    if (!chunk)
        return error_set(error, DR_NO_MEMORY, "open store: out of memory");
    result = write_again(log, chunk, CHUNK_BYTES);
    mem_free(chunk);
    return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
}
