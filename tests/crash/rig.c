#include "base/testing.h"

#include "rig.h"

#include "base/clock.h"
#include "shim.h"
#include "wire/wire.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define API_KEY "0123456789abcdef0123456789abcdef"
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"
#define GET_PATH "/dispatch.v1.CallService/GetCall"
#define PATIENCE_NS (60 * NS_PER_S)

/* ---- the server -------------------------------------------------------------------------------------------------- */

void rig_put_shim(struct rig *rig)
{
    char path[300];
    if (!rig->directory[0])
        directory_make(rig->directory, sizeof rig->directory);
    snprintf(path, sizeof path, "%s/shim", rig->directory);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, sizeof *rig->shim), 0);
    rig->shim = mmap(NULL, sizeof *rig->shim, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(rig->shim != MAP_FAILED);
    close(file);
}

/* The server inherits the environment. */
static void load_shim(const struct rig *rig)
{
    char path[300], options[1024];
    const char *others = getenv("ASAN_OPTIONS");
    snprintf(path, sizeof path, "%s/shim", rig->directory);
    snprintf(options, sizeof options, "%s:verify_asan_link_order=0", others ? others : "");
    setenv("LD_PRELOAD", SHIM_LIBRARY, 1);
    setenv("ASAN_OPTIONS", options, 1);
    setenv(SHIM_VARIABLE, path, 1);
}

bool rig_try_server(struct rig *rig, char errors[PROCESS_TEXT_SIZE])
{
    const char *arguments[20] = {"serve", "--db", rig->db, "--listen", "127.0.0.1:0", "--api-key", API_KEY};
    for (size_t i = 0; rig->options[i]; i++)
        arguments[7 + i] = rig->options[i];
    if (rig->shim)
        load_shim(rig);
    process_start(&rig->server, arguments);
    unsetenv("LD_PRELOAD");
    if (process_wait_ready(&rig->server)) {
        poster_open(&rig->poster, rig->server.url, API_KEY);
        return true;
    }
    (void)process_wait(&rig->server);
    process_errors(&rig->server, errors);
    close(rig->server.err_file);
    return false;
}

void rig_start_server(struct rig *rig)
{
    char errors[PROCESS_TEXT_SIZE];
    if (!rig_try_server(rig, errors))
        fail_msg("the server did not start: %s", errors);
}

void rig_open(struct rig *rig)
{
    if (!rig->directory[0])
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

/* ---- requests ---------------------------------------------------------------------------------------------------- */

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

bool rig_shows(struct rig *rig, uint64_t n, const char *text)
{
    return rig_knows(rig, n) && strstr(buf_text(&rig->poster.response), text);
}

int64_t rig_metric(struct rig *rig, const char *name)
{
    char line[256];
    int len = snprintf(line, sizeof line, "\ndispatch_%s ", name);
    assert_int_equal(poster_get(&rig->poster, "/metrics"), 200);
    const char *found = strstr(buf_text(&rig->poster.response), line);
    return found ? strtoll(found + len, NULL, 10) : -1;
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

/* function NULL: as the load has it */
int rig_submit_to(struct rig *rig, const char *function, size_t n)
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
        rig->functions[first + i] = function ? function : program_function(first + i);
        calls[i].function = slice_text(rig->functions[first + i]);
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

int rig_submit(struct rig *rig, size_t n) { return rig_submit_to(rig, NULL, n); }

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
    assert_int_equal(number, program_result_of(rig->functions[n], n));
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
    if (rig->shim)
        munmap(rig->shim, sizeof *rig->shim);
    directory_remove(rig->directory);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

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

void rig_wait_until_shown(struct rig *rig, uint64_t n, const char *text)
{
    int64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
    while (!rig_shows(rig, n, text)) {
        if (clock_monotonic_ns() > until_ns)
            fail_msg("call %s is never shown with \"%s\", but: %s", rig->ids[n], text, buf_text(&rig->poster.response));
        (void)poll(NULL, 0, 5);
    }
}

void rig_wait_for_metric(struct rig *rig, const char *name, int64_t least)
{
    int64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
    while (rig_metric(rig, name) < least) {
        if (clock_monotonic_ns() > until_ns)
            fail_msg("%s never came to %lld: %s", name, (long long)least, buf_text(&rig->poster.response));
        (void)poll(NULL, 0, 5);
    }
}

/* ---- a client of its own ----------------------------------------------------------------------------------------- */

static void *keep_submitting(void *arg)
{
    enum { CALLS = 10 };
    struct rig_client *client = arg;
    do {
        client->status = rig_submit(&client->rig, CALLS);
        if (client->status == 200)
            atomic_fetch_add(&client->n_acknowledged, CALLS);
    } while (client->status == 200 && !atomic_load(&client->is_over) && client->rig.next_n + CALLS <= RIG_CALLS_MAX);
    return NULL;
}

struct rig_client *rig_client_start(struct rig *rig)
{
    struct rig_client *client = mem_must_zalloc(sizeof *client);
    client->rig.program = rig->program;
    poster_open(&client->rig.poster, rig->server.url, API_KEY);
    assert_int_equal(pthread_create(&client->thread, NULL, keep_submitting, client), 0);
    return client;
}

void rig_client_join(struct rig_client *client)
{
    atomic_store(&client->is_over, true);
    pthread_join(client->thread, NULL);
}

void rig_client_end(struct rig_client *client, struct rig *rig)
{
    poster_close(&client->rig.poster);
    poster_open(&client->rig.poster, rig->server.url, API_KEY);
    rig_check_results(&client->rig);
    poster_close(&client->rig.poster);
    mem_free(client);
}
