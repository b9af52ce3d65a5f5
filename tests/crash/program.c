#include "base/testing.h"

#include "program.h"

#include "../server/endpoint.h"
#include "wire/wire.h"
#include "base/clock.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TYPE_URL "type.googleapis.com/google.protobuf.BytesValue"
#define N_CHILDREN 5u
#define CHAIN_LINKS 3u
#define LINK_SHIFT 56 /* chain: the links made so far, above the number */

/* ---- values: a number as an Any with a BytesValue of 8 bytes ----------------------------------------------------- */

struct slice program_value(uint64_t number, struct arena *arena)
{
    uint8_t bytes[10] = {0x0a, 8};
    struct buf buf;
    memcpy(bytes + 2, &number, 8);
    buf_init(&buf, 256);
    assert_int_equal(wire_any_encode(slice_text(TYPE_URL), slice_of(bytes, sizeof bytes), &buf), DR_OK);
    struct slice copy = slice_of(arena_copy(arena, buf_slice(&buf)), buf.len);
    buf_deinit(&buf);
    return copy;
}

bool program_number(struct slice any, uint64_t *ret_number)
{
    struct slice type, value;
    if (wire_any_split(any, &type, &value, NULL) != DR_OK || value.len != 10)
        return false;
    memcpy(ret_number, value.data + 2, 8);
    return true;
}

static uint64_t leaf_result(uint64_t n) { return 3 * n + 1; }
static uint64_t child_input(uint64_t n, uint64_t i) { return n * 16 + i; }

static const char *child_function(uint64_t i)
{
    return i == 3 ? "sleep" : i == 4 ? "chain" : "leaf";
}

const char *program_function(uint64_t n)
{
    static const char *const functions[] = {"parent", "leaf", "chain", "parent", "leaf", "sleep", "leaf"};
    return functions[n % 7];
}

uint64_t program_result(uint64_t n) { return program_result_of(program_function(n), n); }

uint64_t program_result_of(const char *function, uint64_t n)
{
    uint64_t sum = 0;
    if (strcmp(function, "parent") != 0)
        return leaf_result(n);
    for (uint64_t i = 0; i < N_CHILDREN; i++)
        sum += leaf_result(child_input(n, i));
    return sum;
}

/* ---- the functions: on the endpoint's thread --------------------------------------------------------------------- */

struct state {
    uint64_t n;
    uint64_t sum;
    uint64_t mask;
};

struct context {
    const struct wire_run_request *request;
    struct wire_run_response *response;
    struct arena *arena;
    bool is_first;
    struct state state;
};

/* stdout is the file of violations */
static void violate(const char *what)
{
    printf("violation: %s\n", what);
    (void)fflush(stdout);
}

static void finish(struct context *run, uint64_t result)
{
    run->response->outcome = WIRE_OUTCOME_EXIT;
    run->response->has_result = true;
    run->response->result.output = program_value(result, run->arena);
}

static void suspend(struct context *run, const struct wire_poll *terms)
{
    run->response->outcome = WIRE_OUTCOME_POLL;
    run->response->poll = *terms;
    run->response->poll.state_arm = WIRE_STATE_BYTES;
    run->response->poll.state =
        slice_of(arena_copy(run->arena, slice_of(&run->state, sizeof run->state)), sizeof run->state);
}

static void leaf(struct context *run)
{
    static uint64_t n_runs;
    if (run->state.n % 16 == 7 && ++n_runs % 2 == 1)
        run->response->status = DR_STATUS_TEMPORARY_ERROR;
    else
        finish(run, leaf_result(run->state.n));
}

static void chain(struct context *run)
{
    uint64_t links = run->state.n >> LINK_SHIFT;
    uint64_t n = run->state.n & ((UINT64_C(1) << LINK_SHIFT) - 1);
    if (links == CHAIN_LINKS) {
        finish(run, leaf_result(n));
        return;
    }
    run->response->outcome = WIRE_OUTCOME_EXIT;
    run->response->has_tail_call = true;
    run->response->tail_call = (struct wire_call){
        .function = slice_text("chain"), .input = program_value(n | (links + 1) << LINK_SHIFT, run->arena)};
}

static void sleep_for(struct context *run, int64_t time_ns)
{
    if (run->is_first)
        suspend(run, &(struct wire_poll){.min_results = 1, .max_results = 1, .has_max_wait = true, .max_wait_ns = time_ns});
    else
        finish(run, leaf_result(run->state.n));
}

static void take_results(struct context *run)
{
    const struct wire_poll_result *poll = &run->request->poll_result;
    struct state *state = &run->state;
    if (poll->n_results == 0)
        violate("resumed without results");
    for (size_t i = 0; i < poll->n_results; i++) {
        const struct wire_result *result = &poll->results[i];
        uint64_t bit = UINT64_C(1) << (result->correlation_id & 63);
        uint64_t number = 0;
        if (state->mask & bit)
            violate("a result came twice");
        if (!program_number(result->output, &number) ||
            number != leaf_result(child_input(state->n, result->correlation_id)))
            violate("a wrong result");
        state->mask |= bit;
        state->sum += number;
    }
}

static void parent(struct context *run)
{
    struct wire_poll terms = {.min_results = 1, .max_results = 2};
    if (run->is_first) {
        terms.calls = arena_zalloc(run->arena, N_CHILDREN * sizeof *terms.calls);
        terms.n_calls = N_CHILDREN;
        for (uint64_t i = 0; i < N_CHILDREN; i++)
            terms.calls[i] = (struct wire_call){.correlation_id = i,
                                                .function = slice_text(child_function(i)),
                                                .input = program_value(child_input(run->state.n, i), run->arena)};
    } else {
        take_results(run);
    }
    if (run->state.mask == (1u << N_CHILDREN) - 1)
        finish(run, run->state.sum);
    else
        suspend(run, &terms);
}

static int on_run(void *arg, const struct wire_run_request *request, struct wire_run_response *response,
                  struct arena *arena)
{
    (void)arg;
    struct context run = {.request = request, .response = response, .arena = arena};
    run.is_first = request->directive == WIRE_DIRECTIVE_INPUT;
    if (!run.is_first && request->poll_result.state.len == sizeof run.state)
        memcpy(&run.state, request->poll_result.state.data, sizeof run.state);
    else if (!run.is_first || !program_number(request->input, &run.state.n))
        violate("a wrong input or state");
    response->status = DR_STATUS_OK;
    if (slice_equal(request->function, slice_text("parent")))
        parent(&run);
    else if (slice_equal(request->function, slice_text("chain")))
        chain(&run);
    else if (slice_equal(request->function, slice_text("sleep")))
        sleep_for(&run, 20 * NS_PER_MS);
    else if (slice_equal(request->function, slice_text("nap")))
        sleep_for(&run, PROGRAM_NAP_MS * NS_PER_MS);
    else if (slice_equal(request->function, slice_text("stuck")))
        sleep_for(&run, 3600 * NS_PER_S);
    else
        leaf(&run);
    return 200;
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

void program_main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "endpoint") != 0)
        return;
    struct endpoint *endpoint = endpoint_open_at((uint16_t)strtoul(argv[2], NULL, 10), on_run, NULL);
    fprintf(stderr, "%s\n", endpoint_url(endpoint));
    for (;;)
        (void)pause();
}

/* stdout: violations; stderr: a pipe that says the URL, and then nothing more */
static void exec_endpoint(const struct program *program, int ready)
{
    char port[8];
    snprintf(port, sizeof port, "%u", program->port);
    (void)dup2(program->violations, STDOUT_FILENO);
    (void)dup2(ready, STDERR_FILENO);
    (void)execl("/proc/self/exe", "endpoint", "endpoint", port, (char *)NULL);
    _exit(127);
}

void program_start(struct program *program)
{
    int ends[2];
    char line[64] = "";
    if (program->violations == 0)
        program->violations = memfd_create("violations", MFD_CLOEXEC);
    assert_true(program->violations > 0);
    assert_int_equal(fcntl(program->violations, F_SETFL, O_APPEND), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    program->pid = fork();
    assert_true(program->pid >= 0);
    if (program->pid == 0)
        exec_endpoint(program, ends[1]);
    close(ends[1]);
    FILE *ready = fdopen(ends[0], "r");
    if (!fgets(line, sizeof line, ready) || strncmp(line, "http://", 7) != 0)
        fail_msg("the endpoint did not start: %s", line);
    (void)fclose(ready);
    line[strcspn(line, "\n")] = '\0';
    if (program->port) { /* again: clients are reading the URL, which stays */
        assert_string_equal(line, program->url);
        return;
    }
    memcpy(program->url, line, sizeof line);
    program->port = (uint16_t)strtoul(strrchr(line, ':') + 1, NULL, 10);
}

void program_kill(struct program *program)
{
    assert_int_equal(kill(program->pid, SIGKILL), 0);
    assert_int_equal(waitpid(program->pid, NULL, 0), program->pid);
}

size_t program_end(struct program *program)
{
    char text[2000];
    program_kill(program);
    ssize_t n = pread(program->violations, text, sizeof text, 0);
    close(program->violations);
    if (n > 0)
        fprintf(stderr, "%.*s", (int)n, text);
    return n > 0 ? (size_t)n : 0;
}
