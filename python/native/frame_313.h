/* Frames of CPython 3.13; see frame_layout.h. */
#ifndef DISPATCH_FRAME_313_H
#define DISPATCH_FRAME_313_H

#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>

#define FRAME_CALLABLE_FIRST 1

static inline PyCodeObject *layout_code(_PyInterpreterFrame *frame)
{
    return _PyFrame_GetCode(frame);
}

static inline PyObject *layout_function(_PyInterpreterFrame *frame)
{
    return frame->f_funcobj;
}

static inline int layout_ip(_PyInterpreterFrame *frame)
{
    return _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT);
}

static inline void layout_set_ip(_PyInterpreterFrame *frame, int ip)
{
    frame->instr_ptr = _PyCode_CODE(_PyFrame_GetCode(frame)) + ip / (int)sizeof(_Py_CODEUNIT);
}

static inline int layout_depth(_PyInterpreterFrame *frame)
{
    return frame->stacktop;
}

static inline void layout_set_depth(_PyInterpreterFrame *frame, int depth)
{
    frame->stacktop = depth;
}

static inline PyObject **layout_slots(_PyInterpreterFrame *frame)
{
    return frame->localsplus;
}

static inline int layout_suspended(int yield_arg)
{
    return yield_arg ? FRAME_SUSPENDED_YIELD_FROM : FRAME_SUSPENDED;
}

#endif
