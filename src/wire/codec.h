/* What the files of src/wire share. Nobody else includes it. */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "wire/wire.h"

/* Every refusal of a message begins so; the original clients show it (protocol 2.3). */
#define WIRE_UNMARSHAL "unmarshal message: "
/* What a private arena of this module may take: many times what a legal message needs. */
#define WIRE_SCRATCH_BYTES_MAX (256u << 20)

/* "out of memory", in the words of the error table. */
dr_code wire_no_memory(struct dr_error *error);

/* Length of the UTF-8 character at the front of `bytes` (not empty); 0 when there is none. */
size_t wire_utf8_char_len(struct slice bytes);

/* A present field is told from an absent one by data != NULL (types.h). */
static inline struct slice wire_present(struct slice bytes)
{
    return bytes.data ? bytes : slice_of("", 0);
}

/* "10001 calls in one request, the limit is 10000" */
dr_code wire_too_many_calls(size_t n_calls, struct dr_error *error);

/* Checks that the slice is a well-formed Any; as wire_any_split. */
dr_code wire_any_check(struct slice any, struct dr_error *error);

/* google.protobuf.Duration and Timestamp. */
struct wire_time {
    int64_t seconds;
    int32_t nanos;
};

/* Ranges of protobuf: 10,000 years either way, both parts of one sign; the years 1 to 9999, nanos not
 * negative. */
bool wire_duration_is_valid(struct wire_time duration);
bool wire_timestamp_is_valid(struct wire_time timestamp);
/* Clamped to int64_t. */
int64_t wire_time_ns(struct wire_time time);
/* Rounds down, so that nanos is not negative: what Timestamp wants, and Durations that are not negative. */
struct wire_time wire_time_of_ns(int64_t ns);

#endif
