/* Both stores are given the same random batches, as the engine might make them, and must answer every read
 * alike. STORE_SEED and STORE_ROUNDS in the environment; the seed is printed. */
#include "base/testing.h"

#include "subject.h"

#include "base/clock.h"
#include <stdio.h>

#define CALLS_MAX 600
#define ROUNDS_DEFAULT 400
#define TIMES 12 /* so few that ties are common */

struct pair {
    struct subject *memory, *sqlite;
    struct random random;
    struct call_record calls[CALLS_MAX]; /* what was last written */
    bool is_purged[CALLS_MAX];
    uint64_t n_calls;
    uint64_t n_done;
    uint64_t n_batches;
};

static uint64_t below(struct pair *pair, uint64_t bound)
{
    return random_below(&pair->random, bound);
}

static int64_t some_time(struct pair *pair)
{
    return (int64_t)below(pair, TIMES);
}

/* ---- batches ---- */

static void randomize(struct pair *pair, struct call_record *record)
{
    uint32_t generation = record->generation;
    struct call_record other = {0};
    record_copy(&other, record);
    call_fill(&other, &pair->random);
    record_apply(record, &other, RECORD_CODE | RECORD_PROGRESS | RECORD_POLL);
    record_deinit(&other);
    record->generation = generation + (uint32_t)below(pair, 2);
    record->state = below(pair, 2) ? CALL_SUSPENDED : CALL_SCHEDULED;
    record->wake_ns = some_time(pair);
}

static void add_insert(struct pair *pair, struct batch *batch)
{
    uint64_t n = pair->n_calls;
    if (n == CALLS_MAX)
        return;
    uint64_t parent = n ? below(pair, n) : 0;
    struct call_record *record = &pair->calls[n];
    bool is_child = n && below(pair, 2) && pair->calls[parent].state != CALL_DONE;
    *record = is_child ? call_make_child(n, parent, pair->calls[parent].generation) : call_make(n);
    if (is_child)
        record->root = pair->calls[parent].root;
    record->project = 1 + (uint32_t)below(pair, 3);
    randomize(pair, record);
    batch_add(batch, BATCH_INSERT, 0, record);
    pair->n_calls++;
}

static void add_done(struct pair *pair, struct batch *batch, struct call_record *record)
{
    call_finish(record, some_time(pair), ++pair->n_done);
    record->status = (uint8_t)below(pair, 4);
    record->sweep_below = below(pair, 4) == 0 ? (uint32_t)(1 + below(pair, 4)) : 0;
    blob_set(&record->output, text_blob("result"));
    if (below(pair, 3) == 0)
        blob_set(&record->error.message, text_blob("failed"));
    if (record->mail == CALL_MAIL_OPEN && below(pair, 4) == 0)
        record->mail = CALL_MAIL_CONSUMED;
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_POLL | RECORD_RESULT, record);
}

static void add_change(struct pair *pair, struct batch *batch)
{
    if (pair->n_calls == 0)
        return;
    uint64_t n = below(pair, pair->n_calls);
    struct call_record *record = &pair->calls[n];
    bool is_done = record->state == CALL_DONE;
    switch (below(pair, 6)) {
    case 0:
        if (is_done && record->mail == CALL_MAIL_OPEN) {
            record->mail = CALL_MAIL_CONSUMED;
            batch_add(batch, BATCH_CONSUME, 0, record);
        }
        return;
    case 1:
        record->sweep_below = 0;
        batch_add(batch, BATCH_SWEPT, 0, record);
        return;
    case 2:
        if (!is_done)
            add_done(pair, batch, record);
        return;
    default:
        if (is_done)
            return;
        randomize(pair, record);
        batch_add(batch, BATCH_UPDATE, RECORD_CODE | RECORD_PROGRESS | RECORD_POLL, record);
    }
}

/* Some commits are to be refused: they end with a call that exists, or with one that does not. */
static void commit_random(struct pair *pair)
{
    struct batch *batches[3];
    size_t n_batches = 1 + below(pair, 3);
    for (size_t i = 0; i < n_batches; i++) {
        batches[i] = batch_create(++pair->n_batches);
        for (uint64_t k = below(pair, 5); k > 0; k--)
            (below(pair, 3) == 0 ? add_insert : add_change)(pair, batches[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        struct subject *subject = i ? pair->sqlite : pair->memory;
        struct dr_error error = {0};
        if (store_commit(subject->store, batches, n_batches, &error) != DR_OK)
            fail_msg("%s", error.message);
    }
    for (size_t i = 0; i < n_batches; i++)
        batch_destroy(batches[i]);
}

static void commit_refused(struct pair *pair)
{
    struct batch *batch = batch_create(pair->n_batches + 1);
    struct call_record fresh = call_make(CALLS_MAX + 1), bad = call_make(CALLS_MAX + 2);
    batch_add(batch, BATCH_INSERT, 0, &fresh);
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS, &bad);
    assert_int_equal(store_commit(pair->memory->store, &batch, 1, NULL), DR_INTERNAL);
    assert_int_equal(store_commit(pair->sqlite->store, &batch, 1, NULL), DR_INTERNAL);
    record_deinit(&fresh);
    record_deinit(&bad);
    batch_destroy(batch);
}

/* ---- reads ---- */

static void assert_same_records(struct store_records *a, struct store_records *b)
{
    assert_int_equal(a->n_records, b->n_records);
    for (size_t i = 0; i < a->n_records; i++)
        assert_same_call(&a->records[i], &b->records[i]);
    store_records_deinit(a);
    store_records_deinit(b);
}

static int by_id(const void *a, const void *b)
{
    return id_compare(((const struct call_record *)a)->id, ((const struct call_record *)b)->id);
}

static void compare_calls(struct pair *pair)
{
    for (uint64_t n = 0; n < pair->n_calls; n++) {
        bool is_there = has(pair->memory, call_id(n));
        assert_int_equal(is_there, has(pair->sqlite, call_id(n)));
        assert_true(is_there || pair->calls[n].state == CALL_DONE);
        if (!is_there)
            continue;
        struct call_record a = get(pair->memory, call_id(n)), b = get(pair->sqlite, call_id(n));
        assert_same_call(&pair->calls[n], &a);
        assert_same_call(&a, &b);
        record_deinit(&a);
        record_deinit(&b);
    }
}

static void compare_due(struct pair *pair)
{
    struct store_cursor cursor = {INT64_MIN, {{0}}};
    int64_t until_ns = some_time(pair);
    size_t limit = 1 + below(pair, 9), bytes_max = below(pair, 60000);
    for (bool is_complete = false; !is_complete;) {
        struct store_scan_result a = {0}, b = {0};
        assert_int_equal(store_scan_due(pair->memory->store, cursor, until_ns, limit, bytes_max, &a, NULL),
                         DR_OK);
        assert_int_equal(store_scan_due(pair->sqlite->store, cursor, until_ns, limit, bytes_max, &b, NULL),
                         DR_OK);
        assert_int_equal(a.is_complete, b.is_complete);
        assert_int_equal(a.next_wake_ns, b.next_wake_ns);
        is_complete = a.is_complete;
        if (a.records.n_records > 0) {
            const struct call_record *last = &a.records.records[a.records.n_records - 1];
            cursor = (struct store_cursor){last->wake_ns, last->id};
        }
        assert_same_records(&a.records, &b.records);
    }
}

static void compare_family(struct pair *pair, uint64_t n)
{
    struct store_records a = {0}, b = {0};
    uint64_t n_a = 0, n_b = 0;
    uint32_t generation = pair->calls[n].generation - (uint32_t)below(pair, 2);
    assert_int_equal(store_read_children(pair->memory->store, call_id(n), generation, &a, &n_a, NULL), DR_OK);
    assert_int_equal(store_read_children(pair->sqlite->store, call_id(n), generation, &b, &n_b, NULL), DR_OK);
    assert_int_equal(n_a, n_b);
    struct record_children count_a, count_b;
    uint64_t limit = below(pair, 2) ? UINT64_MAX : below(pair, 4);
    assert_int_equal(store_count_children(pair->memory->store, call_id(n), generation, limit, &count_a, NULL), DR_OK);
    assert_int_equal(store_count_children(pair->sqlite->store, call_id(n), generation, limit, &count_b, NULL), DR_OK);
    assert_int_equal(count_a.n_done, a.n_records < limit ? a.n_records : limit);
    assert_int_equal(count_b.n_done, count_a.n_done);
    assert_int_equal(count_a.n_outstanding, n_a < limit ? n_a : limit);
    assert_int_equal(count_b.n_outstanding, count_a.n_outstanding);
    assert_same_records(&a, &b);
    uint32_t bound = below(pair, 2) ? UINT32_MAX : generation;
    assert_int_equal(store_scan_live_children(pair->memory->store, call_id(n), bound, 1000, &a, NULL), DR_OK);
    assert_int_equal(store_scan_live_children(pair->sqlite->store, call_id(n), bound, 1000, &b, NULL), DR_OK);
    if (a.n_records) /* their order is not part of the contract */
        qsort(a.records, a.n_records, sizeof *a.records, by_id);
    if (b.n_records)
        qsort(b.records, b.n_records, sizeof *b.records, by_id);
    assert_same_records(&a, &b);
}

static void compare_recovery(struct pair *pair)
{
    struct id a[8], b[8], after = {{0}};
    size_t n_a = 8, n_b = 0, limit = 1 + below(pair, 8);
    for (n_a = limit; n_a == limit; after = n_a ? a[n_a - 1] : after) {
        assert_int_equal(store_scan_mail(pair->memory->store, after, limit, a, &n_a, NULL), DR_OK);
        assert_int_equal(store_scan_mail(pair->sqlite->store, after, limit, b, &n_b, NULL), DR_OK);
        assert_int_equal(n_a, n_b);
        assert_memory_equal(a, b, n_a * sizeof *a);
    }
    after = (struct id){{0}};
    for (n_a = limit; n_a == limit; after = n_a ? a[n_a - 1] : after) {
        assert_int_equal(store_scan_sweeps(pair->memory->store, after, limit, a, &n_a, NULL), DR_OK);
        assert_int_equal(store_scan_sweeps(pair->sqlite->store, after, limit, b, &n_b, NULL), DR_OK);
        assert_int_equal(n_a, n_b);
        assert_memory_equal(a, b, n_a * sizeof *a);
    }
}

static void compare_list(struct pair *pair)
{
    struct store_records a = {0}, b = {0};
    struct store_filter filter = {.status = below(pair, 2) ? -1 : (int)below(pair, 4),
                                  .limit = 1 + below(pair, 20)};
    uint64_t n = below(pair, pair->n_calls + 1);
    if (below(pair, 2))
        filter.project = 1 + (uint32_t)below(pair, 3);
    if (below(pair, 2))
        filter.state = 1 + (int)below(pair, 3);
    if (below(pair, 3) == 0)
        filter.root = call_id(n);
    if (below(pair, 3) == 0)
        filter.parent = call_id(n);
    if (below(pair, 2))
        filter.before = call_id(n);
    assert_int_equal(store_list(pair->memory->store, &filter, &a, NULL), DR_OK);
    assert_int_equal(store_list(pair->sqlite->store, &filter, &b, NULL), DR_OK);
    assert_same_records(&a, &b);
}

static void compare_counts(struct pair *pair)
{
    struct store_counts a, b;
    assert_int_equal(store_counts(pair->memory->store, &a, NULL), DR_OK);
    assert_int_equal(store_counts(pair->sqlite->store, &b, NULL), DR_OK);
    assert_int_equal(a.n_live, b.n_live);
    assert_int_equal(a.n_done, b.n_done);
}

static void purge_both(struct pair *pair)
{
    struct purge_order order = {.limit = 1 + below(pair, 20), .done_before_ns = some_time(pair)};
    if (below(pair, 2)) {
        order.after_done_ns = some_time(pair);
        order.after = call_id(below(pair, CALLS_MAX));
    }
    struct purge_result a, b;
    assert_int_equal(store_purge(pair->memory->store, &order, &a, NULL), DR_OK);
    assert_int_equal(store_purge(pair->sqlite->store, &order, &b, NULL), DR_OK);
    assert_int_equal(a.n_purged, b.n_purged);
    assert_int_equal(a.n_kept, b.n_kept);
    assert_int_equal(a.reached_done_ns, b.reached_done_ns);
    assert_memory_equal(a.reached.bytes, b.reached.bytes, ID_BYTES);
    assert_int_equal(a.next_done_ns, b.next_done_ns);
    for (uint64_t n = 0; n < pair->n_calls; n++) /* what is gone is no longer changed */
        if (!pair->is_purged[n] && !has(pair->memory, call_id(n))) {
            pair->is_purged[n] = true;
            pair->calls[n].mail = CALL_MAIL_CONSUMED;
        }
}

static void do_something(struct pair *pair)
{
    switch (below(pair, 16)) {
    case 0:
        commit_refused(pair);
        return;
    case 1:
        subject_reopen(pair->sqlite);
        return;
    case 2:
        purge_both(pair);
        return;
    case 3:
        compare_due(pair);
        return;
    case 4:
        compare_recovery(pair);
        return;
    case 5:
    case 6:
        if (pair->n_calls)
            compare_family(pair, below(pair, pair->n_calls));
        return;
    case 7:
        compare_list(pair);
        return;
    case 8:
        compare_counts(pair);
        return;
    default:
        commit_random(pair);
    }
}

static unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void both_stores_answer_alike(void **state)
{
    (void)state;
    unsigned long seed = number_from_environment("STORE_SEED", (unsigned long)clock_real_ns());
    unsigned long n_rounds = number_from_environment("STORE_ROUNDS", ROUNDS_DEFAULT);
    void *memory = SUBJECT_MEMORY, *sqlite = SUBJECT_SQLITE;
    struct pair *pair = mem_must_zalloc(sizeof *pair);
    printf("STORE_SEED=%lu\n", seed);
    random_init(&pair->random, seed);
    subject_open(&memory);
    subject_open(&sqlite);
    pair->memory = memory;
    pair->sqlite = sqlite;
    for (unsigned long i = 0; i < n_rounds; i++) {
        do_something(pair);
        if (i % 50 == 49)
            compare_calls(pair);
    }
    compare_calls(pair);
    for (uint64_t n = 0; n < pair->n_calls; n++) {
        compare_family(pair, n);
        record_deinit(&pair->calls[n]);
    }
    compare_recovery(pair);
    compare_counts(pair);
    subject_close(&memory);
    subject_close(&sqlite);
    mem_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_stores_answer_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
