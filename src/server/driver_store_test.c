/* The driver and a store that is slow, fails, or has calls already: what is shown when (D2 to D4), what a start finds
 * (E10), and what a stop leaves nobody waiting for. */
#include "base/testing.h"

#include "base/clock.h"
#include "server/driver.h"
#include "server/slow_store_testing.h"
#include "server/transport_local.h"
#include "wire/wire.h"
#include <sched.h>
#include <string.h>

#define ENDPOINT "http://test:1"

/* ---- the world --------------------------------------------------------------------------------------------------- */

struct world {
    struct driver *driver;
    struct transport *transport;
    struct slow_store slow;
    atomic_uint n_runs;
    atomic_uint n_echoes;  /* of those */
    atomic_uint n_results; /* that runs were given */
    atomic_bool is_open;   /* the gate of function "gate" */
};

/* "gate" runs until it is opened; "parent" makes a call of "later", which fails each time. */
static void serve(void *arg, struct slice bytes, struct transport_local_reply *reply)
{
    struct world *world = arg;
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_run_request request;
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT};
    struct wire_call call = {.correlation_id = 1, .function = slice_text("later")};
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_run_request_decode(bytes, &arena, &request, NULL), DR_OK);
    atomic_fetch_add(&world->n_runs, 1);
    if (slice_equal(request.function, slice_text("echo")))
        atomic_fetch_add(&world->n_echoes, 1);
    if (request.directive == WIRE_DIRECTIVE_POLL_RESULT)
        atomic_fetch_add(&world->n_results, (unsigned)request.poll_result.n_results);
    while (slice_equal(request.function, slice_text("gate")) && !atomic_load(&world->is_open))
        sched_yield();
    if (slice_equal(request.function, slice_text("later")))
        response.status = DR_STATUS_TEMPORARY_ERROR;
    if (slice_equal(request.function, slice_text("parent")) && request.directive != WIRE_DIRECTIVE_POLL_RESULT) {
        response.outcome = WIRE_OUTCOME_POLL;
        response.poll = (struct wire_poll){.state_arm = WIRE_STATE_BYTES, .state = slice_text("s"), .calls = &call,
                                           .n_calls = 1, .min_results = 1, .max_results = 1};
    }
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    reply->body = buf_steal(&buf, &reply->len);
    arena_deinit(&arena);
}

static void prepare(struct world *world)
{
    memset(world, 0, sizeof *world);
    slow_store_init(&world->slow);
}

static void start(struct world *world, uint32_t in_flight_max)
{
    world->transport = transport_local_create(0);
    assert_int_equal(transport_local_add(world->transport, slice_text(ENDPOINT), serve, world, NULL), DR_OK);
    struct driver_config config = {.store = &world->slow.store, .transport = world->transport};
    config.engine.in_flight_max = in_flight_max;
    config.engine.backoff_base_ns = config.engine.backoff_max_ns = 3600 * NS_PER_S;
    config.engine.seed[0] = 1;
    assert_int_equal(driver_create(&config, &world->driver, NULL), DR_OK);
    assert_int_equal(driver_start(world->driver, NULL), DR_OK);
}

static void finish(struct world *world)
{
    atomic_store(&world->is_open, true);
    driver_destroy(world->driver);
    transport_destroy(world->transport);
    slow_store_deinit(&world->slow);
}

struct answer {
    atomic_bool is_done;
    dr_code code;
    struct id id;
    int state;
    uint64_t n_read_failures;
};

static void say(struct answer *answer, dr_code code)
{
    assert_false(atomic_load(&answer->is_done));
    answer->code = code;
    atomic_store(&answer->is_done, true);
}

static dr_code hear(struct answer *answer)
{
    while (!atomic_load(&answer->is_done))
        sched_yield();
    return answer->code;
}

static void on_submitted(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    (void)message;
    if (n_ids)
        ((struct answer *)arg)->id = ids[0];
    say(arg, code);
}

static void on_waited(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    (void)message;
    (void)record;
    say(arg, code);
}

static void on_cancelled(void *arg, dr_code code, const char *message)
{
    (void)message;
    say(arg, code);
}

static void on_calls(void *arg, dr_code code, const char *message, const struct driver_call *calls, size_t n_calls,
                     struct id next_before)
{
    (void)next_before;
    (void)message;
    ((struct answer *)arg)->state = n_calls ? (int)calls[0].record->state : 0;
    say(arg, code);
}

static void on_stats(void *arg, dr_code code, const char *message, const struct driver_stats *stats)
{
    (void)message;
    ((struct answer *)arg)->n_read_failures = stats->store_read_failures;
    say(arg, code);
}

static void submit(struct world *world, const char *function, struct answer *answer)
{
    struct wire_call call = {.endpoint = slice_text(ENDPOINT), .function = slice_text(function)};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    struct driver_submit submit = {.project = 1, .request = &request, .on_done = on_submitted, .arg = answer};
    assert_int_equal(driver_submit(world->driver, &submit, NULL), DR_OK);
    struct answer seen = {0}; /* `request` is needed until the engine has seen it */
    assert_int_equal(driver_stats(world->driver, on_stats, &seen, NULL), DR_OK);
    (void)hear(&seen);
}

static struct id submitted(struct world *world, const char *function)
{
    struct answer answer = {0};
    submit(world, function, &answer);
    assert_int_equal(hear(&answer), DR_OK);
    return answer.id;
}

static void wait_for(struct world *world, struct id id, struct answer *answer)
{
    struct driver_wait wait = {.id = id, .timeout_ns = TIME_NEVER, .on_done = on_waited, .arg = answer};
    assert_int_equal(driver_wait(world->driver, &wait, NULL, NULL), DR_OK);
}

static void until_state(struct world *world, struct id id, enum call_state state)
{
    for (;;) {
        struct answer answer = {0};
        assert_int_equal(driver_get(world->driver, 0, id, on_calls, &answer, NULL), DR_OK);
        assert_int_equal(hear(&answer), DR_OK);
        if (answer.state == (int)state)
            return;
    }
}

static void turns(struct world *world, int n)
{
    for (int i = 0; i < n; i++) {
        struct answer answer = {0};
        assert_int_equal(driver_stats(world->driver, on_stats, &answer, NULL), DR_OK);
        (void)hear(&answer);
    }
}

static void *stop(void *driver)
{
    driver_stop(driver);
    return NULL;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void nothing_is_shown_before_its_batch_is_durable(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    start(&world, 0);
    slow_store_hold(&world.slow, true);
    struct answer answer = {0};
    submit(&world, "echo", &answer);
    turns(&world, 10);
    assert_false(atomic_load(&answer.is_done));
    assert_int_equal(atomic_load(&world.n_runs), 0);
    slow_store_hold(&world.slow, false);
    assert_int_equal(hear(&answer), DR_OK);
    struct answer done = {0};
    wait_for(&world, answer.id, &done);
    assert_int_equal(hear(&done), DR_OK);
    finish(&world);
}

static void a_read_sees_the_batch_of_its_own_step(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    start(&world, 0);
    struct id id = submitted(&world, "parent");
    until_state(&world, id, CALL_SUSPENDED);
    struct answer cancelled = {0};
    assert_int_equal(driver_cancel(world.driver, 1, id, on_cancelled, &cancelled, NULL), DR_OK);
    assert_int_equal(hear(&cancelled), DR_OK);
    while (atomic_load(&world.slow.n_sweep_scans) == 0)
        sched_yield();
    assert_false(atomic_load(&world.slow.is_scan_early));
    finish(&world);
}

static struct call_record record_of(uint8_t n, const char *function)
{
    struct id id = {{1, n}};
    struct call_record record = {.id = id, .root = id, .project = 1, .generation = 2, .state = CALL_SUSPENDED};
    record.created_ns = clock_real_ns();
    record.expires_ns = record.wake_ns = record.created_ns + 3600 * NS_PER_S;
    record.due_ns = TIME_NEVER;
    record.endpoint = blob_create(slice_text(ENDPOINT));
    record.function = blob_create(slice_text(function));
    return record;
}

static void put(struct world *world, struct call_record record)
{
    struct batch *batch = batch_create(1);
    batch_add(batch, BATCH_INSERT, 0, &record);
    assert_int_equal(store_commit(world->slow.inner, &batch, 1, NULL), DR_OK);
    batch_destroy(batch);
    record_deinit(&record);
}

static void end(struct call_record *record)
{
    record->state = CALL_DONE;
    record->wake_ns = record->due_ns = 0;
    record->done_ns = record->created_ns;
    record->done_sequence = 1;
    record->status = DR_STATUS_OK;
}

static void a_start_runs_what_the_store_holds(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    struct call_record record = record_of(1, "echo");
    record.state = CALL_SCHEDULED;
    record.wake_ns = record.due_ns = record.created_ns;
    put(&world, record);
    start(&world, 0);
    while (atomic_load(&world.n_runs) == 0)
        sched_yield();
    until_state(&world, (struct id){{1, 1}}, CALL_DONE);
    finish(&world);
}

static uint64_t read_failures(struct world *world)
{
    struct answer answer = {0};
    assert_int_equal(driver_stats(world->driver, on_stats, &answer, NULL), DR_OK);
    assert_int_equal(hear(&answer), DR_OK);
    return answer.n_read_failures;
}

static void reads_that_fail_are_counted(void **state)
{
    (void)state;
    struct world world;
    struct answer answer = {0};
    prepare(&world);
    struct call_record record = record_of(1, "echo");
    end(&record);
    put(&world, record);
    start(&world, 0);
    atomic_store(&world.slow.is_read_failing, true);
    wait_for(&world, (struct id){{1, 1}}, &answer);
    while (read_failures(&world) == 0)
        sched_yield();
    atomic_store(&world.slow.is_read_failing, false);
    assert_int_equal(hear(&answer), DR_OK);
    finish(&world);
}

static void a_start_brings_parents_the_results_that_wait_for_them(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    struct call_record parent = record_of(1, "parent"), child = record_of(2, "echo");
    parent.has_children = true;
    parent.min_results = parent.max_results = 1;
    child.parent = child.root = parent.id;
    child.parent_generation = 2;
    child.mail = CALL_MAIL_OPEN;
    end(&child);
    put(&world, parent);
    put(&world, child);
    start(&world, 0);
    until_state(&world, (struct id){{1, 1}}, CALL_DONE);
    assert_int_equal(atomic_load(&world.n_results), 1);
    finish(&world);
}

static void a_start_goes_on_with_a_sweep(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    struct call_record parent = record_of(1, "parent"), child = record_of(2, "echo");
    parent.has_children = true;
    parent.sweep_below = UINT32_MAX;
    end(&parent);
    child.parent = child.root = parent.id;
    child.parent_generation = 2;
    child.mail = CALL_MAIL_OPEN;
    put(&world, parent);
    put(&world, child);
    start(&world, 0);
    until_state(&world, (struct id){{1, 2}}, CALL_DONE);
    finish(&world);
}

static void a_stop_starts_nothing(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    start(&world, 1);
    (void)submitted(&world, "gate");
    while (atomic_load(&world.n_runs) == 0)
        sched_yield();
    struct id next = submitted(&world, "echo");
    struct answer answer = {0};
    wait_for(&world, next, &answer);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop, world.driver), 0);
    assert_int_equal(hear(&answer), DR_UNAVAILABLE); /* the stop has begun */
    atomic_store(&world.is_open, true);
    pthread_join(stopper, NULL);
    assert_int_equal(atomic_load(&world.n_runs), 1);
    finish(&world);
}

static void a_stop_waits_for_what_the_store_was_given(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    start(&world, 0);
    struct id id = submitted(&world, "gate"), other = submitted(&world, "later");
    while (atomic_load(&world.n_runs) < 2)
        sched_yield();
    until_state(&world, other, CALL_SCHEDULED);
    slow_store_hold(&world.slow, true);
    struct answer cancelled = {0}, waited = {0};
    assert_int_equal(driver_cancel(world.driver, 1, id, on_cancelled, &cancelled, NULL), DR_OK);
    wait_for(&world, other, &waited);
    atomic_store(&world.is_open, true);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop, world.driver), 0);
    assert_int_equal(hear(&waited), DR_UNAVAILABLE);
    for (int i = 0; i < 10000; i++)
        sched_yield(); /* a driver that does not wait is through by now */
    slow_store_hold(&world.slow, false);
    pthread_join(stopper, NULL);
    assert_true(atomic_load(&cancelled.is_done));
    assert_int_equal(cancelled.code, DR_OK);
    finish(&world);
}

static void a_stop_refuses_what_could_not_be_recorded(void **state)
{
    (void)state;
    struct world world;
    prepare(&world);
    start(&world, 0);
    struct id id = submitted(&world, "later");
    while (atomic_load(&world.n_runs) == 0)
        sched_yield();
    atomic_store(&world.slow.is_failing, true);
    struct answer answer = {0}, cancelled = {0};
    submit(&world, "echo", &answer);
    assert_int_equal(driver_cancel(world.driver, 1, id, on_cancelled, &cancelled, NULL), DR_OK);
    while (atomic_load(&world.slow.n_failures) == 0)
        sched_yield();
    driver_stop(world.driver);
    assert_true(atomic_load(&answer.is_done));
    assert_int_equal(answer.code, DR_UNAVAILABLE);
    assert_true(atomic_load(&cancelled.is_done));
    assert_int_equal(cancelled.code, DR_UNAVAILABLE);
    assert_int_equal(atomic_load(&world.n_echoes), 0);
    finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_shown_before_its_batch_is_durable),
        cmocka_unit_test(a_read_sees_the_batch_of_its_own_step),
        cmocka_unit_test(reads_that_fail_are_counted),
        cmocka_unit_test(a_start_runs_what_the_store_holds),
        cmocka_unit_test(a_start_brings_parents_the_results_that_wait_for_them),
        cmocka_unit_test(a_start_goes_on_with_a_sweep),
        cmocka_unit_test(a_stop_starts_nothing),
        cmocka_unit_test(a_stop_waits_for_what_the_store_was_given),
        cmocka_unit_test(a_stop_refuses_what_could_not_be_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
