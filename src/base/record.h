/* Records: what is persisted of a call, and the batches in which it changes.
 *
 * The engine makes batches, a store applies them whole or not at all (I6) and in order, and hands records
 * back. Both know only this header. Payloads are blobs (base/blob.h): a record owns one reference each.
 *
 * A call's row is written by the transitions of DESIGN section 4; `docs/design/storage.md` describes each
 * field on disk, and `docs/design/engine.md` which transition may change it. */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include "base/blob.h"
#include "base/id.h"
#include <dispatchrun/status.h>

/* `running` is never persisted: an attempt lost in a crash is simply made again (T2). */
enum call_state { CALL_SCHEDULED = 1, CALL_SUSPENDED = 2, CALL_DONE = 3 };

/* A child's mail: whether its result may still reach its parent (I2). */
enum call_mail {
    CALL_MAIL_NONE = 0,      /* a root */
    CALL_MAIL_OPEN = 1,      /* outstanding, or done and not consumed by the parent yet */
    CALL_MAIL_CONSUMED = 2   /* the parent finished an attempt that had it, or abandoned it */
};

struct error_record { /* all NULL = no error */
    struct blob *type;
    struct blob *message;
    struct blob *value;
    struct blob *traceback;
};

struct call_record {
    /* fixed at creation (T1, T6) */
    struct id id;
    struct id parent;           /* none for a root */
    struct id root;             /* own id for a root */
    uint32_t project;
    uint32_t parent_generation; /* generation of the parent that made this call */
    uint32_t depth;             /* 0 for a root */
    uint64_t correlation_id;
    int64_t created_ns;
    int64_t expires_ns;

    /* code: changed by tail calls (T5) */
    struct blob *endpoint;
    struct blob *function;
    struct blob *version; /* NULL when none */
    struct blob *input;   /* any; NULL when absent */
    uint32_t generation;  /* +1 on T5 and T9: children of older generations are abandoned */

    /* progress (T3 to T9) */
    uint8_t state;        /* enum call_state */
    uint8_t mail;         /* enum call_mail */
    uint32_t sweep_below; /* children made in generations < this are still to be cancelled: 0 none, UINT32_MAX all */
    bool has_children;    /* ever made a child, in whatever generation */
    int64_t wake_ns;      /* live: next attempt, max_wait deadline or expiration, whichever comes first. DONE: 0 */
    int64_t due_ns;       /* SCHEDULED: time of next attempt. SUSPENDED: max_wait deadline or TIME_NEVER */
    uint32_t attempts;    /* finished attempts, resumes not counted (protocol 4.2) */
    uint32_t failures;    /* consecutive failures, for the backoff */
    uint8_t last_status;  /* dr_status of the last finished attempt */
    struct blob *last_error; /* text of the last failure for people; NULL when none */

    /* poll (T6); kept while SCHEDULED again for the resume, cleared by T3, T5, T9 */
    uint8_t state_arm;    /* enum wire_state_arm; meaningful when is_resume */
    bool is_resume;       /* the next attempt carries a poll result, not the input */
    struct blob *poll_state;
    struct blob *poll_error; /* text: the poll was refused (PollResult.error); NULL when not */
    int32_t min_results;
    int32_t max_results;

    /* result (T3, T8) */
    uint8_t status;       /* dr_status of the final attempt */
    int64_t done_ns;
    uint64_t done_sequence; /* order of completion, for "oldest first" */
    struct blob *output;  /* any; NULL when absent */
    struct error_record error;
};

/* Which groups of fields an update carries. The fixed fields never change. */
enum record_fields {
    RECORD_CODE = 1 << 0,     /* endpoint function version input generation */
    RECORD_PROGRESS = 1 << 1, /* state mail sweep_below has_children wake due attempts failures last_status
                               * last_error */
    RECORD_POLL = 1 << 2,     /* state_arm is_resume poll_state poll_error min_results max_results */
    RECORD_RESULT = 1 << 3    /* status done_ns done_sequence output error */
};

enum batch_op_kind {
    BATCH_INSERT,  /* a new call: the whole record */
    BATCH_UPDATE,  /* groups `fields` of the call `record.id` (which must exist) */
    BATCH_CONSUME, /* the call `record.id` gets mail = CALL_MAIL_CONSUMED, nothing else; a missing call is ignored */
    BATCH_SWEPT    /* the call `record.id` gets sweep_below = 0, nothing else; a missing call is ignored */
};

struct batch_op {
    uint8_t kind;             /* enum batch_op_kind */
    uint8_t fields;           /* enum record_fields, of an update */
    struct call_record record;
};

/* One atomic change (I6). Owned by whoever holds it; batch_destroy releases the blobs. */
struct batch {
    uint64_t sequence;        /* 1, 2, 3, ... per engine */
    struct batch_op *ops;
    size_t n_ops;
    size_t cap_ops;
};

/* How many children of one generation have open mail. */
struct record_children {
    uint64_t n_done;
    uint64_t n_outstanding;
};

/* A purge looks at done calls in the order (done_ns, id), those behind (after_done_ns, after) and with done_ns <
 * done_before_ns, at most `limit` of them, and deletes those whose result nobody can need. */
struct purge_order {
    int64_t after_done_ns;
    struct id after;
    int64_t done_before_ns;
    size_t limit;
};

struct purge_result {
    size_t n_purged;
    size_t n_kept;            /* looked at, but needed */
    int64_t reached_done_ns;  /* the last one looked at, where the next purge goes on; as ordered when there was none */
    struct id reached;
    int64_t next_done_ns;     /* of the first done call behind it; TIME_NEVER when none */
};

/* One more reference to every blob: *target becomes an independent copy. */
void record_copy(struct call_record *target, const struct call_record *source);
/* Releases the blobs and zeroes the record. Accepts a zeroed record. */
void record_deinit(struct call_record *record);
void error_record_copy(struct error_record *target, const struct error_record *source);
void error_record_deinit(struct error_record *error);
static inline bool error_record_is_set(const struct error_record *error)
{
    return error->type || error->message || error->value || error->traceback;
}
/* Copies the groups `fields` of source into target (references included), as a store applies an update. */
void record_apply(struct call_record *target, const struct call_record *source, unsigned fields);

/* An empty batch; aborts when out of memory (engine and server only). */
struct batch *batch_create(uint64_t sequence);
void batch_destroy(struct batch *batch); /* accepts NULL */
/* Appends an operation with its own references to what it needs: the whole record for an insert, the named
 * groups for an update, only the id for a consume. Aborts when out of memory. */
void batch_add(struct batch *batch, enum batch_op_kind kind, unsigned fields, const struct call_record *record);

#endif
