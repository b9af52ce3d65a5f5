/* Replies that are rare: errors with one part only, tail calls to nowhere, polls that failed. The table "Replies,
 * completely" of docs/design/engine.md, where call_test.c does not have it already. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}

static struct call_record fail_with(struct world *world, struct wire_error error)
{
    world_submit(world, ONE("f"));
    struct wire_run_response response = {.status = DR_STATUS_PERMANENT_ERROR, .outcome = WIRE_OUTCOME_EXIT,
                                         .has_result = true};
    response.result.has_error = true;
    response.result.error = error;
    world_reply(world, "f", &response);
    return world_stored(world, world->submitted[0]);
}

static void an_error_may_have_any_of_its_parts_alone(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    for (int part = 0; part < 4; part++) {
        struct wire_error error = {0};
        struct slice *parts[] = {&error.type, &error.message, &error.value, &error.traceback};
        *parts[part] = slice_text("only");
        struct call_record record = fail_with(&world, error);
        const struct blob *stored[] = {record.error.type, record.error.message, record.error.value,
                                       record.error.traceback};
        for (int i = 0; i < 4; i++)
            assert_string_equal(blob_text(stored[i]), i == part ? "only" : "");
        assert_non_null(record.error.type); /* its presence says that there is an error */
        record_deinit(&record);
    }
    world_deinit(&world);
}

static void a_terminal_failure_with_an_empty_error_gets_one_of_its_status(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct call_record record = fail_with(&world, (struct wire_error){0});
    assert_string_equal(blob_text(record.error.type), dr_status_name(DR_STATUS_PERMANENT_ERROR));
    assert_string_equal(blob_text(record.error.message), dr_status_text(DR_STATUS_PERMANENT_ERROR));
    record_deinit(&record);
    world_deinit(&world);
}

static void a_result_with_an_error_and_no_status_keeps_both(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct wire_run_response response = {.outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.output = slice_text("x");
    response.result.has_error = true;
    response.result.error.message = slice_text("beside");
    world_reply(&world, "f", &response);
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.status, DR_STATUS_UNSPECIFIED);
    assert_string_equal(blob_text(record.output), "x");
    assert_string_equal(blob_text(record.error.message), "beside");
    record_deinit(&record);
    world_deinit(&world);
}

static void a_tail_call_to_nowhere_ends_the_call(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    world_wait(&world, world.submitted[0]);
    world_tail_call(&world, "f", DR_STATUS_OK, "");
    world_expect(&world, "submit: 1 call\nstart f\nwake Invalid response InvalidResponseError: tail call refused: Call "
                         "function cannot be empty\n");
    world_deinit(&world);
}

static void a_tail_call_keeps_version_and_endpoint_when_it_names_none(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text("f"),
                                                 .version = slice_text("v1"), .input = slice_text("in")});
    world_tail_call(&world, "f", DR_STATUS_OK, "g");
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_string_equal(blob_text(record.version), "v1");
    assert_string_equal(blob_text(record.endpoint), "http://a");
    assert_string_equal(blob_text(record.function), "g");
    assert_string_equal(blob_text(record.input), "in2");
    assert_int_equal(record.attempts, 1);
    assert_int_equal(record.generation, 2);
    record_deinit(&record);
    world_deinit(&world);
}

static void a_poll_with_a_terminal_status_is_the_end(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, 2, (const char *const[]){"f", "g"});
    world_wait(&world, world.submitted[0]);
    world_wait(&world, world.submitted[1]);
    world_reply(&world, "f", &(struct wire_run_response){.status = DR_STATUS_PERMANENT_ERROR,
                                                         .outcome = WIRE_OUTCOME_POLL});
    world_reply(&world, "g", &(struct wire_run_response){.status = DR_STATUS_NOT_FOUND});
    world_expect(&world, "submit: 2 calls\nstart f\nstart g\nwake Permanent error PermanentError: Permanent error\n"
                         "wake Not found PermanentError: Not found\n");
    world_deinit(&world);
}

static void a_poll_with_a_retryable_status_makes_no_calls(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct wire_call call = {.function = slice_text("g")};
    struct wire_run_response response = {.status = DR_STATUS_TEMPORARY_ERROR, .outcome = WIRE_OUTCOME_POLL};
    response.poll.calls = &call;
    response.poll.n_calls = 1;
    world_reply(&world, "f", &response);
    struct store_counts counts;
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, 1);
    world_advance(&world, 60 * NS_PER_S);
    world_expect(&world, "submit: 1 call\nstart f\nstart f\n");
    world_deinit(&world);
}

/* A reply to an attempt that was called off comes when the call has run again since (E8). */
static void a_reply_to_an_older_attempt_of_a_running_call_is_ignored(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct world_attempt first = *world_attempt_of(&world, "f");
    world_lose(&world, "f", DR_STATUS_TCP_ERROR, NS_PER_S);
    world_advance(&world, NS_PER_S);
    assert_true(world_attempt_of(&world, "f")->number > first.number);
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.output = slice_text("late");
    struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE};
    event.attempt_done.id = first.id;
    event.attempt_done.attempt = first.number;
    event.attempt_done.response = &response;
    world_event(&world, &event);
    assert_int_equal(engine_why(world.engine, first.id).kind, ENGINE_WHY_RUNNING);
    world_wait(&world, first.id);
    world_return(&world, "f", "x");
    world_expect(&world, "submit: 1 call\nstart f\nstart f\nwake ok \"x\"\n");
    world_deinit(&world);
}

static void a_call_may_go_to_another_endpoint_than_its_parent(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("f"));
    struct wire_call calls[] = {{.function = slice_text("g"), .endpoint = slice_text("http://b")},
                                {.function = slice_text("h"), .endpoint = slice_text("http://a")},
                                {.function = slice_text("i")}};
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll.calls = calls;
    response.poll.n_calls = 3;
    world_reply(&world, "f", &response);
    static const char *const names[] = {"g", "h", "i"}, *const endpoints[] = {"http://b", "http://a", "http://a"};
    for (int i = 0; i < 3; i++) {
        struct call_record record = world_stored(&world, world_id(&world, names[i]));
        assert_string_equal(blob_text(record.endpoint), endpoints[i]);
        record_deinit(&record);
    }
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_may_have_any_of_its_parts_alone),
        cmocka_unit_test(a_terminal_failure_with_an_empty_error_gets_one_of_its_status),
        cmocka_unit_test(a_result_with_an_error_and_no_status_keeps_both),
        cmocka_unit_test(a_tail_call_to_nowhere_ends_the_call),
        cmocka_unit_test(a_tail_call_keeps_version_and_endpoint_when_it_names_none),
        cmocka_unit_test(a_poll_with_a_terminal_status_is_the_end),
        cmocka_unit_test(a_poll_with_a_retryable_status_makes_no_calls),
        cmocka_unit_test(a_reply_to_an_older_attempt_of_a_running_call_is_ignored),
        cmocka_unit_test(a_call_may_go_to_another_endpoint_than_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
