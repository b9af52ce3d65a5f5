/* The server is killed at random moments under load and started again, many times. Then:
 *  - every acknowledged call ends, with its right result (I4), and has the same result after one more kill (I7);
 *  - no parent ever gets a result that its own saved state says it had (I2), and none gets a wrong one.
 *
 * Load: leaf(n) answers 3n + 1; parent(n) calls leaf five times in one poll, takes the results in portions of at most
 * two, keeps the sum and a mask of what it got in its state, and answers the sum. The state is what the server
 * recorded, so a result that comes although the mask has it was delivered twice.
 *
 * KILL9_ROUNDS (default 40) and KILL9_SEED in the environment; the seed is printed. */
#include "base/testing.h"

#include "../server/endpoint.h"
#include "../server/poster.h"
#include "../server/process.h"
#include "base/clock.h"
#include "base/random.h"
#include "wire/wire.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define API_KEY "0123456789abcdef0123456789abcdef"
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"
#define TYPE_URL "type.googleapis.com/google.protobuf.BytesValue"
#define N_CHILDREN 5u
#define N_WORKERS 4
#define CALLS_MAX 200000
#define CALLS_PER_SUBMIT_MAX 8

struct acknowledged {
    char id[33];
    uint64_t expected;
};

struct world {
    struct endpoint *endpoint;
    char db[300];
    struct random random;
    atomic_ulong n_runs;
    atomic_ulong n_violations;
    atomic_ulong next_n;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    bool is_up;
    bool is_over;
    char url[128];
    struct acknowledged *calls;
    size_t n_calls;
};

/* ---- values: a number as an Any with a BytesValue of 8 bytes ----------------------------------------------------- */

static struct slice value_of(uint64_t number, struct arena *arena)
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

static bool number_of(struct slice any, uint64_t *ret_number)
{
    struct slice type, value;
    if (wire_any_split(any, &type, &value, NULL) != DR_OK || value.len != 10)
        return false;
    memcpy(ret_number, value.data + 2, 8);
    return true;
}

static uint64_t leaf_result(uint64_t n) { return 3 * n + 1; }
static uint64_t child_input(uint64_t n, uint64_t i) { return n * 16 + i; }

static uint64_t parent_result(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < N_CHILDREN; i++)
        sum += leaf_result(child_input(n, i));
    return sum;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

struct parent_state {
    uint64_t n;
    uint64_t sum;
    uint64_t mask;
};

static void violate(struct world *world, const char *what)
{
    atomic_fetch_add(&world->n_violations, 1);
    fprintf(stderr, "violation: %s\n", what);
}

static void poll_for(const struct parent_state *state, bool is_first, struct wire_run_response *response,
                     struct arena *arena)
{
    response->outcome = WIRE_OUTCOME_POLL;
    response->poll = (struct wire_poll){.state_arm = WIRE_STATE_BYTES, .min_results = 1, .max_results = 2};
    response->poll.state =
        slice_of(arena_copy(arena, slice_of(state, sizeof *state)), sizeof *state);
    if (!is_first)
        return;
    response->poll.calls = arena_zalloc(arena, N_CHILDREN * sizeof *response->poll.calls);
    response->poll.n_calls = N_CHILDREN;
    for (uint64_t i = 0; i < N_CHILDREN; i++)
        response->poll.calls[i] = (struct wire_call){.correlation_id = i,
                                                     .function = slice_text("leaf"),
                                                     .input = value_of(child_input(state->n, i), arena)};
}

static void take_results(struct world *world, const struct wire_poll_result *poll, struct parent_state *state)
{
    if (poll->n_results == 0)
        violate(world, "resumed without results");
    for (size_t i = 0; i < poll->n_results; i++) {
        const struct wire_result *result = &poll->results[i];
        uint64_t bit = UINT64_C(1) << (result->correlation_id & 63);
        uint64_t number = 0;
        if (state->mask & bit)
            violate(world, "a result came twice");
        if (!number_of(result->output, &number) || number != leaf_result(child_input(state->n, result->correlation_id)))
            violate(world, "a wrong result");
        state->mask |= bit;
        state->sum += number;
    }
}

static void run_parent(struct world *world, const struct wire_run_request *request, struct wire_run_response *response,
                       struct arena *arena)
{
    struct parent_state state = {0};
    bool is_first = request->directive == WIRE_DIRECTIVE_INPUT;
    if (is_first) {
        if (!number_of(request->input, &state.n))
            violate(world, "a wrong input");
    } else {
        memcpy(&state, request->poll_result.state.data, sizeof state);
        take_results(world, &request->poll_result, &state);
    }
    if (state.mask != (1u << N_CHILDREN) - 1) {
        poll_for(&state, is_first, response, arena);
        return;
    }
    response->outcome = WIRE_OUTCOME_EXIT;
    response->has_result = true;
    response->result.output = value_of(state.sum, arena);
}

static int run(void *arg, const struct wire_run_request *request, struct wire_run_response *response,
               struct arena *arena)
{
    struct world *world = arg;
    atomic_fetch_add(&world->n_runs, 1);
    response->status = DR_STATUS_OK;
    if (slice_equal(request->function, slice_text("parent"))) {
        run_parent(world, request, response, arena);
        return 200;
    }
    uint64_t n = 0;
    if (!number_of(request->input, &n))
        violate(world, "a wrong input");
    response->outcome = WIRE_OUTCOME_EXIT;
    response->has_result = true;
    response->result.output = value_of(leaf_result(n), arena);
    return 200;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

static void remember(struct world *world, struct poster *poster, const uint64_t *expected, size_t n)
{
    struct arena arena;
    struct wire_dispatch_response response;
    arena_init(&arena, 0);
    assert_int_equal(wire_dispatch_response_decode(buf_slice(&poster->response), &arena, &response, NULL), DR_OK);
    assert_int_equal(response.n_dispatch_ids, n);
    pthread_mutex_lock(&world->lock);
    for (size_t i = 0; i < n && world->n_calls < CALLS_MAX; i++) {
        struct acknowledged *call = &world->calls[world->n_calls++];
        snprintf(call->id, sizeof call->id, "%.*s", (int)response.dispatch_ids[i].len,
                 (const char *)response.dispatch_ids[i].data);
        call->expected = expected[i];
    }
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    arena_deinit(&arena);
}

/* One request; false when the server is gone. */
static bool submit(struct world *world, struct poster *poster)
{
    struct wire_call calls[CALLS_PER_SUBMIT_MAX] = {0};
    uint64_t expected[CALLS_PER_SUBMIT_MAX];
    struct arena arena;
    struct buf body;
    arena_init(&arena, 0);
    buf_init(&body, WIRE_MESSAGE_BYTES_MAX);
    uint64_t first = atomic_fetch_add(&world->next_n, CALLS_PER_SUBMIT_MAX);
    size_t n_calls = 1 + (size_t)(first / CALLS_PER_SUBMIT_MAX % CALLS_PER_SUBMIT_MAX);
    for (size_t i = 0; i < n_calls; i++) {
        uint64_t n = first + i;
        bool is_parent = n % 3 == 0;
        expected[i] = is_parent ? parent_result(n) : leaf_result(n);
        calls[i].endpoint = slice_text(endpoint_url(world->endpoint));
        calls[i].function = slice_text(is_parent ? "parent" : "leaf");
        calls[i].input = value_of(n, &arena);
    }
    struct wire_dispatch_request request = {.calls = calls, .n_calls = n_calls};
    assert_int_equal(wire_dispatch_request_encode(&request, &body, NULL), DR_OK);
    int status = poster_post(poster, SUBMIT_PATH, "application/proto", buf_slice(&body));
    if (status == 200)
        remember(world, poster, expected, n_calls);
    else if (status != 0 && status != 429 && status != 503)
        violate(world, "a submit was refused");
    buf_deinit(&body);
    arena_deinit(&arena);
    return status != 0;
}

/* Blocks until the server is up; false when the load is over. */
static bool wait_until_up(struct world *world, char url[128])
{
    pthread_mutex_lock(&world->lock);
    while (!world->is_up && !world->is_over)
        pthread_cond_wait(&world->changed, &world->lock);
    bool is_over = world->is_over;
    memcpy(url, world->url, 128);
    pthread_mutex_unlock(&world->lock);
    return !is_over;
}

static void *work(void *arg)
{
    struct world *world = arg;
    char url[128];
    while (wait_until_up(world, url)) {
        struct poster poster;
        poster_open(&poster, url, API_KEY);
        for (bool is_alive = true; is_alive;) {
            is_alive = submit(world, &poster);
            pthread_mutex_lock(&world->lock);
            is_alive = is_alive && world->is_up && !world->is_over;
            pthread_mutex_unlock(&world->lock);
        }
        poster_close(&poster);
    }
    return NULL;
}

static void start_server(struct world *world, struct process *server)
{
    process_start(server, (const char *const[]){"serve", "--db", world->db, "--listen", "127.0.0.1:0", "--api-key",
                                                API_KEY, "--log-level", "warn", NULL});
    if (!process_wait_ready(server)) {
        char errors[PROCESS_TEXT_SIZE];
        fail_msg("the server did not start: %s", process_errors(server, errors));
    }
}

static void kill_server(struct process *server)
{
    process_signal(server, SIGKILL);
    assert_int_equal(process_wait(server), 128 + SIGKILL);
    close(server->err_file);
}

static void set_up(struct world *world, bool is_up, const char *url)
{
    pthread_mutex_lock(&world->lock);
    world->is_up = is_up;
    snprintf(world->url, sizeof world->url, "%s", url);
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

/* Until so many more calls are acknowledged: the moment of the kill is then wherever the server happens to be. */
static void wait_for_acknowledged(struct world *world, size_t n_more)
{
    pthread_mutex_lock(&world->lock);
    size_t n_wanted = world->n_calls + n_more;
    while (world->n_calls < n_wanted)
        pthread_cond_wait(&world->changed, &world->lock);
    pthread_mutex_unlock(&world->lock);
}

static void load_and_kill(struct world *world, unsigned n_rounds)
{
    pthread_t workers[N_WORKERS];
    for (size_t i = 0; i < N_WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, work, world), 0);
    for (unsigned round = 0; round < n_rounds; round++) {
        struct process server;
        start_server(world, &server);
        set_up(world, true, server.url);
        /* often right after the start, while it recovers */
        wait_for_acknowledged(world, 1 + (size_t)random_below(&world->random, round % 3 ? 600 : 5));
        kill_server(&server);
        set_up(world, false, "");
    }
    pthread_mutex_lock(&world->lock);
    world->is_over = true;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    for (size_t i = 0; i < N_WORKERS; i++)
        pthread_join(workers[i], NULL);
}

/* ---- the reckoning ----------------------------------------------------------------------------------------------- */

static void check_result(struct world *world, struct poster *poster, const struct acknowledged *call)
{
    int status;
    do
        status = poster_post(poster, WAIT_PATH, "application/proto", slice_text(call->id));
    while (status == 504 || status == 408); /* not done yet */
    if (status != 200)
        fail_msg("call %s: status %d: %.200s", call->id, status, buf_text(&poster->response));
    struct arena arena;
    struct wire_result result;
    uint64_t number = 0;
    arena_init(&arena, 0);
    assert_int_equal(wire_result_decode(buf_slice(&poster->response), &arena, &result, NULL), DR_OK);
    if (result.has_error)
        fail_msg("call %s: %.*s", call->id, (int)result.error.message.len, (const char *)result.error.message.data);
    if (!number_of(result.output, &number) || number != call->expected)
        violate(world, "a call has a wrong result");
    arena_deinit(&arena);
}

static void check_all(struct world *world, struct process *server)
{
    struct poster poster;
    poster_open(&poster, server->url, API_KEY);
    for (size_t i = 0; i < world->n_calls; i++)
        check_result(world, &poster, &world->calls[i]);
    poster_close(&poster);
}

static unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void nothing_acknowledged_is_lost_or_done_twice(void **state)
{
    (void)state;
    struct world world = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct process server;
    char directory[256];
    unsigned long seed = number_from_environment("KILL9_SEED", (unsigned long)clock_real_ns());
    unsigned n_rounds = (unsigned)number_from_environment("KILL9_ROUNDS", 40);
    printf("KILL9_SEED=%lu\n", seed);
    random_init(&world.random, seed);
    directory_make(directory, sizeof directory);
    snprintf(world.db, sizeof world.db, "%s/dispatch.db", directory);
    world.calls = mem_must_zalloc(CALLS_MAX * sizeof *world.calls);
    world.endpoint = endpoint_open(run, &world);

    load_and_kill(&world, n_rounds);
    start_server(&world, &server);
    check_all(&world, &server);
    kill_server(&server);
    start_server(&world, &server);
    check_all(&world, &server);
    process_signal(&server, SIGTERM);
    assert_int_equal(process_wait(&server), 0);
    close(server.err_file);

    printf("%zu calls acknowledged, %lu runs, %u kills\n", world.n_calls, (unsigned long)world.n_runs, n_rounds + 1);
    assert_int_equal(world.n_violations, 0);
    endpoint_close(world.endpoint);
    mem_free(world.calls);
    directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost_or_done_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
