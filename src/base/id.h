/* Dispatch ids: 16 bytes, shown as 32 lowercase hex digits. Bytes 0-5 are milliseconds since 1970
 * (big-endian), 6-7 a counter inside the millisecond, 8-15 random: ids sort by time of creation and
 * never repeat, across restarts and nodes (I5). The zero id means "none". */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/random.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#define ID_BYTES 16
#define ID_TEXT_SIZE 33 /* with the NUL */

struct id {
    uint8_t bytes[ID_BYTES];
};

struct id_source {
    struct random *random; /* borrowed */
    uint64_t last_ms;      /* never goes back, also when the clock does */
    uint16_t counter;
};

/* A new id. Monotone per source. */
struct id id_next(struct id_source *source, int64_t now_ns);

static inline bool id_equal(struct id a, struct id b) { return memcmp(a.bytes, b.bytes, ID_BYTES) == 0; }
static inline int id_compare(struct id a, struct id b) { return memcmp(a.bytes, b.bytes, ID_BYTES); }
static inline bool id_is_none(struct id id) { return id_equal(id, (struct id){{0}}); }

/* Writes 32 digits and a NUL; returns `text`. */
char *id_format(struct id id, char text[ID_TEXT_SIZE]);
/* True and *ret_id when `text` is exactly 32 hex digits (either case). */
bool id_parse(struct slice text, struct id *ret_id);
/* Spread over 64 bits, for hash tables. */
uint64_t id_hash(struct id id);

#endif
