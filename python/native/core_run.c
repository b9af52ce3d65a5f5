/* Run: one Run request that waits for its answer. */
#include "core.h"

/* Answering waits for nothing; from this size on it takes longer than a change of the GIL's holder. */
#define RELEASE_BYTES 65536

struct run_object {
    PyObject_HEAD
    pthread_mutex_t lock;
    dr_run *run; /* NULL when answered; under the lock */
};

/* Whoever gets it answers. */
static dr_run *take(struct run_object *self)
{
    pthread_mutex_lock(&self->lock);
    dr_run *run = self->run;
    self->run = NULL;
    pthread_mutex_unlock(&self->lock);
    return run;
}

PyObject *core_run_create(struct core_state *state, dr_run *run)
{
    struct run_object *self = (struct run_object *)state->run_type->tp_alloc(state->run_type, 0);
    if (!self) {
        dr_run_refuse(run, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
        return NULL;
    }
    pthread_mutex_init(&self->lock, NULL);
    self->run = run;
    return (PyObject *)self;
}

static void run_dealloc(struct run_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    dr_run *run = take(self);
    if (run)
        dr_run_refuse(run, DR_INTERNAL, "the program dropped the run without an answer");
    pthread_mutex_destroy(&self->lock);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *answered(void)
{
    PyErr_SetString(PyExc_RuntimeError, "the run has been answered");
    return NULL;
}

dr_run *core_run_take(struct core_state *state, PyObject *object)
{
    if (!Py_IS_TYPE(object, state->run_type)) {
        PyErr_Format(PyExc_TypeError, "expected a Run, not %.100s", Py_TYPE(object)->tp_name);
        return NULL;
    }
    dr_run *run = take((struct run_object *)object);
    if (!run)
        (void)answered();
    return run;
}

static PyObject *run_respond(struct run_object *self, PyObject *response)
{
    Py_buffer bytes;
    if (PyObject_GetBuffer(response, &bytes, PyBUF_SIMPLE) < 0)
        return NULL;
    dr_run *run = take(self);
    if (run && bytes.len < RELEASE_BYTES) {
        dr_run_respond(run, bytes.buf, (size_t)bytes.len);
    } else if (run) {
        Py_BEGIN_ALLOW_THREADS
        dr_run_respond(run, bytes.buf, (size_t)bytes.len);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&bytes);
    return run ? Py_NewRef(Py_None) : answered();
}

static PyObject *run_refuse(struct run_object *self, PyObject *args)
{
    int code;
    const char *message;
    if (!PyArg_ParseTuple(args, "is:refuse", &code, &message))
        return NULL;
    dr_run *run = take(self);
    if (!run)
        return answered();
    Py_BEGIN_ALLOW_THREADS
    dr_run_refuse(run, (dr_code)code, message);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* Reading keeps the run from being answered meanwhile. */
static PyObject *get_request(struct run_object *self, void *closure)
{
    (void)closure;
    PyObject *request = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->run) {
        size_t len = 0;
        const void *bytes = dr_run_request(self->run, &len);
        request = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)len);
    }
    bool is_answered = !self->run;
    pthread_mutex_unlock(&self->lock);
    return is_answered ? answered() : request;
}

static PyObject *text_or_none(const char *text)
{
    return text ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace") : Py_NewRef(Py_None);
}

static PyObject *get_text(struct run_object *self, const char *(*read)(const dr_run *))
{
    PyObject *text = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->run)
        text = text_or_none(read(self->run));
    bool is_answered = !self->run;
    pthread_mutex_unlock(&self->lock);
    return is_answered ? answered() : text;
}

static PyObject *get_method(struct run_object *self, void *closure)
{
    (void)closure;
    return get_text(self, dr_run_method);
}

static PyObject *get_path(struct run_object *self, void *closure)
{
    (void)closure;
    return get_text(self, dr_run_path);
}

static PyObject *get_query(struct run_object *self, void *closure)
{
    (void)closure;
    return get_text(self, dr_run_query);
}

static PyObject *run_header(struct run_object *self, PyObject *name_object)
{
    const char *name = PyUnicode_AsUTF8(name_object);
    if (!name)
        return NULL;
    PyObject *text = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->run)
        text = text_or_none(dr_run_header(self->run, name));
    bool is_answered = !self->run;
    pthread_mutex_unlock(&self->lock);
    return is_answered ? answered() : text;
}

static PyMethodDef run_methods[] = {
    {"respond", (PyCFunction)run_respond, METH_O, "respond(response): answers with an encoded RunResponse."},
    {"refuse", (PyCFunction)run_refuse, METH_VARARGS, "refuse(code, message): no function ran."},
    {"header", (PyCFunction)run_header, METH_O, "header(name): of the HTTP request; None."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef run_getset[] = {
    {"request", (getter)get_request, NULL, "The encoded RunRequest.", NULL},
    {"method", (getter)get_method, NULL, "HTTP method; None in process.", NULL},
    {"path", (getter)get_path, NULL, "HTTP path; None in process.", NULL},
    {"query", (getter)get_query, NULL, "HTTP query; None in process.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot run_slots[] = {
    {Py_tp_doc, "A Run request that waits for its answer."},
    {Py_tp_dealloc, (void *)run_dealloc},
    {Py_tp_methods, run_methods},
    {Py_tp_getset, run_getset},
    {0, NULL},
};

static PyType_Spec run_spec = {
    .name = "dispatch._core.Run",
    .basicsize = sizeof(struct run_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = run_slots,
};

PyTypeObject *core_run_type(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &run_spec, NULL);
}
