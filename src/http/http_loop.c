#include "http/http_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

/* Enough for what the first loop opens up to that pipe. */
enum { PIPES = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int has_made_one; /* under lock */

/* Whether descriptors can be had now. */
static int try_descriptors(void)
{
    int fds[PIPES][2];
    int n = 0, rc = 0;
    while (n < PIPES && pipe2(fds[n], O_CLOEXEC) == 0)
        n++;
    if (n < PIPES)
        rc = uv_translate_sys_error(errno);
    while (n-- > 0) {
        (void)close(fds[n][0]);
        (void)close(fds[n][1]);
    }
    return rc;
}

int http_loop_init(uv_loop_t *loop)
{
    (void)pthread_mutex_lock(&lock);
    int rc = has_made_one ? 0 : try_descriptors();
    if (rc == 0)
        rc = uv_loop_init(loop);
    has_made_one |= rc == 0;
    (void)pthread_mutex_unlock(&lock);
    return rc;
}
