/* The journal: where a run has suspended, what it was given at each resume, and the form of that as the state of a poll
 * (journal.proto). */
#ifndef SDK_JOURNAL_H
#define SDK_JOURNAL_H

#include "base/arena.h"
#include "base/buf.h"

#define JOURNAL_TYPE_URL "type.googleapis.com/dispatch.c.v1.Journal"

/* A suspension and, but for the one that goes on, what the resume brought. */
struct journal_resume {
    int64_t now_ns;
    uint32_t n_calls;        /* begun when it suspended, in all */
    const char **functions;  /* of those begun since the suspension before */
    size_t n_functions;
    uint32_t n_unsent;       /* begun, but not carried by a poll yet; the last ones */
    struct slice *results;   /* serialized CallResults */
    size_t n_results;
    const char *poll_error;  /* "" without */
};

/* Everything lives in the arena that it was made in. */
struct journal {
    uint64_t fingerprint;
    struct slice input;      /* any; data NULL = none */
    struct journal_resume *resumes;
    size_t n_resumes, cap_resumes;
    struct journal_resume pending; /* the suspension that goes on */
};

/* Room for one more resume, zeroed; NULL when out of memory. */
struct journal_resume *journal_add(struct journal *journal, struct arena *arena);
/* No journal takes more bytes than this when it is encoded. */
size_t journal_bytes_max(const struct journal *journal);
/* Appends the serialized Any that is the poll's typed state. DR_RESOURCE_EXHAUSTED for one that could not be read back. */
dr_code journal_encode(const struct journal *journal, struct buf *buf, struct dr_error *error);
/* The reverse. DR_FAILED_PRECONDITION: this is no journal that we can read; DR_NO_MEMORY. */
dr_code journal_decode(struct slice any, struct arena *arena, struct journal *ret_journal, struct dr_error *error);

#endif
