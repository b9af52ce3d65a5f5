#include "base/map.h"

#include "base/check.h"
#include "base/mem.h"

enum { MAP_FIRST_CAP = 16 };

void map_init(struct map *map) { *map = (struct map){0}; }

void map_deinit(struct map *map)
{
    mem_free(map->entries);
    map_init(map);
}

/* The slot that holds the key, or the free slot where it would go. Needs at least one free slot. */
static size_t slot_of(const struct map *map, struct id key)
{
    size_t mask = map->cap - 1;
    size_t slot = (size_t)id_hash(key) & mask;
    while (map->entries[slot].value && !id_equal(map->entries[slot].key, key))
        slot = (slot + 1) & mask;
    return slot;
}

static dr_code resize(struct map *map, size_t cap)
{
    struct map bigger = {.cap = cap, .len = map->len};
    bigger.entries = mem_zalloc(cap * sizeof(struct map_entry));
    if (!bigger.entries)
        return DR_NO_MEMORY;
    for (size_t i = 0; i < map->cap; i++)
        if (map->entries[i].value)
            bigger.entries[slot_of(&bigger, map->entries[i].key)] = map->entries[i];
    mem_free(map->entries);
    *map = bigger;
    return DR_OK;
}

void *map_get(const struct map *map, struct id key)
{
    return map->len ? map->entries[slot_of(map, key)].value : NULL;
}

dr_code map_put(struct map *map, struct id key, void *value)
{
    CHECK(value);
    size_t slot = 0;
    if (map->cap) {
        slot = slot_of(map, key);
        if (map->entries[slot].value) {
            map->entries[slot].value = value;
            return DR_OK;
        }
    }
    if (map->len >= map->cap - map->cap / 4) {
        dr_code code = resize(map, map->cap ? map->cap * 2 : MAP_FIRST_CAP);
        if (code != DR_OK)
            return code;
        slot = slot_of(map, key);
    }
    map->entries[slot] = (struct map_entry){.key = key, .value = value};
    map->len++;
    return DR_OK;
}

/* Moves later entries of the probe chain over the hole, so that no tombstone is needed. */
static void close_hole(struct map *map, size_t hole)
{
    size_t mask = map->cap - 1;
    for (size_t slot = (hole + 1) & mask; map->entries[slot].value; slot = (slot + 1) & mask) {
        size_t home = (size_t)id_hash(map->entries[slot].key) & mask;
        bool may_move = ((slot - home) & mask) >= ((slot - hole) & mask);
        if (may_move) {
            map->entries[hole] = map->entries[slot];
            hole = slot;
        }
    }
    map->entries[hole] = (struct map_entry){0};
}

void *map_remove(struct map *map, struct id key)
{
    if (map->len == 0)
        return NULL;
    size_t slot = slot_of(map, key);
    void *value = map->entries[slot].value;
    if (!value)
        return NULL;
    close_hole(map, slot);
    map->len--;
    if (map->cap > MAP_FIRST_CAP && map->len < map->cap / 8)
        (void)resize(map, map->cap / 4); /* only memory given back: a failure changes nothing */
    return value;
}

struct map_entry *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->cap) {
        struct map_entry *entry = &map->entries[(*cursor)++];
        if (entry->value)
            return entry;
    }
    return NULL;
}
