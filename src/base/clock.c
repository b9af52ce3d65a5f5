#include "base/clock.h"

#include "base/check.h"

#include <stdbool.h>
#include <time.h>

static int64_t read_clock(clockid_t which)
{
    struct timespec now;
    CHECK(clock_gettime(which, &now) == 0);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_real_ns(void) { return read_clock(CLOCK_REALTIME); }

int64_t clock_monotonic_ns(void) { return read_clock(CLOCK_MONOTONIC); }

int64_t clock_not_before(int64_t start_ns, int64_t newest_ns)
{
    bool is_behind = newest_ns > start_ns && newest_ns <= time_add(start_ns, CLOCK_BEHIND_MAX_NS);
    return is_behind ? newest_ns : start_ns;
}

int64_t time_add(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return a > 0 ? TIME_NEVER : INT64_MIN;
}
