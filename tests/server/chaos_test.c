/* `dispatch serve --chaos`: attempts are lost, repeated, late and refused, and every call ends with its result. */
#include "base/testing.h"

#include "endpoint.h"
#include "poster.h"
#include "process.h"
#include "wire/wire.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define API_KEY "0123456789abcdef0123456789abcdef"
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"
#define N_CALLS 40
#define CHAOS "seed=1,drop=25%,duplicate=30%,delay=20ms,crash-endpoint=3%,fail=10%"

/* Answers its input. */
static int echo(void *arg, const struct wire_run_request *request, struct wire_run_response *response, struct arena *arena)
{
    (void)arena;
    atomic_fetch_add((atomic_uint *)arg, 1);
    response->status = DR_STATUS_OK;
    response->outcome = WIRE_OUTCOME_EXIT;
    response->has_result = true;
    response->result.output = request->input;
    return 200;
}

static void submit(struct poster *poster, const char *url, char ids[N_CALLS][33])
{
    char body[200];
    for (int i = 0; i < N_CALLS; i++) {
        snprintf(body, sizeof body, "{\"calls\":[{\"endpoint\":\"%s\",\"function\":\"echo\",\"input\":{\"@type\":"
                 "\"type.googleapis.com/google.protobuf.Int64Value\",\"value\":\"%d\"}}]}", url, i);
        assert_int_equal(poster_post(poster, SUBMIT_PATH, "application/json", slice_text(body)), 200);
        const char *id = strstr(buf_text(&poster->response), "[\"");
        assert_non_null(id);
        snprintf(ids[i], 33, "%.32s", id + 2);
    }
}

static void check_result(struct poster *poster, const char *id, int expected)
{
    char body[100], output[40];
    snprintf(body, sizeof body, "{\"dispatchId\":\"%s\",\"timeout\":\"60s\"}", id);
    assert_int_equal(poster_post(poster, WAIT_PATH, "application/json", slice_text(body)), 200);
    snprintf(output, sizeof output, "\"value\":\"%d\"", expected);
    if (!strstr(buf_text(&poster->response), output) && expected != 0)
        fail_msg("%s is not in %s", output, buf_text(&poster->response));
}

/* On the poster's connection, which is open. */
static void expect_metric(struct poster *poster, const char *line)
{
    static const char request[] =
        "GET /metrics HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer " API_KEY "\r\nConnection: close\r\n\r\n";
    char text[65536];
    size_t len = 0;
    ssize_t n;
    assert_int_equal(write(poster->fd, request, sizeof request - 1), sizeof request - 1);
    while (len < sizeof text - 1 && (n = read(poster->fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    if (!strstr(text, line))
        fail_msg("no %s in %s", line, text);
}

static void a_server_in_chaos_ends_every_call_with_its_result(void **state)
{
    (void)state;
    atomic_uint n_runs = 0;
    char ids[N_CALLS][33], errors[PROCESS_TEXT_SIZE];
    struct process server;
    struct poster poster;
    struct endpoint *endpoint = endpoint_open(echo, &n_runs);
    process_start(&server, (const char *const[]){"serve", "--memory", "--listen", "127.0.0.1:0", "--api-key", API_KEY,
                                                 "--chaos", CHAOS, NULL});
    assert_true(process_wait_ready(&server));
    poster_open(&poster, server.url, API_KEY);
    submit(&poster, endpoint_url(endpoint), ids);
    for (int i = 0; i < N_CALLS; i++)
        check_result(&poster, ids[i], i);
    assert_true(atomic_load(&n_runs) > N_CALLS);
    assert_non_null(strstr(process_errors(&server, errors), "again_with=\"seed=1,drop=25.0000%"));
    expect_metric(&poster, "dispatch_chaos_total{kind=\"answer_lost\"} ");
    process_signal(&server, SIGTERM);
    assert_int_equal(process_wait(&server), 0);
    poster_close(&poster);
    endpoint_close(endpoint);
    close(server.err_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_server_in_chaos_ends_every_call_with_its_result)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
