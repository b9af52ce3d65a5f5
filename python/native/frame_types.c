/* CoroutineBase and GeneratorBase, of which DurableCoroutine and DurableGenerator are made (function.py): what runs at
 * each step and at each save, so that a chain of awaits goes from one frame of the interpreter to the next without a
 * frame of Python in between. What is asked for rarely is in function.py. */
#include "frame.h"

#include <structmember.h>

struct durable {
    PyObject_HEAD
    PyObject *inner;      /* generator, coroutine, or what its __await__ returns */
    PyObject *target;     /* the generator or coroutine behind inner, which is sent to */
    PyObject *registered; /* RegisteredFunction */
    PyObject *awaited;    /* GeneratorBase: DurableCoroutine that it runs, or NULL */
    PyObject *weakrefs;
};

static struct durable *durable(PyObject *self)
{
    return (struct durable *)self;
}

static int init(PyObject *self, PyObject *args, Py_ssize_t needed)
{
    struct durable *it = durable(self);

    if (PyTuple_GET_SIZE(args) < needed) {
        PyErr_Format(PyExc_TypeError, "%s() needs %zd arguments", Py_TYPE(self)->tp_name, needed);
        return -1;
    }
    PyGenObject *target = frame_generator(PyTuple_GET_ITEM(args, 0));
    if (target == NULL)
        return -1;
    PyObject *awaited = needed > 2 ? PyTuple_GET_ITEM(args, 2) : Py_None;
    Py_XSETREF(it->inner, Py_NewRef(PyTuple_GET_ITEM(args, 0)));
    Py_XSETREF(it->target, Py_NewRef((PyObject *)target));
    Py_XSETREF(it->registered, Py_NewRef(PyTuple_GET_ITEM(args, 1)));
    Py_XSETREF(it->awaited, awaited == Py_None ? NULL : Py_NewRef(awaited));
    return 0;
}

static int init_coroutine(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    return init(self, args, 2);
}

static int init_generator(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    return init(self, args, 3);
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(durable(self)->inner);
    Py_VISIT(durable(self)->target);
    Py_VISIT(durable(self)->registered);
    Py_VISIT(durable(self)->awaited);
    return 0;
}

static int clear(PyObject *self)
{
    Py_CLEAR(durable(self)->inner);
    Py_CLEAR(durable(self)->target);
    Py_CLEAR(durable(self)->registered);
    Py_CLEAR(durable(self)->awaited);
    return 0;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (durable(self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Held by the caller while it runs: it could let go of self. NULL with RuntimeError before __init__. */
static PyObject *hold(PyObject *object)
{
    if (object == NULL)
        PyErr_SetString(PyExc_RuntimeError, "durable object that was not initialized");
    return Py_XNewRef(object);
}

static PySendResult am_send(PyObject *self, PyObject *value, PyObject **result)
{
    PyObject *target = hold(durable(self)->target);

    *result = NULL;
    if (target == NULL)
        return PYGEN_ERROR;
    PySendResult end = PyIter_Send(target, value, result);
    Py_DECREF(target);
    return end;
}

/* A tuple as the argument of StopIteration would be taken apart, so the exception is made here. */
static PyObject *stop_iteration(PyObject *value)
{
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);

    Py_DECREF(value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
    return NULL;
}

static PyObject *method_send(PyObject *self, PyObject *value)
{
    PyObject *result;

    switch (am_send(self, value, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        return stop_iteration(result);
    case PYGEN_ERROR:
        break;
    }
    return NULL;
}

static PyObject *iter_next(PyObject *self)
{
    return method_send(self, Py_None);
}

static PyObject *method_close(PyObject *self, PyObject *unused)
{
    PyObject *target = hold(durable(self)->target);

    (void)unused;
    PyObject *result = target != NULL ? PyObject_CallMethod(target, "close", NULL) : NULL;
    Py_XDECREF(target);
    return result;
}

static struct frame_module *state_of(PyObject *self)
{
    return frame_state_of_type(Py_TYPE(self));
}

static PyObject *am_await(PyObject *self)
{
    struct frame_module *module = state_of(self);
    struct durable *it = durable(self);
    PyObject *inner = module != NULL ? hold(it->inner) : NULL;

    if (inner == NULL)
        return NULL;
    PyObject *wrapper = PyObject_CallMethodNoArgs(inner, module->str_await);
    Py_DECREF(inner);
    if (wrapper == NULL)
        return NULL;
    PyObject *args[] = {NULL, wrapper, it->registered, self};
    size_t count = 3 | PY_VECTORCALL_ARGUMENTS_OFFSET;
    PyObject *awaiter = PyObject_Vectorcall(module->generator_class, args + 1, count, NULL);
    Py_DECREF(wrapper);
    return awaiter;
}

static PyObject *reduce(PyObject *self, PyObject *make, struct frame_module *module)
{
    PyObject *identity = NULL, *state = NULL, *result = NULL;
    PyObject *inner = hold(durable(self)->inner);

    if (inner == NULL)
        return NULL;
    if (!(identity = PyObject_GetAttr(durable(self)->registered, module->str_identity)))
        goto cleanup;
    if (!(state = frame_save(NULL, inner)))
        goto cleanup;
    if (module->trace != Py_None) {
        PyObject *ignored = PyObject_CallFunctionObjArgs(module->trace, inner, state, identity, NULL);
        if (ignored == NULL)
            goto cleanup;
        Py_DECREF(ignored);
    }
    if (state == Py_None)
        result = Py_BuildValue("O(OO)", make, identity, Py_True);
    else
        result = Py_BuildValue("O(O)O", make, identity, state);
cleanup:
    Py_DECREF(inner);
    Py_XDECREF(identity);
    Py_XDECREF(state);
    return result;
}

static PyObject *reduce_coroutine(PyObject *self, PyObject *unused)
{
    struct frame_module *module = state_of(self);

    (void)unused;
    return module != NULL ? reduce(self, module->new_coroutine, module) : NULL;
}

static PyObject *reduce_generator(PyObject *self, PyObject *unused)
{
    struct frame_module *module = state_of(self);

    (void)unused;
    if (module == NULL)
        return NULL;
    if (durable(self)->awaited != NULL)
        return Py_BuildValue("O(O)", module->await, durable(self)->awaited);
    return reduce(self, module->new_generator, module);
}

static PyObject *get_name(PyObject *self, void *name)
{
    PyObject *target = hold(durable(self)->target);
    PyObject *value = target != NULL ? PyObject_GetAttrString(target, name) : NULL;

    Py_XDECREF(target);
    return value;
}

static PyMethodDef coroutine_methods[] = {
    {"send", method_send, METH_O, "send(value) into the coroutine."},
    {"close", method_close, METH_NOARGS, "Raises GeneratorExit in the coroutine."},
    {"__reduce__", reduce_coroutine, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef generator_methods[] = {
    {"send", method_send, METH_O, "send(value) into the generator."},
    {"close", method_close, METH_NOARGS, "Raises GeneratorExit in the generator."},
    {"__reduce__", reduce_generator, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

#define COMMON_MEMBERS                                                             \
    {"registered_fn", T_OBJECT, offsetof(struct durable, registered), READONLY, NULL}, \
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct durable, weakrefs), READONLY, NULL}

static PyMemberDef coroutine_members[] = {
    {"coroutine", T_OBJECT, offsetof(struct durable, inner), READONLY, NULL},
    COMMON_MEMBERS,
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef generator_members[] = {
    {"generator", T_OBJECT, offsetof(struct durable, inner), READONLY, NULL},
    {"wrapped_coroutine", T_OBJECT, offsetof(struct durable, awaited), READONLY, NULL},
    COMMON_MEMBERS,
    {NULL, 0, 0, 0, NULL},
};

static char name_attribute[] = "__name__", qualname_attribute[] = "__qualname__";

static PyGetSetDef names[] = {
    {name_attribute, get_name, NULL, NULL, name_attribute},
    {qualname_attribute, get_name, NULL, NULL, qualname_attribute},
    {NULL, NULL, NULL, NULL, NULL},
};

#define COMMON_SLOTS                                                                                    \
    {Py_tp_traverse, (void *)traverse}, {Py_tp_clear, (void *)clear}, {Py_tp_dealloc, (void *)dealloc}, \
        {Py_am_send, (void *)am_send}, {Py_tp_getset, names}

static PyType_Slot coroutine_slots[] = {
    COMMON_SLOTS,
    {Py_tp_init, (void *)init_coroutine},
    {Py_am_await, (void *)am_await},
    {Py_tp_methods, coroutine_methods},
    {Py_tp_members, coroutine_members},
    {0, NULL},
};

static PyType_Slot generator_slots[] = {
    COMMON_SLOTS,
    {Py_tp_init, (void *)init_generator},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)iter_next},
    {Py_tp_methods, generator_methods},
    {Py_tp_members, generator_members},
    {0, NULL},
};

static PyType_Spec coroutine_spec = {
    .name = "dispatch.experimental.durable.frame.CoroutineBase",
    .basicsize = sizeof(struct durable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = coroutine_slots,
};

static PyType_Spec generator_spec = {
    .name = "dispatch.experimental.durable.frame.GeneratorBase",
    .basicsize = sizeof(struct durable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = generator_slots,
};

static int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);

    if (type == NULL)
        return -1;
    int rc = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return rc;
}

int frame_add_types(PyObject *module)
{
    return add_type(module, &coroutine_spec) < 0 ? -1 : add_type(module, &generator_spec);
}
