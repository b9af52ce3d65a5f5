#include "sdk/pickle_node.h"
#include "sdk/value.h"

#include "base/error.h"

void pickle_nodes_init(struct pickle_nodes *nodes, size_t bytes_max)
{
    arena_init(&nodes->arena, bytes_max);
    nodes->all = NULL;
}

void pickle_nodes_deinit(struct pickle_nodes *nodes)
{
    for (struct pickle_node *node = nodes->all; node; node = node->next)
        dr_value_unref(node->value);
    nodes->all = NULL;
    arena_deinit(&nodes->arena);
}

struct pickle_node *pickle_node_create(struct pickle_nodes *nodes, enum pickle_node_kind kind)
{
    struct pickle_node *node = arena_zalloc(&nodes->arena, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    node->next = nodes->all;
    nodes->all = node;
    return node;
}

struct pickle_node *pickle_node_create_value(struct pickle_nodes *nodes, dr_value *value)
{
    struct pickle_node *node = value ? pickle_node_create(nodes, PICKLE_NODE_VALUE) : NULL;
    if (node)
        node->value = value;
    else
        dr_value_unref(value);
    return node;
}

bool pickle_node_append(struct pickle_nodes *nodes, struct pickle_node *node, struct pickle_node *item)
{
    if (node->len == node->cap) {
        size_t cap = node->cap ? node->cap * 2 : 4;
        struct pickle_node **items = arena_alloc(&nodes->arena, cap * sizeof *items);
        if (!items)
            return false;
        if (node->len > 0)
            memcpy(items, node->items, node->len * sizeof *items);
        node->items = items;
        node->cap = cap;
    }
    node->items[node->len++] = item;
    return true;
}

static bool node_is_text(const struct pickle_node *node)
{
    return node->kind == PICKLE_NODE_VALUE && dr_value_kind(node->value) == DR_KIND_TEXT;
}

/* The last entry of a key is the one that counts. */
struct pickle_node *pickle_node_get(const struct pickle_node *dict, const char *key)
{
    for (size_t i = dict->len; i >= 2; i -= 2) {
        const struct pickle_node *name = dict->items[i - 2];
        if (node_is_text(name) && slice_equal(value_slice(name->value), slice_text(key)))
            return dict->items[i - 1];
    }
    return NULL;
}

/* ---- Conversion ---- */

struct conversion {
    struct dr_error *error;
    int depth; /* levels still allowed */
};

static dr_code convert(struct conversion *conversion, struct pickle_node *node);

static dr_code convert_list(struct conversion *conversion, struct pickle_node *node)
{
    dr_builder *builder = dr_list_begin();
    if (node->kind != PICKLE_NODE_LIST)
        value_list_set_flavour(builder, node->kind == PICKLE_NODE_TUPLE ? VALUE_TUPLE : VALUE_SET);
    for (size_t i = 0; i < node->len; i++) {
        dr_code code = convert(conversion, node->items[i]);
        if (code) {
            dr_builder_cancel(builder);
            return code;
        }
        dr_list_add(builder, dr_value_ref(node->items[i]->value));
    }
    return dr_builder_end(builder, &node->value, conversion->error);
}

static dr_code convert_dict(struct conversion *conversion, struct pickle_node *node)
{
    dr_builder *builder = dr_map_begin();
    for (size_t i = 0; i < node->len; i += 2) {
        struct pickle_node *key = node->items[i];
        dr_code code = node_is_text(key) ? convert(conversion, node->items[i + 1])
                                         : error_set(conversion->error, DR_UNIMPLEMENTED,
                                                     "a dict of the pickle has a key that is not text");
        if (code) {
            dr_builder_cancel(builder);
            return code;
        }
        struct slice text = value_slice(key->value);
        dr_map_add_n(builder, (const char *)text.data, text.len, dr_value_ref(node->items[i + 1]->value));
    }
    return dr_builder_end(builder, &node->value, conversion->error);
}

static dr_code convert(struct conversion *conversion, struct pickle_node *node)
{
    if (node->value)
        return DR_OK;
    if (node->kind == PICKLE_NODE_CLASS || node->kind == PICKLE_NODE_OBJECT)
        return error_set(conversion->error, DR_UNIMPLEMENTED, "the pickle holds an object where a value is expected");
    if (node->is_open)
        return error_set(conversion->error, DR_UNIMPLEMENTED, "the pickle holds an object that contains itself");
    if (conversion->depth == 0)
        return error_set(conversion->error, DR_RESOURCE_EXHAUSTED, "the pickle is nested deeper than %d",
                         DR_VALUE_DEPTH_MAX);
    node->is_open = true;
    conversion->depth--;
    dr_code code = node->kind == PICKLE_NODE_DICT ? convert_dict(conversion, node) : convert_list(conversion, node);
    conversion->depth++;
    node->is_open = false;
    return code;
}

dr_code pickle_node_convert(struct pickle_node *node, dr_value **ret_value, struct dr_error *error)
{
    struct conversion conversion = {.error = error, .depth = DR_VALUE_DEPTH_MAX};
    dr_code code = convert(&conversion, node);
    if (!code)
        *ret_value = dr_value_ref(node->value);
    return code;
}
