#include "base/clock.h"
#include "wire/codec.h"

#define DURATION_SECONDS_MAX INT64_C(315576000000)
#define TIMESTAMP_SECONDS_MIN INT64_C(-62135596800)
#define TIMESTAMP_SECONDS_MAX INT64_C(253402300799)

bool wire_duration_is_valid(struct wire_time duration)
{
    bool is_near = duration.seconds >= -DURATION_SECONDS_MAX && duration.seconds <= DURATION_SECONDS_MAX;
    bool is_fraction = duration.nanos > -NS_PER_S && duration.nanos < NS_PER_S;
    bool has_two_signs =
        (duration.seconds > 0 && duration.nanos < 0) || (duration.seconds < 0 && duration.nanos > 0);
    return is_near && is_fraction && !has_two_signs;
}

bool wire_timestamp_is_valid(struct wire_time timestamp)
{
    return timestamp.seconds >= TIMESTAMP_SECONDS_MIN && timestamp.seconds <= TIMESTAMP_SECONDS_MAX &&
           timestamp.nanos >= 0 && timestamp.nanos < NS_PER_S;
}

int64_t wire_time_ns(struct wire_time time)
{
    int64_t ns;
    if (__builtin_mul_overflow(time.seconds, NS_PER_S, &ns))
        return time.seconds < 0 ? INT64_MIN : TIME_NEVER;
    return time_add(ns, time.nanos);
}

struct wire_time wire_time_of_ns(int64_t ns)
{
    struct wire_time time = {.seconds = ns / NS_PER_S, .nanos = (int32_t)(ns % NS_PER_S)};
    if (time.nanos < 0) {
        time.seconds--;
        time.nanos += (int32_t)NS_PER_S;
    }
    return time;
}
