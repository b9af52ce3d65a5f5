/* Plain functions: their runs go to threads of Python directly, without a turn of the event loop. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

/* Of a RunRequest, whose first field is the function's name. Other encoders may begin otherwise: then it is not known. */
static bool read_name(const dr_run *run, const char **ret_name, size_t *ret_len)
{
    size_t len = 0;
    const unsigned char *bytes = dr_run_request(run, &len);
    if (len < 2 || bytes[0] != 0x0a /* field 1, bytes */ || bytes[1] >= 0x80 || (size_t)bytes[1] + 2 > len)
        return false; /* a name of 128 bytes or more takes the way through the loop */
    *ret_name = (const char *)bytes + 2;
    *ret_len = bytes[1];
    return true;
}

static unsigned hash_of(const char *name, size_t len)
{
    unsigned hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash % WORKERS_NAMES_MAX;
}

/* Under lock. The name, or the free place where it would be; NULL when the table is full. */
static char **place_of(struct workers *workers, const char *name, size_t len)
{
    unsigned first = hash_of(name, len);
    for (unsigned i = 0; i < WORKERS_NAMES_MAX; i++) {
        char **place = &workers->names[(first + i) % WORKERS_NAMES_MAX];
        if (!*place || (strlen(*place) == len && memcmp(*place, name, len) == 0))
            return place;
    }
    return NULL;
}

void workers_init(struct workers *workers)
{
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wake, NULL);
    workers->last = &workers->first;
}

void workers_deinit(struct workers *workers)
{
    for (struct event *event = workers->first, *next; event; event = next) {
        next = event->next;
        event_destroy(event);
    }
    for (unsigned i = 0; i < WORKERS_NAMES_MAX; i++)
        free(workers->names[i]);
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
}

/* Under lock. */
static void push(struct workers *workers, struct event *event)
{
    event->next = NULL;
    *workers->last = event;
    workers->last = &event->next;
    workers->n_queued++;
}

bool workers_offer(struct workers *workers, struct event *event)
{
    const char *name;
    size_t len;
    if (!read_name(event->run, &name, &len))
        return false;
    pthread_mutex_lock(&workers->lock);
    char **place = place_of(workers, name, len);
    bool is_taken = place && *place && workers->n_idle > workers->n_queued && !workers->is_stopping;
    if (is_taken)
        push(workers, event);
    pthread_mutex_unlock(&workers->lock);
    if (is_taken)
        pthread_cond_signal(&workers->wake);
    return is_taken;
}

PyObject *workers_learn(struct workers *workers, PyObject *name_object)
{
    Py_ssize_t len;
    const char *name = PyUnicode_AsUTF8AndSize(name_object, &len);
    if (!name)
        return NULL;
    bool has_memory = true;
    pthread_mutex_lock(&workers->lock);
    char **place = strlen(name) == (size_t)len ? place_of(workers, name, (size_t)len) : NULL;
    if (place && !*place) {
        *place = strdup(name);
        has_memory = *place != NULL;
    }
    pthread_mutex_unlock(&workers->lock);
    return has_memory ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

PyObject *workers_give(struct workers *workers, struct core_state *state, PyObject *run)
{
    struct event *event = event_create(EVENT_RUN, NULL);
    if (!event)
        return PyErr_NoMemory();
    event->run = core_run_take(state, run);
    if (!event->run) {
        event_destroy(event);
        return NULL;
    }
    pthread_mutex_lock(&workers->lock);
    push(workers, event);
    bool is_short = workers->n_queued > workers->n_idle;
    pthread_mutex_unlock(&workers->lock);
    pthread_cond_signal(&workers->wake);
    return PyBool_FromLong(is_short);
}

PyObject *workers_take(struct workers *workers, struct core_state *state)
{
    struct event *event;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&workers->lock);
    workers->n_idle++;
    while (!workers->first && !workers->is_stopping)
        pthread_cond_wait(&workers->wake, &workers->lock);
    workers->n_idle--;
    event = workers->first;
    if (event) {
        workers->first = event->next;
        workers->n_queued--;
        if (!workers->first)
            workers->last = &workers->first;
    }
    pthread_mutex_unlock(&workers->lock);
    Py_END_ALLOW_THREADS
    if (!event)
        Py_RETURN_NONE;
    dr_run *run = event->run;
    event->run = NULL;
    event_destroy(event);
    return core_run_create(state, run);
}

void workers_stop(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->is_stopping = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
}
