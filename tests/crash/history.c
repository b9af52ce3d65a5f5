#include "base/testing.h"

#include "history.h"

#include "../store/subject.h"
#include "sim/disk.h"
#include "store/store_sqlite.h"

#define CALLS_MAX 4000
#define LISTED_MAX 1000

/* ---- making ---- */

struct maker {
    struct random random;
    struct call_record *calls; /* as last written */
    uint64_t n_calls;
    uint64_t n_batches;
    uint64_t n_done;
    int64_t now_ns;
};

static uint64_t below(struct maker *maker, uint64_t bound)
{
    return random_below(&maker->random, bound);
}

static struct blob *payload(struct maker *maker)
{
    static const size_t LENGTHS[] = {0, 10, 200, 1900, 2100, 9000};
    uint8_t bytes[9000];
    size_t len = LENGTHS[below(maker, 6)];
    memset(bytes, (int)('a' + below(maker, 26)), len);
    return blob_create(slice_of(bytes, len));
}

static void add_insert(struct maker *maker, struct batch *batch)
{
    uint64_t n = maker->n_calls++;
    uint64_t parent = n ? n - 1 - below(maker, n < 8 ? n : 8) : 0;
    bool is_child = n && below(maker, 2) && maker->calls[parent].state != CALL_DONE;
    struct call_record *record = &maker->calls[n];
    *record = is_child ? call_make_child(n, parent, maker->calls[parent].generation) : call_make(n);
    if (is_child)
        record->root = maker->calls[parent].root;
    record->wake_ns = (int64_t)below(maker, 20);
    blob_set(&record->input, payload(maker));
    batch_add(batch, BATCH_INSERT, 0, record);
}

static void finish(struct maker *maker, struct batch *batch, struct call_record *record)
{
    call_finish(record, maker->now_ns, ++maker->n_done);
    record->sweep_below = below(maker, 4) == 0 ? UINT32_MAX : 0;
    blob_set(&record->output, payload(maker));
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_POLL | RECORD_RESULT, record);
}

static void suspend(struct maker *maker, struct batch *batch, struct call_record *record)
{
    record->state = CALL_SUSPENDED;
    record->attempts++;
    record->wake_ns = (int64_t)below(maker, 20);
    blob_set(&record->poll_state, payload(maker));
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_POLL, record);
}

static void add_change(struct maker *maker, struct batch *batch)
{
    struct call_record *record =
        &maker->calls[maker->n_calls - 1 - below(maker, maker->n_calls < 20 ? maker->n_calls : 20)];
    bool is_done = record->state == CALL_DONE;
    if (is_done && record->mail == CALL_MAIL_OPEN) {
        record->mail = CALL_MAIL_CONSUMED;
        batch_add(batch, BATCH_CONSUME, 0, record);
    } else if (is_done) {
        record->sweep_below = 0;
        batch_add(batch, BATCH_SWEPT, 0, record);
    } else if (below(maker, 2)) {
        finish(maker, batch, record);
    } else {
        suspend(maker, batch, record);
    }
}

static void make_commit(struct maker *maker, struct step *step)
{
    step->n_batches = 1 + below(maker, 3);
    for (size_t i = 0; i < step->n_batches; i++) {
        step->batches[i] = batch_create(++maker->n_batches);
        if (i == 0) /* so that every step changes something */
            add_insert(maker, step->batches[i]);
        for (uint64_t k = below(maker, 4); k > 0; k--)
            (below(maker, 4) == 0 ? add_insert : add_change)(maker, step->batches[i]);
    }
}

static void model_step(struct store *model, const struct step *step)
{
    struct dr_error error = {0};
    if (history_apply(model, step, &error) != DR_OK)
        fail_msg("model: %s", error.message);
}

/* Every 16th step is a purge, if it finds something. */
static void make_step(struct maker *maker, struct history *history, size_t n, struct store *model)
{
    struct step *step = &history->steps[n];
    maker->now_ns = (int64_t)n;
    if (n % 16 == 15) {
        step->purge_before_ns = (int64_t)n - 10;
        model_step(model, step);
        history->states[n + 1] = history_state(model);
        if (history->states[n + 1] != history->states[n])
            return;
    }
    make_commit(maker, step);
    model_step(model, step);
    history->states[n + 1] = history_state(model);
    assert_int_not_equal(history->states[n + 1], history->states[n]);
}

void history_make(struct history *history, uint64_t seed, size_t n_steps)
{
    struct maker maker = {.calls = mem_must_zalloc(CALLS_MAX * sizeof *maker.calls)};
    struct store *model;
    random_init(&maker.random, seed);
    *history = (struct history){.n_steps = n_steps,
                                .steps = mem_must_zalloc(n_steps * sizeof *history->steps),
                                .states = mem_must_zalloc((n_steps + 1) * sizeof *history->states)};
    assert_int_equal(store_memory_open(&model, NULL), DR_OK);
    history->states[0] = history_state(model);
    for (size_t i = 0; i < n_steps; i++) {
        assert_in_range(maker.n_calls, 0, CALLS_MAX - 16);
        make_step(&maker, history, i, model);
    }
    store_close(model);
    for (uint64_t i = 0; i < maker.n_calls; i++)
        record_deinit(&maker.calls[i]);
    mem_free(maker.calls);
}

void history_deinit(struct history *history)
{
    for (size_t i = 0; i < history->n_steps; i++)
        for (size_t k = 0; k < history->steps[i].n_batches; k++)
            batch_destroy(history->steps[i].batches[k]);
    mem_free(history->steps);
    mem_free(history->states);
}

dr_code history_apply(struct store *store, const struct step *step, struct dr_error *error)
{
    struct purge_order order = {
        .after_done_ns = INT64_MIN, .done_before_ns = step->purge_before_ns, .limit = LISTED_MAX};
    struct purge_result purged;
    if (step->n_batches > 0)
        return store_commit(store, step->batches, step->n_batches, error);
    return store_purge(store, &order, &purged, error);
}

/* ---- the state as a number (as FNV-1a, by words) ---- */

static void hash_bytes(uint64_t *hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, len - i < 8 ? len - i : 8);
        *hash = (*hash ^ word) * UINT64_C(0x100000001b3);
        *hash ^= *hash >> 29;
    }
}

static void hash_number(uint64_t *hash, uint64_t number)
{
    hash_bytes(hash, &number, sizeof number);
}

static void hash_blob(uint64_t *hash, const struct blob *blob)
{
    struct slice bytes = blob_slice(blob);
    hash_number(hash, blob ? bytes.len : UINT64_MAX);
    hash_bytes(hash, bytes.data, bytes.len);
}

static void hash_record(uint64_t *hash, const struct call_record *record)
{
    hash_bytes(hash, record->id.bytes, ID_BYTES);
    hash_bytes(hash, record->parent.bytes, ID_BYTES);
    hash_bytes(hash, record->root.bytes, ID_BYTES);
    hash_number(hash, (uint64_t)record->created_ns);
    hash_number(hash, record->state);
    hash_number(hash, record->mail);
    hash_number(hash, record->sweep_below);
    hash_number(hash, (uint64_t)record->wake_ns);
    hash_number(hash, record->attempts);
    hash_number(hash, (uint64_t)record->done_ns);
    hash_number(hash, record->done_sequence);
    hash_number(hash, record->status);
    hash_blob(hash, record->endpoint);
    hash_blob(hash, record->function);
    hash_blob(hash, record->input);
    hash_blob(hash, record->poll_state);
    hash_blob(hash, record->output);
}

static void hash_ids(uint64_t *hash, const struct id *ids, size_t n)
{
    hash_number(hash, n);
    hash_bytes(hash, ids, n * sizeof *ids);
}

/* Each through an index of its own, so that an index that lies shows. */
static void hash_scans(uint64_t *hash, struct store *store)
{
    struct store_scan_result due = {0};
    struct id ids[LISTED_MAX], none = {{0}};
    size_t n = 0;
    struct store_cursor first = {INT64_MIN, none};
    assert_int_equal(store_scan_due(store, first, INT64_MAX, LISTED_MAX, SIZE_MAX, &due, NULL), DR_OK);
    hash_number(hash, due.records.n_records);
    for (size_t i = 0; i < due.records.n_records; i++)
        hash_bytes(hash, due.records.records[i].id.bytes, ID_BYTES);
    store_records_deinit(&due.records);
    assert_int_equal(store_scan_mail(store, none, LISTED_MAX, ids, &n, NULL), DR_OK);
    hash_ids(hash, ids, n);
    assert_int_equal(store_scan_sweeps(store, none, LISTED_MAX, ids, &n, NULL), DR_OK);
    hash_ids(hash, ids, n);
}

uint64_t history_state(struct store *store)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    struct store_records listed = {0};
    struct store_counts counts = {0};
    struct dr_error error = {0};
    struct store_filter filter = {.status = -1, .limit = LISTED_MAX};
    if (store_list(store, &filter, &listed, &error) != DR_OK)
        fail_msg("%s", error.message);
    assert_in_range(listed.n_records, 0, LISTED_MAX - 1);
    for (size_t i = 0; i < listed.n_records; i++) {
        struct call_record record = {0};
        if (store_read(store, listed.records[i].id, &record, &error) != DR_OK)
            fail_msg("%s", error.message);
        hash_record(&hash, &record);
        record_deinit(&record);
    }
    store_records_deinit(&listed);
    hash_scans(&hash, store);
    assert_int_equal(store_counts(store, &counts, NULL), DR_OK);
    hash_number(&hash, counts.n_live);
    hash_number(&hash, counts.n_done);
    return hash;
}

dr_code history_open(struct sim_disk *disk, int checkpoint_pages, struct store **ret_store,
                     struct dr_error *error)
{
    return history_open_as(disk, checkpoint_pages, STORE_SURVIVES_POWER_LOSS, ret_store, error);
}

dr_code history_open_as(struct sim_disk *disk, int checkpoint_pages, enum store_durability durability,
                        struct store **ret_store, struct dr_error *error)
{
    struct store_sqlite_options options = {.path = "dispatch.db",
                                           .vfs = sim_disk_vfs_name(disk),
                                           .busy_timeout_ms = 1,
                                           .durability = durability};
    dr_code code = store_sqlite_open(&options, ret_store, error);
    if (!code && checkpoint_pages > 0)
        sqlite3_wal_autocheckpoint(sqlite_self(*ret_store)->database, checkpoint_pages);
    return code;
}
