/* When the log is played into the file: not while a backup copies both (docs/design/storage.md, "Backups"). */
#include "store/store_sqlite.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CHECKPOINT_PAGES 8000

/* Without a descriptor, on a disk that is not a real one, nobody makes backups. */
static bool lock(struct store_sqlite *sqlite, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = SQLITE_CHECKPOINT_BYTE, .l_len = 1};
    if (sqlite->guard < 0)
        return sqlite->guard == SQLITE_GUARD_NONE;
    return fcntl(sqlite->guard, F_OFD_SETLK, &lock) == 0;
}

/* After each commit. What cannot be played back now can the next time. */
static int on_log(void *arg, sqlite3 *database, const char *name, int n_pages)
{
    struct store_sqlite *sqlite = arg;
    if (n_pages >= CHECKPOINT_PAGES && lock(sqlite, F_WRLCK)) {
        (void)sqlite3_wal_checkpoint_v2(database, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        (void)lock(sqlite, F_UNLCK);
    }
    return SQLITE_OK;
}

void sqlite_put_off_checkpoints(struct store_sqlite *sqlite)
{
    sqlite->guard = SQLITE_GUARD_LATER;
    (void)sqlite3_wal_hook(sqlite->database, on_log, sqlite);
}

dr_code sqlite_guard_checkpoints(struct store_sqlite *sqlite, bool is_real_disk, struct dr_error *error)
{
    sqlite->guard = is_real_disk ? open(sqlite->path, O_RDWR | O_CLOEXEC) : SQLITE_GUARD_NONE;
    if (sqlite->guard >= 0 || !is_real_disk)
        return DR_OK;
    return error_set(error, DR_UNAVAILABLE, "open store: %s: %s", sqlite->path, strerror(errno));
}

/* Behind the last whole commit the log may hold frames of later ones, which loss of power has cut off. Should the commit
 * that is missing between be made again, byte for byte, they would count again. So the log is copied to the file and
 * begins anew, under other salts; during a backup it waits for the next checkpoint. */
dr_code sqlite_retire_log(struct store_sqlite *sqlite, struct dr_error *error)
{
    if (!lock(sqlite, F_WRLCK))
        return DR_OK;
    int result = sqlite3_wal_checkpoint_v2(sqlite->database, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)lock(sqlite, F_UNLCK);
    return result == SQLITE_OK ? DR_OK : sqlite_fail(sqlite, result, "open store", error);
}

void sqlite_close_guarded(struct store_sqlite *sqlite)
{
    if (sqlite->guard >= 0 && !lock(sqlite, F_WRLCK)) /* the log stays, as after a crash */
        sqlite3_db_config(sqlite->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(sqlite->database);
    if (sqlite->guard >= 0)
        (void)close(sqlite->guard); /* last: it would drop SQLite's locks */
}
