#include "base/testing.h"

#include "base/record.h"

static struct blob *text(const char *name) { return blob_create(slice_text(name)); }

/* A record in which every field is set, to values that differ by `n`. */
static struct call_record full_record(uint8_t n)
{
    return (struct call_record){
        .id = {{n}}, .parent = {{n, 1}}, .root = {{n, 2}}, .project = n, .parent_generation = n, .depth = n,
        .correlation_id = n, .created_ns = n, .expires_ns = n,
        .endpoint = text("endpoint"), .function = text("function"), .version = text("version"),
        .input = text("input"), .generation = n,
        .state = n, .mail = n, .sweep_below = n, .has_children = true, .wake_ns = n, .due_ns = n, .attempts = n,
        .failures = n, .last_status = n, .last_error = text("last_error"),
        .state_arm = n, .is_resume = true, .poll_state = text("poll_state"), .poll_error = text("poll_error"),
        .min_results = n, .max_results = n,
        .status = n, .done_ns = n, .done_sequence = n, .output = text("output"),
        .error = {text("type"), text("message"), text("value"), text("traceback")},
    };
}

static unsigned refs(const struct blob *blob) { return atomic_load(&((struct blob *)(uintptr_t)blob)->refs); }

static void copies_with_references_of_their_own(void **state)
{
    (void)state;
    struct call_record source = full_record(7), copy;
    record_copy(&copy, &source);
    assert_ptr_equal(copy.input, source.input);
    assert_int_equal(refs(copy.input), 2);
    assert_int_equal(refs(copy.error.traceback), 2);
    record_deinit(&source);
    assert_null(source.input);
    assert_string_equal(blob_text(copy.poll_state), "poll_state");
    assert_string_equal(blob_text(copy.error.traceback), "traceback");
    assert_int_equal(copy.done_sequence, 7);
    record_deinit(&copy);
    record_deinit(&copy);
}

/* The sanitizer proves the other half: a blob that the table of blobs forgets would leak or be freed twice. */
static void releases_every_blob(void **state)
{
    (void)state;
    struct call_record record = full_record(1);
    record_deinit(&record);
    assert_null(record.endpoint);
    assert_null(record.output);
    assert_false(error_record_is_set(&record.error));
}

static void applies_only_the_groups_named(void **state)
{
    (void)state;
    const struct call_record source = full_record(9);
    for (unsigned fields = 0; fields < 16; fields++) {
        struct call_record target = {.id = {{1}}, .project = 3};
        record_apply(&target, &source, fields);
        assert_int_equal(target.id.bytes[0], 1);
        assert_int_equal(target.project, 3);
        assert_int_equal(target.created_ns, 0);
        bool has_code = fields & RECORD_CODE, has_progress = fields & RECORD_PROGRESS;
        bool has_poll = fields & RECORD_POLL, has_result = fields & RECORD_RESULT;
        assert_int_equal(target.generation, has_code ? 9 : 0);
        assert_ptr_equal(target.endpoint, has_code ? source.endpoint : NULL);
        assert_ptr_equal(target.function, has_code ? source.function : NULL);
        assert_ptr_equal(target.version, has_code ? source.version : NULL);
        assert_ptr_equal(target.input, has_code ? source.input : NULL);
        assert_int_equal(target.state, has_progress ? 9 : 0);
        assert_int_equal(target.mail, has_progress ? 9 : 0);
        assert_int_equal(target.sweep_below, has_progress ? 9 : 0);
        assert_int_equal(target.has_children, has_progress);
        assert_int_equal(target.wake_ns, has_progress ? 9 : 0);
        assert_int_equal(target.due_ns, has_progress ? 9 : 0);
        assert_int_equal(target.attempts, has_progress ? 9 : 0);
        assert_int_equal(target.failures, has_progress ? 9 : 0);
        assert_int_equal(target.last_status, has_progress ? 9 : 0);
        assert_ptr_equal(target.last_error, has_progress ? source.last_error : NULL);
        assert_int_equal(target.state_arm, has_poll ? 9 : 0);
        assert_int_equal(target.is_resume, has_poll);
        assert_ptr_equal(target.poll_state, has_poll ? source.poll_state : NULL);
        assert_ptr_equal(target.poll_error, has_poll ? source.poll_error : NULL);
        assert_int_equal(target.min_results, has_poll ? 9 : 0);
        assert_int_equal(target.max_results, has_poll ? 9 : 0);
        assert_int_equal(target.status, has_result ? 9 : 0);
        assert_int_equal(target.done_ns, has_result ? 9 : 0);
        assert_int_equal(target.done_sequence, has_result ? 9 : 0);
        assert_ptr_equal(target.output, has_result ? source.output : NULL);
        assert_ptr_equal(target.error.type, has_result ? source.error.type : NULL);
        assert_ptr_equal(target.error.traceback, has_result ? source.error.traceback : NULL);
        record_deinit(&target);
    }
    struct call_record owned = source;
    record_deinit(&owned);
}

static void clears_what_the_source_has_not(void **state)
{
    (void)state;
    struct call_record target = full_record(5);
    static const struct call_record empty;
    record_apply(&target, &empty, RECORD_POLL | RECORD_RESULT);
    assert_null(target.poll_state);
    assert_false(error_record_is_set(&target.error));
    assert_string_equal(blob_text(target.input), "input");
    record_apply(&target, &target, RECORD_CODE); /* onto itself: nothing happens */
    assert_string_equal(blob_text(target.input), "input");
    record_deinit(&target);
}

static void copies_errors_on_their_own(void **state)
{
    (void)state;
    struct error_record error = {.type = text("ValueError")}, copy;
    error_record_copy(&copy, &error);
    error_record_deinit(&error);
    assert_false(error_record_is_set(&error));
    assert_true(error_record_is_set(&copy));
    assert_string_equal(blob_text(copy.type), "ValueError");
    error_record_deinit(&copy);
}

static void carries_in_a_batch_only_what_the_operation_needs(void **state)
{
    (void)state;
    struct call_record record = full_record(4);
    struct batch *batch = batch_create(11);
    assert_int_equal(batch->sequence, 11);
    batch_add(batch, BATCH_INSERT, 0, &record);
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS, &record);
    batch_add(batch, BATCH_CONSUME, 0, &record);
    batch_add(batch, BATCH_SWEPT, 0, &record);
    record_deinit(&record);
    assert_int_equal(batch->n_ops, 4);
    assert_string_equal(blob_text(batch->ops[0].record.input), "input");
    assert_int_equal(batch->ops[0].record.project, 4);
    assert_int_equal(batch->ops[1].fields, RECORD_PROGRESS);
    assert_int_equal(batch->ops[1].record.attempts, 4);
    assert_null(batch->ops[1].record.input);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(batch->ops[i].record.id.bytes[0], 4);
    assert_int_equal(batch->ops[2].kind, BATCH_CONSUME);
    assert_int_equal(batch->ops[2].record.attempts, 0);
    assert_int_equal(batch->ops[3].kind, BATCH_SWEPT);
    batch_destroy(batch);
    batch_destroy(NULL);
}

static void keeps_the_order_of_many_operations(void **state)
{
    (void)state;
    struct batch *batch = batch_create(1);
    for (int i = 0; i < 1000; i++) {
        struct call_record record = {.id = {{(uint8_t)(i / 256), (uint8_t)i}}};
        batch_add(batch, BATCH_SWEPT, 0, &record);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(batch->ops[i].record.id.bytes[0] * 256 + batch->ops[i].record.id.bytes[1], i);
    batch_destroy(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_with_references_of_their_own),
        cmocka_unit_test(releases_every_blob),
        cmocka_unit_test(applies_only_the_groups_named),
        cmocka_unit_test(clears_what_the_source_has_not),
        cmocka_unit_test(copies_errors_on_their_own),
        cmocka_unit_test(carries_in_a_batch_only_what_the_operation_needs),
        cmocka_unit_test(keeps_the_order_of_many_operations),
    };
    return cmocka_run_group_tests_name("base/record", tests, NULL, NULL);
}
