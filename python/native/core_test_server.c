/* TestServer: the production engine in this process, on a virtual clock. Runs, ids and results become events.
 *
 * The clock is held from the first event until Python says that it has nothing left to do (idle): what was told to it may
 * make it call more before any time passes. */
#include "core.h"

#include <stdlib.h>

struct server_object {
    PyObject_HEAD
    struct guard guard; /* dr_test_server */
    struct queue queue;
    bool has_queue;
    struct workers workers;
    pthread_mutex_t lock;
    bool is_held;         /* under the lock */
    struct pending *all;  /* calls under way; under the lock */
    uint64_t last_serial; /* under the lock */
};

/* One thing that was asked for: the event of its answer. */
struct pending {
    struct event *event;
    struct server_object *server;
    struct pending *next, *before; /* of `all`, while serial != 0 */
    uint64_t serial;               /* 0 = nobody can abandon it */
    uint64_t token;                /* of its wait, 0 = none yet */
    bool is_abandoned;
};

/* ---- on the server's threads ---- */

static void hold(struct server_object *self, dr_test_server *server)
{
    pthread_mutex_lock(&self->lock);
    if (!self->is_held)
        dr_test_server_hold(server);
    self->is_held = true;
    pthread_mutex_unlock(&self->lock);
}

/* The handle cannot be closed now: closing waits for all callbacks. While it is opened, none is known yet. */
static void push(struct server_object *self, struct event *event)
{
    pthread_mutex_lock(&self->guard.lock);
    dr_test_server *server = self->guard.handle;
    pthread_mutex_unlock(&self->guard.lock);
    if (server)
        hold(self, server);
    queue_push(&self->queue, event);
}

static void on_run(void *arg, dr_run *run)
{
    struct event *event = calloc(1, sizeof *event);
    if (!event) {
        dr_run_refuse(run, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
        return;
    }
    event->kind = EVENT_RUN;
    event->run = run;
    struct server_object *self = arg;
    if (!workers_offer(&self->workers, event))
        queue_push(&self->queue, event); /* a run under way holds the clock by itself */
}

static void finish(struct pending *pending)
{
    struct server_object *self = pending->server;
    if (pending->serial) {
        pthread_mutex_lock(&self->lock);
        if (pending->before)
            pending->before->next = pending->next;
        else
            self->all = pending->next;
        if (pending->next)
            pending->next->before = pending->before;
        pthread_mutex_unlock(&self->lock);
    }
    push(self, pending->event);
    free(pending);
}

static void on_done(void *arg, dr_code code, const char *message)
{
    struct pending *pending = arg;
    event_fill(pending->event, code, message, NULL, 0);
    finish(pending);
}

static void on_result(void *arg, dr_code code, const char *message, const void *result, size_t len)
{
    struct pending *pending = arg;
    event_fill(pending->event, code, message, result, len);
    finish(pending);
}

static void on_ids(void *arg, dr_code code, const char *message, const char *const *ids, size_t n_ids)
{
    struct pending *pending = arg;
    struct event *event = pending->event;
    event_fill(event, code, message, NULL, 0);
    if (!code) {
        event->bytes = calloc(n_ids + 1, DR_ID_SIZE);
        event->len = event->bytes ? n_ids : 0;
        event->code = event->bytes ? DR_OK : DR_NO_MEMORY;
    }
    for (size_t i = 0; i < event->len; i++)
        strncpy(event->bytes + i * DR_ID_SIZE, ids[i], DR_ID_SIZE - 1);
    finish(pending);
}

/* Submitted by call(): goes on as a wait. */
static void on_called(void *arg, dr_code code, const char *message, const char *const *ids, size_t n_ids)
{
    struct pending *pending = arg;
    struct server_object *self = pending->server;
    struct dr_error error = {0};
    uint64_t token = 0;
    if (!code && n_ids != 1) {
        code = DR_INVALID_ARGUMENT;
        message = "call() takes one call";
    }
    pthread_mutex_lock(&self->lock);
    if (!code && pending->is_abandoned)
        code = DR_CANCELED;
    pthread_mutex_unlock(&self->lock);
    dr_test_server *server = guard_enter(&self->guard);
    if (!code && !server)
        code = DR_UNAVAILABLE;
    if (code) {
        if (server)
            guard_leave(&self->guard);
        on_result(pending, code, message, NULL, 0);
        return;
    }
    /* Under the lock, so that whoever abandons it sees the token, and so that it lives until the token is there. */
    pthread_mutex_lock(&self->lock);
    code = dr_test_server_wait(server, ids[0], on_result, pending, &token, &error);
    if (!code)
        pending->token = token;
    pthread_mutex_unlock(&self->lock);
    guard_leave(&self->guard);
    if (code)
        on_result(pending, code, error.message, NULL, 0);
}

/* ---- making and closing ---- */

static PyObject *server_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"transport", "seed", "chaos", NULL};
    const char *transport = "local", *chaos = NULL;
    unsigned long long seed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|sKz:TestServer", names, &transport, &seed, &chaos))
        return NULL;
    bool is_http = strcmp(transport, "http") == 0;
    if (!is_http && strcmp(transport, "local") != 0)
        return PyErr_Format(PyExc_ValueError, "transport '%s': expected 'local' or 'http'", transport);
    struct server_object *self = (struct server_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    guard_init(&self->guard);
    workers_init(&self->workers);
    pthread_mutex_init(&self->lock, NULL);
    self->has_queue = queue_init(&self->queue);
    struct dr_test_options options = {.size = sizeof options,
                                      .transport = is_http ? DR_TEST_HTTP : DR_TEST_LOCAL,
                                      .seed = seed,
                                      .chaos = chaos,
                                      .on_run = on_run,
                                      .on_run_arg = self,
                                      .is_inline = true};
    struct dr_error error = {0};
    dr_test_server *server = NULL;
    dr_code code = DR_OK;
    if (self->has_queue) {
        Py_BEGIN_ALLOW_THREADS
        code = dr_test_server_open(&options, &server, &error);
        Py_END_ALLOW_THREADS
        if (code)
            core_raise_error(core_state_of_type(type), code, &error);
    }
    self->guard.handle = server;
    if (!server)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void server_shut(struct server_object *self)
{
    dr_test_server *server = guard_close(&self->guard);
    if (!server)
        return;
    Py_BEGIN_ALLOW_THREADS
    dr_test_server_close(server);
    Py_END_ALLOW_THREADS
}

static void server_dealloc(struct server_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    server_shut(self);
    if (self->has_queue)
        queue_deinit(&self->queue);
    pthread_mutex_destroy(&self->lock);
    workers_deinit(&self->workers);
    guard_deinit(&self->guard);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *server_close(struct server_object *self, PyObject *unused)
{
    (void)unused;
    server_shut(self);
    Py_RETURN_NONE;
}

/* ---- asking ---- */

static struct core_state *state_of(struct server_object *self)
{
    return core_state_of_type(Py_TYPE(self));
}

static dr_test_server *enter(struct server_object *self)
{
    dr_test_server *server = guard_enter(&self->guard);
    if (!server)
        core_raise(state_of(self), DR_UNAVAILABLE, "the test server has been closed");
    return server;
}

static struct pending *pending_create(struct server_object *self, enum event_kind kind, PyObject *token, bool is_listed)
{
    struct pending *pending = calloc(1, sizeof *pending);
    struct event *event = event_create(kind, token);
    if (!pending || !event) {
        free(pending);
        event_destroy(event);
        PyErr_NoMemory();
        return NULL;
    }
    pending->event = event;
    pending->server = self;
    if (is_listed) {
        pthread_mutex_lock(&self->lock);
        pending->serial = ++self->last_serial;
        pending->next = self->all;
        if (self->all)
            self->all->before = pending;
        self->all = pending;
        pthread_mutex_unlock(&self->lock);
    }
    return pending;
}

/* Refused: there is no callback. */
static void pending_drop(struct pending *pending)
{
    struct server_object *self = pending->server;
    if (pending->serial) {
        pthread_mutex_lock(&self->lock);
        if (pending->before)
            pending->before->next = pending->next;
        else
            self->all = pending->next;
        if (pending->next)
            pending->next->before = pending->before;
        pthread_mutex_unlock(&self->lock);
    }
    event_destroy(pending->event);
    free(pending);
}

static PyObject *ask(struct server_object *self, PyObject *args, enum event_kind kind, dr_test_ids_fn *on_answer,
                     const char *format)
{
    Py_buffer request;
    PyObject *token;
    if (!PyArg_ParseTuple(args, format, &request, &token))
        return NULL;
    dr_code code = DR_OK;
    struct dr_error error = {0};
    uint64_t serial = 0;
    dr_test_server *server = enter(self);
    struct pending *pending = server ? pending_create(self, kind, token, kind == EVENT_RESULT) : NULL;
    if (pending) {
        serial = pending->serial;
        Py_BEGIN_ALLOW_THREADS
        code = dr_test_server_submit(server, request.buf, (size_t)request.len, on_answer, pending, &error);
        Py_END_ALLOW_THREADS
        if (code)
            pending_drop(pending);
    }
    if (server)
        guard_leave(&self->guard);
    PyBuffer_Release(&request);
    if (!pending)
        return NULL;
    if (code)
        return core_raise_error(state_of(self), code, &error);
    return PyLong_FromUnsignedLongLong(serial);
}

static PyObject *server_submit(struct server_object *self, PyObject *args)
{
    return ask(self, args, EVENT_IDS, on_ids, "y*O:submit");
}

static PyObject *server_call(struct server_object *self, PyObject *args)
{
    return ask(self, args, EVENT_RESULT, on_called, "y*O:call");
}

static PyObject *server_result(struct server_object *self, PyObject *args)
{
    const char *id;
    PyObject *token;
    if (!PyArg_ParseTuple(args, "sO:result", &id, &token))
        return NULL;
    dr_test_server *server = enter(self);
    struct pending *pending = server ? pending_create(self, EVENT_RESULT, token, true) : NULL;
    struct dr_error error = {0};
    dr_code code = DR_OK;
    uint64_t serial = 0, wait_token = 0;
    if (pending) {
        serial = pending->serial;
        pthread_mutex_lock(&self->lock);
        code = dr_test_server_wait(server, id, on_result, pending, &wait_token, &error);
        if (!code)
            pending->token = wait_token;
        pthread_mutex_unlock(&self->lock);
        if (code)
            pending_drop(pending);
    }
    if (server)
        guard_leave(&self->guard);
    if (!pending)
        return NULL;
    return code ? core_raise_error(state_of(self), code, &error) : PyLong_FromUnsignedLongLong(serial);
}

static PyObject *server_abandon(struct server_object *self, PyObject *serial_object)
{
    uint64_t serial = PyLong_AsUnsignedLongLong(serial_object), token = 0;
    if (PyErr_Occurred())
        return NULL;
    pthread_mutex_lock(&self->lock);
    for (struct pending *pending = self->all; pending; pending = pending->next) {
        if (pending->serial != serial)
            continue;
        token = pending->token;
        pending->is_abandoned = true;
    }
    pthread_mutex_unlock(&self->lock);
    dr_test_server *server = token ? guard_enter(&self->guard) : NULL;
    if (server) {
        dr_test_server_abandon(server, token);
        guard_leave(&self->guard);
    }
    Py_RETURN_NONE;
}

static PyObject *server_cancel(struct server_object *self, PyObject *args)
{
    const char *id;
    PyObject *token;
    if (!PyArg_ParseTuple(args, "sO:cancel", &id, &token))
        return NULL;
    dr_test_server *server = enter(self);
    struct pending *pending = server ? pending_create(self, EVENT_DONE, token, false) : NULL;
    struct dr_error error = {0};
    dr_code code = DR_OK;
    if (pending) {
        code = dr_test_server_cancel(server, id, on_done, pending, &error);
        if (code)
            pending_drop(pending);
    }
    if (server)
        guard_leave(&self->guard);
    if (!pending)
        return NULL;
    return code ? core_raise_error(state_of(self), code, &error) : Py_NewRef(Py_None);
}

/* ---- events and the clock ---- */

static PyObject *server_fileno(struct server_object *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->queue.descriptor);
}

static PyObject *server_take(struct server_object *self, PyObject *unused)
{
    (void)unused;
    return queue_take(&self->queue, state_of(self));
}

static PyObject *server_wait(struct server_object *self, PyObject *args)
{
    double timeout = -1;
    if (!PyArg_ParseTuple(args, "|d:wait", &timeout))
        return NULL;
    int n = queue_wait(&self->queue, timeout);
    return n < 0 ? NULL : PyBool_FromLong(n);
}

static PyObject *server_busy(struct server_object *self, PyObject *unused)
{
    (void)unused;
    dr_test_server *server = guard_enter(&self->guard);
    if (server) {
        hold(self, server);
        guard_leave(&self->guard);
    }
    Py_RETURN_NONE;
}

static PyObject *server_idle(struct server_object *self, PyObject *unused)
{
    (void)unused;
    dr_test_server *server = guard_enter(&self->guard);
    if (!server)
        Py_RETURN_NONE;
    pthread_mutex_lock(&self->lock);
    /* An event pushed after this look holds it again, under the same lock. */
    bool is_released = self->is_held && queue_is_empty(&self->queue);
    if (is_released)
        self->is_held = false;
    if (is_released)
        dr_test_server_release(server);
    pthread_mutex_unlock(&self->lock);
    guard_leave(&self->guard);
    Py_RETURN_NONE;
}

static PyObject *server_now(struct server_object *self, PyObject *unused)
{
    (void)unused;
    dr_test_server *server = enter(self);
    if (!server)
        return NULL;
    int64_t now_ns = dr_test_server_now(server);
    guard_leave(&self->guard);
    return PyLong_FromLongLong(now_ns);
}

static PyObject *server_advance(struct server_object *self, PyObject *args)
{
    long long ns;
    int with_runs = 0;
    if (!PyArg_ParseTuple(args, "L|p:advance", &ns, &with_runs))
        return NULL;
    if (ns < 0) {
        PyErr_SetString(PyExc_ValueError, "the clock does not go back");
        return NULL;
    }
    dr_test_server *server = enter(self);
    if (!server)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    dr_test_server_advance(server, ns, with_runs != 0);
    Py_END_ALLOW_THREADS
    guard_leave(&self->guard);
    Py_RETURN_NONE;
}

static PyObject *server_trace(struct server_object *self, PyObject *unused)
{
    (void)unused;
    dr_test_server *server = enter(self);
    if (!server)
        return NULL;
    char *text;
    Py_BEGIN_ALLOW_THREADS
    text = dr_test_server_trace(server);
    Py_END_ALLOW_THREADS
    guard_leave(&self->guard);
    if (!text)
        return PyErr_NoMemory();
    PyObject *trace = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    dr_test_trace_free(text);
    return trace;
}

static PyObject *text_of(struct server_object *self, const char *(*read)(const dr_test_server *))
{
    dr_test_server *server = enter(self);
    if (!server)
        return NULL;
    PyObject *text = PyUnicode_FromString(read(server));
    guard_leave(&self->guard);
    return text;
}

static PyObject *get_endpoint(struct server_object *self, void *closure)
{
    (void)closure;
    return text_of(self, dr_test_server_endpoint);
}

static PyObject *get_url(struct server_object *self, void *closure)
{
    (void)closure;
    return text_of(self, dr_test_server_url);
}

static PyObject *server_learn_plain(struct server_object *self, PyObject *name)
{
    return workers_learn(&self->workers, name);
}

static PyObject *server_give_plain(struct server_object *self, PyObject *run)
{
    return workers_give(&self->workers, state_of(self), run);
}

static PyObject *server_take_plain(struct server_object *self, PyObject *unused)
{
    (void)unused;
    return workers_take(&self->workers, state_of(self));
}

static PyObject *server_stop_plain(struct server_object *self, PyObject *unused)
{
    (void)unused;
    workers_stop(&self->workers);
    Py_RETURN_NONE;
}

static PyMethodDef server_methods[] = {
    {"learn_plain", (PyCFunction)server_learn_plain, METH_O, "learn_plain(name): its runs may go to take_plain()."},
    {"give_plain", (PyCFunction)server_give_plain, METH_O, "give_plain(run): for take_plain(); whether threads are wanting."},
    {"take_plain", (PyCFunction)server_take_plain, METH_NOARGS, "take_plain(): waits for a run of a plain function; None."},
    {"stop_plain", (PyCFunction)server_stop_plain, METH_NOARGS, "stop_plain(): take_plain() gives what is there, then None."},
    {"fileno", (PyCFunction)server_fileno, METH_NOARGS, "fileno(): a descriptor, readable while there are events."},
    {"take", (PyCFunction)server_take, METH_NOARGS, "take(): the events that have come."},
    {"wait", (PyCFunction)server_wait, METH_VARARGS, "wait(timeout=-1): whether there are events."},
    {"submit", (PyCFunction)server_submit, METH_VARARGS, "submit(request, token): EVENT_IDS comes."},
    {"call", (PyCFunction)server_call, METH_VARARGS, "call(request, token): EVENT_RESULT comes; returns a serial."},
    {"result", (PyCFunction)server_result, METH_VARARGS, "result(id, token): EVENT_RESULT comes; returns a serial."},
    {"abandon", (PyCFunction)server_abandon, METH_O, "abandon(serial): nobody waits for it any more."},
    {"cancel", (PyCFunction)server_cancel, METH_VARARGS, "cancel(id, token): EVENT_DONE comes."},
    {"busy", (PyCFunction)server_busy, METH_NOARGS, "busy(): the clock stands still until idle()."},
    {"idle", (PyCFunction)server_idle, METH_NOARGS, "idle(): all events are dealt with; the clock may go on."},
    {"now", (PyCFunction)server_now, METH_NOARGS, "now(): virtual time, ns since 1970."},
    {"advance", (PyCFunction)server_advance, METH_VARARGS, "advance(ns, with_runs=False): moves the clock."},
    {"trace", (PyCFunction)server_trace, METH_NOARGS, "trace(): the tree of all calls."},
    {"close", (PyCFunction)server_close, METH_NOARGS, "close(): what is pending is answered as unavailable."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef server_getset[] = {
    {"endpoint", (getter)get_endpoint, NULL, "Where calls are to go.", NULL},
    {"url", (getter)get_url, NULL, "Of the API; empty in process.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, "TestServer(transport='local', seed=0, chaos=None): the engine in this process."},
    {Py_tp_new, (void *)server_new},
    {Py_tp_dealloc, (void *)server_dealloc},
    {Py_tp_methods, server_methods},
    {Py_tp_getset, server_getset},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "dispatch._core.TestServer",
    .basicsize = sizeof(struct server_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

PyTypeObject *core_test_server_type(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &server_spec, NULL);
}
