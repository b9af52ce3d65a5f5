/* Building lists and maps, and what both need of texts. */
#include "sdk/value.h"

#include "base/check.h"
#include "base/error.h"
#include "base/mem.h"
#include <stdlib.h>

struct dr_builder {
    bool is_map;
    enum value_flavour flavour;
    dr_code failed; /* the first failure; nothing is added after it */
    dr_value **keys; /* maps only; as long as values */
    dr_value **values;
    size_t len;
    size_t cap;
    size_t weight;
    unsigned depth; /* of the deepest value */
};

static dr_builder *builder_create(bool is_map)
{
    dr_builder *builder = mem_zalloc(sizeof *builder);
    if (builder)
        builder->is_map = is_map;
    return builder;
}

dr_builder *dr_list_begin(void) { return builder_create(false); }

dr_builder *dr_map_begin(void) { return builder_create(true); }

void value_list_set_flavour(dr_builder *builder, enum value_flavour flavour)
{
    if (builder)
        builder->flavour = flavour;
}

static dr_code builder_grow(dr_builder *builder)
{
    if (builder->len < builder->cap)
        return DR_OK;
    size_t cap = builder->cap ? builder->cap * 2 : 8;
    dr_value **values = mem_realloc(builder->values, cap * sizeof *values);
    if (!values)
        return DR_NO_MEMORY;
    builder->values = values;
    if (builder->is_map) {
        dr_value **keys = mem_realloc(builder->keys, cap * sizeof *keys);
        if (!keys)
            return DR_NO_MEMORY;
        builder->keys = keys;
    }
    builder->cap = cap;
    return DR_OK;
}

static dr_code builder_check(const dr_builder *builder, bool is_map, const dr_value *key, const dr_value *value)
{
    if (builder->failed)
        return builder->failed;
    if (builder->is_map != is_map)
        return DR_INVALID_ARGUMENT;
    if (!value || (is_map && !key))
        return DR_NO_MEMORY;
    size_t weight = builder->weight + value->weight + (key ? key->weight : 0);
    if (weight >= DR_VALUE_WEIGHT_MAX || value->depth >= DR_VALUE_DEPTH_MAX)
        return DR_RESOURCE_EXHAUSTED;
    return DR_OK;
}

/* Takes both. */
static void builder_add(dr_builder *builder, bool is_map, dr_value *key, dr_value *value)
{
    dr_code code = builder ? builder_check(builder, is_map, key, value) : DR_NO_MEMORY;
    if (!code)
        code = builder_grow(builder);
    if (code) {
        if (builder)
            builder->failed = code;
        dr_value_unref(key);
        dr_value_unref(value);
        return;
    }
    if (is_map)
        builder->keys[builder->len] = key;
    builder->values[builder->len++] = value;
    builder->weight += value->weight + (key ? key->weight : 0);
    if (value->depth > builder->depth)
        builder->depth = value->depth;
}

void dr_list_add(dr_builder *builder, dr_value *item) { builder_add(builder, false, NULL, item); }

void dr_map_add_n(dr_builder *builder, const char *key, size_t key_len, dr_value *value)
{
    bool is_wanted = builder && !builder->failed;
    builder_add(builder, true, is_wanted ? dr_value_text_n(key, key_len) : NULL, value);
}

void dr_map_add(dr_builder *builder, const char *key, dr_value *value)
{
    dr_map_add_n(builder, key ? key : "", key ? strlen(key) : 0, value);
}

void dr_builder_cancel(dr_builder *builder)
{
    if (!builder)
        return;
    for (size_t i = 0; i < builder->len; i++) {
        if (builder->is_map)
            dr_value_unref(builder->keys[i]);
        dr_value_unref(builder->values[i]);
    }
    mem_free(builder->keys);
    mem_free(builder->values);
    mem_free(builder);
}

/* ---- Ends ---- */

static dr_code builder_end_list(dr_builder *builder, dr_value **ret_value)
{
    size_t bytes = builder->len * sizeof(dr_value *);
    dr_value *list = value_create(DR_KIND_LIST, bytes);
    if (!list)
        return DR_NO_MEMORY;
    list->flavour = (uint8_t)builder->flavour;
    list->depth = (uint16_t)(builder->depth + 1);
    list->weight = (uint32_t)(builder->weight + 1);
    list->list.items = (dr_value **)(list + 1);
    list->list.len = builder->len;
    if (bytes > 0)
        memcpy(list->list.items, builder->values, bytes);
    builder->len = 0;
    *ret_value = list;
    return DR_OK;
}

struct builder_key {
    const dr_value *key;
    uint32_t position;
};

/* By key; of equal keys the one added first comes first. */
static int builder_compare_keys(const void *left, const void *right)
{
    const struct builder_key *a = left;
    const struct builder_key *b = right;
    int order = value_compare_text(value_slice(a->key), value_slice(b->key));
    if (order != 0)
        return order;
    return a->position < b->position ? -1 : a->position > b->position;
}

/* Of equal keys the first keeps its place and gets the last value; the rest lose their key (NULL). Returns how many
 * keys stay; `order` then holds these, sorted. */
static size_t builder_merge_equal_keys(dr_builder *builder, struct builder_key *order)
{
    size_t kept = 0;
    for (size_t i = 0; i < builder->len; i++) {
        struct builder_key next = order[i];
        if (kept == 0 || value_compare_text(value_slice(order[kept - 1].key), value_slice(next.key)) != 0) {
            order[kept++] = next;
            continue;
        }
        dr_value **place = &builder->values[order[kept - 1].position];
        dr_value_unref(*place);
        *place = builder->values[next.position];
        dr_value_unref(builder->keys[next.position]);
        builder->keys[next.position] = NULL;
        builder->values[next.position] = NULL;
    }
    return kept;
}

/* Moves what has a key into the map; `moved` is for the new position of each. */
static void builder_fill_map(dr_builder *builder, dr_value *map, const struct builder_key *order, uint32_t *moved)
{
    size_t len = 0;
    for (size_t i = 0; i < builder->len; i++) {
        if (!builder->keys[i])
            continue;
        map->map.entries[len] = (struct value_entry){.key = builder->keys[i], .value = builder->values[i]};
        map->weight += builder->keys[i]->weight + builder->values[i]->weight;
        moved[i] = (uint32_t)len++;
    }
    CHECK(len == map->map.len);
    for (size_t i = 0; i < len; i++)
        value_map_sorted(map)[i] = moved[order[i].position];
    builder->len = 0;
}

static dr_code builder_end_map(dr_builder *builder, dr_value **ret_value)
{
    dr_code code = DR_NO_MEMORY;
    dr_value *map = value_create(DR_KIND_MAP, builder->len * (sizeof(struct value_entry) + sizeof(uint32_t)));
    struct builder_key *order = mem_alloc(builder->len * sizeof *order);
    uint32_t *moved = mem_alloc(builder->len * sizeof *moved);
    if (!map || !order || !moved)
        goto cleanup;
    for (size_t i = 0; i < builder->len; i++)
        order[i] = (struct builder_key){.key = builder->keys[i], .position = (uint32_t)i};
    if (builder->len > 1)
        qsort(order, builder->len, sizeof *order, builder_compare_keys);
    map->map.entries = (struct value_entry *)(map + 1);
    map->map.len = builder_merge_equal_keys(builder, order);
    map->depth = (uint16_t)(builder->depth + 1);
    builder_fill_map(builder, map, order, moved);
    *ret_value = map;
    map = NULL;
    code = DR_OK;
cleanup:
    mem_free(moved);
    mem_free(order);
    mem_free(map);
    return code;
}

static dr_code builder_report(const dr_builder *builder, struct dr_error *error)
{
    dr_code code = builder ? builder->failed : DR_NO_MEMORY;
    switch (code) {
    case DR_OK:
        return DR_OK;
    case DR_RESOURCE_EXHAUSTED:
        return error_set(error, code, "a value may be nested at most %d deep and weigh at most %d", DR_VALUE_DEPTH_MAX,
                         DR_VALUE_WEIGHT_MAX);
    case DR_INVALID_ARGUMENT:
        return error_set(error, code,
                         builder->is_map ? "an item without a key was added to a map" : "a key was added to a list");
    default:
        return error_set(error, code, "%s", dr_code_text(code));
    }
}

dr_code dr_builder_end(dr_builder *builder, dr_value **ret_value, struct dr_error *error)
{
    dr_code code = builder_report(builder, error);
    if (!code) {
        code = builder->is_map ? builder_end_map(builder, ret_value) : builder_end_list(builder, ret_value);
        if (code)
            (void)error_set(error, code, "%s", dr_code_text(code));
    }
    dr_builder_cancel(builder);
    return code;
}

dr_value *dr_value_list(dr_value *const *items, size_t n)
{
    dr_value *list = NULL;
    dr_builder *builder = dr_list_begin();
    for (size_t i = 0; i < n; i++)
        dr_list_add(builder, items[i]);
    return dr_builder_end(builder, &list, NULL) == DR_OK ? list : NULL;
}

dr_value *dr_value_map(const char *const *keys, dr_value *const *values, size_t n)
{
    dr_value *map = NULL;
    dr_builder *builder = dr_map_begin();
    for (size_t i = 0; i < n; i++)
        dr_map_add(builder, keys[i], values[i]);
    return dr_builder_end(builder, &map, NULL) == DR_OK ? map : NULL;
}
