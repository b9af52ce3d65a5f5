/* Chaos: lost, repeated and late attempts, on purpose, so that a user's program is tested against what at-least-once
 * means (docs/guide/chaos.md). The driver draws a plan for each attempt; what it does to the attempt is in
 * driver_chaos.c. Nothing is ever done to what the server has acknowledged, or to its store.
 *
 * The plan of an attempt follows from the seed, its function, and how many attempts of that function there have been: the
 * third attempt of `fetch` meets the same in every run with that seed, whatever else happens at the same time (functions
 * whose names fall into the same of 1,024 places are counted together).
 *
 * Threads: one at a time (the engine thread). */
#ifndef SERVER_CHAOS_H
#define SERVER_CHAOS_H

#include "base/slice.h"
#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAOS_TEXT_SIZE 160

/* X(name, text): what may happen to an attempt; the texts are labels of a metric. */
#define CHAOS_TABLE(X)                                                                   \
    X(CHAOS_REQUEST_LOST, "request_lost") /* the function does not run */                \
    X(CHAOS_ANSWER_LOST, "answer_lost")   /* the function has run */                     \
    X(CHAOS_DUPLICATE, "duplicate")       /* the function runs twice, one answer counts */ \
    X(CHAOS_DELAY, "delay")                                                              \
    X(CHAOS_CRASH, "crash_endpoint")      /* the answers to all runs in flight there are lost */ \
    X(CHAOS_FAIL, "fail")                 /* the endpoint answers a temporary error, without running */

enum chaos_kind {
#define X(name, text) name,
    CHAOS_TABLE(X)
#undef X
    CHAOS_KINDS
};

struct chaos_options { /* zeroed: no chaos */
    bool is_on;
    uint64_t seed;
    uint32_t drop_ppm; /* parts in a million of the attempts */
    uint32_t duplicate_ppm;
    uint32_t delay_ppm;
    uint32_t crash_ppm;
    uint32_t fail_ppm;
    int64_t delay_ns; /* at most */
};

struct chaos {
    struct chaos_options options;
    uint32_t attempts[1024]; /* of the functions whose names fall into each place */
    uint64_t n[CHAOS_KINDS]; /* how often it happened */
};

/* What happens to one attempt. */
struct chaos_plan {
    bool has[CHAOS_KINDS];
    int64_t delay_ns;
};

/* Reads "seed=42,drop=1%,duplicate=0.5%,delay=50ms,delay=2s@10%,crash-endpoint=1%,fail=1%". Without a seed one is drawn
 * from the operating system. "" and NULL: no chaos. DR_INVALID_ARGUMENT says what is wrong and what is allowed. */
dr_code chaos_parse(const char *text, struct chaos_options *ret_options, struct dr_error *error);
/* The text with which chaos_parse gives the same again. Returns `text`. */
const char *chaos_format(const struct chaos_options *options, char text[CHAOS_TEXT_SIZE]);

void chaos_init(struct chaos *chaos, const struct chaos_options *options);
void chaos_draw(struct chaos *chaos, struct slice function, struct chaos_plan *ret_plan);
/* "answer_lost". Static. */
const char *chaos_kind_name(enum chaos_kind kind);

#endif
