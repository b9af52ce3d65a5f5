/* Attempts as the driver makes them, over a transport that is the test itself: what is called off, what a stop makes of
 * it, and what the engine is told. */
#include "base/testing.h"

#include "base/clock.h"
#include "server/driver.h"
#include "server/slow_store_testing.h"
#include "server/transport.h"
#include "wire/wire.h"
#include <sched.h>
#include <string.h>

#define ENDPOINT "http://test:1"
#define START_NS (INT64_C(1700000000) * NS_PER_S)

/* ---- a transport that keeps one run until the test answers it, or the run is called off -------------------------- */

struct fake_transport {
    struct transport transport;
    _Atomic(struct transport_run *) run;
    atomic_uint n_starts, n_aborts;
    bool has_answer; /* what comes of a run that was called off: its answer all the same */
};

static void answer_ok(struct transport_run *run)
{
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT};
    struct transport_result result = {.status = DR_STATUS_OK};
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    result.body = buf_steal(&buf, &result.len);
    run->on_done(run->arg, run, &result);
}

static void answer_failure(struct transport_run *run, dr_status status, int64_t retry_after_ns)
{
    struct transport_result result = {.retry_after_ns = retry_after_ns};
    transport_result_fail(&result, status, run->endpoint, "no");
    run->on_done(run->arg, run, &result);
}

static void fake_start(struct transport *transport, struct transport_run *run)
{
    struct fake_transport *fake = (struct fake_transport *)transport;
    mem_free(run->request);
    atomic_store(&fake->run, run);
    atomic_fetch_add(&fake->n_starts, 1);
}

/* Its driver does not mind that the result comes at once. */
static void fake_abort(struct transport *transport, struct transport_run *run)
{
    struct fake_transport *fake = (struct fake_transport *)transport;
    atomic_fetch_add(&fake->n_aborts, 1);
    if (fake->has_answer)
        answer_ok(run);
    else
        answer_failure(run, DR_STATUS_TIMEOUT, 0);
}

static void fake_destroy(struct transport *transport) { (void)transport; }

static const struct transport_methods FAKE = {.start = fake_start, .abort = fake_abort, .destroy = fake_destroy};

/* ---- the world --------------------------------------------------------------------------------------------------- */

struct world {
    struct driver *driver;
    struct fake_transport fake;
    struct slow_store slow;
};

struct answer {
    atomic_bool is_done;
    dr_code code;
    struct id id;
};

static void begin(struct world *world, struct driver_config config)
{
    memset(world, 0, sizeof *world);
    slow_store_init(&world->slow);
    world->fake.transport.methods = &FAKE;
    config.store = &world->slow.store;
    config.transport = &world->fake.transport;
    config.engine.seed[0] = 1;
    config.engine.backoff_base_ns = config.engine.backoff_max_ns = NS_PER_MS;
    assert_int_equal(driver_create(&config, &world->driver, NULL), DR_OK);
    assert_int_equal(driver_start(world->driver, NULL), DR_OK);
}

static void finish(struct world *world)
{
    driver_destroy(world->driver);
    slow_store_deinit(&world->slow);
}

static void say(struct answer *answer, dr_code code)
{
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

static void on_stats(void *arg, dr_code code, const char *message, const struct driver_stats *stats)
{
    (void)message;
    (void)stats;
    say(arg, code);
}

static void turn(struct world *world)
{
    struct answer answer = {0};
    assert_int_equal(driver_stats(world->driver, on_stats, &answer, NULL), DR_OK);
    (void)hear(&answer);
}

static void submit(struct world *world, struct answer *answer)
{
    struct wire_call call = {.endpoint = slice_text(ENDPOINT), .function = slice_text("f")};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    struct driver_submit submit = {.project = 1, .request = &request, .on_done = on_submitted, .arg = answer};
    assert_int_equal(driver_submit(world->driver, &submit, NULL), DR_OK);
    turn(world); /* `request` is needed until the engine has seen it */
}

/* Submits a call and waits until it runs. */
static struct id running(struct world *world)
{
    struct answer answer = {0};
    submit(world, &answer);
    assert_int_equal(hear(&answer), DR_OK);
    while (!atomic_load(&world->fake.run))
        sched_yield();
    return answer.id;
}

/* Once the driver has stopped. */
static struct call_record stored(struct world *world, struct id id)
{
    struct call_record record;
    assert_int_equal(store_read(world->slow.inner, id, &record, NULL), DR_OK);
    return record;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void an_attempt_called_off_by_a_stop_does_not_count(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.drain_timeout_ns = -1});
    struct id id = running(&world);
    driver_stop(world.driver);
    assert_int_equal(atomic_load(&world.fake.n_aborts), 1);
    struct call_record record = stored(&world, id);
    assert_int_equal(record.state, CALL_SCHEDULED);
    assert_int_equal(record.attempts, 0);
    record_deinit(&record);
    finish(&world);
}

static void a_reply_that_is_quicker_than_the_end_of_a_stop_counts(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.drain_timeout_ns = -1});
    world.fake.has_answer = true;
    struct id id = running(&world);
    driver_stop(world.driver);
    struct call_record record = stored(&world, id);
    assert_int_equal(record.state, CALL_DONE);
    assert_int_equal(record.status, DR_STATUS_OK);
    record_deinit(&record);
    finish(&world);
}

static void the_attempt_of_a_cancelled_call_is_called_off(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){0});
    struct id id = running(&world);
    struct answer cancelled = {0};
    assert_int_equal(driver_cancel(world.driver, 1, id, on_cancelled, &cancelled, NULL), DR_OK);
    assert_int_equal(hear(&cancelled), DR_OK);
    turn(&world);
    unsigned n_aborts = atomic_load(&world.fake.n_aborts);
    if (n_aborts == 0)
        answer_ok(atomic_load(&world.fake.run)); /* let the driver end before the test fails */
    finish(&world);
    assert_int_equal(n_aborts, 1);
}

static void a_retry_waits_as_long_as_the_endpoint_asks(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL, .virtual_start_ns = START_NS});
    struct id id = running(&world);
    answer_failure(atomic_load(&world.fake.run), DR_STATUS_THROTTLED, 60 * NS_PER_S);
    driver_stop(world.driver);
    struct call_record record = stored(&world, id);
    assert_int_equal(record.attempts, 1);
    assert_in_range(record.due_ns - START_NS, 60 * NS_PER_S, 120 * NS_PER_S);
    record_deinit(&record);
    finish(&world);
}

static void the_clock_stands_while_the_store_works(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL, .virtual_start_ns = START_NS});
    struct id id = running(&world);
    answer_failure(atomic_load(&world.fake.run), DR_STATUS_THROTTLED, 60 * NS_PER_S);
    slow_store_hold(&world.slow, true);
    struct answer submitted = {0}, waited = {0};
    submit(&world, &submitted);
    struct driver_wait wait = {.id = id, .timeout_ns = 5 * NS_PER_S, .on_done = on_waited, .arg = &waited};
    assert_int_equal(driver_wait(world.driver, &wait, NULL, NULL), DR_OK);
    for (int i = 0; i < 10; i++)
        turn(&world);
    assert_int_equal(driver_now_ns(world.driver), START_NS);
    slow_store_hold(&world.slow, false);
    assert_int_equal(hear(&submitted), DR_OK);
    while (atomic_load(&world.fake.n_starts) < 2)
        sched_yield();
    answer_ok(atomic_load(&world.fake.run));
    assert_int_equal(hear(&waited), DR_DEADLINE_EXCEEDED);
    finish(&world);
}

/* Legal bytes: of a field that comes again, protobuf merges the arrays each time, and the old ones stay in the arena. */
static void a_reply_that_takes_too_much_to_decode_is_invalid(void **state)
{
    (void)state;
    enum { N_POLLS = 190, N_CALLS = 2000, POLL_BYTES = 3 + 2 * N_CALLS };
    static uint8_t poll[POLL_BYTES] = {0x1a, 0xa0, 0x1f}; /* RunResponse.poll of 4,000 bytes: empty calls */
    for (size_t i = 3; i < POLL_BYTES; i += 2)
        poll[i] = 0x12;
    struct world world;
    begin(&world, (struct driver_config){0});
    struct id id = running(&world);
    struct transport_run *run = atomic_load(&world.fake.run);
    struct transport_result result = {.status = DR_STATUS_OK};
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    for (int i = 0; i < N_POLLS; i++)
        assert_int_equal(buf_append(&buf, slice_of(poll, sizeof poll)), DR_OK);
    result.body = buf_steal(&buf, &result.len);
    run->on_done(run->arg, run, &result);
    driver_stop(world.driver);
    struct call_record record = stored(&world, id);
    assert_int_equal(record.state, CALL_DONE);
    assert_int_equal(record.status, DR_STATUS_INVALID_RESPONSE);
    record_deinit(&record);
    finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_called_off_by_a_stop_does_not_count),
        cmocka_unit_test(a_reply_that_is_quicker_than_the_end_of_a_stop_counts),
        cmocka_unit_test(the_attempt_of_a_cancelled_call_is_called_off),
        cmocka_unit_test(a_retry_waits_as_long_as_the_endpoint_asks),
        cmocka_unit_test(the_clock_stands_while_the_store_works),
        cmocka_unit_test(a_reply_that_takes_too_much_to_decode_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
