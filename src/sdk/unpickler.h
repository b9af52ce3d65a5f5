/* The state of the machine that runs a pickle (pickle_read.c): a stack with marks on it, a memo, the bytes that are
 * left. One thread. */
#ifndef SDK_UNPICKLER_H
#define SDK_UNPICKLER_H

#include "base/slice.h"
#include "sdk/pickle_node.h"

/* Pointers that grow to at most one for each byte of the pickle. */
struct unpickler_stack {
    struct pickle_node **nodes; /* NULL: a mark (on the stack), nothing (in the memo) */
    size_t len;
    size_t cap;
};

struct unpickler {
    struct slice all;
    struct slice rest;
    struct pickle_nodes nodes;
    struct unpickler_stack stack;
    struct unpickler_stack memo;
    struct dr_error *error;
    bool is_done;
};

/* The pickle is borrowed until deinit, as is error. */
void unpickler_init(struct unpickler *unpickler, struct slice pickle, struct dr_error *error);
void unpickler_deinit(struct unpickler *unpickler);

/* Failures; each returns its code: INVALID_ARGUMENT, UNIMPLEMENTED, NO_MEMORY or, past the limit of nodes,
 * RESOURCE_EXHAUSTED. */
dr_code unpickler_damaged(const struct unpickler *unpickler);
dr_code unpickler_unsupported(const struct unpickler *unpickler, const char *what);
dr_code unpickler_no_memory(const struct unpickler *unpickler);

dr_code unpickler_push_mark(struct unpickler *unpickler);
/* A NULL node is one that could not be made. */
dr_code unpickler_push(struct unpickler *unpickler, struct pickle_node *node);
/* Takes the value; NULL likewise. */
dr_code unpickler_push_value(struct unpickler *unpickler, dr_value *value);
/* The node at the top; NULL when there is none (or a mark). */
struct pickle_node *unpickler_top(const struct unpickler *unpickler);
struct pickle_node *unpickler_pop(struct unpickler *unpickler);
/* True when the n topmost are nodes, with no mark among them. */
bool unpickler_has_top(const struct unpickler *unpickler, size_t n);
/* Where the items after the last mark begin; 0 when there is no mark. Only for opcodes that take all these items: so
 * the search costs no more than they did. */
size_t unpickler_find_mark(const struct unpickler *unpickler);

dr_code unpickler_memo_put(struct unpickler *unpickler, size_t index);
dr_code unpickler_memo_get(struct unpickler *unpickler, size_t index);

/* The next bytes of the pickle; false at its end. */
bool unpickler_take(struct unpickler *unpickler, uint64_t len, struct slice *ret_bytes);
/* Little-endian. */
bool unpickler_take_number(struct unpickler *unpickler, size_t n_bytes, uint64_t *ret_number);
/* Bytes behind their length, which takes n_bytes. */
bool unpickler_take_counted(struct unpickler *unpickler, size_t n_bytes, struct slice *ret_bytes);

#endif
