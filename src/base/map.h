/* Hash map from id to pointer (open addressing, tombstone-free deletion). Owns its table, not the values.
 * Grows by doubling; shrinks when mostly empty, so an idle process gives its memory back. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/id.h"
#include <dispatchrun/error.h>

struct map_entry {
    struct id key;
    void *value; /* NULL = free slot */
};

struct map {
    struct map_entry *entries;
    size_t len;
    size_t cap; /* 0 or a power of two */
};

void map_init(struct map *map);
void map_deinit(struct map *map);
/* NULL when absent. */
void *map_get(const struct map *map, struct id key);
/* Inserts or replaces; value must not be NULL. DR_NO_MEMORY leaves the map as it was. */
dr_code map_put(struct map *map, struct id key, void *value);
/* Takes the entry out and returns its value; NULL when absent. */
void *map_remove(struct map *map, struct id key);
/* Iteration: start with *cursor = 0; NULL at the end. The map must not change meanwhile. */
struct map_entry *map_next(const struct map *map, size_t *cursor);

#endif
