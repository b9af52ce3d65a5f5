/* Intrusive binary min-heap of deadlines. Equal keys leave in the order they were put in (the sequence
 * number breaks ties), so a run is reproducible. The heap owns its array, not the nodes. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    uint64_t sequence;  /* set by heap_push */
    size_t position;    /* 1-based index in the heap; 0 = not in one */
};

struct heap {
    struct heap_node **nodes;
    size_t len;
    size_t cap;
    uint64_t next_sequence;
};

void heap_init(struct heap *heap);
void heap_deinit(struct heap *heap); /* nodes are not touched */
/* Puts a node with node->key in. DR_NO_MEMORY. The node must not be in a heap. O(log n). */
dr_code heap_push(struct heap *heap, struct heap_node *node);
/* Takes a node out; harmless when it is in none. O(log n). */
void heap_remove(struct heap *heap, struct heap_node *node);
/* The node with the smallest key, borrowed and still in; NULL when empty. */
struct heap_node *heap_peek(const struct heap *heap);
static inline bool heap_has(const struct heap_node *node) { return node->position != 0; }

#endif
