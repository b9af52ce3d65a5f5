/* Scenarios of single calls: T1 to T5, T8, answers and effects. Each asserts what the outside sees, line by line. */
#include "world.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}

static void runs_a_call_and_wakes_its_waiter(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_return(&world, "f", "x");
    world_expect(&world, "submit: 1 call\nstart f\nwake ok \"x\"\n");
    world_wait(&world, world.submitted[0]); /* again, when it is no longer in memory */
    world_expect(&world, "wake ok \"x\"\n");
    assert_true(engine_is_idle(world.engine, 0));
    world_deinit(&world);
}

static void shows_nothing_before_its_batch_is_durable(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world.holds_commits = true;
    world_submit(&world, ONE("f"));
    world_expect(&world, "");
    world_commit(&world);
    world_expect(&world, "submit: 1 call\nstart f\n");
    world_wait(&world, world.submitted[0]);
    world_return(&world, "f", "x");
    world_expect(&world, "");
    world_commit(&world);
    world_expect(&world, "wake ok \"x\"\n");
    world_deinit(&world);
}

static void submits_all_calls_or_none(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, 3, (const char *const[]){"a", "", "c"});
    world_expect(&world, "submit: invalid_argument: call 1: Call function cannot be empty\n");
    struct store_counts counts;
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, 0);
    world_submit(&world, 0, NULL);
    world_expect(&world, "submit: 0 calls\n");
    world_deinit(&world);
}

static void retries_a_temporary_error_with_growing_delays(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    int64_t began = world.now_ns;
    for (int i = 0; i < 20; i++) {
        world_fail(&world, "f", DR_STATUS_TEMPORARY_ERROR);
        struct call_record record = world_stored(&world, world.submitted[0]);
        int64_t ceiling = i < 10 ? (100 * NS_PER_MS) << i : 60 * NS_PER_S;
        ceiling = ceiling < 60 * NS_PER_S ? ceiling : 60 * NS_PER_S;
        assert_in_range(record.due_ns - world.now_ns, 1, ceiling);
        assert_int_equal(record.attempts, i + 1);
        assert_string_equal(blob_text(record.last_error), "Oops: it broke");
        world_advance(&world, record.due_ns - world.now_ns);
        assert_true(world_is_running(&world, "f"));
        record_deinit(&record);
    }
    assert_true(world.now_ns > began);
    world_wait(&world, world.submitted[0]);
    buf_clear(&world.trace);
    world_return(&world, "f", "x");
    world_expect(&world, "wake ok \"x\"\n");
    world_deinit(&world);
}

static void retries_every_retryable_status_and_no_other(void **state)
{
    (void)state;
    for (int status = 0; status <= 16; status++) {
        struct world world;
        world_init(&world, NULL);
        world_submit(&world, ONE("f"));
        world_fail(&world, "f", (dr_status)status);
        struct call_record record = world_stored(&world, world.submitted[0]);
        bool is_done = record.state == CALL_DONE;
        assert_int_equal(is_done, !dr_status_is_retryable((dr_status)status));
        record_deinit(&record);
        world_deinit(&world);
    }
}

static void retry_after_wins_over_the_backoff(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_lose(&world, "f", DR_STATUS_THROTTLED, 7 * NS_PER_S);
    world_advance(&world, 7 * NS_PER_S - 1);
    assert_false(world_is_running(&world, "f"));
    world_advance(&world, 1);
    assert_true(world_is_running(&world, "f"));
    world_deinit(&world);
}

static void a_terminal_failure_without_error_gets_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_reply(&world, "f", &(struct wire_run_response){.status = DR_STATUS_NOT_FOUND, .outcome = WIRE_OUTCOME_EXIT});
    world_expect(&world, "submit: 1 call\nstart f\nwake Not found STATUS_NOT_FOUND: Not found\n");
    world_deinit(&world);
}

static void an_ok_without_exit_or_poll_is_an_invalid_response(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_reply(&world, "f", &(struct wire_run_response){.status = DR_STATUS_OK});
    world_expect(&world, "submit: 1 call\nstart f\nwake Invalid response InvalidResponseError: the endpoint answered "
                         "neither with an exit nor with a poll\n");
    world_deinit(&world);
}

static void ignores_a_late_or_repeated_reply(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct world_attempt first = *world_attempt_of(&world, "f");
    world_fail(&world, "f", DR_STATUS_TEMPORARY_ERROR);
    world_advance(&world, 60 * NS_PER_S);
    world_expect(&world, "submit: 1 call\nstart f\nstart f\n");
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT};
    struct engine_event late = {.kind = ENGINE_ATTEMPT_DONE};
    late.attempt_done.id = first.id;
    late.attempt_done.attempt = first.number;
    late.attempt_done.response = &response;
    world_event(&world, &late);
    struct call_record record = world_stored(&world, first.id);
    assert_int_equal(record.state, CALL_SCHEDULED);
    record_deinit(&record);
    world_deinit(&world);
}

static void a_tail_call_replaces_function_and_input_and_keeps_the_id(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_tail_call(&world, "f", DR_STATUS_OK, "g");
    assert_true(id_equal(world_id(&world, "g"), world.submitted[0]));
    world_return(&world, "g", "y");
    world_expect(&world, "submit: 1 call\nstart f\nstart g\nwake ok \"y\"\n");
    world_deinit(&world);
}

static void a_tail_call_with_a_temporary_status_backs_off(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_tail_call(&world, "f", DR_STATUS_TEMPORARY_ERROR, "g");
    world_expect(&world, "submit: 1 call\nstart f\n");
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_string_equal(blob_text(record.function), "g");
    assert_int_equal(record.failures, 1);
    record_deinit(&record);
    world_advance(&world, 100 * NS_PER_MS);
    world_expect(&world, "start g\n");
    world_deinit(&world);
}

static void expires_while_it_retries_and_says_why(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text("f"),
                                                 .expiration_ns = 10 * NS_PER_S});
    world_wait(&world, world.submitted[0]);
    world_lose(&world, "f", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S);
    world_advance(&world, 10 * NS_PER_S);
    world_expect(&world, "submit: 1 call\nstart f\nwake Timeout TimeoutError: the call expired 10 s after its creation; "
                         "last failure: connection refused\n");
    world_deinit(&world);
}

/* A character cut in two would make a message that cannot be sent to the parent, or to who waits. */
static void cuts_the_text_of_a_failure_between_characters(void **state)
{
    (void)state;
    char text[2 * 600 + 2] = "x";
    for (size_t i = 0; i < 600; i++)
        memcpy(text + 1 + 2 * i, "\xc3\xa4", 2);
    struct world world;
    world_init(&world, NULL);
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text("f"),
                                                 .expiration_ns = 10 * NS_PER_S});
    struct wire_run_response response = {.status = DR_STATUS_TEMPORARY_ERROR, .outcome = WIRE_OUTCOME_EXIT,
                                         .has_result = true};
    response.result.has_error = true;
    response.result.error.message = slice_text(text);
    world_reply(&world, "f", &response);
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_true(wire_is_utf8(blob_slice(record.last_error)));
    assert_true(blob_slice(record.last_error).len > 900);
    record_deinit(&record);
    world_advance(&world, 10 * NS_PER_S);
    record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.status, DR_STATUS_TIMEOUT);
    assert_true(wire_is_utf8(blob_slice(record.error.message)));
    record_deinit(&record);
    world_deinit(&world);
}

static void expires_while_running_and_calls_the_attempt_off(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text("f"),
                                                 .expiration_ns = 10 * NS_PER_S});
    world_advance(&world, 11 * NS_PER_S);
    world_expect(&world, "submit: 1 call\nstart f\nabort f\n");
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.in_flight, 1); /* its slot comes back with the reply only */
    world_return(&world, "f", "too late");
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.in_flight, 0);
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.status, DR_STATUS_TIMEOUT);
    record_deinit(&record);
    world_deinit(&world);
}

static void expiration_has_a_default_and_a_cap(void **state)
{
    (void)state;
    struct world world;
    struct engine_config config = {.default_expiration_ns = 5 * NS_PER_S, .max_expiration_ns = 8 * NS_PER_S};
    world_init(&world, &config);
    world_submit(&world, ONE("f"));
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.expires_ns - record.created_ns, 5 * NS_PER_S);
    record_deinit(&record);
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text("g"),
                                                 .expiration_ns = 100 * NS_PER_S});
    record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.expires_ns - record.created_ns, 8 * NS_PER_S);
    record_deinit(&record);
    world_deinit(&world);
}

static void wait_and_cancel_of_an_unknown_id_are_not_found(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct id unknown = {{1, 2, 3}};
    world_wait(&world, unknown);
    world_cancel(&world, unknown);
    world_expect(&world, "wake not_found\ncancel: not_found\n");
    world_deinit(&world);
}

static void a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct engine_event event = {.kind = ENGINE_WAIT};
    event.ask.token = 99;
    event.ask.id = world.submitted[0];
    event.ask.deadline_ns = world.now_ns + NS_PER_S;
    world_event(&world, &event);
    world_advance(&world, NS_PER_S);
    world_expect(&world, "submit: 1 call\nstart f\nwake deadline_exceeded\n");
    world_deinit(&world);
}

static void another_project_sees_nothing(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct engine_event event = {.kind = ENGINE_WAIT};
    event.ask.token = 98;
    event.ask.project = 2;
    event.ask.id = world.submitted[0];
    event.ask.deadline_ns = TIME_NEVER;
    world_event(&world, &event);
    event.kind = ENGINE_CANCEL_CALL;
    world_event(&world, &event);
    world_return(&world, "f", "x");
    event.kind = ENGINE_WAIT;
    world_event(&world, &event);
    world_expect(&world, "submit: 1 call\nstart f\nwake not_found\ncancel: not_found\nwake not_found\n");
    world_deinit(&world);
}

static void cancels_a_running_a_scheduled_and_a_done_call(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_cancel(&world, world.submitted[0]);
    world_expect(&world, "submit: 1 call\nstart f\nabort f\nwake Permanent error CanceledError: the call was cancelled\n"
                         "cancel: ok\n");
    world_cancel(&world, world.submitted[0]);
    world_expect(&world, "cancel: failed_precondition\n");
    world_submit(&world, ONE("g"));
    world_lose(&world, "g", DR_STATUS_TCP_ERROR, 3600 * NS_PER_S); /* far away: it leaves memory */
    assert_null(engine_peek(world.engine, world.submitted[0]));
    world_cancel(&world, world.submitted[0]);
    world_expect(&world, "submit: 1 call\nstart g\ncancel: ok\n");
    world_deinit(&world);
}

static void results_are_purged_after_their_retention(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, 3, (const char *const[]){"a", "b", "c"});
    world_return(&world, "a", "x");
    world_return(&world, "b", "x");
    world_advance(&world, 23 * 3600 * NS_PER_S);
    struct store_counts counts;
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_done, 2);
    world_advance(&world, 3600 * NS_PER_S + 10 * NS_PER_S);
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_done, 1); /* c expired meanwhile, a moment ago */
    world_deinit(&world);
}

static void names_why_each_call_is_not_running(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.group_cap = 1});
    world.holds_commits = true;
    world_submit(&world, 2, (const char *const[]){"a", "b"});
    world.holds_commits = false;
    world_commit(&world);
    assert_int_equal(engine_why(world.engine, world.submitted[0]).kind, ENGINE_WHY_RUNNING);
    assert_int_equal(engine_why(world.engine, world.submitted[1]).kind, ENGINE_WHY_CONCURRENCY);
    world_lose(&world, "a", DR_STATUS_TCP_ERROR, 2 * NS_PER_S);
    struct engine_why why = engine_why(world.engine, world.submitted[0]);
    assert_int_equal(why.kind, ENGINE_WHY_RETRY_TIME);
    assert_int_equal(why.until_ns, world.now_ns + 2 * NS_PER_S);
    char text[100];
    engine_why_format(&why, text, sizeof text);
    assert_string_equal(text, "next attempt at 1970-01-01T00:16:42.000Z");
    why = engine_why(world.engine, world.submitted[1]);
    assert_int_equal(why.kind, ENGINE_WHY_ENDPOINT_DOWN);
    assert_true(why.until_ns > world.now_ns && why.until_ns <= world.now_ns + 10 * NS_PER_MS);
    engine_why_format(&why, text, sizeof text);
    assert_non_null(strstr(text, "its endpoint cannot be reached; tried again at 1970-01-01T00:16:40.0"));
    world_advance(&world, 10 * NS_PER_MS);
    assert_int_equal(engine_why(world.engine, world.submitted[1]).kind, ENGINE_WHY_RUNNING);
    world_poll(&world, "b", 1, 1, -1, 1, 0, NULL);
    world_deinit(&world);
}

static void starts_nothing_while_paused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    engine_set_paused(world.engine, true);
    world_submit(&world, ONE("f"));
    world_expect(&world, "submit: 1 call\n");
    assert_true(engine_is_idle(world.engine, 0));
    engine_set_paused(world.engine, false);
    world_advance(&world, 1);
    world_expect(&world, "start f\n");
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_a_call_and_wakes_its_waiter),
        cmocka_unit_test(shows_nothing_before_its_batch_is_durable),
        cmocka_unit_test(submits_all_calls_or_none),
        cmocka_unit_test(retries_a_temporary_error_with_growing_delays),
        cmocka_unit_test(retries_every_retryable_status_and_no_other),
        cmocka_unit_test(retry_after_wins_over_the_backoff),
        cmocka_unit_test(a_terminal_failure_without_error_gets_one),
        cmocka_unit_test(an_ok_without_exit_or_poll_is_an_invalid_response),
        cmocka_unit_test(ignores_a_late_or_repeated_reply),
        cmocka_unit_test(a_tail_call_replaces_function_and_input_and_keeps_the_id),
        cmocka_unit_test(a_tail_call_with_a_temporary_status_backs_off),
        cmocka_unit_test(expires_while_it_retries_and_says_why),
        cmocka_unit_test(cuts_the_text_of_a_failure_between_characters),
        cmocka_unit_test(expires_while_running_and_calls_the_attempt_off),
        cmocka_unit_test(expiration_has_a_default_and_a_cap),
        cmocka_unit_test(wait_and_cancel_of_an_unknown_id_are_not_found),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(another_project_sees_nothing),
        cmocka_unit_test(cancels_a_running_a_scheduled_and_a_done_call),
        cmocka_unit_test(results_are_purged_after_their_retention),
        cmocka_unit_test(names_why_each_call_is_not_running),
        cmocka_unit_test(starts_nothing_while_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
