/* The real server on a disk that really becomes full, under load: it refuses what it cannot keep and says why, shows what
 * it has, goes on by itself when there is room, and loses nothing that it acknowledged, not over kill -9 either. */
#include "base/testing.h"

#include "rig.h"
#include "small_disk.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DISK_BYTES (8u << 20)
#define BYTES_LEFT (256u << 10) /* the load needs a moment for these */
#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"

/* With fifty calls that are done, and then a load until nothing more can be written. */
static struct rig_client *fill_under_load(struct rig *rig)
{
    directory_make(rig->directory, sizeof rig->directory);
    small_disk_mount(rig->directory, DISK_BYTES);
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 50), 200);
    rig_check_results(rig);
    small_disk_fill(rig->directory, BYTES_LEFT);
    struct rig_client *client = rig_client_start(rig);
    rig_wait_for_log(rig, "the store fails");
    rig_wait_for_log(rig, "database or disk is full");
    assert_true(small_disk_free_bytes(rig->directory) < BYTES_LEFT / 2);
    return client;
}

static void done_calls_are_shown_and_waited_for(struct rig *rig)
{
    for (uint64_t n = 0; n < rig->next_n; n++) {
        if (rig->is_acknowledged[n]) {
            assert_true(rig_shows(rig, n, "\"state\":\"done\""));
            assert_int_equal(rig_post(rig, WAIT_PATH, "application/proto", rig->ids[n]), 200);
        }
    }
}

static void close_all(struct rig *rig, struct rig_client *client)
{
    rig_client_end(client, rig);
    char directory[sizeof rig->directory];
    memcpy(directory, rig->directory, sizeof directory);
    rig_close(rig);
    small_disk_unmount(directory);
    mem_free(rig);
}

static void a_full_disk_refuses_submits_shows_what_it_has_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    struct rig_client *client = fill_under_load(rig);

    assert_int_equal(rig_submit(rig, 5), 503);
    assert_non_null(strstr(buf_text(&rig->poster.response), "unavailable"));
    done_calls_are_shown_and_waited_for(rig);
    assert_int_equal(rig_metric(rig, "store_failing"), 1);
    assert_true(rig_metric(rig, "store_failures_total") >= 1);
    assert_true(rig_metric(rig, "api_answers_total{method=\"Dispatch\",code=\"unavailable\"}") >= 1);

    small_disk_make_room(rig->directory);
    rig_wait_for_log(rig, "the store works again");
    rig_wait_for_metric(rig, "calls_done_total", 51);
    assert_int_equal(rig_metric(rig, "store_failing"), 0);
    assert_int_equal(rig_submit(rig, 50), 200);
    rig_client_join(client);
    close_all(rig, client);
}

/* It may need no room to begin, and then shows what it has; else it says what is missing. */
static void begin_on_the_full_disk(struct rig *rig)
{
    char errors[PROCESS_TEXT_SIZE];
    if (rig_try_server(rig, errors)) {
        done_calls_are_shown_and_waited_for(rig);
        rig_kill_server(rig);
        return;
    }
    assert_int_equal(rig->server.status, 1);
    assert_non_null(strstr(errors, rig->db));
    assert_non_null(strstr(errors, "database or disk is full"));
}

/* Killed in the middle of it, and begun again on the full disk before there is room. */
static void a_server_killed_on_a_full_disk_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    struct rig_client *client = fill_under_load(rig);
    rig_kill_server(rig);
    rig_client_join(client);
    assert_true(client->status == 0 || client->status == 503); /* nobody knows, or refused; never acknowledged */

    begin_on_the_full_disk(rig);
    small_disk_make_room(rig->directory);
    rig_start_server(rig);
    assert_int_equal(rig_submit(rig, 50), 200);
    close_all(rig, client);
}

int main(int argc, char **argv)
{
    program_main(argc, argv);
    if (!small_disk_enter())
        return 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_refuses_submits_shows_what_it_has_and_goes_on_when_there_is_room),
        cmocka_unit_test(a_server_killed_on_a_full_disk_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
