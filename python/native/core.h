/* The extension module dispatch._core: libdispatchrun for Python. Only what needs C is here; dispatch/_core.pyi is its
 * reference, and all else is Python.
 *
 * The library's threads never touch Python: what happens on them becomes an event in a queue, with a descriptor that
 * becomes readable, and a thread of Python takes the events when it likes. So no callback needs the GIL (or, without one,
 * a thread state), and an event loop watches the descriptor.
 *
 * Objects may be used by several threads. Every call that waits releases the GIL. */
#ifndef CORE_H
#define CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dispatchrun.h>
#include <pthread.h>
#include <stdbool.h>

struct core_state {
    PyTypeObject *run_type;
    PyTypeObject *endpoint_type;
    PyTypeObject *test_server_type;
    PyTypeObject *client_type;
    PyObject *error; /* dispatch._core.CoreError */
};

/* NULL never: the module is alive while one of its types is. */
struct core_state *core_state_of_type(PyTypeObject *type);

/* Raises CoreError(code, name, message); returns NULL for `return`. */
PyObject *core_raise(struct core_state *state, dr_code code, const char *message);
/* MemoryError for DR_NO_MEMORY, else CoreError. */
PyObject *core_raise_error(struct core_state *state, dr_code code, const struct dr_error *error);

/* ---- events ---- */

enum event_kind {
    EVENT_RUN = 0, /* a run waits for its answer */
    EVENT_IDS,     /* a submission was answered */
    EVENT_RESULT,  /* a call is done */
    EVENT_DONE     /* something else that was asked for is done */
};

/* Made by the thread that asks, so that its answer cannot get lost for lack of memory. */
struct event {
    struct event *next;
    enum event_kind kind;
    PyObject *token;   /* owned; touched by threads of Python only */
    dr_run *run;       /* EVENT_RUN: owned until it is taken */
    dr_code code;
    char *message;     /* malloc'ed or NULL */
    char *bytes;       /* malloc'ed: a result, or ids of DR_ID_SIZE each */
    size_t len;        /* of a result; number of ids */
};

/* NULL without memory. Steals nothing: takes a new reference to the token (may be NULL). Needs Python. */
struct event *event_create(enum event_kind kind, PyObject *token);
/* Needs Python. An untaken run is refused. Accepts NULL. */
void event_destroy(struct event *event);
/* Any thread. Copies; a copy that fails makes a failure of the event. */
void event_fill(struct event *event, dr_code code, const char *message, const void *bytes, size_t len);

struct queue {
    pthread_mutex_t lock;
    struct event *first, **last;
    int descriptor;    /* readable while there are events */
    bool is_signalled;
};

/* False with an OSError. */
bool queue_init(struct queue *queue);
/* Destroys what was not taken. */
void queue_deinit(struct queue *queue);
/* Any thread. Takes the event. */
void queue_push(struct queue *queue, struct event *event);
bool queue_is_empty(struct queue *queue);
/* All events, a tuple each: (kind, token or run, None or (code, name, message), bytes or list of ids or None). */
PyObject *queue_take(struct queue *queue, struct core_state *state);
/* Waits until there are events or the timeout is over; < 0 = none. 1 = there are; 0; -1 with an exception (a signal). */
int queue_wait(struct queue *queue, double timeout);

/* ---- handles that may be closed while other threads use them ---- */

struct guard {
    pthread_mutex_t lock;
    pthread_cond_t left;
    void *handle;      /* NULL when closed */
    unsigned n_users;
};

void guard_init(struct guard *guard);
void guard_deinit(struct guard *guard);
/* NULL when closed; else guard_leave follows. */
void *guard_enter(struct guard *guard);
void guard_leave(struct guard *guard);
/* Nobody gets in any more; waits (without the GIL) until all are out. The handle, for who is first; then NULL. */
void *guard_close(struct guard *guard);

/* ---- types; each returns a new type of the module, NULL with an exception ---- */

PyTypeObject *core_run_type(PyObject *module);
PyTypeObject *core_endpoint_type(PyObject *module);
PyTypeObject *core_test_server_type(PyObject *module);
PyTypeObject *core_client_type(PyObject *module);

/* Takes the run; refuses it without memory. */
PyObject *core_run_create(struct core_state *state, dr_run *run);

#endif
