/* What the tests tell shim.c, a library that is loaded into the real server in front of the system's (LD_PRELOAD): another
 * wall clock, and a disk that has become read-only. A file that both processes map; any thread, at any time. */
#ifndef TESTS_CRASH_SHIM_H
#define TESTS_CRASH_SHIM_H

#include <stdatomic.h>
#include <stdint.h>

#define SHIM_VARIABLE "CRASH_SHIM" /* of the environment: the file's path */
#define SHIM_DATABASE "/dispatch.db" /* in the path of the files that belong to the database */

struct shim_control {
    _Atomic int64_t clock_offset_ns; /* added to CLOCK_REALTIME */
    atomic_int disk_errno;           /* not 0: every change of the database's files fails with it */
    atomic_ulong n_clock_reads;      /* of the wall clock: a test sees that the shim is in use */
    atomic_ulong n_disk_failures;
};

#endif
