/* I8: whatever a call waits for has a name, and each name has its words. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}

static struct engine_why why_of(const struct world *world, size_t i)
{
    return engine_why(world->engine, world->submitted[i]);
}

static void each_reason_has_its_words(void **state)
{
    static const struct {
        struct engine_why why;
        const char *text;
    } REASONS[] = {
        {{.kind = ENGINE_WHY_UNKNOWN_CALL}, "not in memory"},
        {{.kind = ENGINE_WHY_RUNNING}, "an attempt is running"},
        {{.kind = ENGINE_WHY_RECORDING}, "is being recorded"},
        {{.kind = ENGINE_WHY_TURN}, "waits for its turn"},
        {{.kind = ENGINE_WHY_CONCURRENCY, .in_flight = 3, .limit = 2},
         "waits for its endpoint: 3 attempts in flight, 2 allowed now"},
        {{.kind = ENGINE_WHY_RETRY_TIME, .until_ns = 1500 * NS_PER_MS}, "next attempt at 1970-01-01T00:00:01.500Z"},
        {{.kind = ENGINE_WHY_RETRY_TIME, .until_ns = TIME_NEVER}, "next attempt at never"},
        {{.kind = ENGINE_WHY_RESULTS, .n_results = 1, .n_results_wanted = 2}, "waits for results: 1 of 2 are there"},
        {{.kind = ENGINE_WHY_RESULTS, .n_results_wanted = 2, .until_ns = TIME_NEVER},
         "waits for results: 0 of 2 are there"},
        {{.kind = ENGINE_WHY_RESULTS, .n_results_wanted = 2, .until_ns = NS_PER_S},
         "waits for results: 0 of 2 are there; resumes at the latest at 1970-01-01T00:00:01.000Z"},
        {{.kind = ENGINE_WHY_SLEEP, .until_ns = NS_PER_S}, "sleeps until 1970-01-01T00:00:01.000Z"},
        {{.kind = ENGINE_WHY_EXPIRATION, .until_ns = NS_PER_S},
         "waits for nothing; expires at 1970-01-01T00:00:01.000Z"},
        {{.kind = ENGINE_WHY_ENDPOINT_DOWN, .until_ns = NS_PER_S},
         "its endpoint cannot be reached; tried again at 1970-01-01T00:00:01.000Z"},
        {{.kind = ENGINE_WHY_LOADING}, "is being read from the store"},
        {{.kind = ENGINE_WHY_DONE}, "done"},
    };
    (void)state;
    char text[200];
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        engine_why_format(&REASONS[i].why, text, sizeof text);
        assert_string_equal(text, REASONS[i].text);
    }
}

#define AT(s) ((1000 + (s)) * NS_PER_S) /* a world begins at 1000 s */

static void a_record_says_what_its_call_waits_for(void **state)
{
    static const struct {
        struct call_record record;
        enum engine_why_kind kind;
        int64_t until_ns;
    } RECORDS[] = {
        {{.state = CALL_DONE}, ENGINE_WHY_DONE, 0},
        {{.state = CALL_SCHEDULED, .due_ns = AT(0), .expires_ns = AT(9)}, ENGINE_WHY_TURN, 0},
        {{.state = CALL_SCHEDULED, .failures = 1, .due_ns = AT(-1), .expires_ns = AT(9)}, ENGINE_WHY_TURN, 0},
        {{.state = CALL_SCHEDULED, .failures = 1, .due_ns = AT(7), .expires_ns = AT(9)}, ENGINE_WHY_RETRY_TIME, AT(7)},
        {{.state = CALL_SCHEDULED, .due_ns = AT(7), .expires_ns = AT(9)}, ENGINE_WHY_RETRY_TIME, AT(7)}, /* made ahead */
        {{.state = CALL_SCHEDULED, .due_ns = AT(12), .expires_ns = AT(9)}, ENGINE_WHY_EXPIRATION, AT(9)},
        {{.state = CALL_SUSPENDED, .due_ns = AT(7), .expires_ns = AT(9)}, ENGINE_WHY_SLEEP, AT(7)},
        {{.state = CALL_SUSPENDED, .due_ns = AT(-1), .expires_ns = AT(9)}, ENGINE_WHY_TURN, 0},
        {{.state = CALL_SUSPENDED, .due_ns = AT(12), .expires_ns = AT(9)}, ENGINE_WHY_EXPIRATION, AT(9)},
        {{.state = CALL_SUSPENDED, .due_ns = TIME_NEVER, .expires_ns = AT(9)}, ENGINE_WHY_EXPIRATION, AT(9)},
        {{.state = CALL_SCHEDULED, .due_ns = AT(-2), .expires_ns = AT(-1)}, ENGINE_WHY_EXPIRATION, AT(-1)},
        {{.state = CALL_SUSPENDED, .due_ns = AT(-2), .expires_ns = AT(0)}, ENGINE_WHY_EXPIRATION, AT(0)},
    };
    (void)state;
    struct world world;
    world_init(&world, NULL);
    for (size_t i = 0; i < sizeof RECORDS / sizeof RECORDS[0]; i++) {
        struct engine_why why = engine_why_record(world.engine, &RECORDS[i].record, &(struct record_children){0});
        assert_int_equal(why.kind, RECORDS[i].kind);
        assert_int_equal(why.until_ns, RECORDS[i].until_ns);
    }
    world_deinit(&world);
}

static void a_record_and_its_children_say_whether_it_waits_for_them(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct call_record parent = {.state = CALL_SUSPENDED, .has_children = true, .due_ns = TIME_NEVER, .expires_ns = AT(9),
                                 .min_results = 3};
    struct engine_why why = engine_why_record(world.engine, &parent, NULL);
    assert_int_equal(why.kind, ENGINE_WHY_RESULTS);
    assert_int_equal(why.n_results_wanted, 3);
    why = engine_why_record(world.engine, &parent, &(struct record_children){.n_done = 1, .n_outstanding = 1});
    assert_int_equal(why.kind, ENGINE_WHY_RESULTS);
    assert_int_equal(why.n_results, 1);
    assert_int_equal(why.n_results_wanted, 2);
    why = engine_why_record(world.engine, &parent, &(struct record_children){.n_done = 2});
    assert_int_equal(why.kind, ENGINE_WHY_TURN); /* it is to be resumed */
    why = engine_why_record(world.engine, &parent, &(struct record_children){0});
    assert_int_equal(why.kind, ENGINE_WHY_EXPIRATION);
    parent.due_ns = AT(7);
    why = engine_why_record(world.engine, &parent, &(struct record_children){.n_outstanding = 1});
    assert_int_equal(why.kind, ENGINE_WHY_RESULTS);
    assert_int_equal(why.until_ns, AT(7));
    parent.due_ns = AT(12); /* does not come to that */
    why = engine_why_record(world.engine, &parent, &(struct record_children){.n_outstanding = 1});
    assert_int_equal(why.until_ns, TIME_NEVER);
    world_deinit(&world);
}

/* The second group has room of its own. */
static void the_limit_of_all_attempts_is_a_reason(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1});
    world_submit(&world, ONE("f"));
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://b"), .function = slice_text("g")});
    struct engine_why why = why_of(&world, 0);
    assert_int_equal(why.kind, ENGINE_WHY_CONCURRENCY);
    assert_int_equal(why.in_flight, 1);
    assert_int_equal(why.limit, 1);
    world_deinit(&world);
}

static void a_parent_waits_for_results_and_its_call_is_being_recorded(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct id parent = world.submitted[0];
    world.holds_commits = true;
    world_poll(&world, "f", 5, 1, -1, 1, 2, (const char *const[]){"g", "h"});
    struct engine_why why = engine_why(world.engine, parent);
    assert_int_equal(why.kind, ENGINE_WHY_RESULTS);
    assert_int_equal(why.n_results, 0);
    assert_int_equal(why.n_results_wanted, 2); /* more than can come is all */
    world.holds_commits = false;
    world_commit(&world);
    world_return(&world, "g", "x");
    why = engine_why(world.engine, parent);
    assert_int_equal(why.n_results, 1);
    world_poll(&world, "h", 1, 1, 2 * NS_PER_S, 1, 1, (const char *const[]){"i"});
    why = engine_why(world.engine, world_id(&world, "h"));
    assert_int_equal(why.kind, ENGINE_WHY_RESULTS);
    assert_int_equal(why.n_results_wanted, 1);
    assert_int_equal(why.until_ns, world.now_ns + 2 * NS_PER_S);
    world_deinit(&world);
}

static void a_new_call_is_recorded_takes_its_turn_and_runs(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    engine_set_paused(world.engine, true);
    world.holds_commits = true;
    world_submit(&world, ONE("f"));
    assert_int_equal(world.n_pending, 1);
    struct id id = world.pending[0]->ops[0].record.id;
    assert_int_equal(engine_why(world.engine, id).kind, ENGINE_WHY_RECORDING);
    world.holds_commits = false;
    world_commit(&world);
    struct engine_why why = why_of(&world, 0);
    assert_int_equal(why.kind, ENGINE_WHY_TURN);
    assert_int_equal(why.in_flight, 0);
    assert_true(why.limit > 0);
    engine_set_paused(world.engine, false);
    world_advance(&world, 1);
    assert_int_equal(why_of(&world, 0).kind, ENGINE_WHY_RUNNING);
    world_return(&world, "f", "x");
    assert_int_equal(engine_why(world.engine, id).kind, ENGINE_WHY_UNKNOWN_CALL);
    world_deinit(&world);
}

/* Both are due or expire within the look-ahead, so they stay in memory. */
static void a_sleeper_sleeps_and_a_poll_for_nothing_expires(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.default_expiration_ns = 4 * NS_PER_S});
    world_submit(&world, 2, (const char *const[]){"f", "g"});
    world_poll(&world, "f", 1, 1, 2 * NS_PER_S, 0, 0, NULL);
    world_poll(&world, "g", 1, 1, -1, 0, 0, NULL);
    struct engine_why why = why_of(&world, 0);
    assert_int_equal(why.kind, ENGINE_WHY_SLEEP);
    assert_int_equal(why.until_ns, world.now_ns + 2 * NS_PER_S);
    why = why_of(&world, 1);
    assert_int_equal(why.kind, ENGINE_WHY_EXPIRATION);
    assert_int_equal(why.until_ns, world.now_ns + 4 * NS_PER_S);
    world_deinit(&world);
}

static void a_call_that_is_read_says_so_and_cannot_be_looked_at(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_poll(&world, "f", 1, 1, 3600 * NS_PER_S, 0, 0, NULL);
    assert_int_equal(why_of(&world, 0).kind, ENGINE_WHY_UNKNOWN_CALL);
    world.holds_reads = true;
    world_wait(&world, world.submitted[0]);
    assert_int_equal(why_of(&world, 0).kind, ENGINE_WHY_LOADING);
    assert_null(engine_peek(world.engine, world.submitted[0]));
    assert_false(engine_is_idle(world.engine, 0));
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_has_its_words),
        cmocka_unit_test(a_record_says_what_its_call_waits_for),
        cmocka_unit_test(a_record_and_its_children_say_whether_it_waits_for_them),
        cmocka_unit_test(the_limit_of_all_attempts_is_a_reason),
        cmocka_unit_test(a_parent_waits_for_results_and_its_call_is_being_recorded),
        cmocka_unit_test(a_new_call_is_recorded_takes_its_turn_and_runs),
        cmocka_unit_test(a_sleeper_sleeps_and_a_poll_for_nothing_expires),
        cmocka_unit_test(a_call_that_is_read_says_so_and_cannot_be_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
