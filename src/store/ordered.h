/* An intrusive ordered set (a treap), for the memory store. Nodes are owned by the caller; equal keys are not
 * allowed. Expected O(log n); the shape depends on the nodes' priorities only. */
#ifndef STORE_ORDERED_H
#define STORE_ORDERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ordered_node {
    struct ordered_node *left, *right;
    uint64_t priority; /* well spread; set by the caller */
};

/* < 0, 0, > 0 as a sorts before, with, behind b. */
typedef int ordered_compare_fn(const struct ordered_node *a, const struct ordered_node *b);

struct ordered {
    struct ordered_node *root;
    ordered_compare_fn *compare;
};

void ordered_insert(struct ordered *set, struct ordered_node *node); /* must not be in */
void ordered_remove(struct ordered *set, struct ordered_node *node); /* must be in */
/* The first node behind `key`, or at it when `is_inclusive`; NULL at the end. */
struct ordered_node *ordered_after(const struct ordered *set, const struct ordered_node *key,
                                   bool is_inclusive);
/* The last node before `key`. */
struct ordered_node *ordered_before(const struct ordered *set, const struct ordered_node *key);
struct ordered_node *ordered_first(const struct ordered *set);
struct ordered_node *ordered_last(const struct ordered *set);

#endif
