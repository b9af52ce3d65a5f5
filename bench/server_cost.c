/* What a call costs the server, with a database and fsync: N_CONNECTIONS clients submit batches of echo calls against a
 * minimal endpoint in this process; the CPU time of the server process, from its start to its end, is divided by the
 * calls. Beside it the floor: the same rows written to the same store by one thread that does nothing else.
 * Then one client alone: submit one echo call, wait for its result.
 *
 *     server_cost [CALLS]
 */
#include "../tests/server/endpoint.h"
#include "../tests/server/poster.h"
#include "../tests/server/process.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/store.h"
#include "wire/wire.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define API_KEY "0123456789abcdef0123456789abcdef"
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"
#define N_CONNECTIONS 8
#define BATCH 100
#define CALLS_DEFAULT 80000
#define N_ALONE 500

static const uint8_t input[] = "\x0a\x2etype.googleapis.com/google.protobuf.Int64Value\x12\x02\x08\x2a";

struct load {
    struct endpoint *endpoint;
    struct process server;
    struct buf body;            /* one batch, encoded */
    atomic_ulong n_runs;
    unsigned n_batches;         /* of one connection */
};

static int echo(void *arg, const struct wire_run_request *request, struct wire_run_response *response,
                struct arena *arena)
{
    struct load *load = arg;
    (void)arena;
    atomic_fetch_add(&load->n_runs, 1);
    response->status = DR_STATUS_OK;
    response->outcome = WIRE_OUTCOME_EXIT;
    response->has_result = true;
    response->result.output = request->input;
    return 200;
}

static void encode_batch(const struct endpoint *endpoint, size_t n, struct buf *buf)
{
    struct wire_call calls[BATCH] = {0};
    for (size_t i = 0; i < n; i++)
        calls[i] = (struct wire_call){.endpoint = slice_text(endpoint_url(endpoint)), .function = slice_text("echo"),
                                      .input = slice_of(input, sizeof input - 1)};
    struct wire_dispatch_request request = {.calls = calls, .n_calls = n};
    buf_init(buf, WIRE_MESSAGE_BYTES_MAX);
    CHECK(wire_dispatch_request_encode(&request, buf, NULL) == DR_OK);
}

static void last_id(struct poster *poster, char id[33])
{
    struct arena arena;
    struct wire_dispatch_response response;
    arena_init(&arena, 0);
    CHECK(wire_dispatch_response_decode(buf_slice(&poster->response), &arena, &response, NULL) == DR_OK);
    struct slice text = response.dispatch_ids[response.n_dispatch_ids - 1];
    snprintf(id, 33, "%.*s", (int)text.len, (const char *)text.data);
    arena_deinit(&arena);
}

static void wait_for(struct poster *poster, const char *id)
{
    int status;
    do
        status = poster_post(poster, WAIT_PATH, "application/proto", slice_text(id));
    while (status == 504);
    CHECK(status == 200);
}

static void *submit(void *arg)
{
    struct load *load = arg;
    struct poster poster;
    char id[33];
    poster_open(&poster, load->server.url, API_KEY);
    for (unsigned i = 0; i < load->n_batches;) {
        int status = poster_post(&poster, SUBMIT_PATH, "application/proto", buf_slice(&load->body));
        CHECK(status == 200 || status == 429);
        i += status == 200;
    }
    last_id(&poster, id);
    wait_for(&poster, id);
    poster_close(&poster);
    return NULL;
}

static void start_server(struct load *load, const char *db)
{
    process_start(&load->server, (const char *const[]){"serve", "--db", db, "--listen", "127.0.0.1:0", "--api-key",
                                                       API_KEY, "--log-level", "warn", NULL});
    CHECK(process_wait_ready(&load->server));
}

static double seconds(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec / 1e6; }

static void stop_server(struct load *load)
{
    process_signal(&load->server, SIGTERM);
    CHECK(process_wait(&load->server) == 0);
    close(load->server.err_file);
}

static double cpu_us_per(const struct rusage *usage, size_t n)
{
    return (seconds(usage->ru_utime) + seconds(usage->ru_stime)) * 1e6 / (double)n;
}

static void measure_many(struct load *load, const char *db, size_t n_calls)
{
    pthread_t threads[N_CONNECTIONS];
    load->n_batches = (unsigned)(n_calls / BATCH / N_CONNECTIONS);
    n_calls = (size_t)load->n_batches * BATCH * N_CONNECTIONS;
    encode_batch(load->endpoint, BATCH, &load->body);
    start_server(load, db);
    int64_t start_ns = clock_monotonic_ns();
    for (size_t i = 0; i < N_CONNECTIONS; i++)
        CHECK(pthread_create(&threads[i], NULL, submit, load) == 0);
    for (size_t i = 0; i < N_CONNECTIONS; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&load->n_runs) < n_calls)
        sched_yield();
    double took_s = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    stop_server(load);
    buf_deinit(&load->body);
    struct rusage *usage = &load->server.usage;
    printf("server CPU per echo call, %zu calls, %d connections, batches of %d: %.1f us (user %.1f, system %.1f)\n",
           n_calls, N_CONNECTIONS, BATCH, cpu_us_per(usage, n_calls), seconds(usage->ru_utime) * 1e6 / (double)n_calls,
           seconds(usage->ru_stime) * 1e6 / (double)n_calls);
    printf("throughput, server, endpoint and load together: %.0f calls/s; peak memory %.1f MB\n",
           (double)n_calls / took_s, (double)usage->ru_maxrss / 1024);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure_alone(struct load *load, const char *db)
{
    static int64_t took_ns[N_ALONE];
    struct poster poster;
    char id[33];
    encode_batch(load->endpoint, 1, &load->body);
    start_server(load, db);
    poster_open(&poster, load->server.url, API_KEY);
    for (size_t i = 0; i < N_ALONE; i++) {
        int64_t start_ns = clock_monotonic_ns();
        CHECK(poster_post(&poster, SUBMIT_PATH, "application/proto", buf_slice(&load->body)) == 200);
        last_id(&poster, id);
        wait_for(&poster, id);
        took_ns[i] = clock_monotonic_ns() - start_ns;
    }
    poster_close(&poster);
    stop_server(load);
    buf_deinit(&load->body);
    qsort(took_ns, N_ALONE, sizeof took_ns[0], compare);
    printf("one client, submit and wait: p50 %.2f ms, p99 %.2f ms\n", (double)took_ns[N_ALONE / 2] / 1e6,
           (double)took_ns[N_ALONE * 99 / 100] / 1e6);
}

/* ---- the floor --------------------------------------------------------------------------------------------------- */

static void fill(struct call_record *record, struct id id, const char *endpoint)
{
    *record = (struct call_record){.id = id, .root = id, .project = 1, .created_ns = 1, .expires_ns = TIME_NEVER,
                                   .generation = 1, .state = CALL_SCHEDULED, .wake_ns = 1, .due_ns = 1};
    record->endpoint = blob_create(slice_text(endpoint));
    record->function = blob_create(slice_text("echo"));
    record->input = blob_create(slice_of(input, sizeof input - 1));
}

/* Inserts a batch, then writes its results in another: what the server does to the rows of a call. */
static void write_batch(struct store *store, struct id_source *ids, const char *endpoint, uint64_t sequence)
{
    struct batch *insert = batch_create(sequence);
    struct batch *update = batch_create(sequence + 1);
    for (size_t i = 0; i < BATCH; i++) {
        struct call_record record;
        fill(&record, id_next(ids, clock_real_ns()), endpoint);
        batch_add(insert, BATCH_INSERT, 0, &record);
        record.state = CALL_DONE;
        record.status = DR_STATUS_OK;
        record.done_ns = 2;
        record.done_sequence = sequence * BATCH + i;
        record.output = blob_ref(record.input);
        batch_add(update, BATCH_UPDATE, RECORD_PROGRESS | RECORD_RESULT, &record);
        record_deinit(&record);
    }
    CHECK(store_commit(store, &insert, 1, NULL) == DR_OK);
    CHECK(store_commit(store, &update, 1, NULL) == DR_OK);
    batch_destroy(insert);
    batch_destroy(update);
}

static void measure_floor(const char *endpoint, const char *db, size_t n_calls)
{
    struct store *store;
    struct random random;
    struct rusage before, after;
    struct store_sqlite_options options = {.path = db};
    random_init(&random, 1);
    struct id_source ids = {.random = &random};
    CHECK(store_sqlite_open(&options, &store, NULL) == DR_OK);
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < n_calls / BATCH; i++)
        write_batch(store, &ids, endpoint, 2 * i + 1);
    getrusage(RUSAGE_SELF, &after);
    timersub(&after.ru_utime, &before.ru_utime, &after.ru_utime);
    timersub(&after.ru_stime, &before.ru_stime, &after.ru_stime);
    store_close(store);
    printf("floor, the same rows written to the store and nothing else: %.1f us\n", cpu_us_per(&after, n_calls));
}

int main(int argc, char **argv)
{
    size_t n_calls = argc > 1 ? strtoul(argv[1], NULL, 10) : CALLS_DEFAULT;
    char directory[256];
    char paths[3][300];
    struct load load = {.n_runs = 0};
    if (n_calls < N_CONNECTIONS * BATCH)
        n_calls = N_CONNECTIONS * BATCH;
    directory_make(directory, sizeof directory);
    for (size_t i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%zu.db", directory, i);
    load.endpoint = endpoint_open(echo, &load);
    measure_many(&load, paths[0], n_calls);
    measure_floor(endpoint_url(load.endpoint), paths[1], n_calls);
    measure_alone(&load, paths[2]);
    endpoint_close(load.endpoint);
    directory_remove(directory);
    return 0;
}
