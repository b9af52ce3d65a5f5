#include "base/testing.h"

#include <dispatchrun/status.h>

#include <errno.h>

static void names_statuses_for_wire_and_people(void **state)
{
    (void)state;
    assert_string_equal(dr_status_name(DR_STATUS_OK), "STATUS_OK");
    assert_string_equal(dr_status_text(DR_STATUS_DNS_ERROR), "DNS error");
    assert_string_equal(dr_status_name((dr_status)99), "STATUS_UNSPECIFIED");
    assert_string_equal(dr_status_text((dr_status)-1), "Unspecified");
}

static void retries_exactly_the_eight_temporary_statuses(void **state)
{
    (void)state;
    int n_retried = 0;
    for (int status = -1; status < 40; status++)
        n_retried += dr_status_is_retryable((dr_status)status);
    assert_int_equal(n_retried, 8);
    const dr_status retried[] = {DR_STATUS_TIMEOUT,           DR_STATUS_THROTTLED, DR_STATUS_TEMPORARY_ERROR,
                                 DR_STATUS_INCOMPATIBLE_STATE, DR_STATUS_DNS_ERROR, DR_STATUS_TCP_ERROR,
                                 DR_STATUS_TLS_ERROR,         DR_STATUS_HTTP_ERROR};
    for (size_t i = 0; i < 8; i++)
        assert_true(dr_status_is_retryable(retried[i]));
}

/* protocol 4.3 */
static void maps_http_statuses_by_number_then_by_class(void **state)
{
    (void)state;
    const struct {
        int http_status;
        dr_status status;
    } rows[] = {
        {400, DR_STATUS_INVALID_ARGUMENT}, {401, DR_STATUS_UNAUTHENTICATED}, {403, DR_STATUS_PERMISSION_DENIED},
        {404, DR_STATUS_NOT_FOUND},        {408, DR_STATUS_TIMEOUT},         {429, DR_STATUS_THROTTLED},
        {501, DR_STATUS_PERMANENT_ERROR},  {100, DR_STATUS_PERMANENT_ERROR}, {200, DR_STATUS_OK},
        {204, DR_STATUS_OK},               {302, DR_STATUS_PERMANENT_ERROR}, {418, DR_STATUS_PERMANENT_ERROR},
        {500, DR_STATUS_TEMPORARY_ERROR},  {503, DR_STATUS_TEMPORARY_ERROR}, {599, DR_STATUS_TEMPORARY_ERROR},
        {600, DR_STATUS_UNSPECIFIED},      {99, DR_STATUS_UNSPECIFIED},      {0, DR_STATUS_UNSPECIFIED},
        {-200, DR_STATUS_UNSPECIFIED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(dr_status_of_http(rows[i].http_status), rows[i].status);
}

/* protocol 4.5 */
static void maps_errno_values(void **state)
{
    (void)state;
    const int tcp[] = {ECONNREFUSED, ECONNRESET, ECONNABORTED, EPIPE,        ENETDOWN,
                       ENETUNREACH,  ENETRESET,  EHOSTDOWN,    EHOSTUNREACH, EADDRNOTAVAIL};
    for (size_t i = 0; i < sizeof(tcp) / sizeof(tcp[0]); i++)
        assert_int_equal(dr_status_of_errno(tcp[i]), DR_STATUS_TCP_ERROR);
    const int temporary[] = {EAGAIN, EINTR, EMFILE, ENFILE};
    for (size_t i = 0; i < sizeof(temporary) / sizeof(temporary[0]); i++)
        assert_int_equal(dr_status_of_errno(temporary[i]), DR_STATUS_TEMPORARY_ERROR);
    assert_int_equal(dr_status_of_errno(0), DR_STATUS_OK);
    assert_int_equal(dr_status_of_errno(ETIMEDOUT), DR_STATUS_TIMEOUT);
    assert_int_equal(dr_status_of_errno(EPERM), DR_STATUS_PERMISSION_DENIED);
    assert_int_equal(dr_status_of_errno(EINVAL), DR_STATUS_PERMANENT_ERROR);
    assert_int_equal(dr_status_of_errno(-1), DR_STATUS_PERMANENT_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_statuses_for_wire_and_people),
        cmocka_unit_test(retries_exactly_the_eight_temporary_statuses),
        cmocka_unit_test(maps_http_statuses_by_number_then_by_class),
        cmocka_unit_test(maps_errno_values),
    };
    return cmocka_run_group_tests_name("base/status", tests, NULL, NULL);
}
