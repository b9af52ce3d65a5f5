/* Events from the library's threads to Python's, and handles that can be closed. */
#include "core.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct event *event_create(enum event_kind kind, PyObject *token)
{
    struct event *event = calloc(1, sizeof *event);
    if (event) {
        event->kind = kind;
        event->token = Py_XNewRef(token);
    }
    return event;
}

void event_destroy(struct event *event)
{
    if (!event)
        return;
    if (event->run)
        dr_run_refuse(event->run, DR_UNAVAILABLE, "the endpoint has been stopped");
    Py_XDECREF(event->token);
    free(event->message);
    free(event->bytes);
    free(event);
}

void event_fill(struct event *event, dr_code code, const char *message, const void *bytes, size_t len)
{
    event->code = code;
    if (code && message)
        event->message = strdup(message);
    if (code || !bytes)
        return;
    event->bytes = malloc(len + 1);
    if (event->bytes) {
        memcpy(event->bytes, bytes, len);
        event->len = len;
    } else {
        event->code = DR_NO_MEMORY;
    }
}

bool queue_init(struct queue *queue)
{
    pthread_mutex_init(&queue->lock, NULL);
    queue->first = NULL;
    queue->last = &queue->first;
    queue->is_signalled = false;
    queue->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->descriptor < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    return queue->descriptor >= 0;
}

static struct event *take_all(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct event *events = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    uint64_t n;
    if (queue->is_signalled && read(queue->descriptor, &n, sizeof n) == (ssize_t)sizeof n)
        queue->is_signalled = false;
    pthread_mutex_unlock(&queue->lock);
    return events;
}

static void destroy_all(struct event *event)
{
    while (event) {
        struct event *next = event->next;
        event_destroy(event);
        event = next;
    }
}

void queue_deinit(struct queue *queue)
{
    destroy_all(take_all(queue));
    if (queue->descriptor >= 0)
        close(queue->descriptor);
    queue->descriptor = -1;
    pthread_mutex_destroy(&queue->lock);
}

void queue_push(struct queue *queue, struct event *event)
{
    event->next = NULL;
    pthread_mutex_lock(&queue->lock);
    *queue->last = event;
    queue->last = &event->next;
    uint64_t one = 1;
    if (!queue->is_signalled) /* an event that is signalled already brings this one along */
        queue->is_signalled = write(queue->descriptor, &one, sizeof one) == (ssize_t)sizeof one;
    pthread_mutex_unlock(&queue->lock);
}

bool queue_is_empty(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool is_empty = queue->first == NULL;
    pthread_mutex_unlock(&queue->lock);
    return is_empty;
}

static PyObject *ids_of(const struct event *event)
{
    PyObject *ids = PyList_New((Py_ssize_t)event->len);
    for (size_t i = 0; ids && i < event->len; i++) {
        PyObject *id = PyUnicode_FromString(event->bytes + i * DR_ID_SIZE);
        if (id)
            PyList_SET_ITEM(ids, (Py_ssize_t)i, id);
        else
            Py_CLEAR(ids);
    }
    return ids;
}

static PyObject *payload_of(const struct event *event)
{
    if (event->code || (event->kind != EVENT_IDS && event->kind != EVENT_RESULT))
        return Py_NewRef(Py_None);
    if (event->kind == EVENT_IDS)
        return ids_of(event);
    return PyBytes_FromStringAndSize(event->bytes, (Py_ssize_t)event->len);
}

static PyObject *failure_of(const struct event *event)
{
    if (!event->code)
        return Py_NewRef(Py_None);
    const char *message = event->message ? event->message : dr_code_text(event->code);
    return Py_BuildValue("(iss)", (int)event->code, dr_code_name(event->code), message);
}

static PyObject *subject_of(struct event *event, struct core_state *state)
{
    if (event->kind != EVENT_RUN)
        return Py_NewRef(event->token ? event->token : Py_None);
    dr_run *run = event->run;
    event->run = NULL;
    return core_run_create(state, run);
}

static PyObject *tuple_of(struct event *event, struct core_state *state)
{
    PyObject *subject = subject_of(event, state);
    PyObject *failure = subject ? failure_of(event) : NULL;
    PyObject *payload = failure ? payload_of(event) : NULL;
    PyObject *tuple = payload ? Py_BuildValue("(iOOO)", (int)event->kind, subject, failure, payload) : NULL;
    Py_XDECREF(subject);
    Py_XDECREF(failure);
    Py_XDECREF(payload);
    return tuple;
}

/* Events that could not be made into tuples wait for the next time, in front. */
static void put_back(struct queue *queue, struct event *events)
{
    struct event **last = &events;
    while (*last)
        last = &(*last)->next;
    pthread_mutex_lock(&queue->lock);
    *last = queue->first;
    if (!queue->first)
        queue->last = last;
    queue->first = events;
    uint64_t one = 1;
    if (!queue->is_signalled)
        queue->is_signalled = write(queue->descriptor, &one, sizeof one) == (ssize_t)sizeof one;
    pthread_mutex_unlock(&queue->lock);
}

PyObject *queue_take(struct queue *queue, struct core_state *state)
{
    PyObject *list = PyList_New(0);
    if (!list)
        return NULL;
    struct event *events = take_all(queue);
    while (events) {
        PyObject *tuple = tuple_of(events, state);
        if (!tuple || PyList_Append(list, tuple) < 0) {
            Py_XDECREF(tuple);
            break;
        }
        Py_DECREF(tuple);
        struct event *next = events->next;
        event_destroy(events);
        events = next;
    }
    if (!events)
        return list;
    /* Out of memory: what was taken is given all the same; only without any there is nothing but the error. */
    if (events->kind == EVENT_RUN) { /* its run has been refused */
        struct event *next = events->next;
        event_destroy(events);
        events = next;
    }
    if (events)
        put_back(queue, events);
    if (PyList_GET_SIZE(list) > 0) {
        PyErr_Clear();
        return list;
    }
    Py_DECREF(list);
    return NULL;
}

int queue_wait(struct queue *queue, double timeout)
{
    struct pollfd wanted = {.fd = queue->descriptor, .events = POLLIN};
    int timeout_ms = timeout < 0 ? -1 : timeout > 1e6 ? 1000000000 : (int)(timeout * 1000 + 0.999);
    int n;
    int error_number;
    Py_BEGIN_ALLOW_THREADS
    n = poll(&wanted, 1, timeout_ms);
    error_number = errno;
    Py_END_ALLOW_THREADS
    if (n >= 0)
        return n > 0;
    if (error_number == EINTR)
        return PyErr_CheckSignals() < 0 ? -1 : 0;
    errno = error_number;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* ---- handles ---- */

void guard_init(struct guard *guard)
{
    pthread_mutex_init(&guard->lock, NULL);
    pthread_cond_init(&guard->left, NULL);
}

void guard_deinit(struct guard *guard)
{
    pthread_cond_destroy(&guard->left);
    pthread_mutex_destroy(&guard->lock);
}

void *guard_enter(struct guard *guard)
{
    pthread_mutex_lock(&guard->lock);
    void *handle = guard->handle;
    guard->n_users += handle != NULL;
    pthread_mutex_unlock(&guard->lock);
    return handle;
}

void guard_leave(struct guard *guard)
{
    pthread_mutex_lock(&guard->lock);
    guard->n_users--;
    pthread_cond_broadcast(&guard->left);
    pthread_mutex_unlock(&guard->lock);
}

void *guard_close(struct guard *guard)
{
    void *handle;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&guard->lock);
    handle = guard->handle;
    guard->handle = NULL;
    while (guard->n_users > 0)
        pthread_cond_wait(&guard->left, &guard->lock);
    pthread_mutex_unlock(&guard->lock);
    Py_END_ALLOW_THREADS
    return handle;
}
