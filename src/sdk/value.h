/* The insides of a dr_value, for the files of src/sdk that build, read and encode values. Everybody else uses
 * <dispatchrun/value.h>.
 *
 * A value is one allocation; what varies in length lies behind the struct. Every value that exists keeps
 * V1 depth <= DR_VALUE_DEPTH_MAX, so recursion over a value is bounded, and
 * V2 weight <= DR_VALUE_WEIGHT_MAX, where shared parts count each time they are reached: walking a value is bounded
 *    also when a pickle names one list a million times. */
#ifndef SDK_VALUE_H
#define SDK_VALUE_H

#include "base/slice.h"
#include <dispatchrun/value.h>
#include <stdatomic.h>

#define VALUE_TYPE_URL_BYTES_MAX 1024

/* What Python had where we have a list; kept so that it is pickled and shown as it came. */
enum value_flavour { VALUE_PLAIN, VALUE_TUPLE, VALUE_SET };

struct value_entry {
    dr_value *key; /* a text */
    dr_value *value;
};

struct dr_value {
    atomic_uint refs;
    uint8_t kind;    /* dr_kind */
    uint8_t flavour; /* enum value_flavour; of lists */
    uint16_t depth;
    uint32_t weight;
    union {
        bool boolean;
        int64_t integer;
        uint64_t unsigned_integer;
        double number;
        struct {
            int64_t seconds;
            int32_t nanos;
        } time;
        struct { /* text, bytes, message */
            uint8_t *data; /* NUL behind */
            size_t len;
            char *type_url; /* message only */
        } bytes;
        struct {
            size_t len;
            dr_value *next_dead; /* while it waits to be freed */
            dr_value **items;
        } list;
        struct {
            size_t len;
            dr_value *next_dead;
            struct value_entry *entries; /* in order of insertion; value_map_sorted behind them */
        } map;
    };
};

/* A new value with `extra` bytes behind the struct, one reference, depth 1 and weight 1; NULL when out of memory. */
dr_value *value_create(dr_kind kind, size_t extra);

/* Positions of a map's entries by key, for look-up and comparison. Borrowed. */
static inline uint32_t *value_map_sorted(const dr_value *map) { return (uint32_t *)(map->map.entries + map->map.len); }

/* The bytes of a text, bytes or message; empty for other kinds. Borrowed. */
struct slice value_slice(const dr_value *value);

/* The list that a builder ends in becomes a tuple or a set. */
void value_list_set_flavour(dr_builder *builder, enum value_flavour flavour);

/* Order of keys: bytes, then length. */
int value_compare_text(struct slice a, struct slice b);

/* True when a double holds the integer exactly; then *ret_number is set. */
bool value_double_of_int(int64_t integer, double *ret_number);
bool value_double_of_uint(uint64_t integer, double *ret_number);

#endif
