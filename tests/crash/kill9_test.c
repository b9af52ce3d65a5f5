/* The server and the endpoint are killed at random moments under load and started again, many times. Then:
 *  - every acknowledged call ends, with its right result (I4), and has the same result after one more kill (I7); a call
 *    whose cancel was acknowledged ends with an error instead;
 *  - no parent ever gets a result that its own saved state says it had (I2), and none gets a wrong one (program.h).
 *
 * CYCLES (default 15: as many kills of the server, half as many of the endpoint) and KILL9_SEED in the environment; the seed
 * is printed. The database is under TMPDIR. */
#include "base/testing.h"

#include "program.h"

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
#define CANCEL_PATH "/dispatch.v1.CallService/CancelCall"
#define N_WORKERS 4
#define CALLS_MAX 1000000
#define CALLS_PER_SUBMIT_MAX 8

struct acknowledged {
    char id[33];
    uint64_t expected;
    bool is_cancelled;
};

struct world {
    struct program program;
    char db[300];
    struct random random;
    atomic_ulong n_lost;
    atomic_ulong n_wrong;
    atomic_ulong n_cancelled;
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

/* ---- load -------------------------------------------------------------------------------------------------------- */

static void add(struct world *world, const struct acknowledged *call)
{
    pthread_mutex_lock(&world->lock);
    if (world->n_calls < CALLS_MAX)
        world->calls[world->n_calls++] = *call;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

/* Of a call that waits for an hour. Whether a cancel without an answer has happened is not known: forgotten. */
static void cancel(struct world *world, struct poster *poster, struct acknowledged *call)
{
    char body[64];
    snprintf(body, sizeof body, "{\"dispatchId\": \"%s\"}", call->id);
    int status = poster_post(poster, CANCEL_PATH, "application/json", slice_text(body));
    if (status == 200) {
        call->is_cancelled = true;
        atomic_fetch_add(&world->n_cancelled, 1);
        add(world, call);
    } else if (status == 404) {
        fprintf(stderr, "call %s: lost before its cancel\n", call->id);
        atomic_fetch_add(&world->n_lost, 1);
    }
}

static void remember(struct world *world, struct poster *poster, const struct wire_call *calls, uint64_t first, size_t n)
{
    struct acknowledged made[CALLS_PER_SUBMIT_MAX] = {0};
    struct arena arena;
    struct wire_dispatch_response response;
    arena_init(&arena, 0);
    assert_int_equal(wire_dispatch_response_decode(buf_slice(&poster->response), &arena, &response, NULL), DR_OK);
    assert_int_equal(response.n_dispatch_ids, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(made[i].id, sizeof made[i].id, "%.*s", (int)response.dispatch_ids[i].len,
                 (const char *)response.dispatch_ids[i].data);
        made[i].expected = program_result(first + i);
    }
    arena_deinit(&arena);
    for (size_t i = 0; i < n; i++) {
        if (slice_equal(calls[i].function, slice_text("stuck")))
            cancel(world, poster, &made[i]);
        else
            add(world, &made[i]);
    }
}

/* One request; false when the server is gone. Every eighth is one call that will be cancelled. */
static bool submit(struct world *world, struct poster *poster)
{
    struct wire_call calls[CALLS_PER_SUBMIT_MAX] = {0};
    struct arena arena;
    struct buf body;
    arena_init(&arena, 0);
    buf_init(&body, WIRE_MESSAGE_BYTES_MAX);
    uint64_t first = atomic_fetch_add(&world->next_n, CALLS_PER_SUBMIT_MAX);
    size_t n_calls = 1 + (size_t)(first / CALLS_PER_SUBMIT_MAX % CALLS_PER_SUBMIT_MAX);
    for (size_t i = 0; i < n_calls; i++) {
        calls[i].endpoint = slice_text(world->program.url);
        calls[i].function = slice_text(n_calls == 1 ? "stuck" : program_function(first + i));
        calls[i].input = program_value(first + i, &arena);
    }
    struct wire_dispatch_request request = {.calls = calls, .n_calls = n_calls};
    assert_int_equal(wire_dispatch_request_encode(&request, &body, NULL), DR_OK);
    int status = poster_post(poster, SUBMIT_PATH, "application/proto", buf_slice(&body));
    if (status == 200)
        remember(world, poster, calls, first, n_calls);
    else if (status != 0 && status != 429 && status != 503)
        fprintf(stderr, "a submit was refused: %d\n", status), atomic_fetch_add(&world->n_wrong, 1);
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
        wait_for_acknowledged(world, 1 + (size_t)random_below(&world->random, round % 3 ? 300 : 5));
        if (round % 2) {
            program_kill(&world->program);
            wait_for_acknowledged(world, (size_t)random_below(&world->random, 50));
            program_start(&world->program);
            wait_for_acknowledged(world, 1 + (size_t)random_below(&world->random, 200));
        }
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

static void judge(struct world *world, const struct acknowledged *call, const struct wire_result *result)
{
    uint64_t number = 0;
    bool is_right = call->is_cancelled ? result->has_error
                                       : !result->has_error && program_number(result->output, &number) &&
                                             number == call->expected;
    if (is_right)
        return;
    atomic_fetch_add(&world->n_wrong, 1);
    fprintf(stderr, "call %s: %llu instead of %llu, cancelled %d, error %.*s\n", call->id, (unsigned long long)number,
            (unsigned long long)call->expected, call->is_cancelled, (int)result->error.message.len,
            result->has_error ? (const char *)result->error.message.data : "");
}

static void check_result(struct world *world, struct poster *poster, const struct acknowledged *call)
{
    int status;
    do
        status = poster_post(poster, WAIT_PATH, "application/proto", slice_text(call->id));
    while (status == 504 || status == 408); /* not done yet */
    if (status != 200) {
        atomic_fetch_add(&world->n_lost, 1);
        fprintf(stderr, "call %s: status %d: %.200s\n", call->id, status, buf_text(&poster->response));
        return;
    }
    struct arena arena;
    struct wire_result result;
    arena_init(&arena, 0);
    assert_int_equal(wire_result_decode(buf_slice(&poster->response), &arena, &result, NULL), DR_OK);
    judge(world, call, &result);
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
    unsigned n_rounds = (unsigned)number_from_environment("CYCLES", 15);
    printf("KILL9_SEED=%lu\n", seed);
    random_init(&world.random, seed);
    directory_make(directory, sizeof directory);
    snprintf(world.db, sizeof world.db, "%s/dispatch.db", directory);
    world.calls = mem_must_zalloc(CALLS_MAX * sizeof *world.calls);
    program_start(&world.program);
    int64_t start_ns = clock_monotonic_ns();

    load_and_kill(&world, n_rounds);
    start_server(&world, &server);
    check_all(&world, &server);
    kill_server(&server);
    start_server(&world, &server);
    check_all(&world, &server);
    process_signal(&server, SIGTERM);
    assert_int_equal(process_wait(&server), 0);
    close(server.err_file);

    size_t n_violations = program_end(&world.program);
    printf("%u kills of the server, %u of the endpoint, %zu calls acknowledged, %lu of them cancelled: lost %lu, wrong %lu, "
           "%s; %.1f s\n",
           n_rounds + 1, n_rounds / 2, world.n_calls, (unsigned long)world.n_cancelled, (unsigned long)world.n_lost,
           (unsigned long)world.n_wrong, n_violations ? "VIOLATIONS" : "none delivered twice",
           (double)(clock_monotonic_ns() - start_ns) / 1e9);
    assert_int_equal(world.n_lost, 0);
    assert_int_equal(world.n_wrong, 0);
    assert_int_equal(n_violations, 0);
    mem_free(world.calls);
    directory_remove(directory);
}

int main(int argc, char **argv)
{
    program_main(argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost_or_done_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
