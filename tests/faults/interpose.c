/* The system's functions, with faults. Each looks for the next definition of its name, which is the sanitizer's or
 * the C library's. Descriptors that are no files and no sockets (the event descriptors of the loops) never fail. */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))next_of(&real_##name, #name))
#define SHOWN __attribute__((visibility("default")))

static void *next_of(void **place, const char *name)
{
    if (!*place)
        *place = dlsym(RTLD_NEXT, name);
    return *place;
}

static bool is_due_on(int fd, enum fault_kind of_files, enum fault_kind of_sockets)
{
    struct stat status;
    int before = errno;
    bool is_known = fstat(fd, &status) == 0;
    errno = before;
    if (is_known && S_ISREG(status.st_mode))
        return fault_is_due(of_files);
    return is_known && S_ISSOCK(status.st_mode) && of_sockets && fault_is_due(of_sockets);
}

/* ---- files ---- */

static void *real_open, *real_open64, *real_read, *real_pread, *real_pread64, *real_write, *real_pwrite, *real_pwrite64;
static void *real_fsync, *real_fdatasync, *real_ftruncate, *real_ftruncate64, *real_unlink;

#define OPEN(name)                                                 \
    SHOWN int name(const char *path, int flags, ...)               \
    {                                                              \
        va_list args;                                              \
        va_start(args, flags);                                     \
        mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;  \
        va_end(args);                                              \
        return fault_is_due(FAULT_OPEN) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

SHOWN ssize_t read(int fd, void *bytes, size_t n)
{
    return is_due_on(fd, FAULT_READ, FAULT_RECEIVE) ? -1 : REAL(read)(fd, bytes, n);
}

SHOWN ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    return is_due_on(fd, FAULT_READ, 0) ? -1 : REAL(pread)(fd, bytes, n, at);
}

SHOWN ssize_t pread64(int fd, void *bytes, size_t n, off64_t at)
{
    return is_due_on(fd, FAULT_READ, 0) ? -1 : REAL(pread64)(fd, bytes, n, at);
}

SHOWN ssize_t write(int fd, const void *bytes, size_t n)
{
    return is_due_on(fd, FAULT_WRITE, FAULT_SEND) ? -1 : REAL(write)(fd, bytes, n);
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return is_due_on(fd, FAULT_WRITE, 0) ? -1 : REAL(pwrite)(fd, bytes, n, at);
}

SHOWN ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return is_due_on(fd, FAULT_WRITE, 0) ? -1 : REAL(pwrite64)(fd, bytes, n, at);
}

SHOWN int fsync(int fd) { return fault_is_due(FAULT_SYNC) ? -1 : REAL(fsync)(fd); }
SHOWN int fdatasync(int fd) { return fault_is_due(FAULT_SYNC) ? -1 : REAL(fdatasync)(fd); }
SHOWN int ftruncate(int fd, off_t n) { return fault_is_due(FAULT_TRUNCATE) ? -1 : REAL(ftruncate)(fd, n); }
SHOWN int ftruncate64(int fd, off64_t n) { return fault_is_due(FAULT_TRUNCATE) ? -1 : REAL(ftruncate64)(fd, n); }
SHOWN int unlink(const char *path) { return fault_is_due(FAULT_UNLINK) ? -1 : REAL(unlink)(path); }

/* ---- sockets ---- */

static void *real_socket, *real_connect, *real_accept, *real_accept4, *real_recv, *real_recvmsg, *real_send, *real_sendmsg;
static void *real_readv, *real_writev;

SHOWN int socket(int domain, int type, int protocol)
{
    return fault_is_due(FAULT_SOCKET) ? -1 : REAL(socket)(domain, type, protocol);
}

SHOWN int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return fault_is_due(FAULT_CONNECT) ? -1 : REAL(connect)(fd, address, len);
}

SHOWN int accept(int fd, struct sockaddr *address, socklen_t *len)
{
    return fault_is_due(FAULT_ACCEPT) ? -1 : REAL(accept)(fd, address, len);
}

SHOWN int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return fault_is_due(FAULT_ACCEPT) ? -1 : REAL(accept4)(fd, address, len, flags);
}

SHOWN ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    return fault_is_due(FAULT_RECEIVE) ? -1 : REAL(recv)(fd, bytes, n, flags);
}

SHOWN ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return fault_is_due(FAULT_RECEIVE) ? -1 : REAL(recvmsg)(fd, message, flags);
}

SHOWN ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    return fault_is_due(FAULT_SEND) ? -1 : REAL(send)(fd, bytes, n, flags);
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return fault_is_due(FAULT_SEND) ? -1 : REAL(sendmsg)(fd, message, flags);
}

SHOWN ssize_t readv(int fd, const struct iovec *parts, int n)
{
    return is_due_on(fd, FAULT_READ, FAULT_RECEIVE) ? -1 : REAL(readv)(fd, parts, n);
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return is_due_on(fd, FAULT_WRITE, FAULT_SEND) ? -1 : REAL(writev)(fd, parts, n);
}

/* ---- threads ---- */

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
/* clang's sanitizers are in the executable itself: there the next definition would be the C library's. */
create_fn __interceptor_pthread_create __attribute__((weak));
static void *real_pthread_create;

SHOWN int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    create_fn *real = __interceptor_pthread_create ? __interceptor_pthread_create : REAL(pthread_create);
    return fault_is_due(FAULT_THREAD) ? errno : real(thread, attributes, run, arg);
}
