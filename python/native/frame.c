/* dispatch.experimental.durable.frame: the frames of suspended generators and coroutines, part by part. */
#include "frame.h"

/* The only class whose layout no header shows: what it wraps is what its collector support visits. */
static int is_coroutine_wrapper(PyObject *object)
{
    return strcmp(Py_TYPE(object)->tp_name, "coroutine_wrapper") == 0 && Py_TYPE(object)->tp_traverse != NULL &&
           !(Py_TYPE(object)->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

static int take_coroutine(PyObject *visited, void *found)
{
    if (PyCoro_CheckExact(visited))
        *(PyObject **)found = visited;
    return 0;
}

PyGenObject *frame_generator(PyObject *object)
{
    PyObject *found = NULL;

    if (PyGen_CheckExact(object) || PyCoro_CheckExact(object))
        return (PyGenObject *)object;
    if (is_coroutine_wrapper(object))
        Py_TYPE(object)->tp_traverse(object, take_coroutine, &found);
    if (found == NULL)
        PyErr_SetString(PyExc_TypeError, "Input object is not a generator or coroutine");
    return (PyGenObject *)found;
}

/* The shapes of code, from the table or made now; borrowed from the table. */
static PyObject *shapes_of(struct frame_module *module, PyCodeObject *code)
{
    PyObject *analysis = NULL, *shapes = NULL, *entry = NULL;
    PyObject *key = PyLong_FromVoidPtr(code);

    if (key == NULL)
        return NULL;
    PyObject *known = PyDict_GetItemWithError(module->shapes, key);
    if (known != NULL || PyErr_Occurred())
        goto cleanup;
    if (PyDict_GET_SIZE(module->shapes) >= FRAME_SHAPES_MAX)
        PyDict_Clear(module->shapes);
    analysis = PyImport_ImportModule("dispatch.experimental.durable._shapes");
    if (analysis == NULL)
        goto cleanup;
    shapes = PyObject_CallMethod(analysis, "suspended_shapes", "O", (PyObject *)code);
    if (shapes == NULL)
        goto cleanup;
    if (!PyDict_CheckExact(shapes)) {
        PyErr_SetString(PyExc_TypeError, "suspended_shapes() did not return a dict");
        goto cleanup;
    }
    entry = PyTuple_Pack(2, (PyObject *)code, shapes);
    if (entry != NULL && PyDict_SetItem(module->shapes, key, entry) == 0)
        known = entry;
cleanup:
    Py_DECREF(key);
    Py_XDECREF(analysis);
    Py_XDECREF(shapes);
    Py_XDECREF(entry);
    return known != NULL ? PyTuple_GET_ITEM(known, 1) : NULL;
}

PyObject *frame_shape(struct frame_module *module, PyCodeObject *code, PyObject *ip)
{
    PyObject *shapes = shapes_of(module, code);
    PyObject *shape = shapes != NULL ? PyDict_GetItemWithError(shapes, ip) : NULL;

    if (shape == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "damaged state: no frame of this function is suspended there");
    if (shape != NULL && (!PyBytes_CheckExact(shape) || PyBytes_GET_SIZE(shape) <= code->co_nlocalsplus)) {
        PyErr_SetString(PyExc_TypeError, "a shape of suspended_shapes() is not bytes, or too short");
        return NULL;
    }
    return shape;
}

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
    if (frame_shape(PyModule_GetState(module), layout_code(frame), args[1]) == NULL)
        return NULL;
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
    if (shape == NULL || !frame_fits(generator, PyBytes_AS_STRING(shape), PyBytes_GET_SIZE(shape)))
        return NULL;
    char at = PyBytes_AS_STRING(shape)[0];
    if (!is_live_state(state) || state != (at == 'c' ? FRAME_CREATED : layout_suspended(at == 'f'))) {
        PyErr_SetString(PyExc_ValueError, "Invalid frame state");
        return NULL;
    }
    generator->gi_frame_state = (int8_t)state;
    Py_RETURN_NONE;
}

/* What the base classes need of function.py, which is imported after this module. */
static PyObject *configure(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct frame_module *state = PyModule_GetState(module);

    if (!count_is(count, 5))
        return NULL;
    Py_XSETREF(state->generator_class, Py_NewRef(args[0]));
    Py_XSETREF(state->new_generator, Py_NewRef(args[1]));
    Py_XSETREF(state->new_coroutine, Py_NewRef(args[2]));
    Py_XSETREF(state->await, Py_NewRef(args[3]));
    Py_XSETREF(state->trace, Py_NewRef(args[4]));
    Py_RETURN_NONE;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

static PyMethodDef methods[] = {
    {"save", frame_save, METH_O, "save(object) -> the state of a suspended frame, None if it is finished"},
    {"restore", FAST(frame_restore), "restore(object, state) into a generator or coroutine that was never run"},
    {"discard", frame_discard, METH_O, "discard(object) -> what a frame held that is ended without running it"},
    {"configure", FAST(configure), "configure(generator_class, new_generator, new_coroutine, await_, trace)"},
    {"get_frame_function", get_function, METH_O, "Function that the frame runs."},
    {"get_frame_ip", get_ip, METH_O, "Instruction pointer, byte offset in co_code."},
    {"get_frame_sp", get_sp, METH_O, "Number of slots in use: variables and stack."},
    {"get_frame_bp", get_bp, METH_O, "Number of blocks: always 0."},
    {"get_frame_state", get_state, METH_O, "State of the frame: below 0 if it can be saved."},
    {"get_frame_stack_at", FAST(get_stack_at), "(is_null, object) of one slot."},
    {"get_frame_block_at", FAST(get_block_at), "Always IndexError: there are no blocks."},
    {"set_frame_ip", FAST(set_ip), "Set the instruction pointer."},
    {"set_frame_sp", FAST(set_sp), "Set the number of slots in use."},
    {"set_frame_bp", FAST(set_bp), "Accepts 0 only."},
    {"set_frame_state", FAST(set_state), "Set the state of a frame whose parts are all set."},
    {"set_frame_stack_at", FAST(set_stack_at), "Set or unset one slot."},
    {"set_frame_block_at", FAST(set_block_at), "Always IndexError: there are no blocks."},
    {NULL, NULL, 0, NULL},
};

static int find_append(struct frame_module *state)
{
    state->list_append = PyObject_GetAttrString((PyObject *)&PyList_Type, "append");
    if (state->list_append == NULL || !Py_IS_TYPE(state->list_append, &PyMethodDescr_Type))
        return -1;
    state->list_append_twin = PyDescr_NewMethod(&PyList_Type, ((PyMethodDescrObject *)state->list_append)->d_method);
    return state->list_append_twin != NULL ? 0 : -1;
}

static int module_exec(PyObject *module)
{
    struct frame_module *state = PyModule_GetState(module);

    state->generator_class = Py_NewRef(Py_None);
    state->new_generator = Py_NewRef(Py_None);
    state->new_coroutine = Py_NewRef(Py_None);
    state->await = Py_NewRef(Py_None);
    state->trace = Py_NewRef(Py_None);
    state->shapes = PyDict_New();
    state->str_await = PyUnicode_InternFromString("__await__");
    state->str_identity = PyUnicode_InternFromString("identity");
    if (state->shapes == NULL || state->str_await == NULL || state->str_identity == NULL)
        return -1;
    return find_append(state) < 0 ? -1 : frame_add_types(module);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct frame_module *state = PyModule_GetState(module);

    Py_VISIT(state->shapes);
    Py_VISIT(state->generator_class);
    Py_VISIT(state->new_generator);
    Py_VISIT(state->new_coroutine);
    Py_VISIT(state->await);
    Py_VISIT(state->trace);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct frame_module *state = PyModule_GetState(module);

    Py_CLEAR(state->shapes);
    Py_CLEAR(state->generator_class);
    Py_CLEAR(state->new_generator);
    Py_CLEAR(state->new_coroutine);
    Py_CLEAR(state->await);
    Py_CLEAR(state->trace);
    Py_CLEAR(state->list_append);
    Py_CLEAR(state->list_append_twin);
    Py_CLEAR(state->str_await);
    Py_CLEAR(state->str_identity);
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "dispatch.experimental.durable.frame",
    .m_doc = "Frames of suspended generators and coroutines.",
    .m_size = sizeof(struct frame_module),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

struct frame_module *frame_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &definition);

    return module != NULL ? PyModule_GetState(module) : NULL;
}

PyMODINIT_FUNC PyInit_frame(void);

PyMODINIT_FUNC PyInit_frame(void)
{
    return PyModuleDef_Init(&definition);
}
