/* The suite, part 3: lists for people, purging, counting. */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"

static const char *list(struct subject *subject, struct store_filter filter)
{
    struct store_records records = {0};
    struct dr_error error = {0};
    if (filter.limit == 0)
        filter.limit = 100;
    if (store_list(subject->store, &filter, &records, &error) != DR_OK)
        fail_msg("%s", error.message);
    return numbers_of(&records);
}

static void finish(struct subject *subject, uint64_t n, int64_t done_ns)
{
    struct call_record record = get(subject, call_id(n));
    call_finish(&record, done_ns, n);
    change(subject, RECORD_PROGRESS | RECORD_RESULT, &record);
    record_deinit(&record);
}

static void a_list_is_newest_first_and_paged(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 1; n <= 7; n++)
        put_new(subject, call_make(n));
    assert_string_equal(list(subject, (struct store_filter){.status = -1}), "7 6 5 4 3 2 1");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .limit = 3}), "7 6 5");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .limit = 3, .before = call_id(5)}),
                        "4 3 2");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .limit = 3, .before = call_id(1)}),
                        "");
}

/* 1 root, 2 and 3 its children (3 done with status 4), 4 root of another project and function, 5 root
 * elsewhere. */
static void put_mixed(struct subject *subject)
{
    put_new(subject, call_make(1));
    put_new(subject, call_make_child(2, 1, 0));
    struct call_record record = call_make_child(3, 1, 0);
    call_finish(&record, 10, 1);
    record.status = DR_STATUS_INVALID_ARGUMENT;
    put_new(subject, record);
    record = call_make(4);
    record.project = 2;
    blob_set(&record.function, text_blob("other"));
    put_new(subject, record);
    record = call_make(5);
    record.state = CALL_SUSPENDED;
    blob_set(&record.endpoint, text_blob("http://elsewhere"));
    put_new(subject, record);
}

static void each_filter_of_a_list_filters(void **state)
{
    struct subject *subject = *state;
    put_mixed(subject);
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .project = 2}), "4");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .function = slice_text("other")}),
                        "4");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .function = slice_text("oth")}),
                        "");
    assert_string_equal(
        list(subject, (struct store_filter){.status = -1, .endpoint = slice_text("http://elsewhere")}), "5");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .state = CALL_SUSPENDED}), "5");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .state = CALL_DONE}), "3");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .is_live = true}), "5 4 2 1");
    assert_string_equal(list(subject, (struct store_filter){.status = DR_STATUS_INVALID_ARGUMENT}), "3");
    assert_string_equal(list(subject, (struct store_filter){.status = DR_STATUS_UNSPECIFIED}),
                        ""); /* of done calls */
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .root = call_id(1)}), "3 2 1");
    assert_string_equal(list(subject, (struct store_filter){.status = -1, .parent = call_id(1)}), "3 2");
}

static void filters_of_a_list_add_up(void **state)
{
    struct subject *subject = *state;
    put_mixed(subject);
    struct store_filter filter = {.status = -1,
                                  .project = 1,
                                  .state = CALL_SCHEDULED,
                                  .root = call_id(1),
                                  .parent = call_id(1),
                                  .before = call_id(9),
                                  .function = slice_text("greet"),
                                  .endpoint = slice_text("http://localhost/run")};
    assert_string_equal(list(subject, filter), "2");
    filter.function = slice_text("other");
    assert_string_equal(list(subject, filter), "");
}

static struct purge_result purge_behind(struct subject *subject, int64_t done_ns, uint64_t n, int64_t done_before_ns,
                                        size_t limit)
{
    struct purge_order order = {
        .after_done_ns = done_ns, .after = call_id(n), .done_before_ns = done_before_ns, .limit = limit};
    struct purge_result purged = {.n_purged = 99};
    struct dr_error error = {0};
    if (store_purge(subject->store, &order, &purged, &error) != DR_OK)
        fail_msg("%s", error.message);
    return purged;
}

static struct purge_result purge(struct subject *subject, int64_t done_before_ns, size_t limit)
{
    return purge_behind(subject, INT64_MIN, 0, done_before_ns, limit);
}

static void a_purge_deletes_the_oldest_results_up_to_its_limit(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 1; n <= 6; n++)
        put_new(subject, call_make(n));
    for (uint64_t n = 1; n <= 5; n++)
        finish(subject, n, 100 - (int64_t)n * 10); /* 5 is the oldest, at 50 */
    struct purge_result purged = purge(subject, 80, 2);
    assert_int_equal(purged.n_purged, 2);
    assert_int_equal(purged.next_done_ns, 70);
    assert_string_equal(list(subject, (struct store_filter){.status = -1}), "6 3 2 1");
    purged = purge(subject, 80, 2);
    assert_int_equal(purged.n_purged, 1); /* 80 itself is not before 80 */
    assert_int_equal(purged.next_done_ns, 80);
    purged = purge(subject, TIME_NEVER, 10);
    assert_int_equal(purged.n_purged, 2);
    assert_int_equal(purged.next_done_ns, TIME_NEVER);
    assert_string_equal(list(subject, (struct store_filter){.status = -1}), "6");
}

static void a_result_that_a_parent_may_need_is_not_purged(void **state)
{
    struct subject *subject = *state;
    put_new(subject, call_make(1));
    put_new(subject, call_make_child(2, 1, 0));
    put_new(subject, call_make_child(3, 1, 0));
    finish(subject, 2, 10);
    finish(subject, 3, 20);
    struct purge_result purged = purge(subject, 100, 10);
    assert_int_equal(purged.n_purged, 0);
    assert_int_equal(purged.n_kept, 2);
    assert_int_equal(purged.next_done_ns, TIME_NEVER);
    touch(subject, BATCH_CONSUME, call_id(2));
    purged = purge(subject, 100, 10);
    assert_int_equal(purged.n_purged, 1);
    assert_int_equal(purged.n_kept, 1);
    finish(subject, 1, 30);
    assert_int_equal(purge(subject, 25, 10).n_purged, 1); /* the parent is done */
    assert_true(has(subject, call_id(1)));
    put_new(subject, call_make_child(5, 4, 0)); /* its parent is gone */
    finish(subject, 5, 10);
    assert_int_equal(purge(subject, 25, 10).n_purged, 1);
}

static void a_purge_passes_by_what_it_must_keep(void **state)
{
    struct subject *subject = *state;
    put_new(subject, call_make(1));
    for (uint64_t n = 2; n <= 5; n++) {
        put_new(subject, n % 2 ? call_make(n) : call_make_child(n, 1, 0));
        finish(subject, n, (int64_t)n);
    }
    struct purge_result purged = purge(subject, 100, 1); /* 2 is needed, and all that one purge may look at */
    assert_int_equal(purged.n_purged, 0);
    assert_int_equal(purged.n_kept, 1);
    assert_int_equal(purged.reached_done_ns, 2);
    assert_int_equal(purged.next_done_ns, 3);
    purged = purge_behind(subject, 2, 2, 100, 2);
    assert_int_equal(purged.n_purged, 1);
    assert_int_equal(purged.n_kept, 1);
    assert_int_equal(purged.next_done_ns, 5);
    purged = purge_behind(subject, purged.reached_done_ns, 4, 5, 2); /* 5 is too young */
    assert_int_equal(purged.n_purged + purged.n_kept, 0);
    assert_int_equal(purged.reached_done_ns, 4);
    assert_int_equal(purged.next_done_ns, 5);
    assert_string_equal(list(subject, (struct store_filter){.status = -1}), "5 4 2 1");
}

static void a_purge_goes_on_between_calls_of_one_time(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 1; n <= 5; n++) {
        put_new(subject, call_make(n));
        finish(subject, n, 10);
    }
    struct purge_result purged = purge(subject, 11, 2);
    assert_int_equal(purged.n_purged, 2);
    assert_int_equal(purged.next_done_ns, 10);
    purged = purge_behind(subject, purged.reached_done_ns, 2, 11, 5);
    assert_int_equal(purged.n_purged, 3);
    assert_int_equal(purged.next_done_ns, TIME_NEVER);
}

static void a_call_whose_descendants_are_being_cancelled_is_not_purged(void **state)
{
    struct subject *subject = *state;
    struct call_record record = call_make(1);
    call_finish(&record, 10, 1);
    record.sweep_below = UINT32_MAX;
    put_new(subject, record);
    assert_int_equal(purge(subject, 100, 10).n_purged, 0);
    touch(subject, BATCH_SWEPT, call_id(1));
    assert_int_equal(purge(subject, 100, 10).n_purged, 1);
}

static int64_t newest_ns(struct subject *subject)
{
    int64_t newest_ns = 0;
    assert_int_equal(store_newest(subject->store, &newest_ns, NULL), DR_OK);
    return newest_ns;
}

static void the_newest_time_is_that_of_the_last_call_made_or_done(void **state)
{
    struct subject *subject = *state;
    assert_int_equal(newest_ns(subject), INT64_MIN);
    for (uint64_t n = 1; n <= 3; n++) {
        struct call_record record = call_make(n);
        record.created_ns = 100 * (int64_t)n;
        put_new(subject, record);
    }
    assert_int_equal(newest_ns(subject), 300);
    finish(subject, 3, 250);
    assert_int_equal(newest_ns(subject), 300);
    finish(subject, 1, 400);
    assert_int_equal(newest_ns(subject), 400);
    finish(subject, 2, 350);
    assert_int_equal(newest_ns(subject), 400);
}

static struct store_counts count(struct subject *subject)
{
    struct store_counts counts;
    assert_int_equal(store_counts(subject->store, &counts, NULL), DR_OK);
    return counts;
}

static void counts_follow_every_change(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 1; n <= 5; n++)
        put_new(subject, call_make(n));
    assert_int_equal(count(subject).n_live, 5);
    assert_int_equal(count(subject).n_done, 0);
    finish(subject, 1, 10);
    finish(subject, 2, 20);
    struct call_record record = call_make(3);
    record.state = CALL_SUSPENDED;
    change(subject, RECORD_PROGRESS, &record);
    record_deinit(&record);
    assert_int_equal(count(subject).n_live, 3);
    assert_int_equal(count(subject).n_done, 2);
    (void)purge(subject, 15, 10);
    assert_int_equal(count(subject).n_done, 1);
    subject_reopen(subject);
    finish(subject, 3, 30); /* before the first question */
    assert_int_equal(count(subject).n_live, 2);
    assert_int_equal(count(subject).n_done, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_list_is_newest_first_and_paged),
        ON_BOTH(each_filter_of_a_list_filters),
        ON_BOTH(filters_of_a_list_add_up),
        ON_BOTH(a_purge_deletes_the_oldest_results_up_to_its_limit),
        ON_BOTH(a_result_that_a_parent_may_need_is_not_purged),
        ON_BOTH(a_purge_passes_by_what_it_must_keep),
        ON_BOTH(a_purge_goes_on_between_calls_of_one_time),
        ON_BOTH(a_call_whose_descendants_are_being_cancelled_is_not_purged),
        ON_BOTH(the_newest_time_is_that_of_the_last_call_made_or_done),
        ON_BOTH(counts_follow_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
