#include "base/testing.h"

#include "base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void passes_what_holds(void **state)
{
    (void)state;
    CHECK(1 + 1 == 2);
}

static void aborts_and_names_what_is_broken(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        CHECK(2 < 1);
        _exit(0);
    }
    close(ends[1]);
    char text[512] = {0};
    size_t len = 0;
    for (ssize_t n; len < sizeof(text) - 1 && (n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0;)
        len += (size_t)n;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "check_test.c:"));
    assert_non_null(strstr(text, "2 < 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_what_holds),
        cmocka_unit_test(aborts_and_names_what_is_broken),
    };
    return cmocka_run_group_tests_name("base/check", tests, NULL, NULL);
}
