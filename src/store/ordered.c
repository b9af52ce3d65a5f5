#include "store/ordered.h"

#include "base/check.h"

/* What sorts before key goes left, the rest right. */
static void split(ordered_compare_fn *compare, struct ordered_node *tree, const struct ordered_node *key,
                  struct ordered_node **left, struct ordered_node **right)
{
    while (tree) {
        if (compare(tree, key) < 0) {
            *left = tree;
            left = &tree->right;
            tree = tree->right;
        } else {
            *right = tree;
            right = &tree->left;
            tree = tree->left;
        }
    }
    *left = *right = NULL;
}

static struct ordered_node *merge(struct ordered_node *left, struct ordered_node *right)
{
    struct ordered_node *root = NULL;
    struct ordered_node **place = &root;
    while (left && right) {
        if (left->priority > right->priority) {
            *place = left;
            place = &left->right;
            left = left->right;
        } else {
            *place = right;
            place = &right->left;
            right = right->left;
        }
    }
    *place = left ? left : right;
    return root;
}

void ordered_insert(struct ordered *set, struct ordered_node *node)
{
    struct ordered_node **place = &set->root;
    while (*place && (*place)->priority >= node->priority) {
        int order = set->compare(node, *place);
        CHECK(order != 0);
        place = order < 0 ? &(*place)->left : &(*place)->right;
    }
    split(set->compare, *place, node, &node->left, &node->right);
    *place = node;
}

void ordered_remove(struct ordered *set, struct ordered_node *node)
{
    struct ordered_node **place = &set->root;
    while (*place != node) {
        CHECK(*place);
        place = set->compare(node, *place) < 0 ? &(*place)->left : &(*place)->right;
    }
    *place = merge(node->left, node->right);
}

struct ordered_node *ordered_after(const struct ordered *set, const struct ordered_node *key,
                                   bool is_inclusive)
{
    struct ordered_node *best = NULL;
    for (struct ordered_node *node = set->root; node;) {
        int order = set->compare(node, key);
        if (order > 0 || (order == 0 && is_inclusive)) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

struct ordered_node *ordered_before(const struct ordered *set, const struct ordered_node *key)
{
    struct ordered_node *best = NULL;
    for (struct ordered_node *node = set->root; node;) {
        if (set->compare(node, key) < 0) {
            best = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return best;
}

struct ordered_node *ordered_first(const struct ordered *set)
{
    struct ordered_node *node = set->root;
    while (node && node->left)
        node = node->left;
    return node;
}

struct ordered_node *ordered_last(const struct ordered *set)
{
    struct ordered_node *node = set->root;
    while (node && node->right)
        node = node->right;
    return node;
}
