/* A run that ends with a failure of the world outside has the status that fits it, which decides whether it is tried
 * again. */
#include "sdk/testing.h"

#include <errno.h>
#include <stdatomic.h>

static atomic_int n_attempts;

/* Fails as it is told at its first attempt. */
DR_FUNCTION(failing_once)
{
    const char *how = dr_text(dr_value_at(dr_input(call), 0));
    int number = (int)dr_int(dr_value_at(dr_input(call), 1));
    if (atomic_fetch_add(&n_attempts, 1) > 0)
        return dr_return(call, "again");
    if (strcmp(how, "errno") == 0)
        return dr_fail_errno(call, number, "open book");
    if (strcmp(how, "http") == 0)
        return dr_fail_http(call, number, "GET /book");
    return dr_fail_tls(call, "certificate has expired", "connect to library");
}

static const dr_result *attempt(const char *how, int number)
{
    dr_value *const items[] = {dr_value_text(how), dr_value_int(number)};
    atomic_store(&n_attempts, 0);
    return dr_try_value(&failing_once, dr_value_list(items, 2));
}

static void check_is_tried_again(const char *how, int number)
{
    const dr_result *result = attempt(how, number);
    dr_check_equal(dr_result_output(result), "again");
    dr_check(atomic_load(&n_attempts) == 2);
}

static void check_ends(const char *how, int number, const char *type, const char *message)
{
    const dr_result *result = attempt(how, number);
    dr_check_equal(dr_result_error_type(result), type);
    dr_check_equal(dr_result_error_message(result), message);
    dr_check(atomic_load(&n_attempts) == 1);
}

static void errno_body(void)
{
    check_ends("errno", ENOENT, "OSError", "open book: No such file or directory");
    check_ends("errno", EACCES, "OSError", "open book: Permission denied");
    check_is_tried_again("errno", ECONNREFUSED);
    check_is_tried_again("errno", ETIMEDOUT);
}

static void a_failure_of_the_system_has_the_status_of_its_errno(void **state)
{
    (void)state;
    passes(errno_body);
}

static void http_body(void)
{
    check_ends("http", 404, "HTTPError", "GET /book: HTTP status 404");
    check_ends("http", 501, "HTTPError", "GET /book: HTTP status 501");
    check_is_tried_again("http", 429);
    check_is_tried_again("http", 503);
}

static void a_failure_over_http_has_the_status_of_its_code(void **state)
{
    (void)state;
    passes(http_body);
}

static void tls_body(void)
{
    check_is_tried_again("tls", 0);
}

static void tls_for_ever_body(void)
{
    const dr_result *result;
    atomic_store(&n_attempts, -1000000); /* never the second one */
    result = dr_try(&failing_once, "tls");
    dr_check(strstr(dr_result_error_message(result), "connect to library: certificate has expired") != NULL);
}

static void a_failure_of_tls_is_tried_again_and_named_at_the_end(void **state)
{
    (void)state;
    passes(tls_body);
    passes_over(DR_TEST_LOCAL, tls_for_ever_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_of_the_system_has_the_status_of_its_errno),
        cmocka_unit_test(a_failure_over_http_has_the_status_of_its_code),
        cmocka_unit_test(a_failure_of_tls_is_tried_again_and_named_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
