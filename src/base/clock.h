/* Time is int64_t nanoseconds since 1970-01-01T00:00:00Z everywhere; durations likewise. Sums clamp at
 * TIME_NEVER instead of overflowing. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define TIME_NEVER INT64_MAX

int64_t clock_real_ns(void);      /* wall clock */
int64_t clock_monotonic_ns(void); /* never goes back; arbitrary origin */

/* When a server's time begins (docs/decisions/008): no sooner than the newest time in its store, so that time goes on over
 * a restart; unless that is further ahead than CLOCK_BEHIND_MAX_NS, where the clock was wrong before. */
#define CLOCK_BEHIND_MAX_NS (24 * 3600 * NS_PER_S)
int64_t clock_not_before(int64_t start_ns, int64_t newest_ns);

/* a + b, clamped to [INT64_MIN, TIME_NEVER]. */
int64_t time_add(int64_t a, int64_t b);

#endif
