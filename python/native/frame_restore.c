/* A frame from the tuple that frame_save.c describes.
 *
 * A tuple that did not come from there, or was damaged, must not crash the interpreter, which trusts its own bytecode:
 * restore compares each slot with the shape of the frame at that instruction (see _shapes.py) first.
 */
#include "frame.h"

/* What a slot must hold; the same letters as in _shapes.py. */
enum slot_kind {
    SLOT_OBJECT = 'O',
    SLOT_NULL = 'N',
    SLOT_MAYBE = 'M',
    SLOT_CELL = 'C',
    SLOT_ITERATOR = 'I',
    SLOT_EXCEPTION = 'E',
    SLOT_HANDLED = 'X',
    SLOT_LASTI = 'P',
    SLOT_LIST = 'L',
    SLOT_RAISED = 'R',
    SLOT_DICT = 'D',
    SLOT_SET = 'S',
    SLOT_TUPLE = 'T',
};

struct saved {
    struct frame_module *module;
    PyObject *ip;
    PyObject *nulls;
    PyObject *items;
    PyObject *handled;
};

static int is_handled(PyObject *item)
{
    return item == Py_None || PyExceptionInstance_Check(item);
}

static int is_raised_list(PyObject *item)
{
    if (!PyList_CheckExact(item))
        return 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(item); i++)
        if (!is_handled(PyList_GET_ITEM(item, i)))
            return 0;
    return 1;
}

/* Whether item, which may be NULL, may stand in a slot of this kind of code. */
static int slot_fits(enum slot_kind kind, PyObject *item, PyCodeObject *code)
{
    if (item == NULL)
        return kind == SLOT_NULL || kind == SLOT_MAYBE;
    switch (kind) {
    case SLOT_OBJECT:
    case SLOT_MAYBE:
        return 1;
    case SLOT_NULL:
        return 0;
    case SLOT_CELL:
        return PyCell_Check(item);
    case SLOT_ITERATOR:
        return PyIter_Check(item);
    case SLOT_EXCEPTION:
        return PyExceptionInstance_Check(item);
    case SLOT_HANDLED:
        return is_handled(item);
    case SLOT_RAISED:
        return is_raised_list(item);
    case SLOT_LASTI: {
        int overflow = 0;
        long at = PyLong_CheckExact(item) ? PyLong_AsLongAndOverflow(item, &overflow) : -1;
        return at >= 0 && at < Py_SIZE(code);
    }
    case SLOT_LIST:
        return PyList_CheckExact(item);
    case SLOT_DICT:
        return PyDict_CheckExact(item);
    case SLOT_SET:
        return PySet_CheckExact(item);
    case SLOT_TUPLE:
        return PyTuple_CheckExact(item);
    }
    return 0;
}

/* Name of slot i for a message: the variable, or NULL for the stack; borrowed. */
static const char *slot_name(PyCodeObject *code, Py_ssize_t i)
{
    if (i >= code->co_nlocalsplus)
        return NULL;
    return PyUnicode_AsUTF8(PyTuple_GET_ITEM(code->co_localsplusnames, i));
}

static void refuse_slot(PyCodeObject *code, Py_ssize_t i)
{
    const char *name = slot_name(code, i);

    PyErr_Clear();
    if (name != NULL)
        PyErr_Format(PyExc_ValueError, "damaged state: variable '%s' cannot hold what was saved", name);
    else
        PyErr_Format(PyExc_ValueError, "damaged state: position %zd of the stack cannot hold what was saved",
                     i - code->co_nlocalsplus);
}

int frame_fits(PyGenObject *generator, const char *shape, Py_ssize_t shape_len)
{
    _PyInterpreterFrame *frame = layout_frame(generator);
    PyCodeObject *code = layout_code(frame);

    if (layout_depth(frame) != shape_len - 1) {
        PyErr_SetString(PyExc_ValueError, "damaged state: another depth of the stack");
        return 0;
    }
    for (int i = 0; i < layout_depth(frame); i++) {
        if (!slot_fits((enum slot_kind)shape[i + 1], layout_slots(frame)[i], code)) {
            refuse_slot(code, i);
            return 0;
        }
    }
    return 1;
}

static int is_null(const struct saved *saved, Py_ssize_t i)
{
    if (PyBytes_GET_SIZE(saved->nulls) == 0)
        return 0;
    return PyBytes_AS_STRING(saved->nulls)[i / 8] >> i % 8 & 1;
}

/* CPython from 3.13 on: where `x.append(...)` was called often, the interpreter takes list.append for a method that has
 * its list beside it, and does not look whether that is NULL. */
static int is_lone_append(const struct saved *saved, Py_ssize_t i, const char *kinds)
{
    return FRAME_CALLABLE_FIRST && i + 1 < PyTuple_GET_SIZE(saved->items) && kinds[i + 1] == SLOT_MAYBE &&
           is_null(saved, i + 1) && PyTuple_GET_ITEM(saved->items, i) == saved->module->list_append;
}

/* What goes into slot i; borrowed. */
static PyObject *saved_item(const struct saved *saved, _PyInterpreterFrame *frame, Py_ssize_t i, const char *kinds)
{
    if (is_null(saved, i))
        return kinds[i] == SLOT_CELL ? frame_closure_cell(frame, (int)i) : NULL;
    return is_lone_append(saved, i, kinds) ? saved->module->list_append_twin : PyTuple_GET_ITEM(saved->items, i);
}

static int take_apart(PyObject *state, struct saved *saved)
{
    if (PyTuple_CheckExact(state) && PyTuple_GET_SIZE(state) == FRAME_STATE_PARTS) {
        saved->ip = PyTuple_GET_ITEM(state, 0);
        saved->nulls = PyTuple_GET_ITEM(state, 1);
        saved->items = PyTuple_GET_ITEM(state, 2);
        saved->handled = PyTuple_GET_ITEM(state, 3);
        if (PyLong_CheckExact(saved->ip) && PyBytes_CheckExact(saved->nulls) && PyTuple_CheckExact(saved->items) &&
            is_handled(saved->handled))
            return 0;
    }
    PyErr_SetString(PyExc_ValueError, "damaged state: not a saved frame");
    return -1;
}

static int check_saved(const struct saved *saved, _PyInterpreterFrame *frame, PyObject *shape)
{
    PyCodeObject *code = layout_code(frame);
    const char *kinds = PyBytes_AS_STRING(shape) + 1;
    Py_ssize_t depth = PyBytes_GET_SIZE(shape) - 1;
    Py_ssize_t nulls_len = PyBytes_GET_SIZE(saved->nulls);

    if (PyTuple_GET_SIZE(saved->items) != depth || depth < code->co_nlocalsplus ||
        depth > code->co_nlocalsplus + code->co_stacksize || (nulls_len != 0 && nulls_len != (depth + 7) / 8)) {
        PyErr_SetString(PyExc_ValueError, "damaged state: another number of variables, or another depth of the stack");
        return -1;
    }
    for (Py_ssize_t i = 0; i < depth; i++) {
        if (!slot_fits((enum slot_kind)kinds[i], saved_item(saved, frame, i, kinds), code)) {
            refuse_slot(code, i);
            return -1;
        }
    }
    return 0;
}

/* The items with a copy of each list of exceptions: the interpreter relies on what is in it, and something else might
 * hold the list that was saved, and change it. A new reference. */
static PyObject *own_lists(PyObject *items, PyObject *shape)
{
    const char *kinds = PyBytes_AS_STRING(shape) + 1;
    Py_ssize_t count = PyTuple_GET_SIZE(items);

    if (count != PyBytes_GET_SIZE(shape) - 1 || memchr(kinds, SLOT_RAISED, (size_t)count) == NULL)
        return Py_NewRef(items);
    PyObject *owned = PyTuple_New(count);
    for (Py_ssize_t i = 0; owned != NULL && i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        int is_list = kinds[i] == SLOT_RAISED && PyList_CheckExact(item);
        PyObject *own = is_list ? PyList_GetSlice(item, 0, PyList_GET_SIZE(item)) : Py_NewRef(item);
        if (own == NULL)
            Py_CLEAR(owned);
        else
            PyTuple_SET_ITEM(owned, i, own);
    }
    return owned;
}

static int suspended_state(const char *shape)
{
    return shape[0] == 'c' ? FRAME_CREATED : layout_suspended(shape[0] == 'f');
}

/* Everything was checked. Letting go of what the slots hold can run code: the frame says that it runs until all
 * is in place, so that nothing resumes it in between. */
static void put_in_place(PyGenObject *generator, const struct saved *saved, PyObject *shape)
{
    _PyInterpreterFrame *frame = layout_frame(generator);
    PyObject **slots = layout_slots(frame);
    int depth = (int)PyBytes_GET_SIZE(shape) - 1;

    generator->gi_frame_state = FRAME_EXECUTING;
    for (int i = layout_depth(frame); i < depth; i++)
        slots[i] = NULL;
    layout_set_depth(frame, depth);
    for (int i = 0; i < depth; i++) {
        PyObject *before = slots[i];
        slots[i] = Py_XNewRef(saved_item(saved, frame, i, PyBytes_AS_STRING(shape) + 1));
        Py_XDECREF(before);
    }
    Py_XSETREF(generator->gi_exc_state.exc_value, saved->handled == Py_None ? NULL : Py_NewRef(saved->handled));
    layout_set_ip(frame, (int)PyLong_AsLong(saved->ip));
    generator->gi_frame_state = (int8_t)suspended_state(PyBytes_AS_STRING(shape));
}

PyObject *frame_restore(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct saved saved;
    PyObject *shape, *result = NULL;

    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "restore() takes 2 arguments (%zd given)", count);
        return NULL;
    }
    PyGenObject *generator = frame_generator(args[0]);
    if (generator == NULL || take_apart(args[1], &saved) < 0)
        return NULL;
    if (generator->gi_frame_state != FRAME_CREATED) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot restore into a frame that was run before");
        return NULL;
    }
    saved.module = PyModule_GetState(module);
    shape = frame_shape(saved.module, layout_code(layout_frame(generator)), saved.ip);
    if (shape == NULL)
        return NULL;
    saved.items = own_lists(saved.items, shape);
    if (saved.items == NULL) {
        Py_DECREF(shape);
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(generator);
    if (generator->gi_frame_state != FRAME_CREATED)
        PyErr_SetString(PyExc_RuntimeError, "Cannot restore into a frame that was run before");
    else if (check_saved(&saved, layout_frame(generator), shape) == 0) {
        put_in_place(generator, &saved, shape);
        result = Py_NewRef(Py_None);
    }
    Py_END_CRITICAL_SECTION();
    Py_DECREF(saved.items);
    Py_DECREF(shape);
    return result;
}
