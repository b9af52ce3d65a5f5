/* The module: its state, its exception, its types. */
#include "core.h"

static int add_type(PyObject *module, PyTypeObject *(*create)(PyObject *), PyTypeObject **ret_type)
{
    *ret_type = create(module);
    return *ret_type ? PyModule_AddType(module, *ret_type) : -1;
}

static int core_exec(PyObject *module)
{
    struct core_state *state = PyModule_GetState(module);
    state->error = PyErr_NewExceptionWithDoc("dispatch._core.CoreError",
                                             "What the library refused: args are code, name and message.", NULL, NULL);
    if (!state->error || PyModule_AddObjectRef(module, "CoreError", state->error) < 0)
        return -1;
    if (add_type(module, core_run_type, &state->run_type) < 0 ||
        add_type(module, core_endpoint_type, &state->endpoint_type) < 0 ||
        add_type(module, core_test_server_type, &state->test_server_type) < 0 ||
        add_type(module, core_client_type, &state->client_type) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "EVENT_RUN", EVENT_RUN) < 0 ||
        PyModule_AddIntConstant(module, "EVENT_IDS", EVENT_IDS) < 0 ||
        PyModule_AddIntConstant(module, "EVENT_RESULT", EVENT_RESULT) < 0 ||
        PyModule_AddIntConstant(module, "EVENT_DONE", EVENT_DONE) < 0)
        return -1;
#define X(name, number, wire, http, text)                                        \
    if (PyModule_AddIntConstant(module, &#name[sizeof "DR_" - 1], number) < 0) \
        return -1;
    DR_ERROR_TABLE(X)
#undef X
    return 0;
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct core_state *state = PyModule_GetState(module);
    Py_VISIT(state->run_type);
    Py_VISIT(state->endpoint_type);
    Py_VISIT(state->test_server_type);
    Py_VISIT(state->client_type);
    Py_VISIT(state->error);
    return 0;
}

static int core_clear(PyObject *module)
{
    struct core_state *state = PyModule_GetState(module);
    Py_CLEAR(state->run_type);
    Py_CLEAR(state->endpoint_type);
    Py_CLEAR(state->test_server_type);
    Py_CLEAR(state->client_type);
    Py_CLEAR(state->error);
    return 0;
}

static void core_free(void *module)
{
    (void)core_clear(module);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, (void *)core_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "dispatch._core",
    .m_doc = "libdispatchrun for Python.",
    .m_size = sizeof(struct core_state),
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}

struct core_state *core_state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

PyObject *core_raise(struct core_state *state, dr_code code, const char *message)
{
    PyObject *args = Py_BuildValue("(iss)", (int)code, dr_code_name(code), message);
    if (args)
        PyErr_SetObject(state->error, args);
    Py_XDECREF(args);
    return NULL;
}

PyObject *core_raise_error(struct core_state *state, dr_code code, const struct dr_error *error)
{
    if (code == DR_NO_MEMORY)
        return PyErr_NoMemory();
    return core_raise(state, code, error->message[0] ? error->message : dr_code_text(code));
}
