/* Makes an event loop. For http_*.c. */
#ifndef HTTP_HTTP_LOOP_H
#define HTTP_HTTP_LOOP_H

#include <uv.h>

/* uv_loop_init, but for this: the first one of a process also makes the pipe for libuv's signals, and libuv aborts when it
 * cannot. Here that is an error: UV_EMFILE, UV_ENFILE. Any thread. */
int http_loop_init(uv_loop_t *loop);

#endif
