/* CHECK: assertions that stay on in release. For programming errors and broken invariants only,
 * never for what a user, a disk or a network can do. Prints where and why, then aborts: the process
 * is crash-only, so stopping is always safe (what was acknowledged is on disk). */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(condition)                                               \
    do {                                                               \
        if (__builtin_expect(!(condition), 0))                         \
            check_failed(__FILE__, __LINE__, #condition);              \
    } while (0)

_Noreturn void check_failed(const char *file, int line, const char *what);

#endif
