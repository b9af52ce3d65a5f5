/* Checksums of what the SQLite store keeps: XXH3-64 of a group of columns with the key of its row, so that a flipped
 * bit, a changed type and a row in another's place are found. docs/design/storage.md, "Sums", defines the bytes.
 *
 *     sum_begin(&sum, SUM_POLL, id);  sum_integer(&sum, 1);  sum_bytes(&sum, SUM_BLOB, bytes);  ...
 *     uint64_t number = sum_end(&sum);
 *
 * Pure, any thread. */
#ifndef STORE_STORE_SUM_H
#define STORE_STORE_SUM_H

#include "base/id.h"
#include "base/slice.h"

/* All numbers here are on disk. */
enum sum_group { SUM_FIXED = 1, SUM_CODE, SUM_PROGRESS, SUM_POLL, SUM_RESULT, SUM_PAYLOAD, SUM_MAIL, SUM_SWEEP };
enum sum_type { SUM_NULL = 1, SUM_INTEGER, SUM_TEXT, SUM_BLOB, SUM_OTHER };

#define SUM_COLUMNS_MAX 12
#define SUM_WORDS_MAX (3 + 2 * SUM_COLUMNS_MAX)

struct store_sum {
    uint64_t words[SUM_WORDS_MAX];
    size_t n_words;
};

/* At most SUM_COLUMNS_MAX columns follow. */
void sum_begin(struct store_sum *sum, enum sum_group group, struct id id);
void sum_null(struct store_sum *sum);
void sum_integer(struct store_sum *sum, int64_t value);
void sum_bytes(struct store_sum *sum, enum sum_type type, struct slice bytes);
uint64_t sum_end(const struct store_sum *sum);
/* The part that a column changed alone has in the sum of its group, by exclusive or. */
uint64_t sum_part(enum sum_group column, struct id id, int64_t value);

#endif
