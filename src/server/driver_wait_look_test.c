/* Waits while commits fail: from the disk, in front of what cannot be recorded. */
#include "base/testing.h"

#include "server/driver.h"
#include "server/slow_store_testing.h"
#include "server/transport_local.h"
#include "wire/wire.h"
#include <sched.h>
#include <string.h>

#define ENDPOINT "http://test:1"

struct world {
    struct driver *driver;
    struct transport *transport;
    struct slow_store slow;
    struct id done; /* a call that is done, and not in memory any more */
};

struct answer {
    atomic_bool is_done;
    dr_code code;
    struct id id;
};

static void serve(void *arg, struct slice bytes, struct transport_local_reply *reply)
{
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT};
    struct buf buf;
    (void)arg;
    (void)bytes;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    reply->body = buf_steal(&buf, &reply->len);
}

static dr_code hear(struct answer *answer)
{
    while (!atomic_load(&answer->is_done))
        sched_yield();
    return answer->code;
}

static void on_submitted(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    struct answer *answer = arg;
    (void)message;
    if (n_ids)
        answer->id = ids[0];
    answer->code = code;
    atomic_store(&answer->is_done, true);
}

static void on_waited(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    struct answer *answer = arg;
    (void)message;
    assert_true(code != DR_OK || record->state == CALL_DONE);
    assert_false(atomic_load(&answer->is_done));
    answer->code = code;
    atomic_store(&answer->is_done, true);
}

/* Of driver_submit: its request is needed until the engine has seen it. */
static void on_release(void *owner)
{
    atomic_store((atomic_bool *)owner, true);
}

static void submit(struct world *world, struct answer *answer)
{
    struct wire_call call = {.endpoint = slice_text(ENDPOINT), .function = slice_text("echo")};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    atomic_bool is_released = false;
    struct driver_submit submit = {.project = 1, .request = &request, .on_done = on_submitted, .arg = answer,
                                   .owner = &is_released, .release = on_release};
    assert_int_equal(driver_submit(world->driver, &submit, NULL), DR_OK);
    while (!atomic_load(&is_released))
        sched_yield();
}

static void wait_for(struct world *world, struct id id, uint32_t project, struct answer *answer)
{
    struct driver_wait wait = {.project = project, .id = id, .timeout_ns = TIME_NEVER, .on_done = on_waited, .arg = answer};
    assert_int_equal(driver_wait(world->driver, &wait, NULL, NULL), DR_OK);
}

static void start(struct world *world)
{
    struct answer submitted = {0}, waited = {0};
    memset(world, 0, sizeof *world);
    slow_store_init(&world->slow);
    world->transport = transport_local_create(0);
    assert_int_equal(transport_local_add(world->transport, slice_text(ENDPOINT), serve, world, NULL), DR_OK);
    struct driver_config config = {.store = &world->slow.store, .transport = world->transport};
    config.engine.seed[0] = 1;
    assert_int_equal(driver_create(&config, &world->driver, NULL), DR_OK);
    assert_int_equal(driver_start(world->driver, NULL), DR_OK);
    submit(world, &submitted);
    assert_int_equal(hear(&submitted), DR_OK);
    world->done = submitted.id;
    wait_for(world, world->done, 1, &waited);
    assert_int_equal(hear(&waited), DR_OK);
}

static void finish(struct world *world)
{
    atomic_store(&world->slow.is_failing, false);
    driver_destroy(world->driver);
    transport_destroy(world->transport);
    slow_store_deinit(&world->slow);
}

/* With a submit that cannot be recorded. Refused are others as soon as that is known. */
static void fail_commits(struct world *world, struct answer *submitted)
{
    atomic_store(&world->slow.is_failing, true);
    submit(world, submitted);
    while (atomic_load(&world->slow.n_failures) < 2) /* the first is told before the second try */
        sched_yield();
}

static void a_wait_for_a_done_call_is_answered_while_commits_fail(void **state)
{
    (void)state;
    struct world world;
    struct answer submitted = {0}, waited = {0};
    start(&world);
    fail_commits(&world, &submitted);
    wait_for(&world, world.done, 1, &waited);
    assert_int_equal(hear(&waited), DR_OK);
    atomic_store(&world.slow.is_failing, false);
    assert_int_equal(hear(&submitted), DR_OK);
    finish(&world);
}

static void a_wait_whose_call_is_not_seen_done_is_refused_while_commits_fail(void **state)
{
    (void)state;
    struct world world;
    struct answer submitted = {0}, unknown = {0}, foreign = {0};
    start(&world);
    fail_commits(&world, &submitted);
    struct id other = world.done;
    other.bytes[ID_BYTES - 1] ^= 1;
    wait_for(&world, other, 1, &unknown);
    wait_for(&world, world.done, 2, &foreign);
    assert_int_equal(hear(&unknown), DR_UNAVAILABLE);
    assert_int_equal(hear(&foreign), DR_UNAVAILABLE);
    finish(&world);
}

static void a_wait_that_stood_behind_the_commit_is_answered_when_it_begins_to_fail(void **state)
{
    (void)state;
    struct world world;
    struct answer submitted = {0}, waited = {0};
    start(&world);
    slow_store_hold(&world.slow, true);
    submit(&world, &submitted);
    wait_for(&world, world.done, 1, &waited);
    atomic_store(&world.slow.is_failing, true);
    slow_store_hold(&world.slow, false);
    assert_int_equal(hear(&waited), DR_OK);
    finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_for_a_done_call_is_answered_while_commits_fail),
        cmocka_unit_test(a_wait_whose_call_is_not_seen_done_is_refused_while_commits_fail),
        cmocka_unit_test(a_wait_that_stood_behind_the_commit_is_answered_when_it_begins_to_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
