/* What is too much is refused whole, with words; and what one project may not see of another's, also while a call is
 * read from the store. */
#include "world.h"
#include "base/mem.h"
#include "engine/scheduler.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}

/* n calls of function g at http://b, or where their caller is when that is `inherits`. */
static struct wire_call *calls_of(size_t n, bool inherits)
{
    struct wire_call *calls = mem_must_zalloc(n * sizeof *calls);
    for (size_t i = 0; i < n; i++) {
        calls[i].function = slice_text("g");
        calls[i].endpoint = inherits ? (struct slice){0} : slice_text("http://b");
        calls[i].correlation_id = i + 1;
    }
    return calls;
}

static void reply_poll(struct world *world, const char *function, struct wire_call *calls, size_t n,
                       int64_t max_wait_ns)
{
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll.state_arm = WIRE_STATE_TYPED;
    response.poll.state = slice_text("S");
    response.poll.calls = calls;
    response.poll.n_calls = n;
    response.poll.min_results = 1;
    response.poll.max_results = 1;
    response.poll.has_max_wait = true;
    response.poll.max_wait_ns = max_wait_ns;
    world_reply(world, function, &response);
}

static uint64_t n_live(struct world *world)
{
    struct store_counts counts;
    assert_int_equal(store_counts(world->store, &counts, NULL), DR_OK);
    return counts.n_live;
}

static void a_submit_of_too_many_calls_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct wire_call *calls = calls_of(WIRE_CALLS_MAX + 1, false);
    struct engine_event event = {.kind = ENGINE_SUBMIT, .submit = {.token = 1, .project = 1, .calls = calls,
                                                                   .n_calls = WIRE_CALLS_MAX + 1}};
    world_event(&world, &event);
    char expected[200];
    snprintf(expected, sizeof expected, "submit: invalid_argument: %u calls in one request, at most %u are allowed\n",
             WIRE_CALLS_MAX + 1, WIRE_CALLS_MAX);
    world_expect(&world, expected);
    assert_int_equal(n_live(&world), 0);
    mem_free(calls);
    world_deinit(&world);
}

static void a_poll_of_too_many_calls_is_refused_whole(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct wire_call *calls = calls_of(WIRE_CALLS_MAX + 1, true);
    reply_poll(&world, "f", calls, WIRE_CALLS_MAX + 1, 0);
    char expected[200];
    snprintf(expected, sizeof expected,
             "submit: 1 call\nstart f\nresume f [] error: %u calls in one poll, at most %u are allowed\n",
             WIRE_CALLS_MAX + 1, WIRE_CALLS_MAX);
    world_expect(&world, expected);
    assert_int_equal(n_live(&world), 1);
    mem_free(calls);
    world_deinit(&world);
}

/* One attempt at a time: the calls pile up at their endpoint, while their caller takes its turn at its own. */
static void a_poll_with_too_many_results_outstanding_is_refused_whole(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1});
    world.is_quiet = true;
    world_submit(&world, ONE("f"));
    struct wire_call *calls = calls_of(10000, false);
    for (int i = 0; i < 10; i++) {
        while (!world_is_running(&world, "f"))
            world_lose(&world, "g", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S);
        assert_string_equal(world_attempt_of(&world, "f")->poll_error, "");
        reply_poll(&world, "f", calls, 10000, 0);
    }
    while (!world_is_running(&world, "f"))
        world_lose(&world, "g", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S);
    assert_int_equal(n_live(&world), 100001);
    reply_poll(&world, "f", calls, 1, 0);
    while (!world_is_running(&world, "f"))
        world_lose(&world, "g", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S);
    assert_string_equal(world_attempt_of(&world, "f")->poll_error,
                        "100001 results outstanding, at most 100000 are allowed");
    assert_int_equal(n_live(&world), 100001);
    mem_free(calls);
    world_deinit(&world);
}

static void max_results_has_a_maximum_of_its_own(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_poll(&world, "f", 1, 1000000, 3600 * NS_PER_S, 0, 0, NULL);
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.max_results, 10000);
    record_deinit(&record);
    world_deinit(&world);
}

/* What does not fit into one resume comes with the next; one result always comes. */
static void a_resume_has_at_most_twelve_million_bytes_but_one_result(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_poll(&world, "f", 3, 0, -1, 1, 3, (const char *const[]){"a", "b", "c"});
    char *big = mem_must_alloc(12000002);
    memset(big, 'x', 12000001);
    big[12000001] = 0;
    world_return(&world, "a", big);
    big[6000000] = 0;
    world_return(&world, "b", big);
    world_return(&world, "c", big);
    world_poll(&world, "f", 2, 0, -1, 1, 0, NULL);
    world_poll(&world, "f", 1, 0, -1, 1, 0, NULL);
    world_expect(&world, "submit: 1 call\nstart f\nstart a\nstart b\nstart c\nresume f [1]\nresume f [2 3]\n");
    mem_free(big);
    world_deinit(&world);
}

static struct engine_event ask_of(enum engine_event_kind kind, struct id id, uint64_t token, uint32_t project)
{
    struct engine_event event = {.kind = kind};
    event.ask.token = token;
    event.ask.project = project;
    event.ask.id = id;
    event.ask.deadline_ns = TIME_NEVER;
    return event;
}

static void ask(struct world *world, enum engine_event_kind kind, struct id id, uint64_t token, uint32_t project)
{
    struct engine_event event = ask_of(kind, id, token, project);
    world_event(world, &event);
}

static void more_waiters_than_allowed_are_refused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.waiters_max = 2});
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_wait(&world, world.submitted[0]);
    world_wait(&world, world.submitted[0]);
    world_return(&world, "f", "x");
    world_expect(&world, "submit: 1 call\nstart f\nwake resource_exhausted\nwake ok \"x\"\nwake ok \"x\"\n");
    world_deinit(&world);
}

static void an_abandoned_wait_is_forgotten_and_an_unknown_one_ignored(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    ask(&world, ENGINE_WAIT, world.submitted[0], 50, 1);
    ask(&world, ENGINE_WAIT, world.submitted[0], 51, 1);
    ask(&world, ENGINE_WAIT_ABANDONED, world.submitted[0], 50, 0);
    ask(&world, ENGINE_WAIT_ABANDONED, world.submitted[0], 50, 0);
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.waiters, 1);
    world_return(&world, "f", "x");
    world_expect(&world, "submit: 1 call\nstart f\nwake ok \"x\"\n");
    world_deinit(&world);
}

/* A call that sleeps for an hour and is not in memory; reads are held. */
static struct id sleeping_call(struct world *world)
{
    world_submit(world, ONE("f"));
    world_poll(world, "f", 1, 1, 3600 * NS_PER_S, 0, 0, NULL);
    assert_null(engine_peek(world->engine, world->submitted[0]));
    world->holds_reads = true;
    world_expect(world, "submit: 1 call\nstart f\n");
    return world->submitted[0];
}

static void waiters_of_another_project_are_refused_when_the_call_has_been_read(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct id id = sleeping_call(&world);
    ask(&world, ENGINE_WAIT, id, 50, 2);
    ask(&world, ENGINE_WAIT, id, 51, 1);
    ask(&world, ENGINE_WAIT, id, 52, 2);
    world.holds_reads = false;
    world_read(&world);
    world_expect(&world, "wake not_found\nwake not_found\n");
    world_cancel(&world, id);
    world_expect(&world, "wake Permanent error CanceledError: the call was cancelled\ncancel: ok\n");
    world_deinit(&world);
}

static void the_only_waiter_of_another_project_is_refused_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct id id = sleeping_call(&world);
    ask(&world, ENGINE_WAIT, id, 50, 2);
    world.holds_reads = false;
    world_read(&world);
    world_expect(&world, "wake not_found\n");
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.waiters, 0);
    world_deinit(&world);
}

static void cancels_of_another_project_are_refused_when_the_call_has_been_read(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct id id = sleeping_call(&world);
    ask(&world, ENGINE_CANCEL_CALL, id, 50, 2);
    world_read(&world);
    world_expect(&world, "cancel: not_found\n");
    assert_int_equal(n_live(&world), 1);
    ask(&world, ENGINE_CANCEL_CALL, id, 51, 2);
    ask(&world, ENGINE_CANCEL_CALL, id, 52, 0); /* whatever project */
    world_read(&world);
    world_expect(&world, "cancel: not_found\ncancel: ok\n");
    assert_int_equal(n_live(&world), 0);
    ask(&world, ENGINE_CANCEL_CALL, id, 53, 2);
    ask(&world, ENGINE_CANCEL_CALL, id, 54, 1);
    world_read(&world);
    world_expect(&world, "cancel: not_found\ncancel: failed_precondition\n");
    world_deinit(&world);
}

static void a_flow_group_shows_its_limit_for_metrics(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.group_cap = 3, .run_timeout_ns = NS_PER_S, .in_flight_max = 50});
    world_submit(&world, ONE("f"));
    struct scheduler_group_view view;
    assert_true(engine_group_at(world.engine, 0, &view));
    assert_int_equal(view.project, 1);
    assert_int_equal(view.limit, 3);
    assert_int_equal(view.in_flight, 1);
    assert_memory_equal(view.host.data, "a", view.host.len);
    assert_false(engine_group_at(world.engine, 1, &view));
    engine_destroy(NULL);
    scheduler_destroy(NULL);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submit_of_too_many_calls_is_refused),
        cmocka_unit_test(a_poll_of_too_many_calls_is_refused_whole),
        cmocka_unit_test(a_poll_with_too_many_results_outstanding_is_refused_whole),
        cmocka_unit_test(max_results_has_a_maximum_of_its_own),
        cmocka_unit_test(a_resume_has_at_most_twelve_million_bytes_but_one_result),
        cmocka_unit_test(more_waiters_than_allowed_are_refused),
        cmocka_unit_test(an_abandoned_wait_is_forgotten_and_an_unknown_one_ignored),
        cmocka_unit_test(waiters_of_another_project_are_refused_when_the_call_has_been_read),
        cmocka_unit_test(the_only_waiter_of_another_project_is_refused_too),
        cmocka_unit_test(cancels_of_another_project_are_refused_when_the_call_has_been_read),
        cmocka_unit_test(a_flow_group_shows_its_limit_for_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
