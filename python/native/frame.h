/* The parts of the extension module dispatch.experimental.durable.frame.
 *
 * frame.c          the module, and the shapes of frames
 * frame_access.c   a frame part by part
 * frame_save.c     a whole suspended frame as one tuple; its end
 * frame_restore.c  a frame from such a tuple
 * frame_types.c    the base classes of DurableCoroutine and DurableGenerator
 *
 * Everything is called with the GIL held (or, in a free-threaded build, takes the generator's own lock).
 * Functions that return a PyObject * return a new reference, or NULL with an exception set.
 */
#ifndef DISPATCH_FRAME_H
#define DISPATCH_FRAME_H

#include "frame_layout.h"

/* Parts of a saved frame; frame_save.c says which. */
#define FRAME_STATE_PARTS 4

/* Codes with a known shape that are kept; the table is emptied when it is full. */
#define FRAME_SHAPES_MAX 4096

struct frame_module {
    PyObject *shapes;          /* dict: address of a code object -> (code object, dict: ip -> shape) */
    PyObject *generator_class; /* what configure() was given; None before */
    PyObject *new_generator;
    PyObject *new_coroutine;
    PyObject *await;
    PyObject *trace;
    PyObject *list_append;      /* the method list.append, and another object that is the same method */
    PyObject *list_append_twin;
    PyObject *str_await; /* names of attributes */
    PyObject *str_identity;
};

/* The module that type, or a base of it, was made by; NULL with TypeError. */
struct frame_module *frame_state_of_type(PyTypeObject *type);

/* Functions of the module that are in frame_access.c. */
extern PyMethodDef frame_access_methods[];

/* The cell of the function's closure that belongs into slot i, or NULL if it is no free variable; borrowed. */
PyObject *frame_closure_cell(_PyInterpreterFrame *frame, int i);

/* Adds CoroutineBase and GeneratorBase to the module; -1 with an exception. */
int frame_add_types(PyObject *module);

/* The generator or coroutine in object, also that of a coroutine_wrapper; borrowed from object.
 * NULL with TypeError for anything else. */
PyGenObject *frame_generator(PyObject *object);

/* The shape of a frame of code that is suspended at ip: bytes, described in _shapes.py; NULL with ValueError if
 * no frame can be suspended there. A new reference. */
PyObject *frame_shape(struct frame_module *module, PyCodeObject *code, PyObject *ip);

/* save(object), restore(object, state) and discard(object) of the module, documented in frame.pyi. */
PyObject *frame_save(PyObject *module, PyObject *object);
PyObject *frame_discard(PyObject *module, PyObject *object);
PyObject *frame_restore(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* True if the frame of generator, which was never run, would hold what shape asks for: its slots, and the exception
 * that it handles (NULL: none). Says what is wrong in a ValueError. */
int frame_fits(PyGenObject *generator, const char *shape, Py_ssize_t shape_len);

#endif
