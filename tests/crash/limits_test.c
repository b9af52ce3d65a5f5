/* The server without room on the disk, without descriptors, without memory, and with a disk that cannot be written: it says
 * so, loses nothing that it acknowledged, and goes on by itself when there is room again. The limits of the running process
 * are moved with prlimit, so that no privilege is needed. */
#include "base/testing.h"

#include "rig.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static rlim_t limit(struct rig *rig, int what, rlim_t soft)
{
    struct rlimit old;
    assert_int_equal(prlimit(rig->server.pid, (enum __rlimit_resource)what, NULL, &old), 0);
    struct rlimit new = {.rlim_cur = soft, .rlim_max = old.rlim_max};
    assert_int_equal(prlimit(rig->server.pid, (enum __rlimit_resource)what, &new, NULL), 0);
    return old.rlim_cur;
}

/* ---- a full disk ------------------------------------------------------------------------------------------------- */

static void a_full_disk_loses_nothing_hides_nothing_and_the_server_goes_on_by_itself_when_there_is_room(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 50), 200);
    rig_check_results(rig);

    rlim_t room = limit(rig, RLIMIT_FSIZE, 4096); /* every file is longer already */
    struct rig_client *client = rig_client_start(rig);
    rig_wait_for_log(rig, "the store fails");
    assert_int_equal(rig_submit(rig, 5), 503); /* a later one does not wait */
    for (uint64_t n = 0; n < rig->next_n; n++) /* and people may look */
        assert_true(!rig->is_acknowledged[n] || rig_knows(rig, n));
    (void)limit(rig, RLIMIT_FSIZE, room);
    rig_wait_for_log(rig, "the store works again");
    rig_client_join(client);
    rig_client_end(client, rig);

    assert_int_equal(rig_submit(rig, 50), 200);
    rig_kill_server(rig);
    rig_start_server(rig);
    rig_close(rig);
    mem_free(rig);
}

static void a_disk_that_is_full_when_the_server_is_killed_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 200), 200);
    (void)limit(rig, RLIMIT_FSIZE, 4096); /* in the middle of their work */
    struct rig_client *client = rig_client_start(rig);
    rig_wait_for_log(rig, "the store fails");
    rig_kill_server(rig);
    rig_client_join(client);
    assert_true(client->status == 0 || client->status == 503); /* nobody knows, or refused */
    rig_start_server(rig);
    rig_client_end(client, rig);
    rig_close(rig);
    mem_free(rig);
}

/* ---- a disk that cannot be written ------------------------------------------------------------------------------- */

static void a_database_that_cannot_be_written_is_refused_with_its_name(void **state)
{
    (void)state;
    char errors[PROCESS_TEXT_SIZE];
    struct process server;
    /* /proc cannot be written by anybody, root neither */
    process_start(&server, (const char *const[]){"serve", "--db", "/proc/self/dispatch.db", "--listen", "127.0.0.1:0", NULL});
    assert_false(process_wait_ready(&server));
    assert_int_not_equal(process_wait(&server), 0);
    assert_non_null(strstr(process_errors(&server, errors), "/proc/self/dispatch.db"));
    assert_null(strstr(errors, "ERROR: ")); /* of a sanitizer */
    close(server.err_file);
}

/* ---- few descriptors --------------------------------------------------------------------------------------------- */

#define N_CLIENTS 60

static int connect_to(const char *url)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void without_descriptors_the_server_goes_on_and_serves_when_they_are_back(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    int clients[N_CLIENTS];
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 100), 200);
    rlim_t room = limit(rig, RLIMIT_NOFILE, 30);
    for (size_t i = 0; i < N_CLIENTS; i++)
        clients[i] = connect_to(rig->server.url);
    rig_wait_for_metric(rig, "http_refused_total{kind=\"no_descriptor\"}", 1); /* asked on the connection that is there */
    rig_wait_for_log(rig, "kind=no_descriptor");
    assert_int_equal(rig_submit(rig, 20), 200);
    assert_true(rig_knows(rig, 0));
    for (size_t i = 0; i < N_CLIENTS; i++)
        close(clients[i]);
    (void)limit(rig, RLIMIT_NOFILE, room);
    poster_close(&rig->poster); /* a new connection */
    poster_open(&rig->poster, rig->server.url, rig->poster.api_key);
    assert_int_equal(rig_submit(rig, 20), 200);
    rig_close(rig);
    mem_free(rig);
}

/* ---- little memory ----------------------------------------------------------------------------------------------- */

#define LARGE_BYTES (15u << 20) /* of a request: below the limit of the API */
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"

/* 400 for such a body, if there is memory to read it. */
static int post_large(struct rig *rig)
{
    char *body = mem_must_alloc(LARGE_BYTES + 1);
    memset(body, ' ', LARGE_BYTES);
    body[LARGE_BYTES] = '\0';
    int status = rig_post(rig, SUBMIT_PATH, "application/json", body);
    mem_free(body);
    return status;
}

/* By a refusal, by a broken CHECK, by a sanitizer. */
static void lack_of_memory_is_told(struct rig *rig)
{
    static const char *const texts[] = {"too_many_request_bytes", "out of memory", "mmap", "allocate"};
    char errors[PROCESS_TEXT_SIZE];
    for (int64_t until_ns = clock_monotonic_ns() + 60 * NS_PER_S; clock_monotonic_ns() < until_ns;) {
        process_errors(&rig->server, errors);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            if (strstr(errors, texts[i]))
                return;
        }
        (void)poll(NULL, 0, 5);
    }
    fail_msg("nothing is said of memory: %s", errors);
}

static void without_memory_the_server_refuses_or_dies_and_loses_nothing(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 200), 200);
    (void)limit(rig, RLIMIT_DATA, 1 << 20); /* less than there is: no more is given (RLIMIT_AS leaves a heap its reserve) */
    int status = 400;
    for (int i = 0; status == 400 && i < 10; i++)
        status = post_large(rig);
    assert_int_not_equal(status, 400); /* the limit was felt ... */
    assert_int_not_equal(status, 200);
    lack_of_memory_is_told(rig); /* ... and is said */
    rig_kill_server(rig);
    rig_start_server(rig);
    assert_int_equal(post_large(rig), 400);
    rig_close(rig);
    mem_free(rig);
}

int main(int argc, char **argv)
{
    program_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_loses_nothing_hides_nothing_and_the_server_goes_on_by_itself_when_there_is_room),
        cmocka_unit_test(a_disk_that_is_full_when_the_server_is_killed_loses_nothing_acknowledged),
        cmocka_unit_test(a_database_that_cannot_be_written_is_refused_with_its_name),
        cmocka_unit_test(without_descriptors_the_server_goes_on_and_serves_when_they_are_back),
        cmocka_unit_test(without_memory_the_server_refuses_or_dies_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
