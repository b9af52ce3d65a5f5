/* Endpoints that answer faster than the store writes: replies wait, the large ones first, and none is lost. */
#include "base/testing.h"

#include "base/clock.h"
#include "server/driver.h"
#include "server/slow_store_testing.h"
#include "server/transport.h"
#include "wire/wire.h"
#include <sched.h>
#include <string.h>

#define N_RUNS 3
#define UNSAVED_OPS_MAX 400u
#define FEW_CALLS 10u
#define MANY_CALLS 150u

struct fake_transport {
    struct transport transport;
    struct transport_run *runs[N_RUNS];
    atomic_uint n_runs;
};

/* Children are never answered: they are not what is tested. */
static void fake_start(struct transport *transport, struct transport_run *run)
{
    struct fake_transport *fake = (struct fake_transport *)transport;
    unsigned n = atomic_load(&fake->n_runs);
    mem_free(run->request);
    if (n >= N_RUNS)
        return;
    fake->runs[n] = run;
    atomic_store(&fake->n_runs, n + 1);
}

static void fake_abort(struct transport *transport, struct transport_run *run)
{
    struct transport_result result = {0};
    (void)transport;
    transport_result_fail(&result, DR_STATUS_TIMEOUT, run->endpoint, "called off");
    run->on_done(run->arg, run, &result);
}

static void fake_destroy(struct transport *transport) { (void)transport; }

static const struct transport_methods FAKE = {.start = fake_start, .abort = fake_abort, .destroy = fake_destroy};

struct world {
    struct driver *driver;
    struct fake_transport fake;
    struct slow_store slow;
    struct id ids[N_RUNS];
};

static void answer(struct transport_run *run, const struct wire_run_response *response)
{
    struct transport_result result = {.status = DR_STATUS_OK};
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_run_response_encode(response, &buf, NULL), DR_OK);
    result.body = buf_steal(&buf, &result.len);
    run->on_done(run->arg, run, &result);
}

static void answer_poll(struct world *world, unsigned run, size_t n_calls)
{
    struct wire_call calls[MANY_CALLS];
    for (size_t i = 0; i < n_calls; i++)
        calls[i] = (struct wire_call){.endpoint = slice_text("http://child:1"), .function = slice_text("f")};
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll = (struct wire_poll){.calls = calls, .n_calls = n_calls, .min_results = 1, .max_results = 1};
    answer(world->fake.runs[run], &response);
}

static void answer_exit(struct world *world, unsigned run)
{
    answer(world->fake.runs[run], &(struct wire_run_response){.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT});
}

struct heard {
    atomic_bool is_done;
    struct id ids[N_RUNS];
    struct driver_stats stats;
};

static void on_submitted(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    struct heard *heard = arg;
    (void)message;
    assert_int_equal(code, DR_OK);
    memcpy(heard->ids, ids, n_ids * sizeof ids[0]);
    atomic_store(&heard->is_done, true);
}

static void on_stats(void *arg, dr_code code, const char *message, const struct driver_stats *stats)
{
    struct heard *heard = arg;
    (void)message;
    assert_int_equal(code, DR_OK);
    heard->stats = *stats;
    atomic_store(&heard->is_done, true);
}

static void hear(struct heard *heard)
{
    while (!atomic_load(&heard->is_done))
        sched_yield();
}

static uint64_t n_waiting(struct world *world)
{
    struct heard heard = {0};
    assert_int_equal(driver_stats(world->driver, on_stats, &heard, NULL), DR_OK);
    hear(&heard);
    return heard.stats.replies_waiting;
}

/* Three calls that run. */
static void begin(struct world *world, int64_t drain_timeout_ns)
{
    struct driver_config config = {.unsaved_ops_max = UNSAVED_OPS_MAX, .drain_timeout_ns = drain_timeout_ns};
    memset(world, 0, sizeof *world);
    slow_store_init(&world->slow);
    world->fake.transport.methods = &FAKE;
    config.store = &world->slow.store;
    config.transport = &world->fake.transport;
    config.engine.seed[0] = 1;
    config.engine.in_flight_max = N_RUNS;
    assert_int_equal(driver_create(&config, &world->driver, NULL), DR_OK);
    assert_int_equal(driver_start(world->driver, NULL), DR_OK);
    struct wire_call calls[N_RUNS];
    for (size_t i = 0; i < N_RUNS; i++)
        calls[i] = (struct wire_call){.endpoint = slice_text("http://test:1"), .function = slice_text("f")};
    struct wire_dispatch_request request = {.calls = calls, .n_calls = N_RUNS};
    struct heard heard = {0};
    struct driver_submit submit = {.project = 1, .request = &request, .on_done = on_submitted, .arg = &heard};
    assert_int_equal(driver_submit(world->driver, &submit, NULL), DR_OK);
    hear(&heard);
    while (atomic_load(&world->fake.n_runs) < N_RUNS)
        sched_yield();
    for (size_t i = 0; i < N_RUNS; i++)
        world->ids[i] = world->fake.runs[i]->id;
}

static uint8_t state_of(struct world *world, unsigned run)
{
    struct call_record record;
    assert_int_equal(store_read(world->slow.inner, world->ids[run], &record, NULL), DR_OK);
    uint8_t state = record.state;
    record_deinit(&record);
    return state;
}

static void finish(struct world *world)
{
    driver_destroy(world->driver);
    slow_store_deinit(&world->slow);
}

static void large_replies_wait_while_the_store_is_behind_and_small_ones_do_not(void **state)
{
    (void)state;
    struct world world;
    begin(&world, -1);
    slow_store_hold(&world.slow, true);
    answer_poll(&world, 0, MANY_CALLS); /* more than a quarter of the maximum */
    assert_int_equal(n_waiting(&world), 0);
    answer_poll(&world, 1, MANY_CALLS);
    assert_int_equal(n_waiting(&world), 1);
    answer_poll(&world, 2, FEW_CALLS);
    assert_int_equal(n_waiting(&world), 1);
    slow_store_hold(&world.slow, false);
    while (n_waiting(&world) > 0)
        sched_yield();
    driver_stop(world.driver);
    for (unsigned run = 0; run < N_RUNS; run++)
        assert_int_equal(state_of(&world, run), CALL_SUSPENDED);
    finish(&world);
}

static void every_reply_waits_while_the_store_is_far_behind(void **state)
{
    (void)state;
    struct world world;
    begin(&world, -1);
    slow_store_hold(&world.slow, true);
    struct wire_call calls[UNSAVED_OPS_MAX];
    for (size_t i = 0; i < UNSAVED_OPS_MAX; i++)
        calls[i] = (struct wire_call){.endpoint = slice_text("http://child:1"), .function = slice_text("f")};
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll = (struct wire_poll){.calls = calls, .n_calls = UNSAVED_OPS_MAX, .min_results = 1, .max_results = 1};
    answer(world.fake.runs[0], &response);
    answer_exit(&world, 1);
    answer_exit(&world, 2);
    assert_int_equal(n_waiting(&world), 2);
    slow_store_hold(&world.slow, false);
    while (n_waiting(&world) > 0)
        sched_yield();
    driver_stop(world.driver);
    assert_int_equal(state_of(&world, 1), CALL_DONE);
    assert_int_equal(state_of(&world, 2), CALL_DONE);
    finish(&world);
}

/* The store takes nothing any more: the stop must not wait for it. */
static void a_stop_ends_the_waiting(void **state)
{
    (void)state;
    struct world world;
    begin(&world, -1);
    atomic_store(&world.slow.is_failing, true);
    answer_poll(&world, 0, MANY_CALLS);
    answer_poll(&world, 1, MANY_CALLS);
    assert_int_equal(n_waiting(&world), 1);
    driver_stop(world.driver);
    finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_replies_wait_while_the_store_is_behind_and_small_ones_do_not),
        cmocka_unit_test(every_reply_waits_while_the_store_is_far_behind),
        cmocka_unit_test(a_stop_ends_the_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
