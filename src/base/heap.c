#include "base/heap.h"

#include "base/check.h"
#include "base/mem.h"

enum { HEAP_FIRST_CAP = 16, HEAP_SHRINK_FROM = 1024 };

void heap_init(struct heap *heap) { *heap = (struct heap){0}; }

void heap_deinit(struct heap *heap)
{
    mem_free(heap->nodes);
    heap_init(heap);
}

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void place(struct heap *heap, struct heap_node *node, size_t position)
{
    heap->nodes[position - 1] = node;
    node->position = position;
}

static void sift_up(struct heap *heap, struct heap_node *node, size_t position)
{
    while (position > 1) {
        struct heap_node *parent = heap->nodes[position / 2 - 1];
        if (!is_before(node, parent))
            break;
        place(heap, parent, position);
        position /= 2;
    }
    place(heap, node, position);
}

static void sift_down(struct heap *heap, struct heap_node *node, size_t position)
{
    for (;;) {
        size_t child = position * 2;
        if (child > heap->len)
            break;
        if (child < heap->len && is_before(heap->nodes[child], heap->nodes[child - 1]))
            child++;
        if (!is_before(heap->nodes[child - 1], node))
            break;
        place(heap, heap->nodes[child - 1], position);
        position = child;
    }
    place(heap, node, position);
}

static dr_code resize(struct heap *heap, size_t cap)
{
    struct heap_node **nodes = mem_realloc(heap->nodes, cap * sizeof(struct heap_node *));
    if (!nodes)
        return DR_NO_MEMORY;
    heap->nodes = nodes;
    heap->cap = cap;
    return DR_OK;
}

dr_code heap_push(struct heap *heap, struct heap_node *node)
{
    CHECK(!heap_has(node));
    if (heap->len == heap->cap) {
        dr_code code = resize(heap, heap->cap ? heap->cap * 2 : HEAP_FIRST_CAP);
        if (code != DR_OK)
            return code;
    }
    node->sequence = heap->next_sequence++;
    heap->len++;
    sift_up(heap, node, heap->len);
    return DR_OK;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!heap_has(node))
        return;
    size_t position = node->position;
    CHECK(position <= heap->len && heap->nodes[position - 1] == node);
    node->position = 0;
    struct heap_node *last = heap->nodes[heap->len - 1];
    heap->len--;
    if (last != node) {
        sift_up(heap, last, position);
        sift_down(heap, last, last->position);
    }
    if (heap->cap >= HEAP_SHRINK_FROM && heap->len < heap->cap / 4)
        (void)resize(heap, heap->cap / 2); /* only memory given back: a failure changes nothing */
}

struct heap_node *heap_peek(const struct heap *heap) { return heap->len ? heap->nodes[0] : NULL; }
