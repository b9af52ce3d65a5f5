/* Reading pickles: a machine with a stack, marks on it and a memo, over a closed set of opcodes. */
#include "sdk/pickle.h"
#include "sdk/pickle_op.h"
#include "sdk/unpickler.h"
#include "sdk/value.h"

#include "base/error.h"
#include "wire/wire.h"

/* ---- Scalars ---- */

static dr_code op_text(struct unpickler *unpickler, size_t n_bytes)
{
    struct slice text;
    if (!unpickler_take_counted(unpickler, n_bytes, &text))
        return unpickler_damaged(unpickler);
    if (!wire_is_utf8(text))
        return unpickler_unsupported(unpickler, "a text that is not UTF-8");
    return unpickler_push_value(unpickler, dr_value_text_n((const char *)text.data, text.len));
}

static dr_code op_bytes(struct unpickler *unpickler, size_t n_bytes)
{
    struct slice bytes;
    if (!unpickler_take_counted(unpickler, n_bytes, &bytes))
        return unpickler_damaged(unpickler);
    return unpickler_push_value(unpickler, dr_value_bytes(bytes.data, bytes.len));
}

static dr_code op_integer(struct unpickler *unpickler, size_t n_bytes)
{
    uint64_t number = 0;
    if (!unpickler_take_number(unpickler, n_bytes, &number))
        return unpickler_damaged(unpickler);
    /* only the four-byte form has a sign */
    return unpickler_push_value(unpickler, dr_value_int(n_bytes == 4 ? (int32_t)(uint32_t)number : (int64_t)number));
}

static dr_code op_long(struct unpickler *unpickler)
{
    struct slice bytes;
    if (!unpickler_take_counted(unpickler, 1, &bytes))
        return unpickler_damaged(unpickler);
    bool is_negative = bytes.len > 0 && bytes.data[bytes.len - 1] >= 0x80;
    uint64_t bits = is_negative ? UINT64_MAX : 0;
    for (size_t i = 0; i < bytes.len && i < 8; i++) {
        bits &= ~(UINT64_C(0xff) << (8 * i));
        bits |= (uint64_t)bytes.data[i] << (8 * i);
    }
    if (bytes.len <= 8)
        return unpickler_push_value(unpickler, dr_value_int((int64_t)bits));
    if (bytes.len == 9 && bytes.data[8] == 0)
        return unpickler_push_value(unpickler, dr_value_uint(bits));
    return unpickler_unsupported(unpickler, "an integer of more than 64 bits");
}

static dr_code op_float(struct unpickler *unpickler)
{
    struct slice bytes;
    uint64_t bits = 0;
    double number;
    if (!unpickler_take(unpickler, 8, &bytes))
        return unpickler_damaged(unpickler);
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | bytes.data[i];
    memcpy(&number, &bits, sizeof number);
    return unpickler_push_value(unpickler, dr_value_float(number));
}

/* ---- Containers ---- */

static dr_code op_empty(struct unpickler *unpickler, enum pickle_node_kind kind)
{
    return unpickler_push(unpickler, pickle_node_create(&unpickler->nodes, kind));
}

/* Takes what lies from `start` to the top of the stack into the node. */
static dr_code collect(struct unpickler *unpickler, struct pickle_node *node, size_t start)
{
    for (size_t i = start; i < unpickler->stack.len; i++) {
        if (!pickle_node_append(&unpickler->nodes, node, unpickler->stack.nodes[i]))
            return unpickler_no_memory(unpickler);
    }
    unpickler->stack.len = start;
    return DR_OK;
}

/* A tuple of the last n on the stack. */
static dr_code op_fixed(struct unpickler *unpickler, enum pickle_node_kind kind, size_t n)
{
    if (!unpickler_has_top(unpickler, n))
        return unpickler_damaged(unpickler);
    struct pickle_node *node = pickle_node_create(&unpickler->nodes, kind);
    dr_code code = node ? collect(unpickler, node, unpickler->stack.len - n) : unpickler_no_memory(unpickler);
    return code ? code : unpickler_push(unpickler, node);
}

static dr_code op_marked(struct unpickler *unpickler, enum pickle_node_kind kind)
{
    size_t start = unpickler_find_mark(unpickler);
    if (start == 0)
        return unpickler_damaged(unpickler);
    struct pickle_node *node = pickle_node_create(&unpickler->nodes, kind);
    dr_code code = node ? collect(unpickler, node, start) : unpickler_no_memory(unpickler);
    if (code)
        return code;
    unpickler->stack.len--; /* the mark */
    return unpickler_push(unpickler, node);
}

/* Adds the items from `start` on to the container that lies below them (and below their mark). */
static dr_code add_items(struct unpickler *unpickler, enum pickle_node_kind kind, size_t start, size_t n_marks)
{
    struct unpickler_stack *stack = &unpickler->stack;
    if (start < n_marks + 1)
        return unpickler_damaged(unpickler);
    struct pickle_node *node = stack->nodes[start - n_marks - 1];
    bool is_dict = kind == PICKLE_NODE_DICT;
    if (!node || node->kind != kind || (is_dict && (stack->len - start) % 2 != 0))
        return unpickler_damaged(unpickler);
    dr_code code = collect(unpickler, node, start);
    stack->len -= code ? 0 : n_marks;
    return code;
}

static dr_code op_add_one(struct unpickler *unpickler, enum pickle_node_kind kind, size_t n)
{
    if (!unpickler_has_top(unpickler, n + 1))
        return unpickler_damaged(unpickler);
    return add_items(unpickler, kind, unpickler->stack.len - n, 0);
}

static dr_code op_add_marked(struct unpickler *unpickler, enum pickle_node_kind kind)
{
    return add_items(unpickler, kind, unpickler_find_mark(unpickler), 1);
}

/* ---- Objects ---- */

static bool node_is_text(const struct pickle_node *node, const char *text)
{
    return node->kind == PICKLE_NODE_VALUE && dr_value_kind(node->value) == DR_KIND_TEXT &&
           slice_equal(value_slice(node->value), slice_text(text));
}

static dr_code op_class(struct unpickler *unpickler)
{
    struct pickle_node *name = unpickler_pop(unpickler);
    struct pickle_node *module = name ? unpickler_pop(unpickler) : NULL;
    if (!module)
        return unpickler_damaged(unpickler);
    if (!node_is_text(module, PICKLE_MODULE) || !node_is_text(name, PICKLE_CLASS))
        return unpickler_unsupported(unpickler, "an object of a class that is not known here");
    return op_empty(unpickler, PICKLE_NODE_CLASS);
}

/* The form of protocols 2 and 3: module and name as two lines. */
static dr_code op_global(struct unpickler *unpickler)
{
    static const char known[] = PICKLE_MODULE "\n" PICKLE_CLASS "\n";
    struct slice lines;
    if (!unpickler_take(unpickler, strlen(known), &lines) || !slice_equal(lines, slice_text(known)))
        return unpickler_unsupported(unpickler, "an object of a class that is not known here");
    return op_empty(unpickler, PICKLE_NODE_CLASS);
}

static dr_code op_new_object(struct unpickler *unpickler)
{
    struct pickle_node *args = unpickler_pop(unpickler);
    struct pickle_node *class = args ? unpickler_pop(unpickler) : NULL;
    if (!class || args->kind != PICKLE_NODE_TUPLE || args->len != 0 || class->kind != PICKLE_NODE_CLASS)
        return unpickler_damaged(unpickler);
    return op_empty(unpickler, PICKLE_NODE_OBJECT);
}

static dr_code op_build(struct unpickler *unpickler)
{
    struct pickle_node *state = unpickler_pop(unpickler);
    struct pickle_node *object = unpickler_top(unpickler);
    bool is_plain = state && object && object->kind == PICKLE_NODE_OBJECT && object->len == 0;
    if (!is_plain || state->kind != PICKLE_NODE_DICT)
        return unpickler_damaged(unpickler);
    return pickle_node_append(&unpickler->nodes, object, state) ? DR_OK : unpickler_no_memory(unpickler);
}

/* ---- The machine ---- */

static dr_code op_memo(struct unpickler *unpickler, bool is_put, size_t n_bytes)
{
    uint64_t index = 0;
    if (!unpickler_take_number(unpickler, n_bytes, &index))
        return unpickler_damaged(unpickler);
    return is_put ? unpickler_memo_put(unpickler, (size_t)index) : unpickler_memo_get(unpickler, (size_t)index);
}

/* Protocol and frame say nothing that we need to know. */
static dr_code op_skip(struct unpickler *unpickler, size_t n_bytes)
{
    struct slice bytes;
    return unpickler_take(unpickler, n_bytes, &bytes) ? DR_OK : unpickler_damaged(unpickler);
}

static dr_code run_op(struct unpickler *unpickler, uint8_t op)
{
    switch (op) {
    case PICKLE_PROTO: return op_skip(unpickler, 1);
    case PICKLE_FRAME: return op_skip(unpickler, 8);
    case PICKLE_MARK: return unpickler_push_mark(unpickler);
    case PICKLE_STOP: unpickler->is_done = true; return DR_OK;
    case PICKLE_NONE: return unpickler_push_value(unpickler, dr_value_null());
    case PICKLE_NEWTRUE: return unpickler_push_value(unpickler, dr_value_bool(true));
    case PICKLE_NEWFALSE: return unpickler_push_value(unpickler, dr_value_bool(false));
    case PICKLE_BININT: return op_integer(unpickler, 4);
    case PICKLE_BININT1: return op_integer(unpickler, 1);
    case PICKLE_BININT2: return op_integer(unpickler, 2);
    case PICKLE_LONG1: return op_long(unpickler);
    case PICKLE_BINFLOAT: return op_float(unpickler);
    case PICKLE_SHORT_BINUNICODE: return op_text(unpickler, 1);
    case PICKLE_BINUNICODE: return op_text(unpickler, 4);
    case PICKLE_BINUNICODE8: return op_text(unpickler, 8);
    case PICKLE_SHORT_BINBYTES: return op_bytes(unpickler, 1);
    case PICKLE_BINBYTES: return op_bytes(unpickler, 4);
    case PICKLE_BINBYTES8: return op_bytes(unpickler, 8);
    case PICKLE_EMPTY_LIST: return op_empty(unpickler, PICKLE_NODE_LIST);
    case PICKLE_EMPTY_TUPLE: return op_empty(unpickler, PICKLE_NODE_TUPLE);
    case PICKLE_EMPTY_DICT: return op_empty(unpickler, PICKLE_NODE_DICT);
    case PICKLE_EMPTY_SET: return op_empty(unpickler, PICKLE_NODE_SET);
    case PICKLE_APPEND: return op_add_one(unpickler, PICKLE_NODE_LIST, 1);
    case PICKLE_APPENDS: return op_add_marked(unpickler, PICKLE_NODE_LIST);
    case PICKLE_SETITEM: return op_add_one(unpickler, PICKLE_NODE_DICT, 2);
    case PICKLE_SETITEMS: return op_add_marked(unpickler, PICKLE_NODE_DICT);
    case PICKLE_ADDITEMS: return op_add_marked(unpickler, PICKLE_NODE_SET);
    case PICKLE_TUPLE: return op_marked(unpickler, PICKLE_NODE_TUPLE);
    case PICKLE_FROZENSET: return op_marked(unpickler, PICKLE_NODE_SET);
    case PICKLE_TUPLE1: return op_fixed(unpickler, PICKLE_NODE_TUPLE, 1);
    case PICKLE_TUPLE2: return op_fixed(unpickler, PICKLE_NODE_TUPLE, 2);
    case PICKLE_TUPLE3: return op_fixed(unpickler, PICKLE_NODE_TUPLE, 3);
    case PICKLE_MEMOIZE: return unpickler_memo_put(unpickler, unpickler->memo.len);
    case PICKLE_BINPUT: return op_memo(unpickler, true, 1);
    case PICKLE_LONG_BINPUT: return op_memo(unpickler, true, 4);
    case PICKLE_BINGET: return op_memo(unpickler, false, 1);
    case PICKLE_LONG_BINGET: return op_memo(unpickler, false, 4);
    case PICKLE_GLOBAL: return op_global(unpickler);
    case PICKLE_STACK_GLOBAL: return op_class(unpickler);
    case PICKLE_NEWOBJ: return op_new_object(unpickler);
    case PICKLE_BUILD: return op_build(unpickler);
    default:
        return error_set(unpickler->error, DR_UNIMPLEMENTED, "the pickle uses opcode 0x%02x", op);
    }
}

/* Runs to the end; *ret_node, the only one left on the stack, lives as long as the unpickler. */
static dr_code run(struct unpickler *unpickler, struct pickle_node **ret_node)
{
    dr_code code = DR_OK;
    if (unpickler->all.len > DR_VALUE_PACKED_BYTES_MAX)
        return error_set(unpickler->error, DR_RESOURCE_EXHAUSTED, "the pickle is longer than %d bytes",
                         DR_VALUE_PACKED_BYTES_MAX);
    while (!code && !unpickler->is_done) {
        struct slice op;
        code = unpickler_take(unpickler, 1, &op) ? run_op(unpickler, op.data[0]) : unpickler_damaged(unpickler);
    }
    if (code)
        return code;
    if (unpickler->stack.len != 1 || !unpickler_top(unpickler))
        return unpickler_damaged(unpickler);
    *ret_node = unpickler_top(unpickler);
    return DR_OK;
}

dr_code pickle_read_value(struct slice pickle, dr_value **ret_value, struct dr_error *error)
{
    struct unpickler unpickler;
    struct pickle_node *node = NULL;
    unpickler_init(&unpickler, pickle, error);
    dr_code code = run(&unpickler, &node);
    if (!code)
        code = pickle_node_convert(node, ret_value, error);
    unpickler_deinit(&unpickler);
    return code;
}

/* Arguments is an object whose state has a tuple (or list) and a dict. */
static dr_code read_state(struct pickle_node *object, dr_value **ret_args, dr_value **ret_kwargs,
                          struct dr_error *error)
{
    const struct pickle_node *state = object->kind == PICKLE_NODE_OBJECT && object->len == 1 ? object->items[0] : NULL;
    struct pickle_node *args = state ? pickle_node_get(state, "args") : NULL;
    struct pickle_node *kwargs = state ? pickle_node_get(state, "kwargs") : NULL;
    bool has_args = args && (args->kind == PICKLE_NODE_TUPLE || args->kind == PICKLE_NODE_LIST);
    if (!has_args || !kwargs || kwargs->kind != PICKLE_NODE_DICT)
        return error_set(error, DR_INVALID_ARGUMENT, "the pickle does not hold arguments");
    dr_value *list = NULL;
    dr_code code = pickle_node_convert(args, &list, error);
    if (!code)
        code = pickle_node_convert(kwargs, ret_kwargs, error);
    if (code)
        dr_value_unref(list);
    else
        *ret_args = list;
    return code;
}

dr_code pickle_read_arguments(struct slice pickle, dr_value **ret_args, dr_value **ret_kwargs, struct dr_error *error)
{
    struct unpickler unpickler;
    struct pickle_node *node = NULL;
    unpickler_init(&unpickler, pickle, error);
    dr_code code = run(&unpickler, &node);
    if (!code)
        code = read_state(node, ret_args, ret_kwargs, error);
    unpickler_deinit(&unpickler);
    return code;
}
