/* Reproducible pseudo-random numbers (xoshiro256**) and bytes from the operating system. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <dispatchrun/error.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

/* Spreads one number over the state (splitmix64). */
void random_init(struct random *random, uint64_t seed);
/* 256 bits from the operating system. Aborts when there are none. */
void random_init_from_system(struct random *random);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound), without bias; bound 0 gives 0. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Cryptographic bytes from the operating system. */
dr_code random_system_bytes(void *out, size_t len);

#endif
