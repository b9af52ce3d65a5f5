#include "base/random.h"

#include "base/check.h"

#include <errno.h>
#include <sys/random.h>

static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_init(struct random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        random->state[i] = splitmix64(&seed);
}

void random_init_from_system(struct random *random)
{
    CHECK(random_system_bytes(random->state, sizeof(random->state)) == DR_OK);
    /* The all-zero state is the one from which the generator never leaves. */
    if ((random->state[0] | random->state[1] | random->state[2] | random->state[3]) == 0)
        random_init(random, 1);
}

static uint64_t rotate_left(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    if (bound == 0)
        return 0;
    /* Numbers under 2^64 mod bound are the incomplete round that would favour small results. */
    uint64_t reject_below = (0 - bound) % bound;
    uint64_t number;
    do
        number = random_next(random);
    while (number < reject_below);
    return number % bound;
}

dr_code random_system_bytes(void *out, size_t len)
{
    uint8_t *place = out;
    while (len > 0) {
        ssize_t n = getrandom(place, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return DR_UNAVAILABLE;
        place += n;
        len -= (size_t)n;
    }
    return DR_OK;
}
