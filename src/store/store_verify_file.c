/* The file under a verification: its lock, its header, and a connection that changes nothing. */
#include "store/store_verify_private.h"

#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite's protocol: who reads holds a read lock on these bytes, a server a write lock. */
#define SHARED_FIRST 0x40000002
#define SHARED_BYTES 510

static dr_code refuse(const struct verify *verify, const char *why, struct dr_error *error)
{
    return error_set(error, DR_FAILED_PRECONDITION, "%s %s", verify->options->path, why);
}

static int64_t size_beside(const struct verify *verify, const char *suffix)
{
    struct stat status;
    char name[4200];
    int len = snprintf(name, sizeof name, "%s%s", verify->path, suffix);
    bool is_there = len > 0 && (size_t)len < sizeof name && stat(name, &status) == 0;
    return is_there ? (int64_t)status.st_size : 0;
}

/* ---- the header ---- */

static uint32_t number_at(const uint8_t *header, size_t at)
{
    return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 | (uint32_t)header[at + 2] << 8 | header[at + 3];
}

static void check_constants(struct verify *verify, const uint8_t *header)
{
    static const struct {
        uint8_t at, value;
    } FIXED[] = {{16, 16}, {17, 0}, {20, 0}, {21, 64}, {22, 32}, {23, 32}, {44, 0}, {45, 0}, {46, 0}, {47, 4},
                 {48, 0}, {49, 0}, {50, 0}, {51, 0}, {52, 0}, {53, 0}, {54, 0}, {55, 0}, {56, 0}, {57, 0},
                 {58, 0}, {59, 1}, {64, 0}, {65, 0}, {66, 0}, {67, 0}};
    bool is_right = header[18] == header[19] && (header[18] == 1 || header[18] == 2);
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++)
        is_right = is_right && header[FIXED[i].at] == FIXED[i].value;
    for (size_t at = 72; at < 92; at++)
        is_right = is_right && header[at] == 0;
    if (!is_right)
        verify_found(verify, "page 1: the header of the file is damaged");
    if (number_at(header, 24) != number_at(header, 92))
        verify_found(verify, "page 1: the change counter of the file is damaged");
}

/* Zeros where the file is shorter. */
static bool read_header(const struct verify *verify, uint8_t *header, size_t len)
{
    memset(header, 0, len);
    for (size_t at = 0; at < len;) {
        ssize_t n = pread(verify->descriptor, header + at, len - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        at += (size_t)n;
    }
    return true;
}

static dr_code check_header(struct verify *verify, bool has_log, struct dr_error *error)
{
    uint8_t header[100];
    struct stat status;
    if (fstat(verify->descriptor, &status) != 0 || !read_header(verify, header, sizeof header))
        return error_set(error, DR_UNAVAILABLE, "%s cannot be read: %s", verify->options->path, strerror(errno));
    if (memcmp(header, "SQLite format 3", 16) != 0 || number_at(header, 68) != SQLITE_APPLICATION_ID)
        return refuse(verify, "is not a database of dispatch, or its first bytes are damaged", error);
    check_constants(verify, header);
    if (!has_log && (int64_t)number_at(header, 28) * 4096 != (int64_t)status.st_size)
        verify_found(verify, "the file has %lld bytes, but its header says %u pages of 4096", (long long)status.st_size,
                     number_at(header, 28));
    return DR_OK;
}

/* ---- the connection ---- */

static dr_code lock_file(struct verify *verify, struct dr_error *error)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_BYTES};
    if (fcntl(verify->descriptor, F_OFD_SETLK, &lock) == 0)
        return DR_OK;
    if (errno == EAGAIN || errno == EACCES)
        return refuse(verify, "is in use by a server; verify a copy (dispatch backup)", error);
    return error_set(error, DR_UNAVAILABLE, "%s cannot be locked: %s", verify->options->path, strerror(errno));
}

/* A name that SQLite takes for a URI must say so, and hide what means something there. */
static char *uri_of(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    size_t size = strlen(path) * 3 + sizeof "file:?immutable=1", len = 0;
    char *uri = mem_alloc(size);
    if (!uri)
        return NULL;
    len += (size_t)snprintf(uri, size, "file:");
    for (const char *c = path; *c; c++)
        len += (size_t)snprintf(uri + len, size - len, strchr(plain, *c) ? "%c" : "%%%02X", (unsigned char)*c);
    (void)snprintf(uri + len, size - len, "?immutable=1");
    return uri;
}

static int open_immutable(struct verify *verify)
{
    char *uri = uri_of(verify->path);
    int result = !uri ? SQLITE_NOMEM
                      : sqlite3_open_v2(uri, &verify->sqlite.database,
                                        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    mem_free(uri);
    return result;
}

/* A log that a killed server left must be read, and only a connection that could write does so without a file more. It is
 * kept from writing. */
static int open_with_log(struct verify *verify)
{
    int result = sqlite3_open_v2(verify->path, &verify->sqlite.database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                 verify->options->vfs);
    if (result == SQLITE_OK)
        result = sqlite3_db_config(verify->sqlite.database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(verify->sqlite.database, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    return result;
}

static dr_code check_version(struct verify *verify, struct dr_error *error)
{
    int64_t version = 0;
    dr_code code = sqlite_read_number(&verify->sqlite, "PRAGMA user_version", &version, error);
    if (code == DR_FAILED_PRECONDITION)
        return refuse(verify, "is in use by a server; verify a copy (dispatch backup)", error);
    if (code == DR_DATA_LOSS) {
        verify_found(verify, "%s", error ? error->message : "the structure of the file is damaged");
        return DR_OK;
    }
    if (!code && version != SQLITE_SCHEMA_VERSION)
        return error_set(error, DR_FAILED_PRECONDITION,
                         "%s has schema version %lld, this dispatch verifies %d%s", verify->options->path,
                         (long long)version, SQLITE_SCHEMA_VERSION,
                         version < SQLITE_SCHEMA_VERSION ? "; a server that opens it brings it there" : "");
    return code;
}

dr_code verify_open(struct verify *verify, struct dr_error *error)
{
    char real[PATH_MAX]; /* where the log of a file behind a link lies */
    bool is_real = !verify->options->vfs && realpath(verify->options->path, real);
    const char *path = is_real ? real : verify->options->path;
    verify->descriptor = -1;
    verify->path = mem_strndup(path, strlen(path));
    if (!verify->path)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    verify->sqlite.path = verify->path;
    bool has_log = verify->options->vfs || size_beside(verify, "-wal") > 0;
    dr_code code = DR_OK;
    if (!verify->options->vfs) {
        verify->descriptor = open(verify->path, O_RDONLY | O_CLOEXEC);
        if (verify->descriptor < 0)
            return error_set(error, DR_UNAVAILABLE, "%s: %s", verify->options->path, strerror(errno));
        code = lock_file(verify, error);
        if (!code && size_beside(verify, "-journal") > 0)
            code = refuse(verify, "was being made or migrated when its server ended; open it with a server first", error);
        if (!code)
            code = check_header(verify, has_log, error);
    }
    if (!code && has_log && verify->descriptor >= 0) { /* SQLite locks it itself, and would find this lock in its way */
        (void)close(verify->descriptor);
        verify->descriptor = -1;
    }
    if (code)
        return code;
    int result = has_log ? open_with_log(verify) : open_immutable(verify);
    if (result != SQLITE_OK)
        return sqlite_fail(&verify->sqlite, result, "verify", error);
    return check_version(verify, error);
}

void verify_close(struct verify *verify)
{
    sqlite3_close(verify->sqlite.database);
    if (verify->descriptor >= 0)
        (void)close(verify->descriptor);
    mem_free(verify->path);
}
