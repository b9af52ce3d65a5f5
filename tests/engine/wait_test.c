/* Scenarios of waits with a deadline on calls that are not in memory. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}

static void wait_until(struct world *world, struct id id, int64_t deadline_ns)
{
    struct engine_event event = {.kind = ENGINE_WAIT};
    event.ask.token = ++world->next_token;
    event.ask.project = 1;
    event.ask.id = id;
    event.ask.deadline_ns = deadline_ns;
    world_event(world, &event);
}

/* "Not done yet" would be a lie, and somebody may have seen the result. */
static void a_wait_for_a_call_that_is_done_is_told_so_however_short_it_is(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_return(&world, "f", "x");
    buf_clear(&world.trace);
    world.holds_reads = true;
    wait_until(&world, world.submitted[0], world.now_ns); /* asks only how things are */
    wait_until(&world, world.submitted[0], world.now_ns + NS_PER_S);
    world_advance(&world, 2 * NS_PER_S); /* the disk is slow */
    world_expect(&world, "");
    world_read(&world);
    world_expect(&world, "wake ok \"x\"\nwake ok \"x\"\n");
    world_deinit(&world);
}

static void a_wait_for_a_live_call_that_is_read_ends_when_it_has_been_read(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_poll(&world, "f", 1, 1, 3600 * NS_PER_S, 0, 0, NULL);
    buf_clear(&world.trace);
    world.holds_reads = true;
    wait_until(&world, world.submitted[0], world.now_ns);
    wait_until(&world, world.submitted[0], world.now_ns + 10 * NS_PER_S);
    assert_true(world.deadline_ns > world.now_ns); /* no busy loop meanwhile */
    world_advance(&world, NS_PER_S);
    world_read(&world);
    world_expect(&world, "wake deadline_exceeded\n");
    world_advance(&world, 9 * NS_PER_S);
    world_expect(&world, "wake deadline_exceeded\n");
    world_deinit(&world);
}

static void a_late_wait_for_an_unknown_call_is_not_found(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world.holds_reads = true;
    wait_until(&world, (struct id){{9}}, world.now_ns);
    world_expect(&world, "");
    world_read(&world);
    world_expect(&world, "wake not_found\n");
    world_deinit(&world);
}

static void late_waits_go_with_the_engine(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world.holds_reads = true;
    wait_until(&world, (struct id){{9}}, world.now_ns);
    wait_until(&world, (struct id){{8}}, TIME_NEVER);
    world_event(&world, &(struct engine_event){.kind = ENGINE_WAIT_ABANDONED, .ask = {.token = world.next_token}});
    world_deinit(&world); /* the sanitizer finds what is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_for_a_call_that_is_done_is_told_so_however_short_it_is),
        cmocka_unit_test(a_wait_for_a_live_call_that_is_read_ends_when_it_has_been_read),
        cmocka_unit_test(a_late_wait_for_an_unknown_call_is_not_found),
        cmocka_unit_test(late_waits_go_with_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
