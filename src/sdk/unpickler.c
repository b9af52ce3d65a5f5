/* The store of the unpickler: stack with marks, memo, and what is left to read. */
#include "sdk/unpickler.h"

#include "base/error.h"
#include "base/mem.h"

/* The nodes of a pickle, in bytes. Reached long before the machine is out of memory. */
#define NODE_BYTES_MAX (256u << 20)

void unpickler_init(struct unpickler *unpickler, struct slice pickle, struct dr_error *error)
{
    *unpickler = (struct unpickler){.all = pickle, .rest = pickle, .error = error};
    pickle_nodes_init(&unpickler->nodes, NODE_BYTES_MAX);
}

void unpickler_deinit(struct unpickler *unpickler)
{
    mem_free(unpickler->stack.nodes);
    mem_free(unpickler->memo.nodes);
    pickle_nodes_deinit(&unpickler->nodes);
}

/* ---- Failures ---- */

dr_code unpickler_damaged(const struct unpickler *unpickler)
{
    return error_set(unpickler->error, DR_INVALID_ARGUMENT, "damaged pickle at byte %zu",
                     unpickler->all.len - unpickler->rest.len);
}

dr_code unpickler_unsupported(const struct unpickler *unpickler, const char *what)
{
    return error_set(unpickler->error, DR_UNIMPLEMENTED, "the pickle holds %s", what);
}

dr_code unpickler_no_memory(const struct unpickler *unpickler)
{
    if (unpickler->nodes.arena.used_bytes > NODE_BYTES_MAX / 2)
        return error_set(unpickler->error, DR_RESOURCE_EXHAUSTED, "the pickle needs more than %u bytes",
                         NODE_BYTES_MAX / 2);
    return error_set(unpickler->error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
}

/* ---- Stack and memo ---- */

static bool stack_reserve(struct unpickler_stack *stack, size_t len)
{
    if (len <= stack->cap)
        return true;
    size_t cap = len < 16 ? 16 : len * 2;
    struct pickle_node **nodes = mem_realloc(stack->nodes, cap * sizeof(struct pickle_node *));
    if (!nodes)
        return false;
    stack->nodes = nodes;
    stack->cap = cap;
    return true;
}

dr_code unpickler_push_mark(struct unpickler *unpickler)
{
    if (!stack_reserve(&unpickler->stack, unpickler->stack.len + 1))
        return unpickler_no_memory(unpickler);
    unpickler->stack.nodes[unpickler->stack.len++] = NULL;
    return DR_OK;
}

dr_code unpickler_push(struct unpickler *unpickler, struct pickle_node *node)
{
    if (!node || !stack_reserve(&unpickler->stack, unpickler->stack.len + 1))
        return unpickler_no_memory(unpickler);
    unpickler->stack.nodes[unpickler->stack.len++] = node;
    return DR_OK;
}

dr_code unpickler_push_value(struct unpickler *unpickler, dr_value *value)
{
    return unpickler_push(unpickler, pickle_node_create_value(&unpickler->nodes, value));
}

struct pickle_node *unpickler_top(const struct unpickler *unpickler)
{
    return unpickler->stack.len > 0 ? unpickler->stack.nodes[unpickler->stack.len - 1] : NULL;
}

struct pickle_node *unpickler_pop(struct unpickler *unpickler)
{
    struct pickle_node *node = unpickler_top(unpickler);
    if (node)
        unpickler->stack.len--;
    return node;
}

bool unpickler_has_top(const struct unpickler *unpickler, size_t n)
{
    const struct unpickler_stack *stack = &unpickler->stack;
    for (size_t i = 1; i <= n; i++) {
        if (i > stack->len || !stack->nodes[stack->len - i])
            return false;
    }
    return true;
}

size_t unpickler_find_mark(const struct unpickler *unpickler)
{
    size_t i = unpickler->stack.len;
    while (i > 0 && unpickler->stack.nodes[i - 1])
        i--;
    return i;
}

dr_code unpickler_memo_put(struct unpickler *unpickler, size_t index)
{
    struct unpickler_stack *memo = &unpickler->memo;
    struct pickle_node *node = unpickler_top(unpickler);
    if (!node || index >= unpickler->all.len)
        return unpickler_damaged(unpickler);
    if (!stack_reserve(memo, index + 1))
        return unpickler_no_memory(unpickler);
    while (memo->len <= index)
        memo->nodes[memo->len++] = NULL;
    memo->nodes[index] = node;
    return DR_OK;
}

dr_code unpickler_memo_get(struct unpickler *unpickler, size_t index)
{
    struct unpickler_stack *memo = &unpickler->memo;
    if (index >= memo->len || !memo->nodes[index])
        return unpickler_damaged(unpickler);
    return unpickler_push(unpickler, memo->nodes[index]);
}

/* ---- What is left to read ---- */

bool unpickler_take(struct unpickler *unpickler, uint64_t len, struct slice *ret_bytes)
{
    struct slice rest = unpickler->rest;
    if (len > rest.len)
        return false;
    *ret_bytes = slice_of(rest.data, (size_t)len);
    unpickler->rest = slice_of(rest.data + len, rest.len - (size_t)len);
    return true;
}

bool unpickler_take_number(struct unpickler *unpickler, size_t n_bytes, uint64_t *ret_number)
{
    struct slice bytes;
    if (!unpickler_take(unpickler, n_bytes, &bytes))
        return false;
    uint64_t number = 0;
    for (size_t i = 0; i < n_bytes; i++)
        number |= (uint64_t)bytes.data[i] << (8 * i);
    *ret_number = number;
    return true;
}

bool unpickler_take_counted(struct unpickler *unpickler, size_t n_bytes, struct slice *ret_bytes)
{
    uint64_t len = 0;
    return unpickler_take_number(unpickler, n_bytes, &len) && unpickler_take(unpickler, len, ret_bytes);
}
