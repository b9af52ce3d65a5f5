/* The driver's clock at a start: it goes on from what the store has seen (docs/decisions/008). */
#include "base/testing.h"

#include "server/driver.h"
#include "server/transport_local.h"

#define HOUR_NS (3600 * NS_PER_S)

/* Where time begins with a store whose only call was made at created_ns. */
static int64_t start_with(struct driver_config config, int64_t created_ns)
{
    struct driver *driver = NULL;
    struct transport *transport = transport_local_create(0);
    struct call_record record = {.id = {{1}}, .root = {{1}}, .created_ns = created_ns, .state = CALL_SCHEDULED};
    struct batch *batch = batch_create(1);
    batch_add(batch, BATCH_INSERT, 0, &record);
    assert_int_equal(store_memory_open(&config.store, NULL), DR_OK);
    assert_int_equal(store_commit(config.store, &batch, 1, NULL), DR_OK);
    batch_destroy(batch);
    config.transport = transport;
    assert_int_equal(driver_create(&config, &driver, NULL), DR_OK);
    int64_t now_ns = driver_now_ns(driver);
    assert_true(driver_now_ns(driver) >= now_ns);
    driver_destroy(driver);
    transport_destroy(transport);
    return now_ns;
}

static void time_begins_no_sooner_than_what_the_store_has_seen(void **state)
{
    (void)state;
    int64_t ahead_ns = clock_real_ns() + HOUR_NS;
    int64_t now_ns = start_with((struct driver_config){0}, ahead_ns);
    assert_true(now_ns >= ahead_ns && now_ns < ahead_ns + HOUR_NS);
}

static void a_store_of_the_past_leaves_the_wall_clock(void **state)
{
    (void)state;
    int64_t wall_ns = clock_real_ns();
    int64_t now_ns = start_with((struct driver_config){0}, wall_ns - HOUR_NS);
    assert_true(now_ns >= wall_ns && now_ns < wall_ns + HOUR_NS);
}

static void a_clock_that_was_far_ahead_is_not_followed(void **state)
{
    (void)state;
    int64_t wall_ns = clock_real_ns();
    assert_true(start_with((struct driver_config){0}, wall_ns + 48 * HOUR_NS) < wall_ns + HOUR_NS);
    assert_true(start_with((struct driver_config){0}, TIME_NEVER) < wall_ns + HOUR_NS);
}

static void a_virtual_clock_goes_on_too(void **state)
{
    (void)state;
    struct driver_config config = {.clock = DRIVER_CLOCK_VIRTUAL, .virtual_start_ns = HOUR_NS};
    assert_int_equal(start_with(config, 2 * HOUR_NS), 2 * HOUR_NS);
    assert_int_equal(start_with(config, HOUR_NS / 2), HOUR_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_begins_no_sooner_than_what_the_store_has_seen),
        cmocka_unit_test(a_store_of_the_past_leaves_the_wall_clock),
        cmocka_unit_test(a_clock_that_was_far_ahead_is_not_followed),
        cmocka_unit_test(a_virtual_clock_goes_on_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
