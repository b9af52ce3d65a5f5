/* Faults for sweeps: the n-th allocation, file operation, socket operation or thread start of this process fails, or
 * every one from the n-th on. The system's functions are interposed: this object defines read, accept4, pthread_create and
 * so on, and so the calls that SQLite, libuv and libcurl make come here, too. Tests only; link it into an executable.
 *
 *     static void scenario(void *arg)
 *     {
 *         set up; fault_begin(); what may fail; fault_end(); check that nothing is lost, tear down;
 *     }
 *     fault_sweep(&(struct fault_sweep){.name = "...", .kind = FAULT_WRITE, .error = ENOSPC, .run = scenario});
 *
 * A sweep first counts the chances for the fault in a run without it, then runs with the 1st, 2nd, ... of them failing,
 * until a run is through untouched. It fails when no fault happened at all. In `make test` it takes at most
 * FAULT_POINTS_MAX points, spread evenly; with FAULTS=full in the environment, all. */
#ifndef TESTS_FAULTS_FAULTS_H
#define TESTS_FAULTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#define FAULT_POINTS_MAX 60u   /* of one sweep, unless it says otherwise */
#define FAULT_RUNS_MAX 20000u
#define FAULT_CHILD_S 60       /* a child that takes longer hangs */

enum fault_kind {
    FAULT_ALLOC = 1,    /* base/mem.h */
    FAULT_MUST_ALLOC,   /* its family that aborts */
    FAULT_SQLITE_ALLOC, /* call fault_wrap_sqlite first */
    FAULT_MAP,          /* mmap: SQLite's shared memory, stacks of coroutines */
    FAULT_OPEN,         /* files, from here on to FAULT_UNLINK */
    FAULT_READ,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_TRUNCATE,
    FAULT_UNLINK,
    FAULT_SOCKET,       /* sockets */
    FAULT_CONNECT,
    FAULT_ACCEPT,
    FAULT_RECEIVE,
    FAULT_SEND,
    FAULT_LISTEN,       /* bind, too */
    FAULT_RESOLVE,      /* getaddrinfo, for names that are no addresses; `error` is what it returns */
    FAULT_DESCRIPTOR,   /* epoll_create1, eventfd, pipe2, socketpair */
    FAULT_THREAD,
    FAULT_KINDS
};

struct fault_sweep {
    const char *name;
    enum fault_kind kind;
    int error;              /* errno of the failure; 0: a read, write, receive or send does only a part */
    unsigned length;        /* so many chances one after the other fail; 0 = 1 */
    bool goes_on;           /* every chance from the n-th on fails, until fault_end */
    bool may_abort;         /* crash-only code that is short of memory (base/mem.h); needs `check` */
    unsigned points_max;    /* 0 = FAULT_POINTS_MAX */
    void (*run)(void *arg);
    void *arg;
    /* With it, `run` is called in a child process, several at a time; any end but exit(0) fails the sweep, leaks too.
     * `check` is called in the parent after each: nothing may be lost. `index` tells apart those that run at once. */
    void (*check)(void *arg, unsigned index);
};

void fault_sweep(const struct fault_sweep *sweep);
/* Which of the children that run at once this is; 0 in a sweep without children. */
unsigned fault_index(void);
#define FAULT_CHILDREN 4u

/* From here on, up to the end, chances count. Any number of times in a run. */
void fault_begin(void);
void fault_end(void);
/* Whether this thread, and those that it starts from now on, never meet a fault. */
void fault_spare(bool is_spared);
/* Faults that happened in this run. */
unsigned long fault_hits(void);
/* Whether this run has a fault that goes on. */
bool fault_goes_on(void);

/* Puts SQLite's allocator behind ours. Before the first use of SQLite. */
void fault_wrap_sqlite(void);

/* In a child, where cmocka's assertions mean nothing: prints and exits with 1. */
void fault_child_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define CHILD_CHECK(condition)                                   \
    do {                                                         \
        if (!(condition))                                        \
            fault_child_fail(__FILE__, __LINE__, #condition);    \
    } while (0)

/* interpose.c: asks whether this call, of a kind, fails; then errno is set, or 0 for a part. */
bool fault_is_due(enum fault_kind kind);
bool fault_is_spared(void);

#endif
