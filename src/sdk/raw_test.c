/* Runs as bytes: handed over and answered, in process and over HTTP, in time, late and never; and who holds the clock. */
#include "base/testing.h"

#include "base/clock.h"
#include "wire/wire.h"
#include <dispatchrun/test.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define HOUR_NS (3600 * NS_PER_S)
enum { RUNS_MAX = 8, THREADS = 8, CALLS_EACH = 50, TRIES_MAX = 1000 };

static bool is_inline; /* of the servers that are opened: all tests run with it and without */

/* What the threads of the server brought. */
struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    dr_test_server *server;
    dr_run *runs[RUNS_MAX]; /* not answered, oldest first */
    size_t n_runs, n_taken;
    char ids[RUNS_MAX][DR_ID_SIZE];
    size_t n_ids;
    dr_code submit_code;
    size_t n_results;
    dr_code result_code;
    bool has_error;
    char text[64]; /* of the result: what stands in the output's value, or the error's type */
};

static void on_run(void *arg, dr_run *run)
{
    struct world *world = arg;
    pthread_mutex_lock(&world->lock);
    assert_true(world->n_runs < RUNS_MAX);
    world->runs[world->n_runs++] = run;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static void on_ids(void *arg, dr_code code, const char *message, const char *const *ids, size_t n_ids)
{
    (void)message;
    struct world *world = arg;
    pthread_mutex_lock(&world->lock);
    world->submit_code = code;
    for (size_t i = 0; i < n_ids; i++)
        snprintf(world->ids[world->n_ids++], DR_ID_SIZE, "%s", ids[i]);
    if (code)
        world->n_ids++;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static void on_result(void *arg, dr_code code, const char *message, const void *bytes, size_t len)
{
    (void)message;
    struct world *world = arg;
    struct wire_result result = {0};
    struct arena arena;
    arena_init(&arena, 0);
    if (!code)
        assert_int_equal(wire_result_decode(slice_of(bytes, len), &arena, &result, NULL), DR_OK);
    pthread_mutex_lock(&world->lock);
    world->result_code = code;
    world->has_error = result.has_error;
    struct slice text = result.has_error ? result.error.type : result.output;
    snprintf(world->text, sizeof world->text, "%.*s", (int)text.len, text.data ? (const char *)text.data : "");
    world->n_results++;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    arena_deinit(&arena);
}

static void wait_for(struct world *world, const size_t *count, size_t wanted)
{
    pthread_mutex_lock(&world->lock);
    while (*count < wanted)
        pthread_cond_wait(&world->changed, &world->lock);
    pthread_mutex_unlock(&world->lock);
}

static dr_code open_world(struct world *world, dr_test_transport transport)
{
    *world = (struct world){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct dr_test_options options = {
        .size = sizeof options, .transport = transport, .chaos = "", .on_run = on_run, .on_run_arg = world,
        .is_inline = is_inline};
    struct dr_error error = {0};
    return dr_test_server_open(&options, &world->server, &error);
}

static dr_code submit(struct world *world, const char *function)
{
    struct wire_call call = {.endpoint = slice_text(dr_test_server_endpoint(world->server)),
                             .function = slice_text(function)};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    struct dr_error error = {0};
    struct buf buf;
    buf_init(&buf, 10000);
    dr_code code = wire_dispatch_request_encode(&request, &buf, &error);
    size_t before = world->n_ids;
    if (!code)
        code = dr_test_server_submit(world->server, buf_slice(&buf).data, buf_slice(&buf).len, on_ids, world, &error);
    buf_deinit(&buf);
    if (code)
        return code;
    wait_for(world, &world->n_ids, before + 1);
    return world->submit_code;
}

static void begin_wait(struct world *world, const char *id)
{
    struct dr_error error = {0};
    assert_int_equal(dr_test_server_wait(world->server, id, on_result, world, NULL, &error), DR_OK);
}

/* The oldest run that was not taken, when it is there. */
static dr_run *next_run(struct world *world)
{
    wait_for(world, &world->n_runs, world->n_taken + 1);
    return world->runs[world->n_taken++];
}

static void respond(dr_run *run, const struct wire_run_response *response)
{
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_run_response_encode(response, &buf, NULL), DR_OK);
    dr_run_respond(run, buf_slice(&buf).data, buf_slice(&buf).len);
    buf_deinit(&buf);
}

/* An exit whose output is an Any of that type URL. */
static void answer(dr_run *run, const char *type_url)
{
    struct buf any;
    buf_init(&any, 1000);
    assert_int_equal(wire_any_encode(slice_text(type_url), slice_text("x"), &any), DR_OK);
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.output = buf_slice(&any);
    respond(run, &response);
    buf_deinit(&any);
}

static void sleep_for(dr_run *run, int64_t ns)
{
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll = (struct wire_poll){.has_max_wait = true, .max_wait_ns = ns, .max_results = 1, .min_results = 1};
    respond(run, &response);
}

static void expect_function(dr_run *run, const char *name)
{
    size_t len = 0;
    const void *bytes = dr_run_request(run, &len);
    struct wire_run_request request = {0};
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(wire_run_request_decode(slice_of(bytes, len), &arena, &request, NULL), DR_OK);
    assert_true(slice_equal(request.function, slice_text(name)));
    arena_deinit(&arena);
}

static void run_over(dr_test_transport transport)
{
    struct world world;
    assert_int_equal(open_world(&world, transport), DR_OK);
    assert_int_equal(submit(&world, "greet"), DR_OK);
    begin_wait(&world, world.ids[0]);
    dr_run *run = next_run(&world);
    expect_function(run, "greet");
    if (transport == DR_TEST_HTTP) {
        assert_string_equal(dr_run_method(run), "POST");
        assert_string_equal(dr_run_path(run), "/dispatch.sdk.v1.FunctionService/Run");
        assert_string_equal(dr_run_query(run), "");
        assert_string_equal(dr_run_header(run, "content-type"), "application/proto");
        assert_null(dr_run_header(run, "no-such-header"));
        assert_memory_equal(dr_test_server_url(world.server), "http://127.0.0.1:", 17);
    } else {
        assert_null(dr_run_method(run));
        assert_null(dr_run_path(run));
        assert_null(dr_run_query(run));
        assert_null(dr_run_header(run, "content-type"));
        assert_string_equal(dr_test_server_url(world.server), "");
    }
    answer(run, "a/greeting");
    wait_for(&world, &world.n_results, 1);
    assert_int_equal(world.result_code, DR_OK);
    assert_false(world.has_error);
    assert_non_null(strstr(world.text, "a/greeting"));
    char *trace = dr_test_server_trace(world.server);
    assert_non_null(strstr(trace, "greet"));
    dr_test_trace_free(trace);
    dr_test_server_close(world.server);
}

static void a_run_is_handed_over_and_answered_in_process(void **state)
{
    (void)state;
    run_over(DR_TEST_LOCAL);
}

static void a_run_is_handed_over_and_answered_over_http(void **state)
{
    (void)state;
    run_over(DR_TEST_HTTP);
}

static void refuse_with(dr_code code, const char *type)
{
    struct world world;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, "f"), DR_OK);
    begin_wait(&world, world.ids[0]);
    dr_run_refuse(next_run(&world), code, "no");
    wait_for(&world, &world.n_results, 1);
    assert_true(world.has_error);
    assert_string_equal(world.text, type);
    dr_test_server_close(world.server);
}

static void a_refused_run_ends_with_the_status_of_the_code(void **state)
{
    (void)state;
    refuse_with(DR_NOT_FOUND, "NotFoundError");
    refuse_with(DR_INVALID_ARGUMENT, "InvalidArgumentError");
    refuse_with(DR_UNAUTHENTICATED, "UnauthenticatedError");
    refuse_with(DR_PERMISSION_DENIED, "PermissionDeniedError");
}

static void a_run_refused_for_another_reason_is_tried_again(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, "f"), DR_OK);
    begin_wait(&world, world.ids[0]);
    dr_run_refuse(next_run(&world), DR_INTERNAL, "not now");
    answer(next_run(&world), "a/second");
    wait_for(&world, &world.n_results, 1);
    assert_non_null(strstr(world.text, "a/second"));
    dr_test_server_close(world.server);
}

static void the_clock_stands_still_while_it_is_held(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    dr_test_server_hold(world.server);
    int64_t start_ns = dr_test_server_now(world.server);
    assert_int_equal(submit(&world, "sleeper"), DR_OK);
    begin_wait(&world, world.ids[0]);
    sleep_for(next_run(&world), HOUR_NS);
    /* a whole call, so that the engine had every occasion to move the clock */
    assert_int_equal(submit(&world, "other"), DR_OK);
    begin_wait(&world, world.ids[1]);
    answer(next_run(&world), "a/other");
    wait_for(&world, &world.n_results, 1);
    assert_int_equal(dr_test_server_now(world.server), start_ns);
    dr_test_server_release(world.server);
    answer(next_run(&world), "a/sleeper");
    wait_for(&world, &world.n_results, 2);
    assert_true(dr_test_server_now(world.server) >= start_ns + HOUR_NS);
    dr_test_server_close(world.server);
}

static void an_answer_that_comes_after_the_run_was_called_off_changes_nothing(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, "slow"), DR_OK);
    dr_run *late = next_run(&world);
    dr_test_server_advance(world.server, 601 * NS_PER_S, false); /* an attempt may take 10 minutes */
    begin_wait(&world, world.ids[0]);
    dr_run *again = next_run(&world);
    answer(late, "a/late");
    answer(again, "a/again");
    wait_for(&world, &world.n_results, 1);
    assert_non_null(strstr(world.text, "a/again"));
    dr_test_server_close(world.server);
}

static void a_run_may_be_answered_after_the_server_was_closed(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, "f"), DR_OK);
    begin_wait(&world, world.ids[0]);
    dr_run *run = next_run(&world);
    dr_test_server_close(world.server);
    assert_int_equal(world.n_results, 1);
    assert_int_equal(world.result_code, DR_UNAVAILABLE);
    expect_function(run, "f");
    answer(run, "a/nobody");
}

static void who_stops_waiting_is_told_so(void **state)
{
    (void)state;
    struct world world;
    struct dr_error error = {0};
    uint64_t token = 0;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, "f"), DR_OK);
    assert_int_equal(dr_test_server_wait(world.server, world.ids[0], on_result, &world, &token, &error), DR_OK);
    dr_test_server_abandon(world.server, token);
    wait_for(&world, &world.n_results, 1);
    assert_int_equal(world.result_code, DR_CANCELED);
    answer(next_run(&world), "a/f");
    dr_test_server_close(world.server);
}

static void on_cancelled(void *arg, dr_code code, const char *message)
{
    on_result(arg, code ? code : DR_ABORTED, message, NULL, 0);
}

static void a_call_can_be_cancelled_once(void **state)
{
    (void)state;
    struct world world;
    struct dr_error error = {0};
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, "f"), DR_OK);
    dr_run *run = next_run(&world);
    assert_int_equal(dr_test_server_cancel(world.server, world.ids[0], on_cancelled, &world, &error), DR_OK);
    wait_for(&world, &world.n_results, 1);
    assert_int_equal(world.result_code, DR_ABORTED);
    assert_int_equal(dr_test_server_cancel(world.server, world.ids[0], on_cancelled, &world, &error), DR_OK);
    wait_for(&world, &world.n_results, 2);
    assert_int_equal(world.result_code, DR_FAILED_PRECONDITION);
    assert_int_equal(dr_test_server_cancel(world.server, "nonsense", on_cancelled, &world, &error), DR_NOT_FOUND);
    answer(run, "a/late");
    dr_test_server_close(world.server);
}

static void what_is_no_call_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct world world;
    struct dr_error error = {0};
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_int_equal(submit(&world, ""), DR_INVALID_ARGUMENT);
    assert_int_equal(dr_test_server_submit(world.server, "\xff", 1, on_ids, &world, &error), DR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "unmarshal message"));
    assert_int_equal(world.n_ids, 0);
    assert_int_equal(dr_test_server_wait(world.server, "nonsense", on_result, &world, NULL, &error), DR_NOT_FOUND);
    assert_int_equal(dr_test_server_submit(world.server, "", 0, on_ids, &world, &error), DR_OK);
    assert_int_equal(world.n_ids, 0);
    dr_test_server_close(world.server);
}

/* A damaged request stays outside the engine, which does not go on without memory (decision 001). */
static dr_code submit_nonsense(void *arg)
{
    struct world *world = arg;
    struct dr_error error = {0};
    dr_code code = dr_test_server_submit(world->server, "\x0a\x03\x1a\x01g", 5, on_ids, world, &error);
    return code == DR_INVALID_ARGUMENT ? DR_OK : code;
}

static void reading_a_request_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(open_world(&world, DR_TEST_LOCAL), DR_OK);
    assert_survives_allocation_faults(submit_nonsense, &world);
    assert_int_equal(world.n_ids, 0);
    dr_test_server_close(world.server);
}

/* ---- inline ---- */

/* A server whose runs are answered at once, and who was told of the ids. */
struct crowd {
    dr_test_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n_runs, n_ids;
    bool is_keeping; /* runs, for another thread to answer */
    dr_run *kept[THREADS * CALLS_EACH];
    size_t n_kept;
    pthread_t last_told; /* the thread on which the ids came last */
};

static void on_run_of_crowd(void *arg, dr_run *run)
{
    struct crowd *crowd = arg;
    pthread_mutex_lock(&crowd->lock);
    crowd->n_runs++;
    if (crowd->is_keeping)
        crowd->kept[crowd->n_kept++] = run;
    bool is_kept = crowd->is_keeping;
    pthread_cond_broadcast(&crowd->changed);
    pthread_mutex_unlock(&crowd->lock);
    if (!is_kept)
        answer(run, "a/x");
}

static void on_ids_of_crowd(void *arg, dr_code code, const char *message, const char *const *ids, size_t n_ids)
{
    (void)message;
    (void)ids;
    struct crowd *crowd = arg;
    pthread_mutex_lock(&crowd->lock);
    assert_int_equal(code, DR_OK);
    crowd->n_ids += n_ids;
    crowd->last_told = pthread_self();
    pthread_cond_broadcast(&crowd->changed);
    pthread_mutex_unlock(&crowd->lock);
}

static void open_crowd(struct crowd *crowd, bool is_keeping)
{
    *crowd = (struct crowd){
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .is_keeping = is_keeping};
    struct dr_test_options options = {
        .size = sizeof options, .chaos = "", .on_run = on_run_of_crowd, .on_run_arg = crowd, .is_inline = true};
    struct dr_error error = {0};
    assert_int_equal(dr_test_server_open(&options, &crowd->server, &error), DR_OK);
}

static void submit_to_crowd(struct crowd *crowd)
{
    struct wire_call call = {.endpoint = slice_text(dr_test_server_endpoint(crowd->server)), .function = slice_text("f")};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    struct dr_error error = {0};
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_dispatch_request_encode(&request, &buf, &error), DR_OK);
    struct slice bytes = buf_slice(&buf);
    assert_int_equal(
        dr_test_server_submit(crowd->server, bytes.data, bytes.len, on_ids_of_crowd, crowd, &error), DR_OK);
    buf_deinit(&buf);
}

static void wait_for_crowd(struct crowd *crowd, const size_t *count, size_t wanted)
{
    pthread_mutex_lock(&crowd->lock);
    while (*count < wanted)
        pthread_cond_wait(&crowd->changed, &crowd->lock);
    pthread_mutex_unlock(&crowd->lock);
}

static void an_inline_server_does_its_work_on_the_thread_that_gives_it(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, false);
    bool is_here = false;
    for (size_t n = 1; !is_here && n <= TRIES_MAX; n++) { /* its own thread may still be at it */
        submit_to_crowd(&crowd);
        wait_for_crowd(&crowd, &crowd.n_ids, n);
        is_here = pthread_equal(crowd.last_told, pthread_self());
    }
    assert_true(is_here);
    dr_test_server_close(crowd.server);
}

static void *submit_many(void *arg)
{
    for (int i = 0; i < CALLS_EACH; i++)
        submit_to_crowd(arg);
    return NULL;
}

static void an_inline_server_takes_work_of_many_threads_at_once(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, false);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    wait_for_crowd(&crowd, &crowd.n_ids, THREADS * CALLS_EACH);
    wait_for_crowd(&crowd, &crowd.n_runs, THREADS * CALLS_EACH);
    dr_test_server_close(crowd.server);
}

static void *answer_kept(void *arg)
{
    struct crowd *crowd = arg;
    for (;;) {
        pthread_mutex_lock(&crowd->lock);
        dr_run *run = crowd->n_kept > 0 ? crowd->kept[--crowd->n_kept] : NULL;
        pthread_mutex_unlock(&crowd->lock);
        if (!run)
            return NULL;
        answer(run, "a/x");
    }
}

static void an_inline_server_may_be_closed_while_others_answer(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, true);
    (void)submit_many(&crowd);
    wait_for_crowd(&crowd, &crowd.n_runs, THREADS); /* not all: the engine starts with a few */
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, answer_kept, &crowd), 0);
    dr_test_server_close(crowd.server);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    (void)answer_kept(&crowd); /* what came last */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_handed_over_and_answered_in_process),
        cmocka_unit_test(a_run_is_handed_over_and_answered_over_http),
        cmocka_unit_test(a_refused_run_ends_with_the_status_of_the_code),
        cmocka_unit_test(a_run_refused_for_another_reason_is_tried_again),
        cmocka_unit_test(the_clock_stands_still_while_it_is_held),
        cmocka_unit_test(an_answer_that_comes_after_the_run_was_called_off_changes_nothing),
        cmocka_unit_test(a_run_may_be_answered_after_the_server_was_closed),
        cmocka_unit_test(who_stops_waiting_is_told_so),
        cmocka_unit_test(a_call_can_be_cancelled_once),
        cmocka_unit_test(what_is_no_call_is_refused_with_a_reason),
        cmocka_unit_test(reading_a_request_survives_any_allocation_that_fails),
    };
    const struct CMUnitTest inline_tests[] = {
        cmocka_unit_test(an_inline_server_does_its_work_on_the_thread_that_gives_it),
        cmocka_unit_test(an_inline_server_takes_work_of_many_threads_at_once),
        cmocka_unit_test(an_inline_server_may_be_closed_while_others_answer),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    is_inline = true;
    n_failed += cmocka_run_group_tests_name("tests, inline", tests, NULL, NULL);
    return n_failed + cmocka_run_group_tests(inline_tests, NULL, NULL);
}
