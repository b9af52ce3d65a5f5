/* dispatch.experimental.durable.frame: the module, and what its other parts share. */
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

/* A new reference to what dict has for key; NULL without an exception if it has nothing. */
static PyObject *find_in(PyObject *dict, PyObject *key)
{
    PyObject *value;

#if PY_VERSION_HEX >= 0x030d0000
    return PyDict_GetItemRef(dict, key, &value) < 0 ? NULL : value;
#else
    value = PyDict_GetItemWithError(dict, key);
    return Py_XNewRef(value);
#endif
}

/* The shapes of a code object that is not in the table; puts them there. A new reference. */
static PyObject *make_shapes(struct frame_module *module, PyCodeObject *code, PyObject *key)
{
    PyObject *entry = NULL, *shapes = NULL;
    PyObject *analysis = PyImport_ImportModule("dispatch.experimental.durable._shapes");

    if (analysis == NULL)
        return NULL;
    shapes = PyObject_CallMethod(analysis, "suspended_shapes", "O", (PyObject *)code);
    Py_DECREF(analysis);
    if (shapes == NULL)
        return NULL;
    if (!PyDict_CheckExact(shapes)) {
        PyErr_SetString(PyExc_TypeError, "suspended_shapes() did not return a dict");
        Py_CLEAR(shapes);
        return NULL;
    }
    if (PyDict_GET_SIZE(module->shapes) >= FRAME_SHAPES_MAX)
        PyDict_Clear(module->shapes);
    entry = PyTuple_Pack(2, (PyObject *)code, shapes);
    if (entry == NULL || PyDict_SetItem(module->shapes, key, entry) < 0)
        Py_CLEAR(shapes);
    Py_XDECREF(entry);
    return shapes;
}

static PyObject *shapes_of(struct frame_module *module, PyCodeObject *code)
{
    PyObject *key = PyLong_FromVoidPtr(code), *shapes = NULL;
    PyObject *known = key != NULL ? find_in(module->shapes, key) : NULL;

    if (known != NULL)
        shapes = Py_NewRef(PyTuple_GET_ITEM(known, 1));
    else if (!PyErr_Occurred())
        shapes = make_shapes(module, code, key);
    Py_XDECREF(known);
    Py_XDECREF(key);
    return shapes;
}

PyObject *frame_shape(struct frame_module *module, PyCodeObject *code, PyObject *ip)
{
    PyObject *shapes = shapes_of(module, code);
    PyObject *shape = shapes != NULL ? find_in(shapes, ip) : NULL;

    Py_XDECREF(shapes);
    if (shape == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "damaged state: no frame of this function is suspended there");
    if (shape != NULL && (!PyBytes_CheckExact(shape) || PyBytes_GET_SIZE(shape) <= code->co_nlocalsplus)) {
        PyErr_SetString(PyExc_TypeError, "a shape of suspended_shapes() is not bytes, or too short");
        Py_CLEAR(shape);
    }
    return shape;
}

/* What the base classes need of function.py, which is imported after this module. */
static PyObject *configure(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct frame_module *state = PyModule_GetState(module);

    if (count != 5) {
        PyErr_Format(PyExc_TypeError, "expected 5 arguments, got %zd", count);
        return NULL;
    }
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
    if (find_append(state) < 0 || PyModule_AddFunctions(module, frame_access_methods) < 0)
        return -1;
    return frame_add_types(module);
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
