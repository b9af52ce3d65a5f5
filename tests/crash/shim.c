/* Loaded into the server in front of the system's library (shim.h). Everything goes to the kernel directly: this library is
 * called before anything of the process is ready, that of a sanitizer too. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

static struct shim_control *control; /* NULL = nothing is changed */

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv(SHIM_VARIABLE);
    long file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (file < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, (int)file, 0);
    control = map == MAP_FAILED ? NULL : map;
    (void)syscall(SYS_close, (int)file);
}

/* ---- the clock --------------------------------------------------------------------------------------------------- */

static int read_clock(clockid_t which, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, which, now);
    if (result != 0 || !control || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE))
        return result;
    int64_t ns = (int64_t)now->tv_sec * NS_PER_S + now->tv_nsec + atomic_load(&control->clock_offset_ns);
    now->tv_sec = (time_t)(ns / NS_PER_S);
    now->tv_nsec = (long)(ns % NS_PER_S);
    atomic_fetch_add_explicit(&control->n_clock_reads, 1, memory_order_relaxed);
    return 0;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    return read_clock(which, now);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    int result = read_clock(CLOCK_REALTIME, &precise);
    *now = (struct timeval){.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
    return result;
}

time_t time(time_t *ret_now)
{
    struct timespec now;
    (void)read_clock(CLOCK_REALTIME, &now);
    if (ret_now)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}

/* ---- the disk ---------------------------------------------------------------------------------------------------- */

static bool fails_path(const char *path)
{
    int number = control ? atomic_load(&control->disk_errno) : 0;
    if (number == 0 || !strstr(path, SHIM_DATABASE))
        return false;
    atomic_fetch_add(&control->n_disk_failures, 1);
    errno = number;
    return true;
}

static bool fails_file(int file)
{
    char link[40], path[400];
    if (!control || atomic_load(&control->disk_errno) == 0)
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    long len = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    return fails_path(path);
}

ssize_t write(int file, const void *bytes, size_t n)
{
    return fails_file(file) ? -1 : syscall(SYS_write, file, bytes, n);
}

ssize_t pwrite64(int file, const void *bytes, size_t n, off64_t at)
{
    return fails_file(file) ? -1 : syscall(SYS_pwrite64, file, bytes, n, at);
}

ssize_t pwrite(int file, const void *bytes, size_t n, off_t at)
{
    return pwrite64(file, bytes, n, at);
}

int fsync(int file)
{
    return fails_file(file) ? -1 : (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    return fails_file(file) ? -1 : (int)syscall(SYS_fdatasync, file);
}

int ftruncate64(int file, off64_t size)
{
    return fails_file(file) ? -1 : (int)syscall(SYS_ftruncate, file, size);
}

int ftruncate(int file, off_t size)
{
    return ftruncate64(file, size);
}

int unlink(const char *path)
{
    return fails_path(path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static int open_at(const char *path, int flags, mode_t mode)
{
    bool is_change = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    return is_change && fails_path(path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list more)
{
    return flags & O_CREAT ? va_arg(more, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return open_at(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return open_at(path, flags, mode);
}
