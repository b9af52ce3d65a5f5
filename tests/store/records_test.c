/* The suite, part 1: what is written is read, field by field, whole or not at all. */
#include "base/testing.h"

#include "subject.h"

static void reads_back_every_field(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, 17);
    for (uint64_t n = 0; n < 300; n++) {
        struct call_record record =
            n % 3 ? call_make_child(n, n / 3, random_below(&random, UINT32_MAX)) : call_make(n);
        call_fill(&record, &random);
        put(subject, &record);
        struct call_record stored = get(subject, record.id);
        assert_same_call(&record, &stored);
        record_deinit(&stored);
        record_deinit(&record);
    }
}

static void reads_back_every_field_after_it_was_opened_again(void **state)
{
    struct subject *subject = *state;
    struct call_record records[100];
    struct random random;
    random_init(&random, 18);
    for (uint64_t n = 0; n < 100; n++) {
        records[n] = call_make(n);
        call_fill(&records[n], &random);
        put(subject, &records[n]);
    }
    subject_reopen(subject);
    for (uint64_t n = 0; n < 100; n++) {
        struct call_record stored = get(subject, call_id(n));
        assert_same_call(&records[n], &stored);
        record_deinit(&stored);
        record_deinit(&records[n]);
    }
}

static void keeps_absent_and_empty_payloads_apart(void **state)
{
    struct subject *subject = *state;
    struct call_record record = call_make(1);
    record.input = text_blob("");
    record.error.message = text_blob("");
    put(subject, &record);
    struct call_record stored = get(subject, record.id);
    assert_non_null(stored.input);
    assert_int_equal(stored.input->len, 0);
    assert_non_null(stored.error.message);
    assert_int_equal(stored.error.message->len, 0);
    assert_null(stored.output);
    assert_null(stored.version);
    assert_null(stored.error.type);
    record_deinit(&stored);
    record_deinit(&record);
}

static void texts_may_hold_any_byte(void **state)
{
    struct subject *subject = *state;
    struct call_record record = call_make(1);
    blob_set(&record.function, blob_create(slice_of("a\0b\xff\xc3(", 6)));
    put(subject, &record);
    struct call_record stored = get(subject, record.id);
    assert_same_call(&record, &stored);
    record_deinit(&stored);
    record_deinit(&record);
}

static void an_unknown_call_is_not_found(void **state)
{
    struct subject *subject = *state;
    struct call_record record = {0};
    struct dr_error error = {0};
    assert_int_equal(store_read(subject->store, call_id(4), &record, &error), DR_NOT_FOUND);
    assert_non_null(strstr(error.message, "000000000000000"));
}

static void an_update_changes_its_groups_only(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, 19);
    for (unsigned fields = 1; fields < 16; fields++) {
        struct call_record record = call_make(fields), other = call_make(fields);
        call_fill(&record, &random);
        call_fill(&other, &random);
        blob_set(&other.function, text_blob("another"));
        blob_set(&other.endpoint, text_blob("https://other"));
        other.mail = CALL_MAIL_CONSUMED;
        put(subject, &record);
        change(subject, fields, &other);
        record_apply(&record, &other, fields);
        struct call_record stored = get(subject, record.id);
        assert_same_call(&record, &stored);
        record_deinit(&stored);
        record_deinit(&other);
        record_deinit(&record);
    }
}

static void a_payload_can_grow_shrink_and_go(void **state)
{
    struct subject *subject = *state;
    static const size_t LENGTHS[] = {10, 3000000, 20, 100000, 5000, 0};
    struct call_record record = call_make(1);
    record.input = text_blob("stays");
    put(subject, &record);
    uint8_t *bytes = mem_must_zalloc(3000000);
    for (size_t i = 0; i <= 6; i++) {
        blob_set(&record.poll_state, i < 6 ? blob_create(slice_of(bytes, LENGTHS[i])) : NULL);
        change(subject, RECORD_POLL, &record);
        struct call_record stored = get(subject, record.id);
        assert_same_call(&record, &stored);
        record_deinit(&stored);
    }
    mem_free(bytes);
    record_deinit(&record);
}

static void a_consume_changes_the_mail_only(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, 20);
    struct call_record record = call_make_child(2, 1, 0);
    call_fill(&record, &random);
    call_finish(&record, 5, 6);
    put(subject, &record);
    touch(subject, BATCH_CONSUME, record.id);
    record.mail = CALL_MAIL_CONSUMED;
    struct call_record stored = get(subject, record.id);
    assert_same_call(&record, &stored);
    record_deinit(&stored);
    record_deinit(&record);
}

static void a_swept_changes_the_sweep_only(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, 21);
    struct call_record record = call_make(1);
    call_fill(&record, &random);
    record.sweep_below = UINT32_MAX;
    put(subject, &record);
    touch(subject, BATCH_SWEPT, record.id);
    record.sweep_below = 0;
    struct call_record stored = get(subject, record.id);
    assert_same_call(&record, &stored);
    record_deinit(&stored);
    record_deinit(&record);
}

static void consume_and_swept_ignore_a_missing_call(void **state)
{
    struct subject *subject = *state;
    touch(subject, BATCH_CONSUME, call_id(1));
    touch(subject, BATCH_SWEPT, call_id(1));
    assert_false(has(subject, call_id(1)));
}

static void batches_and_their_operations_are_applied_in_order(void **state)
{
    struct subject *subject = *state;
    struct batch *batches[] = {batch_create(1), batch_create(2)};
    struct call_record record = call_make(1);
    batch_add(batches[0], BATCH_INSERT, 0, &record);
    record.attempts = 1;
    batch_add(batches[0], BATCH_UPDATE, RECORD_PROGRESS, &record);
    record.attempts = 2;
    batch_add(batches[1], BATCH_UPDATE, RECORD_PROGRESS, &record);
    assert_int_equal(store_commit(subject->store, batches, 2, NULL), DR_OK);
    struct call_record stored = get(subject, record.id);
    assert_same_call(&record, &stored);
    record_deinit(&stored);
    record_deinit(&record);
    batch_destroy(batches[0]);
    batch_destroy(batches[1]);
}

/* The first batch is good, the last operation of the second is not. */
static void assert_refused_whole(struct subject *subject, enum batch_op_kind kind, struct call_record *bad)
{
    struct call_record here = call_make(1), good = call_make(2);
    struct batch *batches[] = {batch_create(1), batch_create(2)};
    struct store_counts before, after;
    here.attempts = 7;
    batch_add(batches[0], BATCH_UPDATE, RECORD_PROGRESS, &here);
    batch_add(batches[0], BATCH_INSERT, 0, &good);
    batch_add(batches[1], kind, RECORD_PROGRESS, bad);
    assert_int_equal(store_counts(subject->store, &before, NULL), DR_OK);
    struct dr_error error = {0};
    assert_int_equal(store_commit(subject->store, batches, 2, &error), DR_INTERNAL);
    assert_true(error.message[0] != '\0');
    assert_int_equal(store_counts(subject->store, &after, NULL), DR_OK);
    assert_memory_equal(&before, &after, sizeof before);
    assert_false(has(subject, good.id));
    struct call_record stored = get(subject, here.id);
    assert_int_equal(stored.attempts, 0);
    record_deinit(&stored);
    record_deinit(&here);
    record_deinit(&good);
    batch_destroy(batches[0]);
    batch_destroy(batches[1]);
}

static void a_commit_with_an_update_of_a_missing_call_changes_nothing(void **state)
{
    put_new(*state, call_make(1));
    struct call_record missing = call_make(3);
    assert_refused_whole(*state, BATCH_UPDATE, &missing);
    assert_false(has(*state, missing.id));
    record_deinit(&missing);
}

static void a_commit_with_a_call_that_exists_changes_nothing(void **state)
{
    put_new(*state, call_make(1));
    struct call_record again = call_make(1);
    assert_refused_whole(*state, BATCH_INSERT, &again);
    record_deinit(&again);
}

static void a_commit_with_the_same_call_twice_changes_nothing(void **state)
{
    put_new(*state, call_make(1));
    struct call_record again = call_make(2);
    assert_refused_whole(*state, BATCH_INSERT, &again);
    record_deinit(&again);
}

static void a_refused_commit_leaves_a_store_that_works(void **state)
{
    struct subject *subject = *state;
    a_commit_with_an_update_of_a_missing_call_changes_nothing(state);
    put_new(subject, call_make(3));
    subject_reopen(subject);
    assert_true(has(subject, call_id(3)));
    assert_false(has(subject, call_id(2)));
}

static dr_code write_and_read(void *arg)
{
    struct subject *subject = arg;
    struct call_record record = {0};
    struct store_records records = {0};
    struct store_scan_result scan = {0};
    uint64_t n;
    struct store_cursor start = {INT64_MIN, {{0}}};
    struct store_filter filter = {.status = -1, .limit = 10};
    dr_code code = store_read(subject->store, call_id(1), &record, NULL);
    record_deinit(&record);
    if (!code)
        code = store_read_children(subject->store, call_id(1), 0, &records, &n, NULL);
    store_records_deinit(&records);
    if (!code)
        code = store_scan_due(subject->store, start, 100, 10, SIZE_MAX, &scan, NULL);
    store_records_deinit(&scan.records);
    if (!code)
        code = store_list(subject->store, &filter, &records, NULL);
    store_records_deinit(&records);
    if (!code)
        code = store_scan_live_children(subject->store, call_id(1), UINT32_MAX, 10, &records, NULL);
    store_records_deinit(&records);
    return code;
}

static void reads_survive_any_failed_allocation(void **state)
{
    struct subject *subject = *state;
    put_new(subject, call_make(1));
    for (uint64_t n = 2; n < 14; n++) {
        struct call_record record = call_make_child(n, 1, 0);
        if (n % 2)
            call_finish(&record, (int64_t)n, n);
        put_new(subject, record);
    }
    assert_survives_allocation_faults(write_and_read, subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(reads_back_every_field),
        ON_BOTH(reads_back_every_field_after_it_was_opened_again),
        ON_BOTH(keeps_absent_and_empty_payloads_apart),
        ON_BOTH(texts_may_hold_any_byte),
        ON_BOTH(an_unknown_call_is_not_found),
        ON_BOTH(an_update_changes_its_groups_only),
        ON_BOTH(a_payload_can_grow_shrink_and_go),
        ON_BOTH(a_consume_changes_the_mail_only),
        ON_BOTH(a_swept_changes_the_sweep_only),
        ON_BOTH(consume_and_swept_ignore_a_missing_call),
        ON_BOTH(batches_and_their_operations_are_applied_in_order),
        ON_BOTH(a_commit_with_an_update_of_a_missing_call_changes_nothing),
        ON_BOTH(a_commit_with_a_call_that_exists_changes_nothing),
        ON_BOTH(a_commit_with_the_same_call_twice_changes_nothing),
        ON_BOTH(a_refused_commit_leaves_a_store_that_works),
        ON_BOTH(reads_survive_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
