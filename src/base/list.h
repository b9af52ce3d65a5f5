/* Intrusive doubly linked list with a sentinel. The list owns nothing. All operations O(1). */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

static inline void list_init(struct list *list) { list->next = list->prev = list; }
static inline bool list_is_empty(const struct list *list) { return list->next == list; }
/* True for a node that is in a list; a node must have been list_init'ed once. */
static inline bool list_is_linked(const struct list *node) { return node->next != node; }

static inline void list_insert_before(struct list *place, struct list *node)
{
    node->prev = place->prev;
    node->next = place;
    place->prev->next = node;
    place->prev = node;
}

static inline void list_push_back(struct list *list, struct list *node) { list_insert_before(list, node); }
static inline void list_push_front(struct list *list, struct list *node) { list_insert_before(list->next, node); }

/* Takes the node out, whichever list it is in; harmless on a node that is in none. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken out; NULL when empty. */
static inline struct list *list_pop_front(struct list *list)
{
    if (list_is_empty(list))
        return NULL;
    struct list *node = list->next;
    list_remove(node);
    return node;
}

#endif
