/* The protocol's messages as plain structs (dispatch.sdk.v1; field meanings: docs/protocol.md 1).
 *
 * All slices and arrays are borrowed: after decoding they point into the input bytes or the arena given to
 * the decoder; before encoding, wherever the caller likes. Nothing here owns memory.
 *
 * An *any* is the serialized google.protobuf.Any as one slice: server and engine pass payloads through
 * untouched, byte for byte, and never look inside. `data == NULL` means the field is absent; a present empty
 * Any has len 0 and data != NULL. Times and durations are int64_t ns; 0 means absent unless said otherwise. */
#ifndef WIRE_TYPES_H
#define WIRE_TYPES_H

#include "base/slice.h"
#include <dispatchrun/status.h>

struct wire_call {
    uint64_t correlation_id;
    struct slice endpoint;
    struct slice function;
    struct slice input; /* any */
    int64_t expiration_ns;
    struct slice version;
};

struct wire_error {
    struct slice type;
    struct slice message;
    struct slice value;
    struct slice traceback;
};

struct wire_result {
    uint64_t correlation_id;
    struct slice output; /* any */
    bool has_error;
    struct wire_error error;
    struct slice dispatch_id; /* 32 hex digits as text */
};

/* Which arm of a poll's or poll result's `state` oneof; the arm received is the arm sent back (Q7). */
enum wire_state_arm { WIRE_STATE_NONE = 0, WIRE_STATE_BYTES = 1, WIRE_STATE_TYPED = 2 };

struct wire_poll {
    enum wire_state_arm state_arm;
    struct slice state; /* raw bytes, or an any when typed */
    struct wire_call *calls;
    size_t n_calls;
    bool has_max_wait;
    int64_t max_wait_ns;
    int32_t max_results;
    int32_t min_results;
};

struct wire_poll_result {
    enum wire_state_arm state_arm;
    struct slice state;
    struct wire_result *results;
    size_t n_results;
    bool has_error;
    struct wire_error error;
};

enum wire_directive { WIRE_DIRECTIVE_NONE = 0, WIRE_DIRECTIVE_INPUT, WIRE_DIRECTIVE_POLL_RESULT };

struct wire_run_request {
    struct slice function;
    enum wire_directive directive;
    struct slice input;                   /* any; with WIRE_DIRECTIVE_INPUT */
    struct wire_poll_result poll_result;  /* with WIRE_DIRECTIVE_POLL_RESULT */
    struct slice dispatch_id;
    struct slice parent_dispatch_id;      /* empty for a root */
    struct slice root_dispatch_id;
    int64_t creation_ns;
    int64_t expiration_ns;                /* absolute */
};

enum wire_outcome { WIRE_OUTCOME_NONE = 0, WIRE_OUTCOME_EXIT, WIRE_OUTCOME_POLL };

struct wire_run_response {
    dr_status status; /* unknown numbers are kept */
    enum wire_outcome outcome;
    /* exit */
    bool has_result;
    struct wire_result result;
    bool has_tail_call;
    struct wire_call tail_call;
    /* poll */
    struct wire_poll poll;
};

struct wire_dispatch_request {
    struct wire_call *calls;
    size_t n_calls;
};

struct wire_dispatch_response {
    struct slice *dispatch_ids;
    size_t n_dispatch_ids;
};

/* Limits of DESIGN section 6. */
#define WIRE_MESSAGE_BYTES_MAX 16000000u
#define WIRE_CALLS_MAX 10000u
#define WIRE_DEPTH_MAX 1000u

#endif
