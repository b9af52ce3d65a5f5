/* `dispatch get`, `list` and `cancel` against the real server. */
#include "base/testing.h"

#include "poster.h"
#include "process.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define API_KEY "0123456789abcdef0123456789abcdef"
#define SUBMIT_PATH "/dispatch.sdk.v1.DispatchService/Dispatch"
/* Nothing listens there: the call is tried again and again. */
#define SUBMIT "{\"calls\":[{\"endpoint\":\"http://127.0.0.1:9\",\"function\":\"hello\"}]}"
#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, "--api-url", world.server.url, "--api-key", API_KEY, NULL})

struct world {
    struct process server;
    char id[33];
};

static void open_world(struct world *world)
{
    struct poster poster;
    process_start(&world->server, (const char *const[]){"serve", "--memory", "--listen", "127.0.0.1:0", "--api-key",
                                                        API_KEY, "--log-level", "error", NULL});
    assert_true(process_wait_ready(&world->server));
    poster_open(&poster, world->server.url, API_KEY);
    assert_int_equal(poster_post(&poster, SUBMIT_PATH, "application/json", slice_text(SUBMIT)), 200);
    const char *ids = strstr(buf_text(&poster.response), "[\"");
    assert_non_null(ids);
    snprintf(world->id, sizeof world->id, "%.32s", ids + 2);
    poster_close(&poster);
}

static void close_world(struct world *world)
{
    process_signal(&world->server, SIGTERM);
    assert_int_equal(process_wait(&world->server), 0);
    close(world->server.err_file);
}

/* Runs `dispatch` to its end; what it printed is in `text`. */
static int run(const char *const *arguments, char text[PROCESS_TEXT_SIZE])
{
    struct process process;
    process_start(&process, arguments);
    process_output(&process, text);
    int status = process_wait(&process);
    if (status)
        process_errors(&process, text);
    close(process.err_file);
    return status;
}

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void get_shows_a_call(void **state)
{
    (void)state;
    struct world world;
    char text[PROCESS_TEXT_SIZE];
    open_world(&world);
    assert_int_equal(run(ARGUMENTS("get", world.id), text), 0);
    expect(text, world.id);
    expect(text, "function          hello\n");
    assert_int_equal(run(ARGUMENTS("get", "--json", world.id), text), 0);
    expect(text, "{\"call\":{");
    close_world(&world);
}

static void list_shows_it_in_one_line_and_filters(void **state)
{
    (void)state;
    struct world world;
    char text[PROCESS_TEXT_SIZE];
    open_world(&world);
    assert_int_equal(run(ARGUMENTS("list"), text), 0);
    expect(text, "STATUS OR WHY\n");
    expect(text, world.id);
    assert_int_equal(run(ARGUMENTS("list", "--function", "other"), text), 0);
    assert_null(strstr(text, world.id));
    assert_int_equal(run(ARGUMENTS("list", "--state", "asleep"), text), 1);
    expect(text, "state is not one of");
    close_world(&world);
}

static void cancel_ends_it(void **state)
{
    (void)state;
    struct world world;
    char text[PROCESS_TEXT_SIZE];
    open_world(&world);
    assert_int_equal(run(ARGUMENTS("cancel", world.id), text), 0);
    assert_int_equal(run(ARGUMENTS("get", world.id), text), 0);
    expect(text, "state             done\n");
    expect(text, "CanceledError");
    close_world(&world);
}

static void what_goes_wrong_is_said(void **state)
{
    (void)state;
    struct world world;
    char text[PROCESS_TEXT_SIZE];
    open_world(&world);
    assert_int_equal(run(ARGUMENTS("get", "00000000000000000000000000000001"), text), 1);
    expect(text, "dispatch get: not_found: there is no call with this id");
    assert_int_equal(run((const char *const[]){"get", world.id, "--api-url", world.server.url, NULL}, text), 1);
    expect(text, "wants an API key: --api-key or DISPATCH_API_KEY");
    close_world(&world);
    assert_int_equal(run(ARGUMENTS("list"), text), 1);
    expect(text, world.server.url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_shows_a_call),
        cmocka_unit_test(list_shows_it_in_one_line_and_filters),
        cmocka_unit_test(cancel_ends_it),
        cmocka_unit_test(what_goes_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
