/* Where one version of CPython keeps the parts of a suspended frame.
 *
 * Everything that differs between versions is in frame_311.h, frame_312.h and frame_313.h, which read
 * CPython's own internal headers; nothing here repeats one of its structs. A later version is one more file
 * that defines the same functions (all static inline, none of them checks anything):
 *
 *   FRAME_CALLABLE_FIRST           1 if a call has on the stack "callable, self or NULL", 0 if it has "NULL, callable"
 *   layout_code(frame)             code object, borrowed
 *   layout_function(frame)         function object the frame was made from, borrowed
 *   layout_ip(frame)               byte offset of the saved instruction, as f_lasti counts
 *   layout_set_ip(frame, ip)
 *   layout_depth(frame)            number of slots in use: variables, then the stack
 *   layout_set_depth(frame, n)
 *   layout_slots(frame)            the slots themselves; NULL in one means "unbound"
 *   layout_suspended(yield_arg)    gi_frame_state of a generator that YIELD_VALUE with this argument suspended
 *
 * Used by frame.c and frame_state.c only. The caller holds the GIL, or the generator's critical section in a
 * free-threaded build.
 */
#ifndef DISPATCH_FRAME_LAYOUT_H
#define DISPATCH_FRAME_LAYOUT_H

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <Python.h>

#if PY_VERSION_HEX >= 0x030e0000
#error "the frame layout of this version of CPython is not known: add a frame_3xx.h"
#elif PY_VERSION_HEX >= 0x030d0000
#include "frame_313.h"
#elif PY_VERSION_HEX >= 0x030c0000
#include "frame_312.h"
#elif PY_VERSION_HEX >= 0x030b0000
#include "frame_311.h"
#else
#error "CPython 3.11 or later is needed"
#endif

#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* The frame that lives inside a generator or coroutine. */
static inline _PyInterpreterFrame *layout_frame(PyGenObject *generator)
{
    return (_PyInterpreterFrame *)generator->gi_iframe;
}

#endif
