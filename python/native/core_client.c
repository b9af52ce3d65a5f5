/* Client: submits calls over HTTP and waits for results, blocking, without the GIL. */
#include "core.h"

#include <stdlib.h>

struct client_object {
    PyObject_HEAD
    struct guard guard; /* dr_client */
};

static struct core_state *state_of(struct client_object *self)
{
    return core_state_of_type(Py_TYPE(self));
}

static PyObject *client_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"api_key", "api_url", NULL};
    struct dr_client_options options = {.size = sizeof options};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ss:Client", names, &options.api_key, &options.api_url))
        return NULL;
    struct client_object *self = (struct client_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    guard_init(&self->guard);
    struct dr_error error = {0};
    dr_client *client = NULL;
    dr_code code = dr_client_open(&options, &client, &error);
    if (code) {
        core_raise_error(core_state_of_type(type), code, &error);
        Py_DECREF(self);
        return NULL;
    }
    self->guard.handle = client;
    return (PyObject *)self;
}

static void shut(struct client_object *self)
{
    dr_client *client = guard_close(&self->guard);
    if (!client)
        return;
    Py_BEGIN_ALLOW_THREADS
    dr_client_close(client);
    Py_END_ALLOW_THREADS
}

static void client_dealloc(struct client_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    shut(self);
    guard_deinit(&self->guard);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *client_close(struct client_object *self, PyObject *unused)
{
    (void)unused;
    shut(self);
    Py_RETURN_NONE;
}

static dr_client *enter(struct client_object *self)
{
    dr_client *client = guard_enter(&self->guard);
    if (!client)
        core_raise(state_of(self), DR_UNAVAILABLE, "the client has been closed");
    return client;
}

/* ---- submit ---- */

/* What the options point into: texts of the tuples, which the list keeps, and the inputs. */
struct batch {
    struct dr_call_options *calls;
    const struct dr_call_options **pointers;
    char (*ids)[DR_ID_SIZE];
    size_t n;
};

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; batch->calls && i < batch->n; i++)
        dr_value_unref((dr_value *)(uintptr_t)batch->calls[i].input);
    free(batch->calls);
    free(batch->pointers);
    free(batch->ids);
}

/* (function, endpoint, type_url or None, value, expiration_ns, version or None) */
static bool read_call(PyObject *tuple, struct dr_call_options *call)
{
    const char *type_url = NULL;
    Py_buffer value;
    long long expiration_ns;
    if (!PyArg_ParseTuple(tuple, "sszy*Lz;a call is (function, endpoint, type_url, value, expiration_ns, version)",
                          &call->function, &call->endpoint, &type_url, &value, &expiration_ns, &call->version))
        return false;
    call->size = sizeof *call;
    call->expiration_ns = expiration_ns;
    if (type_url)
        call->input = dr_value_message(type_url, value.buf, (size_t)value.len);
    PyBuffer_Release(&value);
    if (!type_url || call->input)
        return true;
    PyErr_NoMemory();
    return false;
}

static bool batch_read(PyObject *calls, struct batch *batch)
{
    batch->n = (size_t)PyTuple_GET_SIZE(calls);
    batch->calls = calloc(batch->n + 1, sizeof *batch->calls);
    batch->pointers = calloc(batch->n + 1, sizeof *batch->pointers);
    batch->ids = calloc(batch->n + 1, sizeof *batch->ids);
    if (!batch->calls || !batch->pointers || !batch->ids) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < batch->n; i++) {
        PyObject *tuple = PyTuple_GET_ITEM(calls, (Py_ssize_t)i);
        if (!PyTuple_Check(tuple)) {
            PyErr_SetString(PyExc_TypeError, "submit(): each call is a tuple");
            return false;
        }
        if (!read_call(tuple, &batch->calls[i]))
            return false;
        batch->pointers[i] = &batch->calls[i];
    }
    return true;
}

static PyObject *ids_list(const struct batch *batch)
{
    PyObject *list = PyList_New((Py_ssize_t)batch->n);
    for (size_t i = 0; list && i < batch->n; i++) {
        PyObject *id = PyUnicode_FromString(batch->ids[i]);
        if (id)
            PyList_SET_ITEM(list, (Py_ssize_t)i, id);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *client_submit(struct client_object *self, PyObject *calls)
{
    if (!PyTuple_Check(calls)) {
        PyErr_SetString(PyExc_TypeError, "submit(): a tuple of calls");
        return NULL;
    }
    dr_client *client = enter(self);
    if (!client)
        return NULL;
    struct batch batch = {0};
    PyObject *ids = NULL;
    struct dr_error error = {0};
    dr_code code = DR_OK;
    bool is_read = batch_read(calls, &batch);
    if (is_read) {
        Py_BEGIN_ALLOW_THREADS
        code = dr_client_submit_batch(client, batch.pointers, batch.n, batch.ids, &error);
        Py_END_ALLOW_THREADS
    }
    guard_leave(&self->guard);
    if (is_read)
        ids = code ? core_raise_error(state_of(self), code, &error) : ids_list(&batch);
    batch_free(&batch);
    return ids;
}

/* ---- wait, cancel ---- */

/* (type_url, value) of the packed output; None. */
static PyObject *output_of(const dr_result *result, struct core_state *state)
{
    const dr_value *output = dr_result_output(result);
    if (!output)
        return Py_NewRef(Py_None);
    dr_value *packed = NULL;
    struct dr_error error = {0};
    dr_code code = dr_value_pack(output, &packed, &error);
    if (code)
        return core_raise_error(state, code, &error);
    PyObject *pair = Py_BuildValue("(sy#)", dr_type_url(packed), (const char *)dr_bytes(packed),
                                   (Py_ssize_t)dr_value_len(packed));
    dr_value_unref(packed);
    return pair;
}

/* (type, message, value, traceback); None. */
static PyObject *failure_of(const dr_result *result)
{
    if (dr_result_is_ok(result))
        return Py_NewRef(Py_None);
    size_t len = 0;
    const char *value = dr_result_error_value(result, &len);
    const char *traceback = dr_result_traceback(result);
    return Py_BuildValue("(ssy#y)", dr_result_error_type(result), dr_result_error_message(result), value ? value : "",
                         (Py_ssize_t)len, traceback);
}

static PyObject *client_result(struct client_object *self, PyObject *args)
{
    const char *id;
    long long timeout_ns = -1;
    if (!PyArg_ParseTuple(args, "s|L:result", &id, &timeout_ns))
        return NULL;
    dr_client *client = enter(self);
    if (!client)
        return NULL;
    struct dr_error error = {0};
    dr_result *result = NULL;
    dr_code code;
    Py_BEGIN_ALLOW_THREADS
    code = dr_client_wait(client, id, timeout_ns, &result, &error);
    Py_END_ALLOW_THREADS
    guard_leave(&self->guard);
    if (code)
        return core_raise_error(state_of(self), code, &error);
    PyObject *output = output_of(result, state_of(self));
    PyObject *failure = output ? failure_of(result) : NULL;
    PyObject *pair = failure ? PyTuple_Pack(2, output, failure) : NULL;
    Py_XDECREF(output);
    Py_XDECREF(failure);
    dr_result_unref(result);
    return pair;
}

static PyObject *client_cancel(struct client_object *self, PyObject *id_object)
{
    const char *id = PyUnicode_AsUTF8(id_object);
    dr_client *client = id ? enter(self) : NULL;
    if (!client)
        return NULL;
    struct dr_error error = {0};
    dr_code code;
    Py_BEGIN_ALLOW_THREADS
    code = dr_client_cancel(client, id, &error);
    Py_END_ALLOW_THREADS
    guard_leave(&self->guard);
    return code ? core_raise_error(state_of(self), code, &error) : Py_NewRef(Py_None);
}

static PyMethodDef client_methods[] = {
    {"submit", (PyCFunction)client_submit, METH_O,
     "submit(calls): ids. A call is (function, endpoint, type_url or None, value, expiration_ns, version or None)."},
    {"result", (PyCFunction)client_result, METH_VARARGS,
     "result(id, timeout_ns=-1): (None or (type_url, value), None or (type, message, value, traceback))."},
    {"cancel", (PyCFunction)client_cancel, METH_O, "cancel(id): ends a call and all below it."},
    {"close", (PyCFunction)client_close, METH_NOARGS, "close(): waits until nobody uses it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot client_slots[] = {
    {Py_tp_doc, "Client(api_key, api_url): a blocking client of a Dispatch server."},
    {Py_tp_new, (void *)client_new},
    {Py_tp_dealloc, (void *)client_dealloc},
    {Py_tp_methods, client_methods},
    {0, NULL},
};

static PyType_Spec client_spec = {
    .name = "dispatch._core.Client",
    .basicsize = sizeof(struct client_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = client_slots,
};

PyTypeObject *core_client_type(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &client_spec, NULL);
}
