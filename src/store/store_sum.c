#include "store/store_sum.h"

#include "base/check.h"

#include <endian.h>
#include <string.h>

/* In the header, so that programs need no library more at run time. */
#define XXH_INLINE_ALL
#include <xxhash.h>

static void add(struct store_sum *sum, uint64_t word)
{
    CHECK(sum->n_words < SUM_WORDS_MAX);
    sum->words[sum->n_words++] = htole64(word);
}

void sum_begin(struct store_sum *sum, enum sum_group group, struct id id)
{
    sum->n_words = 0;
    add(sum, group);
    memcpy(&sum->words[1], id.bytes, ID_BYTES);
    sum->n_words += ID_BYTES / sizeof sum->words[0];
}

void sum_null(struct store_sum *sum)
{
    add(sum, SUM_NULL);
    add(sum, 0);
}

void sum_integer(struct store_sum *sum, int64_t value)
{
    add(sum, SUM_INTEGER);
    add(sum, (uint64_t)value);
}

void sum_bytes(struct store_sum *sum, enum sum_type type, struct slice bytes)
{
    add(sum, (uint64_t)bytes.len << 8 | type);
    add(sum, bytes.len ? XXH3_64bits(bytes.data, bytes.len) : 0);
}

uint64_t sum_end(const struct store_sum *sum)
{
    return XXH3_64bits(sum->words, sum->n_words * sizeof sum->words[0]);
}

uint64_t sum_part(enum sum_group column, struct id id, int64_t value)
{
    struct store_sum sum;
    sum_begin(&sum, column, id);
    sum_integer(&sum, value);
    return sum_end(&sum);
}
