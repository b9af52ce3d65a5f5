/* Endpoint: serves Run requests over HTTP; each becomes an event. */
#include "core.h"

#include <stdlib.h>

struct endpoint_object {
    PyObject_HEAD
    struct guard guard; /* dr_endpoint */
    struct queue queue;
    bool has_queue;
    struct workers workers;
};

/* On the endpoint's loop thread. */
static void on_run(void *arg, dr_run *run)
{
    struct endpoint_object *self = arg;
    struct event *event = calloc(1, sizeof *event);
    if (!event) {
        dr_run_refuse(run, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
        return;
    }
    event->kind = EVENT_RUN;
    event->run = run;
    if (!workers_offer(&self->workers, event))
        queue_push(&self->queue, event);
}

static PyObject *endpoint_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"address", NULL};
    const char *address = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:Endpoint", names, &address))
        return NULL;
    struct endpoint_object *self = (struct endpoint_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    guard_init(&self->guard);
    workers_init(&self->workers);
    self->has_queue = queue_init(&self->queue);
    if (!self->has_queue) {
        Py_DECREF(self);
        return NULL;
    }
    struct dr_endpoint_options options = {
        .size = sizeof options, .address = address, .on_run = on_run, .on_run_arg = self};
    struct dr_error error = {0};
    dr_endpoint *endpoint = NULL;
    dr_code code;
    Py_BEGIN_ALLOW_THREADS
    code = dr_endpoint_start(&options, &endpoint, &error);
    Py_END_ALLOW_THREADS
    if (code) {
        core_raise_error(core_state_of_type(type), code, &error);
        Py_DECREF(self);
        return NULL;
    }
    self->guard.handle = endpoint;
    return (PyObject *)self;
}

static void stop(struct endpoint_object *self)
{
    dr_endpoint *endpoint = guard_close(&self->guard);
    if (!endpoint)
        return;
    Py_BEGIN_ALLOW_THREADS
    dr_endpoint_stop(endpoint);
    Py_END_ALLOW_THREADS
}

static void endpoint_dealloc(struct endpoint_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stop(self);
    if (self->has_queue)
        queue_deinit(&self->queue);
    workers_deinit(&self->workers);
    guard_deinit(&self->guard);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *endpoint_stop(struct endpoint_object *self, PyObject *unused)
{
    (void)unused;
    stop(self);
    Py_RETURN_NONE;
}

static PyObject *endpoint_fileno(struct endpoint_object *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->queue.descriptor);
}

static PyObject *endpoint_take(struct endpoint_object *self, PyObject *unused)
{
    (void)unused;
    return queue_take(&self->queue, core_state_of_type(Py_TYPE(self)));
}

static PyObject *endpoint_wait(struct endpoint_object *self, PyObject *args)
{
    double timeout = -1;
    if (!PyArg_ParseTuple(args, "|d:wait", &timeout))
        return NULL;
    int n = queue_wait(&self->queue, timeout);
    return n < 0 ? NULL : PyBool_FromLong(n);
}

static PyObject *get_url(struct endpoint_object *self, void *closure)
{
    (void)closure;
    dr_endpoint *endpoint = guard_enter(&self->guard);
    if (!endpoint)
        return core_raise(core_state_of_type(Py_TYPE(self)), DR_UNAVAILABLE, "the endpoint has been stopped");
    PyObject *url = PyUnicode_FromString(dr_endpoint_url(endpoint));
    guard_leave(&self->guard);
    return url;
}

static PyObject *endpoint_learn_plain(struct endpoint_object *self, PyObject *name)
{
    return workers_learn(&self->workers, name);
}

static PyObject *endpoint_give_plain(struct endpoint_object *self, PyObject *run)
{
    return workers_give(&self->workers, core_state_of_type(Py_TYPE(self)), run);
}

static PyObject *endpoint_take_plain(struct endpoint_object *self, PyObject *unused)
{
    (void)unused;
    return workers_take(&self->workers, core_state_of_type(Py_TYPE(self)));
}

static PyObject *endpoint_stop_plain(struct endpoint_object *self, PyObject *unused)
{
    (void)unused;
    workers_stop(&self->workers);
    Py_RETURN_NONE;
}

static PyMethodDef endpoint_methods[] = {
    {"learn_plain", (PyCFunction)endpoint_learn_plain, METH_O, "learn_plain(name): its runs may go to take_plain()."},
    {"give_plain", (PyCFunction)endpoint_give_plain, METH_O, "give_plain(run): for take_plain(); whether threads are wanting."},
    {"take_plain", (PyCFunction)endpoint_take_plain, METH_NOARGS, "take_plain(): waits for a run of a plain function; None."},
    {"stop_plain", (PyCFunction)endpoint_stop_plain, METH_NOARGS, "stop_plain(): take_plain() gives what is there, then None."},
    {"fileno", (PyCFunction)endpoint_fileno, METH_NOARGS, "fileno(): a descriptor, readable while there are events."},
    {"take", (PyCFunction)endpoint_take, METH_NOARGS, "take(): the events that have come."},
    {"wait", (PyCFunction)endpoint_wait, METH_VARARGS, "wait(timeout=-1): whether there are events."},
    {"stop", (PyCFunction)endpoint_stop, METH_NOARGS, "stop(): waits for the answers to what was taken."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef endpoint_getset[] = {
    {"url", (getter)get_url, NULL, "http://127.0.0.1:8000, with the port that it got.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot endpoint_slots[] = {
    {Py_tp_doc, "Endpoint(address): serves Run requests at HOST:PORT."},
    {Py_tp_new, (void *)endpoint_new},
    {Py_tp_dealloc, (void *)endpoint_dealloc},
    {Py_tp_methods, endpoint_methods},
    {Py_tp_getset, endpoint_getset},
    {0, NULL},
};

static PyType_Spec endpoint_spec = {
    .name = "dispatch._core.Endpoint",
    .basicsize = sizeof(struct endpoint_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = endpoint_slots,
};

PyTypeObject *core_endpoint_type(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &endpoint_spec, NULL);
}
