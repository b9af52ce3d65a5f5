/* The objects of a pickle while it is read: unlike values they change and may contain themselves, so they become
 * values only once the whole pickle has been read. Nodes live in the arena of the reader. */
#ifndef SDK_PICKLE_NODE_H
#define SDK_PICKLE_NODE_H

#include "base/arena.h"
#include <dispatchrun/value.h>

enum pickle_node_kind {
    PICKLE_NODE_VALUE, /* a finished scalar */
    PICKLE_NODE_LIST,
    PICKLE_NODE_TUPLE,
    PICKLE_NODE_SET,
    PICKLE_NODE_DICT,  /* items are key, value, key, value */
    PICKLE_NODE_CLASS, /* dispatch.proto.Arguments itself */
    PICKLE_NODE_OBJECT /* an instance; items[0] is its state once it has one */
};

struct pickle_node {
    enum pickle_node_kind kind;
    bool is_open;    /* its conversion is under way: meeting it again means that it contains itself */
    dr_value *value; /* owned; what it was converted to */
    struct pickle_node **items;
    size_t len;
    size_t cap;
    struct pickle_node *next; /* in pickle_nodes.all */
};

struct pickle_nodes {
    struct arena arena;
    struct pickle_node *all;
};

void pickle_nodes_init(struct pickle_nodes *nodes, size_t bytes_max);
void pickle_nodes_deinit(struct pickle_nodes *nodes);

/* NULL when there is no room. */
struct pickle_node *pickle_node_create(struct pickle_nodes *nodes, enum pickle_node_kind kind);
/* Takes the value; NULL also when it is NULL. */
struct pickle_node *pickle_node_create_value(struct pickle_nodes *nodes, dr_value *value);
/* False when there is no room. */
bool pickle_node_append(struct pickle_nodes *nodes, struct pickle_node *node, struct pickle_node *item);

/* The value of a node. Returns owned. DR_UNIMPLEMENTED for what no value can be, DR_RESOURCE_EXHAUSTED past a limit of
 * values, DR_NO_MEMORY. */
dr_code pickle_node_convert(struct pickle_node *node, dr_value **ret_value, struct dr_error *error);
/* The node behind a text key of a dict; NULL when there is none. */
struct pickle_node *pickle_node_get(const struct pickle_node *dict, const char *key);

#endif
