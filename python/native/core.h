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

/* ---- runs of plain functions, for threads of Python that wait for them here ---- */

/* More names take the way through the event loop. */
#define WORKERS_NAMES_MAX 1024u

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct event *first, **last; /* runs */
    size_t n_queued, n_idle;
    char *names[WORKERS_NAMES_MAX]; /* of functions known to be plain: a hash table with open places */
    bool is_stopping;
};

/* Zeroed before. */
void workers_init(struct workers *workers);
void workers_deinit(struct workers *workers);
/* Any thread. Takes an EVENT_RUN if its function is known to be plain and a thread waits for it. */
bool workers_offer(struct workers *workers, struct event *event);
/* Queues a Run, which is used up, for the next thread. True when there are more runs than idle threads. */
PyObject *workers_give(struct workers *workers, struct core_state *state, PyObject *run);
/* From now on runs of that name may go to the threads. */
PyObject *workers_learn(struct workers *workers, PyObject *name);
/* Waits for a Run; None after the stop, when there are no more. */
PyObject *workers_take(struct workers *workers, struct core_state *state);
void workers_stop(struct workers *workers);

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
/* What a Run stands for; it is answered then. NULL with TypeError or RuntimeError. */
dr_run *core_run_take(struct core_state *state, PyObject *run);

#endif
