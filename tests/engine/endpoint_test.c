/* Scenarios of an endpoint that cannot be reached: its calls wait for probes (docs/decisions/007), and say so (I8). */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}
#define TWO(a, b) 2, (const char *const[]){a, b}
#define N_CALLS 10000
#define MINUTE_NS (60 * NS_PER_S)

struct host {
    dr_status status;
    uint32_t n_attempts;
};

static dr_status answer(struct world *world, const struct engine_effect *start, void *arg)
{
    struct host *host = arg;
    (void)world;
    (void)start;
    host->n_attempts++;
    return host->status;
}

static uint64_t n_done(struct world *world)
{
    struct store_counts counts;
    assert_int_equal(store_counts(world->store, &counts, NULL), DR_OK);
    return counts.n_done;
}

static void begin(struct world *world, struct host *host)
{
    world_init(world, NULL);
    world->is_quiet = true;
    world->endpoint = answer;
    world->endpoint_arg = host;
}

static void submit_many(struct world *world)
{
    const char **functions = calloc(N_CALLS, sizeof *functions);
    for (size_t i = 0; i < N_CALLS; i++)
        functions[i] = "f";
    world_submit(world, N_CALLS, functions);
    free(functions);
}

static uint32_t attempts_within(struct world *world, const struct host *host, int64_t duration_ns)
{
    uint32_t before = host->n_attempts;
    world_advance(world, duration_ns);
    return host->n_attempts - before;
}

static void a_backlog_to_a_dead_endpoint_costs_few_attempts(void **state)
{
    (void)state;
    struct world world;
    struct host host = {.status = DR_STATUS_TCP_ERROR};
    begin(&world, &host);
    submit_many(&world);
    assert_in_range(attempts_within(&world, &host, MINUTE_NS), 10, 16 + 40);
    assert_in_range(attempts_within(&world, &host, MINUTE_NS), 12, 24);
    assert_in_range(attempts_within(&world, &host, 60 * MINUTE_NS), 60 * 12, 60 * 24);
    world_deinit(&world);
}

static void a_backlog_flows_within_one_pause_once_its_endpoint_is_back(void **state)
{
    (void)state;
    static const dr_status LOST[] = {DR_STATUS_DNS_ERROR, DR_STATUS_TCP_ERROR, DR_STATUS_TLS_ERROR};
    for (size_t i = 0; i < sizeof LOST / sizeof LOST[0]; i++) {
        struct world world;
        struct host host = {.status = LOST[i]};
        begin(&world, &host);
        submit_many(&world);
        world_advance(&world, 5 * MINUTE_NS);
        assert_int_equal(n_done(&world), 0);
        host.status = DR_STATUS_OK;
        world_advance(&world, 5 * NS_PER_S);
        assert_in_range(n_done(&world), N_CALLS - 100, N_CALLS); /* but those that were tried wait for their own retry */
        world_advance(&world, MINUTE_NS);
        assert_int_equal(n_done(&world), N_CALLS);
        world_deinit(&world);
    }
}

static void an_endpoint_that_answers_errors_is_not_down(void **state)
{
    (void)state;
    struct world world;
    struct host host = {.status = DR_STATUS_HTTP_ERROR};
    begin(&world, &host);
    submit_many(&world);
    assert_in_range(host.n_attempts, N_CALLS, N_CALLS); /* each once, at the pace of the answers */
    world_deinit(&world);
}

/* TCP_ERROR of a function is its own trouble: with a database, say. */
static void a_function_that_reports_a_tcp_error_has_an_endpoint(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.group_cap = 1});
    world.holds_commits = true;
    world_submit(&world, TWO("a", "b"));
    world.holds_commits = false;
    world_commit(&world);
    world_fail(&world, "a", DR_STATUS_TCP_ERROR);
    world_expect(&world, "submit: 2 calls\nstart a\nstart b\n");
    world_deinit(&world);
}

static void a_waiting_call_names_the_next_probe_at_every_moment(void **state)
{
    (void)state;
    struct world world;
    struct host host = {.status = DR_STATUS_TCP_ERROR};
    begin(&world, &host);
    submit_many(&world);
    int64_t end_ns = world.now_ns + MINUTE_NS;
    while (world.now_ns < end_ns) {
        for (size_t i = 0; i < world.n_submitted; i++) {
            struct engine_why why = engine_why(world.engine, world.submitted[i]);
            assert_true(why.kind == ENGINE_WHY_ENDPOINT_DOWN || why.kind == ENGINE_WHY_RETRY_TIME);
            assert_true(why.until_ns > world.now_ns);
            if (why.kind == ENGINE_WHY_ENDPOINT_DOWN)
                assert_true(why.until_ns <= world.now_ns + 5 * NS_PER_S);
        }
        assert_true(engine_is_idle(world.engine, 0)); /* a virtual clock may jump ... */
        assert_true(world.deadline_ns > world.now_ns && world.deadline_ns <= world.now_ns + 5 * NS_PER_S);
        world_advance(&world, world.deadline_ns - world.now_ns); /* ... to here */
    }
    world_deinit(&world);
}

static void another_endpoint_is_not_held_up(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("a"));
    world_lose(&world, "a", DR_STATUS_TCP_ERROR, 0);
    world_submit(&world, ONE("b"));
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://other"), .function = slice_text("c")});
    world_expect(&world, "submit: 1 call\nstart a\nsubmit: 1 call\nsubmit: 1 call\nstart c\n");
    world_deinit(&world);
}

static void a_call_expires_on_time_while_its_endpoint_is_down(void **state)
{
    (void)state;
    struct world world;
    struct host host = {.status = DR_STATUS_TCP_ERROR};
    begin(&world, &host);
    submit_many(&world);
    world_advance(&world, 24 * 60 * MINUTE_NS - 1);
    assert_int_equal(n_done(&world), 0);
    world_advance(&world, 1);
    assert_int_equal(n_done(&world), N_CALLS);
    world_deinit(&world);
}

/* A function may run for minutes before it answers: the endpoint may be back all the while. */
static void a_probe_that_runs_long_does_not_hold_up_the_next(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("a"));
    world_lose(&world, "a", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S);
    world_submit(&world, TWO("b", "c"));
    buf_clear(&world.trace);
    world_advance(&world, 10 * NS_PER_MS);
    world_expect(&world, "start b\n");
    assert_int_equal(engine_why(world.engine, world.submitted[1]).kind, ENGINE_WHY_ENDPOINT_DOWN);
    world_advance(&world, 10 * NS_PER_MS);
    world_expect(&world, "start c\n");
    world_deinit(&world);
}

static void a_cancelled_probe_leaves_the_next_its_turn(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("a"));
    world_lose(&world, "a", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S);
    world_submit(&world, TWO("b", "c"));
    world_advance(&world, 10 * NS_PER_MS);
    buf_clear(&world.trace);
    world_cancel(&world, world.submitted[0]);
    world_lose(&world, "b", DR_STATUS_TIMEOUT, 0);
    world_advance(&world, 10 * NS_PER_MS);
    world_expect(&world, "abort b\ncancel: ok\nstart c\n");
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_to_a_dead_endpoint_costs_few_attempts),
        cmocka_unit_test(a_backlog_flows_within_one_pause_once_its_endpoint_is_back),
        cmocka_unit_test(an_endpoint_that_answers_errors_is_not_down),
        cmocka_unit_test(a_function_that_reports_a_tcp_error_has_an_endpoint),
        cmocka_unit_test(a_waiting_call_names_the_next_probe_at_every_moment),
        cmocka_unit_test(another_endpoint_is_not_held_up),
        cmocka_unit_test(a_call_expires_on_time_while_its_endpoint_is_down),
        cmocka_unit_test(a_probe_that_runs_long_does_not_hold_up_the_next),
        cmocka_unit_test(a_cancelled_probe_leaves_the_next_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
