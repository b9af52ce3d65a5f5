/* A suspended frame as a tuple (ip, nulls, items, handled); frame_restore.c is the way back.
 *
 * ip       int: where it is suspended, byte offset in co_code
 * nulls    bytes: bit i % 8 of byte i / 8 is set if slot i is unbound, or is a free variable that is the one of
 *          the function's own closure; empty if there is none
 * items    tuple: the variables (as co_nlocalsplus counts them), then the stack; None where nulls has a bit
 * handled  the exception that is being handled, or None
 */
#include "frame.h"

PyObject *frame_closure_cell(_PyInterpreterFrame *frame, int i)
{
    PyCodeObject *code = layout_code(frame);
    int first = code->co_nlocalsplus - code->co_nfreevars;
    PyObject *function = layout_function(frame);

    if (i < first || i >= code->co_nlocalsplus || function == NULL || !PyFunction_Check(function))
        return NULL;
    PyObject *closure = PyFunction_GET_CLOSURE(function);
    if (closure == NULL || i - first >= PyTuple_GET_SIZE(closure))
        return NULL;
    return PyTuple_GET_ITEM(closure, i - first);
}

static int is_running(PyGenObject *generator)
{
    return generator->gi_frame_state == FRAME_EXECUTING;
}

static PyObject *copy_slots(_PyInterpreterFrame *frame, PyObject *items, int depth, char *nulls, int *any_null)
{
    PyObject **slots = layout_slots(frame);

    for (int i = 0; i < depth; i++) {
        PyObject *item = slots[i];
        if (item == NULL || item == frame_closure_cell(frame, i)) {
            nulls[i / 8] = (char)(nulls[i / 8] | 1 << i % 8);
            *any_null = 1;
            item = Py_None;
        }
        PyTuple_SET_ITEM(items, i, Py_NewRef(item));
    }
    return items;
}

static int is_local_function(PyObject *item)
{
    return PyFunction_Check(item) && ((PyCodeObject *)PyFunction_GET_CODE(item))->co_flags & CO_NESTED;
}

/* Pickle finds a function by its name, and a local one has none: saving.py has something to save in its place. */
static int replace_local_functions(PyObject *items)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        if (!is_local_function(item))
            continue;
        PyObject *saving = PyImport_ImportModule("dispatch.experimental.durable.saving");
        PyObject *stand_in = saving != NULL ? PyObject_CallMethod(saving, "stand_in", "O", item) : NULL;
        Py_XDECREF(saving);
        if (stand_in == NULL)
            return -1;
        PyTuple_SET_ITEM(items, i, stand_in);
        Py_DECREF(item);
    }
    return 0;
}

static PyObject *save_locked(PyGenObject *generator)
{
    _PyInterpreterFrame *frame = layout_frame(generator);
    int depth = layout_depth(frame);
    PyObject *result = NULL, *nulls = NULL, *none = NULL, *ip = NULL, *handled = NULL;
    PyObject *items = PyTuple_New(depth);

    nulls = PyBytes_FromStringAndSize(NULL, (depth + 7) / 8);
    none = PyBytes_FromStringAndSize(NULL, 0);
    ip = PyLong_FromLong(layout_ip(frame));
    result = PyTuple_New(FRAME_STATE_PARTS);
    if (items == NULL || nulls == NULL || none == NULL || ip == NULL || result == NULL) {
        Py_CLEAR(result);
        goto cleanup;
    }
    /* Making room can run a finalizer, and that can run this generator. */
    if (generator->gi_frame_state >= FRAME_EXECUTING || layout_depth(frame) != depth ||
        layout_ip(frame) != PyLong_AsLong(ip)) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot save a frame that runs meanwhile");
        Py_CLEAR(result);
        goto cleanup;
    }
    int any_null = 0;
    memset(PyBytes_AS_STRING(nulls), 0, (size_t)PyBytes_GET_SIZE(nulls));
    copy_slots(frame, items, depth, PyBytes_AS_STRING(nulls), &any_null);
    handled = Py_XNewRef(generator->gi_exc_state.exc_value);
    if (replace_local_functions(items) < 0) {
        Py_CLEAR(result);
        goto cleanup;
    }
    PyTuple_SET_ITEM(result, 0, Py_NewRef(ip));
    PyTuple_SET_ITEM(result, 1, Py_NewRef(any_null ? nulls : none));
    PyTuple_SET_ITEM(result, 2, Py_NewRef(items));
    PyTuple_SET_ITEM(result, 3, Py_NewRef(handled != NULL ? handled : Py_None));
cleanup:
    Py_XDECREF(items);
    Py_XDECREF(nulls);
    Py_XDECREF(none);
    Py_XDECREF(ip);
    Py_XDECREF(handled);
    return result;
}

PyObject *frame_save(PyObject *module, PyObject *object)
{
    PyGenObject *generator = frame_generator(object);
    PyObject *result = NULL;

    (void)module;
    if (generator == NULL)
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(generator);
    if (is_running(generator))
        PyErr_SetString(PyExc_RuntimeError, "Cannot save executing frame");
    else if (generator->gi_frame_state > FRAME_EXECUTING)
        result = Py_NewRef(Py_None);
    else
        result = save_locked(generator);
    Py_END_CRITICAL_SECTION();
    return result;
}

/* What a frame of this depth holds, without the empty slots. */
static PyObject *held_items(PyGenObject *generator)
{
    _PyInterpreterFrame *frame = layout_frame(generator);
    PyObject *held = PyList_New(0);

    for (int i = 0; held != NULL && i < layout_depth(frame); i++) {
        PyObject *item = layout_slots(frame)[i];
        if (item != NULL && PyList_Append(held, item) < 0)
            Py_CLEAR(held);
    }
    PyObject *items = held != NULL ? PyList_AsTuple(held) : NULL;
    Py_XDECREF(held);
    return items;
}

PyObject *frame_discard(PyObject *module, PyObject *object)
{
    PyGenObject *generator = frame_generator(object);
    PyObject *items = NULL;

    (void)module;
    if (generator == NULL)
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(generator);
    if (is_running(generator))
        PyErr_SetString(PyExc_RuntimeError, "Cannot discard executing frame");
    else if (generator->gi_frame_state > FRAME_EXECUTING)
        items = PyTuple_New(0);
    else if ((items = held_items(generator)) != NULL) {
        /* As after its last instruction: no finalizer runs it any more, and its end lets go of the slots. */
        generator->gi_frame_state = FRAME_COMPLETED;
        Py_CLEAR(generator->gi_exc_state.exc_value);
        for (int i = 0; i < layout_depth(layout_frame(generator)); i++)
            Py_CLEAR(layout_slots(layout_frame(generator))[i]);
    }
    Py_END_CRITICAL_SECTION();
    return items;
}
