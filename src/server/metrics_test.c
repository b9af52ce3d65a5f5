/* GET /metrics, and the log lines of refusals. */
#include "server/api_testing.h"

#include "server/metrics.h"
#include <stdlib.h>

static void start(struct api_fixture *fixture, struct metrics **ret_metrics)
{
    assert_int_equal(metrics_create(false, ret_metrics, NULL), DR_OK);
    api_fixture_start(fixture, &(struct api_config){.metrics = *ret_metrics});
}

static void stop(struct api_fixture *fixture, struct metrics *metrics)
{
    api_fixture_stop(fixture);
    metrics_destroy(metrics);
}

static const char *scrape(const struct api_fixture *fixture)
{
    struct api_answer answer = api_ask(fixture, "GET", "/metrics", AUTH, "");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "text/plain; version=0.0.4"));
    return (const char *)answer.body.data;
}

#define assert_line(text, line)                                                                              \
    do {                                                                                                     \
        const char *line_text = (text);                                                                      \
        if (!strstr(line_text, "\n" line "\n"))                                                              \
            fail_msg("no line '%s' in %s", line, line_text);                                                 \
    } while (0)

static void metrics_count_answers_attempts_and_groups(void **state)
{
    (void)state;
    struct api_fixture fixture;
    struct metrics *metrics;
    start(&fixture, &metrics);
    char id[ID_TEXT_SIZE];
    api_submit(&fixture, "echo", id);
    assert_int_equal(api_ask(&fixture, "POST", PATH_WAIT, HEADERS_PROTO, id).status, 200);
    api_submit(&fixture, "broken", id);
    assert_int_equal(api_ask(&fixture, "POST", PATH_WAIT, HEADERS_PROTO, id).status, 200);
    assert_int_equal(api_ask(&fixture, "POST", PATH_WAIT, HEADERS_PROTO, "nonsense").status, 404);
    assert_int_equal(api_ask(&fixture, "POST", "/nowhere", HEADERS_PROTO, "").status, 404);
    assert_int_equal(api_ask(&fixture, "POST", PATH_GET, "", "{}").status, 401);
    const char *text = scrape(&fixture);
    assert_line(text, "dispatch_api_answers_total{method=\"Dispatch\",code=\"ok\"} 2");
    assert_line(text, "dispatch_api_answers_total{method=\"Wait\",code=\"ok\"} 2");
    assert_line(text, "dispatch_api_answers_total{method=\"Wait\",code=\"not_found\"} 1");
    assert_line(text, "dispatch_api_answers_total{method=\"none\",code=\"unimplemented\"} 1");
    assert_line(text, "dispatch_api_answers_total{method=\"GetCall\",code=\"unauthenticated\"} 1");
    assert_line(text, "dispatch_attempts_total{status=\"STATUS_OK\"} 1");
    assert_line(text, "dispatch_attempts_total{status=\"STATUS_PERMANENT_ERROR\"} 1");
    assert_line(text, "dispatch_attempts_in_flight 0");
    assert_line(text, "dispatch_calls_done_total 2");
    assert_line(text, "dispatch_store_failing 0");
    assert_line(text, "dispatch_group_in_flight{project=\"1\",host=\"test:1\"} 0");
    assert_line(text, "dispatch_groups_left_out 0");
    stop(&fixture, metrics);
}

static void metrics_need_a_key_and_a_get(void **state)
{
    (void)state;
    struct api_fixture fixture;
    struct metrics *metrics;
    start(&fixture, &metrics);
    assert_refusal(api_ask(&fixture, "GET", "/metrics", "", ""), 401, DR_UNAUTHENTICATED);
    assert_refusal(api_ask(&fixture, "POST", "/metrics", AUTH, ""), 405, DR_UNIMPLEMENTED);
    stop(&fixture, metrics);
    api_fixture_start(&fixture, NULL);
    assert_refusal(api_ask(&fixture, "GET", "/metrics", AUTH, ""), 404, DR_UNIMPLEMENTED);
    api_fixture_stop(&fixture);
}

/* What this process writes to stderr from now on goes into a file; restored by the same with its return value. */
static int stderr_to(int fd)
{
    int before = dup(STDERR_FILENO);
    assert_true(before >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    return before;
}

static void a_flood_of_refusals_is_one_line_of_each_kind(void **state)
{
    (void)state;
    struct metrics *metrics;
    assert_int_equal(metrics_create(true, &metrics, NULL), DR_OK);
    FILE *file = tmpfile();
    assert_non_null(file);
    int before = stderr_to(fileno(file));
    for (int i = 0; i < 1000; i++) {
        metrics_http_refused(metrics, HTTP_REFUSED_SLOW, "192.0.2.1:5");
        metrics_http_refused(metrics, HTTP_REFUSED_CONNECTIONS, "");
        metrics_answered(metrics, METRICS_DISPATCH, DR_RESOURCE_EXHAUSTED, "192.0.2.1:5");
        metrics_answered(metrics, METRICS_DISPATCH, DR_INVALID_ARGUMENT, "192.0.2.1:5"); /* counted only */
    }
    close(stderr_to(before));
    close(before);
    char text[4096];
    rewind(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    size_t n_lines = 0;
    for (size_t i = 0; i < len; i++)
        n_lines += text[i] == '\n';
    assert_int_equal(n_lines, 3);
    assert_non_null(strstr(text, "kind=request_too_slow peer=192.0.2.1:5"));
    assert_non_null(strstr(text, "kind=too_many_connections"));
    assert_non_null(strstr(text, "kind=resource_exhausted"));
    fclose(file);
    metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_count_answers_attempts_and_groups),
        cmocka_unit_test(metrics_need_a_key_and_a_get),
        cmocka_unit_test(a_flood_of_refusals_is_one_line_of_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
