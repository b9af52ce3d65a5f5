#include "store/store_backup.h"

#include "store/store_sqlite.h"

#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20, LOG_TRIES = 5, LOG_HEADER_BYTES = 32, NAME_SIZE = PATH_MAX + 32 };

struct backup {
    const struct store_backup_options *options;
    char path[PATH_MAX];        /* the file itself; its log lies beside it */
    char incomplete[NAME_SIZE]; /* the copy, as long as it is made */
    char incomplete_log[NAME_SIZE];
    int source; /* also holds the lock that keeps checkpoints away */
    mode_t mode;
    uint8_t *buffer;
    struct dr_error *error;
};

static dr_code fail(struct backup *backup, const char *path)
{
    int reason = errno;
    return error_set(backup->error, reason == EEXIST ? DR_ALREADY_EXISTS : DR_UNAVAILABLE, "%s: %s", path,
                     strerror(reason));
}

/* ---- copying ---- */

static bool write_all(int to, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(to, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* From where `from` stands to its end, or what is its end by then. */
static dr_code copy_bytes(struct backup *backup, int from, const char *from_name, int to, const char *to_name)
{
    for (;;) {
        ssize_t n = read(from, backup->buffer, COPY_BYTES);
        if (n == 0)
            return DR_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(backup, from_name);
        if (!write_all(to, backup->buffer, (size_t)n))
            return fail(backup, to_name);
    }
}

static dr_code copy_file(struct backup *backup, int from, const char *from_name, const char *to_name)
{
    int to = open(to_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, backup->mode);
    if (to < 0)
        return fail(backup, to_name);
    dr_code code = copy_bytes(backup, from, from_name, to, to_name);
    if (close(to) != 0 && !code)
        code = fail(backup, to_name);
    return code;
}

/* A log that began anew while it was copied is a mixture: its first pages are the old ones. */
static dr_code copy_log_once(struct backup *backup, int log, const char *name, bool *ret_is_one)
{
    uint8_t before[LOG_HEADER_BYTES] = {0}, after[LOG_HEADER_BYTES] = {0};
    if (pread(log, before, sizeof before, 0) < 0)
        return fail(backup, name);
    dr_code code = copy_file(backup, log, name, backup->incomplete_log);
    if (!code && pread(log, after, sizeof after, 0) < 0)
        code = fail(backup, name);
    *ret_is_one = memcmp(before, after, sizeof before) == 0;
    if (!code && !*ret_is_one)
        (void)unlink(backup->incomplete_log);
    return code;
}

static dr_code copy_log(struct backup *backup)
{
    char name[NAME_SIZE];
    bool is_one = false;
    dr_code code = DR_OK;
    (void)snprintf(name, sizeof name, "%s-wal", backup->path);
    for (int i = 0; i < LOG_TRIES && !code && !is_one; i++) {
        int log = open(name, O_RDONLY | O_CLOEXEC);
        if (log < 0)
            return errno == ENOENT ? DR_OK : fail(backup, name);
        code = copy_log_once(backup, log, name, &is_one);
        (void)close(log);
    }
    if (!code && !is_one)
        return error_set(backup->error, DR_UNAVAILABLE,
                         "%s: something other than a server of this version writes to it", backup->path);
    return code;
}

/* ---- the steps ---- */

static dr_code open_source(struct backup *backup)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = SQLITE_CHECKPOINT_BYTE, .l_len = 1};
    struct stat status;
    char name[NAME_SIZE];
    if (!realpath(backup->options->path, backup->path))
        return fail(backup, backup->options->path);
    backup->source = open(backup->path, O_RDONLY | O_CLOEXEC);
    if (backup->source < 0 || fstat(backup->source, &status) != 0)
        return fail(backup, backup->path);
    backup->mode = status.st_mode & 0777;
    while (fcntl(backup->source, F_OFD_SETLKW, &lock) != 0) /* until a checkpoint that runs is over */
        if (errno != EINTR)
            return fail(backup, backup->path);
    (void)snprintf(name, sizeof name, "%s-journal", backup->path);
    if (status.st_size == 0 || (stat(name, &status) == 0 && status.st_size > 0))
        return error_set(backup->error, DR_FAILED_PRECONDITION, "%s was being made when its server ended",
                         backup->path);
    return DR_OK;
}

static dr_code name_target(struct backup *backup)
{
    const char *target = backup->options->target;
    int len = snprintf(backup->incomplete, sizeof backup->incomplete, "%s.incomplete", target);
    (void)snprintf(backup->incomplete_log, sizeof backup->incomplete_log, "%.*s-wal", PATH_MAX, backup->incomplete);
    if (len >= PATH_MAX)
        errno = ENAMETOOLONG;
    else if (access(target, F_OK) == 0 || access(backup->incomplete_log, F_OK) == 0)
        errno = EEXIST;
    else
        return DR_OK;
    return fail(backup, target);
}

/* A store that is opened plays the log into the file, and removes it when it is closed; an old one is migrated. */
static dr_code join(struct backup *backup)
{
    struct store *store = NULL;
    struct store_sqlite_options options = {.path = backup->incomplete};
    dr_code code = store_sqlite_open(&options, &store, backup->error);
    if (code)
        return code;
    store_close(store);
    if (access(backup->incomplete_log, F_OK) != 0)
        return DR_OK;
    return error_set(backup->error, DR_UNAVAILABLE, "%s: the log cannot be written into it", backup->incomplete);
}

static void keep_first(void *arg, const char *text)
{
    struct dr_error *first = arg;
    if (first->message[0] == '\0')
        (void)snprintf(first->message, sizeof first->message, "%s", text);
}

static dr_code check_copy(struct backup *backup, struct store_verify_result *result)
{
    struct dr_error first = {0};
    struct store_verify_options options = {.path = backup->incomplete, .on_finding = keep_first, .arg = &first};
    if (backup->options->is_unverified)
        return DR_OK;
    dr_code code = store_verify(&options, result, backup->error);
    if (!code && result->n_findings > 0)
        return error_set(backup->error, DR_DATA_LOSS, "%s is damaged (%llu findings): %.300s", backup->path,
                         (unsigned long long)result->n_findings, first.message);
    return code;
}

static dr_code sync_path(struct backup *backup, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    dr_code code = file >= 0 && fsync(file) == 0 ? DR_OK : fail(backup, path);
    if (file >= 0)
        (void)close(file);
    return code;
}

/* The name comes last, and never takes another file's place. */
static dr_code publish(struct backup *backup)
{
    char folder[NAME_SIZE];
    const char *target = backup->options->target;
    const char *slash = strrchr(target, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - target) + 1 : 1, slash ? target : ".");
    dr_code code = sync_path(backup, backup->incomplete);
    if (!code && renameat2(AT_FDCWD, backup->incomplete, AT_FDCWD, target, RENAME_NOREPLACE) != 0)
        code = fail(backup, target);
    return code ? code : sync_path(backup, folder);
}

dr_code store_backup(const struct store_backup_options *options, struct store_verify_result *ret_result,
                     struct dr_error *error)
{
    struct backup *backup = mem_zalloc(sizeof *backup);
    uint8_t *buffer = mem_alloc(COPY_BYTES);
    struct store_verify_result result = {0};
    bool is_begun = false;
    dr_code code = DR_NO_MEMORY;
    if (!backup || !buffer) {
        (void)error_set(error, code, "out of memory");
        goto cleanup;
    }
    *backup = (struct backup){.options = options, .source = -1, .buffer = buffer, .error = error};
    code = name_target(backup);
    if (!code)
        code = open_source(backup);
    if (!code) {
        code = copy_file(backup, backup->source, backup->path, backup->incomplete);
        is_begun = code != DR_ALREADY_EXISTS;
    }
    if (!code)
        code = copy_log(backup);
    if (backup->source >= 0)
        (void)close(backup->source);
    if (!code)
        code = join(backup);
    if (!code)
        code = check_copy(backup, &result);
    if (!code)
        code = publish(backup);
    if (code && is_begun) {
        (void)unlink(backup->incomplete_log);
        (void)unlink(backup->incomplete);
    }
    if (!code)
        *ret_result = result;
cleanup:
    mem_free(backup);
    mem_free(buffer);
    return code;
}
