/* The frame of a suspended generator or coroutine, part by part; documented in frame.pyi. */
#include "frame.h"

/* The generator in object if its frame can be read (or changed); NULL with the exception that says why not. */
static PyGenObject *open_frame(PyObject *object, const char *verb)
{
    PyGenObject *generator = frame_generator(object);

    if (generator == NULL)
        return NULL;
    if (generator->gi_frame_state > FRAME_EXECUTING)
        PyErr_Format(PyExc_RuntimeError, "Cannot %s cleared frame", verb);
    else if (generator->gi_frame_state == FRAME_EXECUTING)
        PyErr_Format(PyExc_RuntimeError, "Cannot %s executing frame", verb);
    else
        return generator;
    return NULL;
}

static int count_is(Py_ssize_t count, Py_ssize_t wanted)
{
    if (count != wanted)
        PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", wanted, count);
    return count == wanted;
}

/* An argument that is an int; -2 with an exception if it is none, -1 if it is out of any range. */
static int int_argument(PyObject *value)
{
    long number = PyLong_AsLong(value);

    if (number == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -2;
        PyErr_Clear();
    }
    return number < 0 || number > INT_MAX ? -1 : (int)number;
}

static PyObject *get_ip(PyObject *module, PyObject *object)
{
    PyGenObject *generator = open_frame(object, "access");

    (void)module;
    return generator != NULL ? PyLong_FromLong(layout_ip(layout_frame(generator))) : NULL;
}

static PyObject *get_sp(PyObject *module, PyObject *object)
{
    PyGenObject *generator = open_frame(object, "access");

    (void)module;
    return generator != NULL ? PyLong_FromLong(layout_depth(layout_frame(generator))) : NULL;
}

/* Blocks are in the exception table since CPython 3.11: a frame has none. */
static PyObject *get_bp(PyObject *module, PyObject *object)
{
    (void)module;
    return open_frame(object, "access") != NULL ? PyLong_FromLong(0) : NULL;
}

static PyObject *get_state(PyObject *module, PyObject *object)
{
    PyGenObject *generator = frame_generator(object);

    (void)module;
    if (generator == NULL)
        return NULL;
    int state = generator->gi_frame_state;
    return PyLong_FromLong(state > FRAME_EXECUTING ? FRAME_CLEARED : state);
}

static PyObject *get_stack_at(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 2))
        return NULL;
    PyGenObject *generator = open_frame(args[0], "access");
    int index = generator != NULL ? int_argument(args[1]) : -2;
    if (index == -2)
        return NULL;
    _PyInterpreterFrame *frame = layout_frame(generator);
    if (index < 0 || index >= layout_depth(frame)) {
        PyErr_SetString(PyExc_IndexError, "Index out of bounds");
        return NULL;
    }
    PyObject *item = layout_slots(frame)[index];
    return PyTuple_Pack(2, item == NULL ? Py_True : Py_False, item == NULL ? Py_None : item);
}

static PyObject *get_block_at(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 2) || open_frame(args[0], "access") == NULL || int_argument(args[1]) == -2)
        return NULL;
    PyErr_SetString(PyExc_IndexError, "Index out of bounds");
    return NULL;
}

static PyObject *get_function(PyObject *module, PyObject *object)
{
    PyGenObject *generator = open_frame(object, "access");

    (void)module;
    if (generator == NULL)
        return NULL;
    PyObject *function = layout_function(layout_frame(generator));
    return Py_NewRef(function != NULL ? function : Py_None);
}

static PyObject *set_ip(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (!count_is(count, 2))
        return NULL;
    PyGenObject *generator = open_frame(args[0], "mutate");
    if (generator == NULL || int_argument(args[1]) == -2)
        return NULL;
    _PyInterpreterFrame *frame = layout_frame(generator);
    PyObject *shape = frame_shape(PyModule_GetState(module), layout_code(frame), args[1]);
    if (shape == NULL)
        return NULL;
    Py_DECREF(shape);
    layout_set_ip(frame, int_argument(args[1]));
    Py_RETURN_NONE;
}

static PyObject *set_sp(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 2))
        return NULL;
    PyGenObject *generator = open_frame(args[0], "mutate");
    int depth = generator != NULL ? int_argument(args[1]) : -2;
    if (depth == -2)
        return NULL;
    _PyInterpreterFrame *frame = layout_frame(generator);
    PyCodeObject *code = layout_code(frame);
    if (depth < code->co_nlocalsplus || depth > code->co_nlocalsplus + code->co_stacksize) {
        PyErr_SetString(PyExc_IndexError, "Stack pointer out of bounds");
        return NULL;
    }
    while (layout_depth(frame) > depth) {
        int top = layout_depth(frame) - 1;
        PyObject *item = layout_slots(frame)[top];
        layout_set_depth(frame, top);
        Py_XDECREF(item);
    }
    while (layout_depth(frame) < depth) {
        layout_slots(frame)[layout_depth(frame)] = NULL;
        layout_set_depth(frame, layout_depth(frame) + 1);
    }
    Py_RETURN_NONE;
}

static PyObject *set_bp(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 2) || open_frame(args[0], "mutate") == NULL)
        return NULL;
    int depth = int_argument(args[1]);
    if (depth == 0)
        Py_RETURN_NONE;
    if (depth != -2)
        PyErr_SetString(PyExc_IndexError, "Block pointer out of bounds");
    return NULL;
}

static PyObject *set_stack_at(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 4))
        return NULL;
    if (!PyBool_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "Expected a boolean indicating whether to unset the stack object");
        return NULL;
    }
    PyGenObject *generator = open_frame(args[0], "mutate");
    int index = generator != NULL ? int_argument(args[1]) : -2;
    if (index == -2)
        return NULL;
    _PyInterpreterFrame *frame = layout_frame(generator);
    if (index < 0 || index >= layout_depth(frame)) {
        PyErr_SetString(PyExc_IndexError, "Index out of bounds");
        return NULL;
    }
    PyObject *before = layout_slots(frame)[index];
    layout_slots(frame)[index] = args[2] == Py_True ? NULL : Py_NewRef(args[3]);
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyObject *set_block_at(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 3) || open_frame(args[0], "mutate") == NULL || int_argument(args[1]) == -2)
        return NULL;
    PyErr_SetString(PyExc_IndexError, "Index out of bounds");
    return NULL;
}

static int is_live_state(long state)
{
    return state >= FRAME_CREATED && state < FRAME_EXECUTING;
}

/* The last step of copying a frame part by part: the parts must fit each other. */
static PyObject *set_state(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (!count_is(count, 2))
        return NULL;
    long state = PyLong_AsLong(args[1]);
    if (state == -1 && PyErr_Occurred())
        return NULL;
    if (state == FRAME_CLEARED) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot set frame state to FRAME_CLEARED");
        return NULL;
    }
    PyGenObject *generator = open_frame(args[0], "mutate");
    if (generator == NULL)
        return NULL;
    _PyInterpreterFrame *frame = layout_frame(generator);
    PyObject *ip = PyLong_FromLong(layout_ip(frame));
    PyObject *shape = ip != NULL ? frame_shape(PyModule_GetState(module), layout_code(frame), ip) : NULL;
    Py_XDECREF(ip);
    int fits = shape != NULL && frame_fits(generator, PyBytes_AS_STRING(shape), PyBytes_GET_SIZE(shape));
    char at = shape != NULL ? PyBytes_AS_STRING(shape)[0] : 0;
    Py_XDECREF(shape);
    if (!fits)
        return NULL;
    if (!is_live_state(state) || state != (at == 'c' ? FRAME_CREATED : layout_suspended(at == 'f'))) {
        PyErr_SetString(PyExc_ValueError, "Invalid frame state");
        return NULL;
    }
    generator->gi_frame_state = (int8_t)state;
    Py_RETURN_NONE;
}

/* Each function as the module has it: with the lock of its first argument, where there is no GIL. */
#define LOCKED(function)                                                \
    static PyObject *locked_##function(PyObject *module, PyObject *object) \
    {                                                                   \
        PyObject *result;                                               \
        Py_BEGIN_CRITICAL_SECTION(object);                              \
        result = function(module, object);                              \
        Py_END_CRITICAL_SECTION();                                      \
        return result;                                                  \
    }

#define LOCKED_FAST(function)                                                                     \
    static PyObject *locked_##function(PyObject *module, PyObject *const *args, Py_ssize_t count) \
    {                                                                                             \
        PyObject *result;                                                                         \
        PyObject *object = count > 0 ? args[0] : module;                                          \
        (void)object;                                                                             \
        Py_BEGIN_CRITICAL_SECTION(object);                                                        \
        result = function(module, args, count);                                                   \
        Py_END_CRITICAL_SECTION();                                                                \
        return result;                                                                            \
    }

LOCKED(get_ip)
LOCKED(get_sp)
LOCKED(get_bp)
LOCKED(get_state)
LOCKED(get_function)
LOCKED_FAST(get_stack_at)
LOCKED_FAST(get_block_at)
LOCKED_FAST(set_ip)
LOCKED_FAST(set_sp)
LOCKED_FAST(set_bp)
LOCKED_FAST(set_stack_at)
LOCKED_FAST(set_block_at)
LOCKED_FAST(set_state)

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

PyMethodDef frame_access_methods[] = {
    {"get_frame_block_at", FAST(locked_get_block_at), "Always IndexError: there are no blocks."},
    {"get_frame_bp", locked_get_bp, METH_O, "Number of blocks: always 0."},
    {"get_frame_function", locked_get_function, METH_O, "Function that the frame runs."},
    {"get_frame_ip", locked_get_ip, METH_O, "Instruction pointer, byte offset in co_code."},
    {"get_frame_sp", locked_get_sp, METH_O, "Number of slots in use: variables and stack."},
    {"get_frame_stack_at", FAST(locked_get_stack_at), "(is_null, object) of one slot."},
    {"get_frame_state", locked_get_state, METH_O, "State of the frame: below 0 if it can be saved."},
    {"set_frame_block_at", FAST(locked_set_block_at), "Always IndexError: there are no blocks."},
    {"set_frame_bp", FAST(locked_set_bp), "Accepts 0 only."},
    {"set_frame_ip", FAST(locked_set_ip), "Set the instruction pointer."},
    {"set_frame_sp", FAST(locked_set_sp), "Set the number of slots in use."},
    {"set_frame_stack_at", FAST(locked_set_stack_at), "Set or unset one slot."},
    {"set_frame_state", FAST(locked_set_state), "Set the state of a frame whose parts are all set."},
    {NULL, NULL, 0, NULL},
};
