/* The suite, part 2: what is due, and what belongs to whom. */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"
#include <stdio.h>

static const struct store_cursor START = {INT64_MIN, {{0}}};

static void put_at(struct subject *subject, uint64_t n, int64_t wake_ns)
{
    struct call_record record = call_make(n);
    record.wake_ns = wake_ns;
    put_new(subject, record);
}

static struct store_scan_result due(struct subject *subject, struct store_cursor after, int64_t until_ns,
                                    size_t limit, size_t bytes_max)
{
    struct store_scan_result result = {0};
    assert_int_equal(store_scan_due(subject->store, after, until_ns, limit, bytes_max, &result, NULL), DR_OK);
    return result;
}

static void due_calls_come_in_order_of_deadline_and_id(void **state)
{
    struct subject *subject = *state;
    put_at(subject, 1, 30);
    put_at(subject, 2, 10);
    put_at(subject, 3, 20);
    put_at(subject, 4, 10);
    put_at(subject, 5, -5);
    put_at(subject, 6, 31);
    struct store_scan_result result = due(subject, START, 30, 100, SIZE_MAX);
    assert_true(result.is_complete);
    assert_int_equal(result.next_wake_ns, 31);
    assert_string_equal(numbers_of(&result.records), "5 2 4 3 1");
}

static void a_scan_of_an_empty_store_is_complete(void **state)
{
    struct store_scan_result result = due(*state, START, TIME_NEVER, 10, SIZE_MAX);
    assert_true(result.is_complete);
    assert_int_equal(result.next_wake_ns, TIME_NEVER);
    assert_int_equal(result.records.n_records, 0);
}

static void a_scan_brings_whole_records(void **state)
{
    struct subject *subject = *state;
    struct random random;
    random_init(&random, 22);
    struct call_record record = call_make(1);
    call_fill(&record, &random);
    put(subject, &record);
    struct store_scan_result result = due(subject, START, TIME_NEVER, 10, SIZE_MAX);
    assert_int_equal(result.records.n_records, 1);
    assert_same_call(&record, &result.records.records[0]);
    store_records_deinit(&result.records);
    record_deinit(&record);
}

/* Many calls with one deadline: the cursor stands between two of them. */
static void a_scan_goes_on_behind_its_cursor(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 0; n < 20; n++)
        put_at(subject, n, n < 15 ? 10 : 11);
    struct store_cursor cursor = START;
    uint64_t n_seen = 0;
    for (;;) {
        struct store_scan_result result = due(subject, cursor, 10, 4, SIZE_MAX);
        for (size_t i = 0; i < result.records.n_records; i++)
            assert_memory_equal(result.records.records[i].id.bytes, call_id(n_seen++).bytes, ID_BYTES);
        bool is_complete = result.is_complete;
        if (!is_complete) {
            assert_int_equal(result.records.n_records, 4);
            assert_int_equal(result.next_wake_ns, 10);
            const struct call_record *last = &result.records.records[3];
            cursor = (struct store_cursor){last->wake_ns, last->id};
        } else {
            assert_int_equal(result.next_wake_ns, 11);
        }
        store_records_deinit(&result.records);
        if (is_complete)
            break;
    }
    assert_int_equal(n_seen, 15);
}

static void a_scan_that_meets_its_limit_at_the_end_is_complete(void **state)
{
    struct subject *subject = *state;
    put_at(subject, 1, 1);
    put_at(subject, 2, 2);
    put_at(subject, 3, 9);
    struct store_scan_result result = due(subject, START, 5, 2, SIZE_MAX);
    assert_true(result.is_complete);
    assert_int_equal(result.next_wake_ns, 9);
    assert_string_equal(numbers_of(&result.records), "1 2");
}

static void a_scan_stops_at_its_bytes_but_brings_one(void **state)
{
    struct subject *subject = *state;
    uint8_t payload[10000] = {0};
    for (uint64_t n = 0; n < 5; n++) {
        struct call_record record = call_make(n);
        record.wake_ns = 1;
        record.input = blob_create(slice_of(payload, sizeof payload));
        put_new(subject, record);
    }
    struct store_scan_result result = due(subject, START, 5, 100, 1);
    assert_false(result.is_complete);
    assert_int_equal(result.next_wake_ns, 1);
    assert_string_equal(numbers_of(&result.records), "0");
    result = due(subject, START, 5, 100, 25000);
    assert_false(result.is_complete);
    assert_string_equal(numbers_of(&result.records), "0 1 2");
}

static void a_changed_deadline_moves_the_call_and_done_calls_are_not_due(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 1; n <= 3; n++)
        put_at(subject, n, (int64_t)n);
    struct call_record record = call_make(1);
    record.wake_ns = 100;
    change(subject, RECORD_PROGRESS, &record);
    record_deinit(&record);
    record = call_make(2);
    call_finish(&record, 50, 1);
    change(subject, RECORD_PROGRESS | RECORD_RESULT, &record);
    record_deinit(&record);
    struct store_scan_result result = due(subject, START, TIME_NEVER, 100, SIZE_MAX);
    assert_string_equal(numbers_of(&result.records), "3 1");
}

/* Parent 1 with children 10..15, made in generation 2 but 15 in generation 1; parent 2 with 20. */
static void put_family(struct subject *subject)
{
    put_new(subject, call_make(1));
    put_new(subject, call_make(2));
    for (uint64_t n = 10; n <= 15; n++)
        put_new(subject, call_make_child(n, 1, n == 15 ? 1 : 2));
    put_new(subject, call_make_child(20, 2, 2));
}

static void finish(struct subject *subject, uint64_t n, uint64_t done_sequence)
{
    struct call_record record = get(subject, call_id(n));
    call_finish(&record, (int64_t)done_sequence * 10, done_sequence);
    change(subject, RECORD_PROGRESS | RECORD_RESULT, &record);
    record_deinit(&record);
}

static const char *children(struct subject *subject, uint64_t parent, uint32_t generation,
                            uint64_t *ret_outstanding)
{
    struct store_records records = {0};
    assert_int_equal(
        store_read_children(subject->store, call_id(parent), generation, &records, ret_outstanding, NULL),
        DR_OK);
    return numbers_of(&records);
}

static void children_come_in_order_of_completion(void **state)
{
    struct subject *subject = *state;
    uint64_t n_outstanding = 0;
    put_family(subject);
    finish(subject, 12, 1);
    finish(subject, 10, 3);
    finish(subject, 13, 2);
    assert_string_equal(children(subject, 1, 2, &n_outstanding), "12 13 10");
    assert_int_equal(n_outstanding, 2); /* 11, 14; not 15, of another generation */
    assert_string_equal(children(subject, 1, 1, &n_outstanding), "");
    assert_int_equal(n_outstanding, 1);
    assert_string_equal(children(subject, 3, 0, &n_outstanding), "");
    assert_int_equal(n_outstanding, 0);
}

static void consumed_children_are_neither_done_nor_outstanding(void **state)
{
    struct subject *subject = *state;
    uint64_t n_outstanding = 0;
    put_family(subject);
    finish(subject, 10, 1);
    finish(subject, 11, 2);
    touch(subject, BATCH_CONSUME, call_id(10));
    assert_string_equal(children(subject, 1, 2, &n_outstanding), "11");
    assert_int_equal(n_outstanding, 3);
}

static void children_are_counted_to_a_limit(void **state)
{
    struct subject *subject = *state;
    struct record_children children;
    put_family(subject);
    finish(subject, 10, 1);
    finish(subject, 11, 2);
    finish(subject, 12, 3);
    touch(subject, BATCH_CONSUME, call_id(10));
    assert_int_equal(store_count_children(subject->store, call_id(1), 2, UINT64_MAX, &children, NULL), DR_OK);
    assert_int_equal(children.n_done, 2);
    assert_int_equal(children.n_outstanding, 2);
    assert_int_equal(store_count_children(subject->store, call_id(1), 2, 1, &children, NULL), DR_OK);
    assert_int_equal(children.n_done, 1);
    assert_int_equal(children.n_outstanding, 1);
    assert_int_equal(store_count_children(subject->store, call_id(1), 9, 5, &children, NULL), DR_OK);
    assert_int_equal(children.n_done + children.n_outstanding, 0);
}

static const char *live_children(struct subject *subject, uint64_t parent, uint32_t below_generation,
                                 size_t limit)
{
    struct store_records records = {0};
    assert_int_equal(
        store_scan_live_children(subject->store, call_id(parent), below_generation, limit, &records, NULL),
        DR_OK);
    assert_true(records.n_records <= limit);
    return numbers_of(&records);
}

static void live_children_are_found_by_generation(void **state)
{
    struct subject *subject = *state;
    put_family(subject);
    finish(subject, 10, 1);
    assert_string_equal(live_children(subject, 1, 2, 100), "15");
    assert_string_equal(live_children(subject, 1, 1, 100), "");
    assert_string_equal(live_children(subject, 2, UINT32_MAX, 100), "20");
    struct store_records records = {0};
    assert_int_equal(store_scan_live_children(subject->store, call_id(1), UINT32_MAX, 100, &records, NULL),
                     DR_OK);
    assert_int_equal(records.n_records, 5);
    store_records_deinit(&records);
    assert_int_equal(store_scan_live_children(subject->store, call_id(1), UINT32_MAX, 3, &records, NULL),
                     DR_OK);
    assert_int_equal(records.n_records, 3);
    store_records_deinit(&records);
}

static void a_child_of_the_last_generation_is_a_live_child(void **state)
{
    struct subject *subject = *state;
    put_new(subject, call_make_child(2, 1, UINT32_MAX));
    assert_string_equal(live_children(subject, 1, UINT32_MAX, 10), "2");
}

static const char *mail(struct subject *subject, struct id after, size_t limit)
{
    struct id ids[16];
    size_t n = 99;
    assert_int_equal(store_scan_mail(subject->store, after, limit, ids, &n, NULL), DR_OK);
    return numbers_of_ids(ids, n);
}

static void mail_names_each_parent_once(void **state)
{
    struct subject *subject = *state;
    struct id none = {{0}};
    put_family(subject);
    put_new(subject, call_make_child(30, 3, 0));
    put_new(subject, call_make_child(40, 4, 0));
    assert_string_equal(mail(subject, none, 16), "");
    for (uint64_t n = 10; n <= 15; n++)
        finish(subject, n, n);
    finish(subject, 20, 20);
    finish(subject, 40, 40);
    assert_string_equal(mail(subject, none, 16), "1 2 4");
    assert_string_equal(mail(subject, none, 2), "1 2");
    assert_string_equal(mail(subject, call_id(2), 2), "4");
    touch(subject, BATCH_CONSUME, call_id(20));
    assert_string_equal(mail(subject, none, 16), "1 4");
    touch(subject, BATCH_CONSUME, call_id(10));
    assert_string_equal(mail(subject, none, 16), "1 4");
}

static const char *sweeps(struct subject *subject, struct id after, size_t limit)
{
    struct id ids[16];
    size_t n = 99;
    assert_int_equal(store_scan_sweeps(subject->store, after, limit, ids, &n, NULL), DR_OK);
    return numbers_of_ids(ids, n);
}

static void sweeps_are_found_until_they_are_swept(void **state)
{
    struct subject *subject = *state;
    struct id none = {{0}};
    for (uint64_t n = 1; n <= 6; n++) {
        struct call_record record = call_make(n);
        record.sweep_below = n % 2 == 0 ? (uint32_t)n : 0;
        if (n == 4)
            call_finish(&record, 1, 1);
        put_new(subject, record);
    }
    assert_string_equal(sweeps(subject, none, 16), "2 4 6");
    assert_string_equal(sweeps(subject, none, 2), "2 4");
    assert_string_equal(sweeps(subject, call_id(4), 2), "6");
    touch(subject, BATCH_SWEPT, call_id(4));
    assert_string_equal(sweeps(subject, none, 16), "2 6");
    struct call_record record = call_make(5);
    record.sweep_below = UINT32_MAX;
    change(subject, RECORD_PROGRESS, &record);
    record_deinit(&record);
    assert_string_equal(sweeps(subject, none, 16), "2 5 6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(due_calls_come_in_order_of_deadline_and_id),
        ON_BOTH(a_scan_of_an_empty_store_is_complete),
        ON_BOTH(a_scan_brings_whole_records),
        ON_BOTH(a_scan_goes_on_behind_its_cursor),
        ON_BOTH(a_scan_that_meets_its_limit_at_the_end_is_complete),
        ON_BOTH(a_scan_stops_at_its_bytes_but_brings_one),
        ON_BOTH(a_changed_deadline_moves_the_call_and_done_calls_are_not_due),
        ON_BOTH(children_come_in_order_of_completion),
        ON_BOTH(consumed_children_are_neither_done_nor_outstanding),
        ON_BOTH(children_are_counted_to_a_limit),
        ON_BOTH(live_children_are_found_by_generation),
        ON_BOTH(a_child_of_the_last_generation_is_a_live_child),
        ON_BOTH(mail_names_each_parent_once),
        ON_BOTH(sweeps_are_found_until_they_are_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
