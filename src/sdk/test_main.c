/* The main of a test program: lists tests, runs some or all. The one part of the library that prints. */
#include "sdk/test_server.h"

#include <stdio.h>

static dr_test *tests;

void dr_test_register(dr_test *test)
{
    dr_test **place = &tests;
    while (*place)
        place = &(*place)->next;
    *place = test; /* in the order of the file */
}

static void call_body(void *arg)
{
    ((const dr_test *)arg)->body();
}

static bool run(dr_test *test)
{
    struct dr_error error = {0};
    char *trace = NULL;
    printf("run   %s\n", test->name);
    fflush(stdout);
    bool has_passed = dr_test_run(NULL, call_body, test, &trace, &error) == DR_OK;
    printf("%s %s\n", has_passed ? "ok   " : "FAIL ", test->name);
    if (!has_passed)
        printf("  %s\n%s", error.message, trace ? trace : "");
    dr_test_trace_free(trace);
    return has_passed;
}

static dr_test *find(const char *name)
{
    dr_test *test = tests;
    while (test && strcmp(test->name, name) != 0)
        test = test->next;
    return test;
}

static int finish(unsigned n_passed, unsigned n_failed)
{
    printf("%u passed, %u failed\n", n_passed, n_failed);
    return n_failed ? 1 : 0;
}

int dr_test_main(int argc, char **argv)
{
    unsigned n_passed = 0, n_failed = 0;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (const dr_test *test = tests; test; test = test->next)
            printf("%s\n", test->name);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        dr_test *test = find(argv[i]);
        if (!test) {
            fprintf(stderr, "there is no test '%s'; --list shows them\n", argv[i]);
            return 2;
        }
        if (run(test))
            n_passed++;
        else
            n_failed++;
    }
    for (dr_test *test = argc > 1 ? NULL : tests; test; test = test->next) {
        if (run(test))
            n_passed++;
        else
            n_failed++;
    }
    return finish(n_passed, n_failed);
}
