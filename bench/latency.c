/* How long one client waits, with a database and fsync, for the three shapes of calls that programs are made of, served by
 * the C library in this process: an echo, a chain of ten awaits, a fan-out of a hundred. Beside them the floor of an echo:
 * two fdatasync of a page and two round trips over loopback would be needed by any server that keeps its word.
 *
 *     latency [ROUNDS]
 */
#include "../tests/server/process.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include <dispatchrun.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS_DEFAULT 200
#define CHAIN 10
#define FANOUT 100
#define API_KEY "0123456789abcdef0123456789abcdef"

DR_FUNCTION(echo)
{
    return dr_return(call, dr_input(call));
}

DR_FUNCTION(chain)
{
    const dr_value *value = dr_input(call);
    for (int i = 0; i < CHAIN; i++)
        value = dr_await(&echo, value);
    return dr_return(call, value);
}

DR_FUNCTION(fanout)
{
    dr_task *tasks[FANOUT];
    for (int i = 0; i < FANOUT; i++)
        tasks[i] = dr_begin(&echo, i);
    dr_gather(tasks, FANOUT);
    return dr_return(call, dr_task_value(tasks[FANOUT - 1]));
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, int64_t *times_ns, size_t n)
{
    qsort(times_ns, n, sizeof *times_ns, by_size);
    printf("%-36s p50 %6.2f ms, p99 %6.2f ms\n", what, (double)times_ns[n / 2] / 1e6, (double)times_ns[n * 99 / 100] / 1e6);
}

static void measure(dr_client *client, const char *endpoint, const dr_function *function, const char *what, size_t n)
{
    int64_t *times_ns = mem_must_alloc(n * sizeof *times_ns);
    dr_value *input = dr_value_int(42);
    for (size_t i = 0; i < n; i++) {
        struct dr_call_options call = {.function = function->name, .endpoint = endpoint, .input = input};
        char id[DR_ID_SIZE];
        dr_result *result = NULL;
        int64_t began_ns = clock_monotonic_ns();
        CHECK(dr_client_submit(client, &call, id, NULL) == DR_OK);
        CHECK(dr_client_wait(client, id, -1, &result, NULL) == DR_OK);
        times_ns[i] = clock_monotonic_ns() - began_ns;
        CHECK(dr_result_is_ok(result));
        dr_result_unref(result);
    }
    dr_value_unref(input);
    report(what, times_ns, n);
    mem_free(times_ns);
}

static void measure_floor(const char *directory, size_t n)
{
    char path[300], page[4096] = "";
    int64_t *times_ns = mem_must_alloc(n * sizeof *times_ns);
    snprintf(path, sizeof path, "%s/floor", directory);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    for (size_t i = 0; i < n; i++) {
        int64_t began_ns = clock_monotonic_ns();
        for (int k = 0; k < 2; k++) {
            CHECK(write(file, page, sizeof page) == (ssize_t)sizeof page);
            CHECK(fdatasync(file) == 0);
        }
        times_ns[i] = clock_monotonic_ns() - began_ns;
    }
    close(file);
    report("floor: two fdatasync of a page", times_ns, n);
    mem_free(times_ns);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    char directory[256], db[300];
    struct process server;
    dr_endpoint *endpoint = NULL;
    dr_client *client = NULL;
    if (n == 0)
        n = 1;
    directory_make(directory, sizeof directory);
    snprintf(db, sizeof db, "%s/calls.db", directory);
    process_start(&server, (const char *const[]){"serve", "--db", db, "--listen", "127.0.0.1:0", "--api-key", API_KEY, NULL});
    CHECK(process_wait_ready(&server));
    CHECK(dr_endpoint_start(&(struct dr_endpoint_options){.address = "127.0.0.1:0"}, &endpoint, NULL) == DR_OK);
    CHECK(dr_client_open(&(struct dr_client_options){.api_key = API_KEY, .api_url = server.url}, &client, NULL) == DR_OK);
    measure_floor(directory, n);
    measure(client, dr_endpoint_url(endpoint), &echo, "one client, echo", n);
    measure(client, dr_endpoint_url(endpoint), &chain, "one client, a chain of 10 awaits", n);
    measure(client, dr_endpoint_url(endpoint), &fanout, "one client, a fan-out of 100", n);
    dr_client_close(client);
    process_signal(&server, SIGTERM);
    CHECK(process_wait(&server) == 0);
    dr_endpoint_stop(endpoint);
    directory_remove(directory);
    return 0;
}
