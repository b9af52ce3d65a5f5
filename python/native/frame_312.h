/* Frames of CPython 3.12; see frame_layout.h. */
#ifndef DISPATCH_FRAME_312_H
#define DISPATCH_FRAME_312_H

#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>

#define FRAME_CALLABLE_FIRST 0

static inline PyCodeObject *layout_code(_PyInterpreterFrame *frame)
{
    return frame->f_code;
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
    frame->prev_instr = _PyCode_CODE(frame->f_code) + ip / (int)sizeof(_Py_CODEUNIT);
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
    (void)yield_arg;
    return FRAME_SUSPENDED;
}

#endif
