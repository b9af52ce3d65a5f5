/* For the tests of functions: runs a body in a test server and says why it failed. Tests only. */
#ifndef SDK_TESTING_H
#define SDK_TESTING_H

#include "base/testing.h"

#include <dispatchrun/test.h>
#include <stdio.h>
#include <string.h>

#define DAY_NS (INT64_C(86400) * 1000000000)
#define HOUR_NS (INT64_C(3600) * 1000000000)

static inline void call_body(void *arg)
{
    void (**body)(void) = arg;
    (*body)();
}

static inline void passes_over(dr_test_transport transport, void (*body)(void))
{
    struct dr_error error = {0};
    char *trace = NULL;
    struct dr_test_options options = {.transport = transport};
    if (dr_test_run(&options, call_body, &body, &trace, &error) == DR_OK)
        return;
    fprintf(stderr, "%s\n%s", error.message, trace ? trace : "");
    dr_test_trace_free(trace);
    fail();
}

/* In process and over loopback. */
static inline void passes(void (*body)(void))
{
    passes_over(DR_TEST_LOCAL, body);
    passes_over(DR_TEST_HTTP, body);
}

/* The trace is owned. */
static inline char *fails_with(void (*body)(void), const char *message)
{
    struct dr_error error = {0};
    char *trace = NULL;
    assert_int_equal(dr_test_run(NULL, call_body, &body, &trace, &error), DR_ABORTED);
    if (!strstr(error.message, message))
        fail_msg("'%s' does not hold '%s'", error.message, message);
    assert_non_null(trace);
    return trace;
}

static inline void fails(void (*body)(void), const char *message)
{
    dr_test_trace_free(fails_with(body, message));
}

#endif
