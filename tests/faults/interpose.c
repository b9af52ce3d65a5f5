/* The system's functions, with faults. Each looks for the next definition of its name, which is the sanitizer's or
 * the C library's. Descriptors that are no files and no sockets (the event descriptors of the loops) never fail. */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* Sanitizers and the constructors of libraries come here before anything of ours may be asked; so this file is not
 * instrumented either (CMakeLists.txt). */
static bool is_started;
__attribute__((constructor)) static void set_started(void) { is_started = true; }

static bool is_due(enum fault_kind kind) { return is_started && fault_is_due(kind); }

static bool is_due_on(int fd, enum fault_kind of_files, enum fault_kind of_sockets)
{
    struct stat status;
    int before = errno;
    bool is_known = fstat(fd, &status) == 0;
    errno = before;
    if (is_known && S_ISREG(status.st_mode))
        return is_due(of_files);
    return is_known && S_ISSOCK(status.st_mode) && of_sockets && is_due(of_sockets);
}

/* A call that does a part does one byte, or half of what a file is to get. */
static size_t part_of(int fd, size_t n)
{
    struct stat status;
    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    return is_file && n > 1 ? n / 2 : n > 0;
}

/* What a due fault does to `call`, whose byte count is `n`. */
#define TRANSFER(is_due, fd, n, call)        \
    do {                                     \
        if (is_due) {                        \
            if (errno != 0)                  \
                return -1;                   \
            (n) = part_of((fd), (n));        \
        }                                    \
        return (call);                       \
    } while (0)

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
        return is_due(FAULT_OPEN) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

SHOWN ssize_t read(int fd, void *bytes, size_t n)
{
    TRANSFER(is_due_on(fd, FAULT_READ, FAULT_RECEIVE), fd, n, REAL(read)(fd, bytes, n));
}

SHOWN ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    TRANSFER(is_due_on(fd, FAULT_READ, 0), fd, n, REAL(pread)(fd, bytes, n, at));
}

SHOWN ssize_t pread64(int fd, void *bytes, size_t n, off64_t at)
{
    TRANSFER(is_due_on(fd, FAULT_READ, 0), fd, n, REAL(pread64)(fd, bytes, n, at));
}

SHOWN ssize_t write(int fd, const void *bytes, size_t n)
{
    TRANSFER(is_due_on(fd, FAULT_WRITE, FAULT_SEND), fd, n, REAL(write)(fd, bytes, n));
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    TRANSFER(is_due_on(fd, FAULT_WRITE, 0), fd, n, REAL(pwrite)(fd, bytes, n, at));
}

SHOWN ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    TRANSFER(is_due_on(fd, FAULT_WRITE, 0), fd, n, REAL(pwrite64)(fd, bytes, n, at));
}

SHOWN int fsync(int fd) { return is_due(FAULT_SYNC) ? -1 : REAL(fsync)(fd); }
SHOWN int fdatasync(int fd) { return is_due(FAULT_SYNC) ? -1 : REAL(fdatasync)(fd); }
SHOWN int ftruncate(int fd, off_t n) { return is_due(FAULT_TRUNCATE) ? -1 : REAL(ftruncate)(fd, n); }
SHOWN int ftruncate64(int fd, off64_t n) { return is_due(FAULT_TRUNCATE) ? -1 : REAL(ftruncate64)(fd, n); }
SHOWN int unlink(const char *path) { return is_due(FAULT_UNLINK) ? -1 : REAL(unlink)(path); }

/* ---- sockets ---- */

static void *real_socket, *real_connect, *real_accept, *real_accept4, *real_recv, *real_recvmsg, *real_send, *real_sendmsg;
static void *real_readv, *real_writev, *real_bind, *real_listen;

SHOWN int socket(int domain, int type, int protocol)
{
    return is_due(FAULT_SOCKET) ? -1 : REAL(socket)(domain, type, protocol);
}

SHOWN int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return is_due(FAULT_CONNECT) ? -1 : REAL(connect)(fd, address, len);
}

SHOWN int accept(int fd, struct sockaddr *address, socklen_t *len)
{
    return is_due(FAULT_ACCEPT) ? -1 : REAL(accept)(fd, address, len);
}

SHOWN int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return is_due(FAULT_ACCEPT) ? -1 : REAL(accept4)(fd, address, len, flags);
}

SHOWN ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    TRANSFER(is_due(FAULT_RECEIVE), fd, n, REAL(recv)(fd, bytes, n, flags));
}

SHOWN ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return is_due(FAULT_RECEIVE) ? -1 : REAL(recvmsg)(fd, message, flags);
}

SHOWN ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    TRANSFER(is_due(FAULT_SEND), fd, n, REAL(send)(fd, bytes, n, flags));
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (!is_due(FAULT_SEND))
        return REAL(sendmsg)(fd, message, flags);
    return errno ? -1 : REAL(send)(fd, message->msg_iov->iov_base, message->msg_iov->iov_len > 0, flags);
}

SHOWN ssize_t readv(int fd, const struct iovec *parts, int n)
{
    if (!is_due_on(fd, FAULT_READ, FAULT_RECEIVE))
        return REAL(readv)(fd, parts, n);
    return errno ? -1 : REAL(read)(fd, parts->iov_base, part_of(fd, parts->iov_len));
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int n)
{
    if (!is_due_on(fd, FAULT_WRITE, FAULT_SEND))
        return REAL(writev)(fd, parts, n);
    return errno ? -1 : REAL(write)(fd, parts->iov_base, part_of(fd, parts->iov_len));
}

SHOWN int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    return is_due(FAULT_LISTEN) ? -1 : REAL(bind)(fd, address, len);
}

SHOWN int listen(int fd, int backlog) { return is_due(FAULT_LISTEN) ? -1 : REAL(listen)(fd, backlog); }

static void *real_getaddrinfo;

SHOWN int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    bool is_name = name && strspn(name, "0123456789.:") != strlen(name);
    return is_name && is_due(FAULT_RESOLVE) ? errno : REAL(getaddrinfo)(name, service, hints, found);
}

/* ---- other descriptors, and memory that is mapped ---- */

static void *real_epoll_create1, *real_eventfd, *real_pipe2, *real_socketpair, *real_mmap, *real_mmap64;

SHOWN int epoll_create1(int flags) { return is_due(FAULT_DESCRIPTOR) ? -1 : REAL(epoll_create1)(flags); }
SHOWN int eventfd(unsigned count, int flags) { return is_due(FAULT_DESCRIPTOR) ? -1 : REAL(eventfd)(count, flags); }
SHOWN int pipe2(int fds[2], int flags) { return is_due(FAULT_DESCRIPTOR) ? -1 : REAL(pipe2)(fds, flags); }

SHOWN int socketpair(int domain, int type, int protocol, int fds[2])
{
    return is_due(FAULT_DESCRIPTOR) ? -1 : REAL(socketpair)(domain, type, protocol, fds);
}

SHOWN void *mmap(void *at, size_t n, int access, int flags, int fd, off_t offset)
{
    if (!is_started)
        return (void *)syscall(SYS_mmap, at, n, access, flags, fd, offset);
    return is_due(FAULT_MAP) ? MAP_FAILED : REAL(mmap)(at, n, access, flags, fd, offset);
}

SHOWN void *mmap64(void *at, size_t n, int access, int flags, int fd, off64_t offset)
{
    if (!is_started)
        return (void *)syscall(SYS_mmap, at, n, access, flags, fd, offset);
    return is_due(FAULT_MAP) ? MAP_FAILED : REAL(mmap64)(at, n, access, flags, fd, offset);
}

/* ---- threads ---- */

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
/* clang's sanitizers are in the executable itself: there the next definition would be the C library's. */
create_fn __interceptor_pthread_create __attribute__((weak));
static void *real_pthread_create;

struct start {
    void *(*run)(void *);
    void *arg;
};

static void *start_spared(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    fault_spare(true);
    return start.run(start.arg);
}

SHOWN int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    create_fn *real = __interceptor_pthread_create ? __interceptor_pthread_create : REAL(pthread_create);
    if (is_due(FAULT_THREAD))
        return errno;
    struct start *start = fault_is_spared() ? malloc(sizeof *start) : NULL;
    if (!start)
        return real(thread, attributes, run, arg);
    *start = (struct start){run, arg};
    int rc = real(thread, attributes, start_spared, start);
    if (rc)
        free(start);
    return rc;
}
