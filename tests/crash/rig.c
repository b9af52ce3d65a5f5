#include "base/testing.h"

#include "rig.h"

#include "base/clock.h"
#include "wire/wire.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define API_KEY "0123456789abcdef0123456789abcdef"
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"
#define GET_PATH "/dispatch.v1.CallService/GetCall"
#define PATIENCE_NS (60 * NS_PER_S)

void rig_start_server(struct rig *rig)
{
    const char *arguments[20] = {"serve", "--db", rig->db, "--listen", "127.0.0.1:0", "--api-key", API_KEY};
    for (size_t i = 0; rig->options[i]; i++)
        arguments[7 + i] = rig->options[i];
    process_start(&rig->server, arguments);
    if (!process_wait_ready(&rig->server)) {
        char errors[PROCESS_TEXT_SIZE];
        fail_msg("the server did not start: %s", process_errors(&rig->server, errors));
    }
    poster_open(&rig->poster, rig->server.url, API_KEY);
}

void rig_open(struct rig *rig)
{
    directory_make(rig->directory, sizeof rig->directory);
    snprintf(rig->db, sizeof rig->db, "%s/dispatch.db", rig->directory);
    program_start(&rig->program);
    rig_start_server(rig);
}

static void forget_server(struct rig *rig)
{
    close(rig->server.err_file);
    poster_close(&rig->poster);
}

void rig_kill_server(struct rig *rig)
{
    process_signal(&rig->server, SIGKILL);
    (void)process_wait(&rig->server); /* it may have died before */
    forget_server(rig);
}

int rig_post(struct rig *rig, const char *path, const char *content_type, const char *body)
{
    return poster_post(&rig->poster, path, content_type, slice_text(body));
}

bool rig_knows(struct rig *rig, uint64_t n)
{
    char body[64];
    snprintf(body, sizeof body, "{\"dispatchId\": \"%s\"}", rig->ids[n]);
    return rig_post(rig, GET_PATH, "application/json", body) == 200;
}

static void remember(struct rig *rig, uint64_t first, size_t n)
{
    struct arena arena;
    struct wire_dispatch_response response;
    arena_init(&arena, 0);
    assert_int_equal(wire_dispatch_response_decode(buf_slice(&rig->poster.response), &arena, &response, NULL), DR_OK);
    assert_int_equal(response.n_dispatch_ids, n);
    for (size_t i = 0; i < n; i++) {
        rig->is_acknowledged[first + i] = true;
        snprintf(rig->ids[first + i], sizeof rig->ids[0], "%.*s", (int)response.dispatch_ids[i].len,
                 (const char *)response.dispatch_ids[i].data);
    }
    arena_deinit(&arena);
}

int rig_submit(struct rig *rig, size_t n)
{
    struct arena arena;
    struct buf body;
    arena_init(&arena, 0);
    buf_init(&body, WIRE_MESSAGE_BYTES_MAX);
    uint64_t first = rig->next_n;
    assert_true(first + n <= RIG_CALLS_MAX);
    rig->next_n += n;
    struct wire_call *calls = arena_zalloc(&arena, n * sizeof *calls);
    for (size_t i = 0; i < n; i++) {
        calls[i].endpoint = slice_text(rig->program.url);
        calls[i].function = slice_text(program_function(first + i));
        calls[i].input = program_value(first + i, &arena);
    }
    struct wire_dispatch_request request = {.calls = calls, .n_calls = n};
    assert_int_equal(wire_dispatch_request_encode(&request, &body, NULL), DR_OK);
    int status = poster_post(&rig->poster, SUBMIT_PATH, "application/proto", buf_slice(&body));
    if (status == 200)
        remember(rig, first, n);
    buf_deinit(&body);
    arena_deinit(&arena);
    return status;
}

static void check_result(struct rig *rig, uint64_t n)
{
    int status;
    int64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
    do
        status = rig_post(rig, WAIT_PATH, "application/proto", rig->ids[n]);
    while ((status == 504 || status == 408) && clock_monotonic_ns() < until_ns);
    if (status != 200)
        fail_msg("call %s: status %d: %.200s", rig->ids[n], status, buf_text(&rig->poster.response));
    struct arena arena;
    struct wire_result result;
    uint64_t number = 0;
    arena_init(&arena, 0);
    assert_int_equal(wire_result_decode(buf_slice(&rig->poster.response), &arena, &result, NULL), DR_OK);
    if (result.has_error)
        fail_msg("call %s: %.*s", rig->ids[n], (int)result.error.message.len, (const char *)result.error.message.data);
    assert_true(program_number(result.output, &number));
    assert_int_equal(number, program_result(n));
    arena_deinit(&arena);
}

void rig_check_results(struct rig *rig)
{
    for (uint64_t n = 0; n < rig->next_n; n++) {
        if (rig->is_acknowledged[n])
            check_result(rig, n);
    }
}

void rig_close(struct rig *rig)
{
    char errors[PROCESS_TEXT_SIZE];
    rig_check_results(rig);
    process_signal(&rig->server, SIGTERM);
    if (process_wait(&rig->server) != 0)
        fail_msg("the server ended with %d: %s", rig->server.status, process_errors(&rig->server, errors));
    forget_server(rig);
    assert_int_equal(program_end(&rig->program), 0);
    directory_remove(rig->directory);
}

void rig_wait_for_log(struct rig *rig, const char *text)
{
    char errors[PROCESS_TEXT_SIZE];
    int64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
    while (!strstr(process_errors(&rig->server, errors), text)) {
        if (clock_monotonic_ns() > until_ns)
            fail_msg("the server never wrote \"%s\", but: %s", text, errors);
        (void)poll(NULL, 0, 5); /* a file of memory has nothing to wait for */
    }
}
