/* The store in memory: as durable as the process. Same rules as SQLite's, checked by one suite (tests/store). */
#include "store/store.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/ordered.h"

#include <stdlib.h>

struct row {
    struct ordered_node by_id;
    struct ordered_node by_wake;  /* live rows: (wake_ns, id) */
    struct ordered_node by_parent;/* children: (parent, id) */
    struct ordered_node by_done;  /* done rows: (done_ns, id) */
    struct call_record record;
};

struct store_memory {
    struct store store;
    struct map rows;
    struct ordered by_id, by_wake, by_parent, by_done;
    struct store_counts counts;
};

static int compare_ns(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_id(const struct ordered_node *a, const struct ordered_node *b)
{
    return id_compare(container_of(a, struct row, by_id)->record.id, container_of(b, struct row, by_id)->record.id);
}

static int compare_wake(const struct ordered_node *a, const struct ordered_node *b)
{
    const struct call_record *x = &container_of(a, struct row, by_wake)->record;
    const struct call_record *y = &container_of(b, struct row, by_wake)->record;
    int order = compare_ns(x->wake_ns, y->wake_ns);
    return order ? order : id_compare(x->id, y->id);
}

static int compare_parent(const struct ordered_node *a, const struct ordered_node *b)
{
    const struct call_record *x = &container_of(a, struct row, by_parent)->record;
    const struct call_record *y = &container_of(b, struct row, by_parent)->record;
    int order = id_compare(x->parent, y->parent);
    return order ? order : id_compare(x->id, y->id);
}

static int compare_done(const struct ordered_node *a, const struct ordered_node *b)
{
    const struct call_record *x = &container_of(a, struct row, by_done)->record;
    const struct call_record *y = &container_of(b, struct row, by_done)->record;
    int order = compare_ns(x->done_ns, y->done_ns);
    return order ? order : id_compare(x->id, y->id);
}

static struct store_memory *self(struct store *store)
{
    return container_of(store, struct store_memory, store);
}

/* ---- commit ---- */

static void index_state(struct store_memory *memory, struct row *row)
{
    if (row->record.state == CALL_DONE) {
        ordered_insert(&memory->by_done, &row->by_done);
        memory->counts.n_done++;
    } else {
        ordered_insert(&memory->by_wake, &row->by_wake);
        memory->counts.n_live++;
    }
}

static void unindex_state(struct store_memory *memory, struct row *row)
{
    if (row->record.state == CALL_DONE) {
        ordered_remove(&memory->by_done, &row->by_done);
        memory->counts.n_done--;
    } else {
        ordered_remove(&memory->by_wake, &row->by_wake);
        memory->counts.n_live--;
    }
}

static dr_code insert(struct store_memory *memory, const struct call_record *record)
{
    struct row *row = mem_zalloc(sizeof *row);
    if (!row)
        return DR_NO_MEMORY;
    if (map_put(&memory->rows, record->id, row) != DR_OK) {
        mem_free(row);
        return DR_NO_MEMORY;
    }
    record_copy(&row->record, record);
    row->by_id.priority = row->by_wake.priority = row->by_parent.priority = row->by_done.priority = id_hash(record->id);
    ordered_insert(&memory->by_id, &row->by_id);
    if (!id_is_none(record->parent))
        ordered_insert(&memory->by_parent, &row->by_parent);
    index_state(memory, row);
    return DR_OK;
}

static void remove_row(struct store_memory *memory, struct row *row)
{
    unindex_state(memory, row);
    if (!id_is_none(row->record.parent))
        ordered_remove(&memory->by_parent, &row->by_parent);
    ordered_remove(&memory->by_id, &row->by_id);
    map_remove(&memory->rows, row->record.id);
    record_deinit(&row->record);
    mem_free(row);
}

static dr_code check_op(const struct store_memory *memory, const struct batch_op *op, const struct map *inserted,
                        struct dr_error *error)
{
    char text[ID_TEXT_SIZE];
    bool is_there = map_get(&memory->rows, op->record.id) || map_get(inserted, op->record.id);
    if (op->kind == BATCH_INSERT && is_there)
        return error_set(error, DR_INTERNAL, "commit: call %s exists already", id_format(op->record.id, text));
    if (op->kind == BATCH_UPDATE && !is_there)
        return error_set(error, DR_INTERNAL, "commit: there is no call %s to update", id_format(op->record.id, text));
    return DR_OK;
}

/* I6: all that can be refused is found before anything changes. */
static dr_code check_all(const struct store_memory *memory, struct batch *const *batches, size_t n_batches,
                         struct dr_error *error)
{
    struct map inserted;
    map_init(&inserted);
    dr_code code = DR_OK;
    for (size_t i = 0; i < n_batches && !code; i++) {
        for (size_t k = 0; k < batches[i]->n_ops && !code; k++) {
            struct batch_op *op = &batches[i]->ops[k];
            code = check_op(memory, op, &inserted, error);
            if (!code && op->kind == BATCH_INSERT)
                code = map_put(&inserted, op->record.id, op);
        }
    }
    map_deinit(&inserted);
    return code;
}

static void apply_existing(struct store_memory *memory, const struct batch_op *op)
{
    struct row *row = map_get(&memory->rows, op->record.id);
    if (!row)
        return; /* consume and swept ignore a missing call; for an update check_all has seen it */
    switch (op->kind) {
    case BATCH_UPDATE:
        unindex_state(memory, row);
        record_apply(&row->record, &op->record, op->fields);
        index_state(memory, row);
        return;
    case BATCH_CONSUME:
        row->record.mail = CALL_MAIL_CONSUMED;
        return;
    case BATCH_SWEPT:
        row->record.sweep = false;
        return;
    default:
        CHECK(!"a known batch operation");
    }
}

static dr_code commit(struct store *store, struct batch *const *batches, size_t n_batches, struct dr_error *error)
{
    struct store_memory *memory = self(store);
    dr_code code = check_all(memory, batches, n_batches, error);
    if (code)
        return code;
    /* Memory that runs out half way could not be undone: it ends the process, like the engine's (base/mem.h). */
    for (size_t i = 0; i < n_batches; i++) {
        for (size_t k = 0; k < batches[i]->n_ops; k++) {
            const struct batch_op *op = &batches[i]->ops[k];
            if (op->kind == BATCH_INSERT)
                CHECK(insert(memory, &op->record) == DR_OK);
            else
                apply_existing(memory, op);
        }
    }
    return DR_OK;
}

/* ---- reads ---- */

static dr_code add(struct store_records *records, const struct call_record *record)
{
    struct call_record *copy = store_records_add(records);
    if (!copy)
        return DR_NO_MEMORY;
    record_copy(copy, record);
    return DR_OK;
}

static dr_code read_one(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error)
{
    const struct row *row = map_get(&self(store)->rows, id);
    if (!row) {
        char text[ID_TEXT_SIZE];
        return error_set(error, DR_NOT_FOUND, "there is no call %s", id_format(id, text));
    }
    record_copy(ret_record, &row->record);
    return DR_OK;
}

/* The first child of `parent` behind `after`; NULL at the end. */
static const struct row *next_child(const struct store_memory *memory, struct id parent, struct id after)
{
    struct row key = {0};
    key.record.parent = parent;
    key.record.id = after;
    struct ordered_node *node = ordered_after(&memory->by_parent, &key.by_parent, false);
    const struct row *row = node ? container_of(node, struct row, by_parent) : NULL;
    return row && id_equal(row->record.parent, parent) ? row : NULL;
}

static int by_completion(const void *a, const void *b)
{
    const struct call_record *x = a, *y = b;
    return x->done_sequence < y->done_sequence ? -1 : x->done_sequence > y->done_sequence;
}

static dr_code read_children(struct store *store, struct id parent, uint32_t generation, struct store_records *ret_done,
                             uint64_t *ret_outstanding, struct dr_error *error)
{
    struct store_records done = {0};
    uint64_t n_outstanding = 0;
    struct id after = {{0}};
    const struct row *row;
    while ((row = next_child(self(store), parent, after))) {
        after = row->record.id;
        if (row->record.parent_generation != generation || row->record.mail != CALL_MAIL_OPEN)
            continue;
        if (row->record.state != CALL_DONE) {
            n_outstanding++;
        } else if (add(&done, &row->record) != DR_OK) {
            store_records_deinit(&done);
            return error_set(error, DR_NO_MEMORY, "read children: out of memory");
        }
    }
    if (done.n_records)
        qsort(done.records, done.n_records, sizeof *done.records, by_completion);
    *ret_done = done;
    *ret_outstanding = n_outstanding;
    return DR_OK;
}

static dr_code scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit, size_t bytes_max,
                        struct store_scan_result *ret_result, struct dr_error *error)
{
    struct store_memory *memory = self(store);
    struct store_scan_result result = {.is_complete = true, .next_wake_ns = TIME_NEVER};
    struct row key = {0};
    key.record.wake_ns = after.wake_ns;
    key.record.id = after.id;
    size_t bytes = 0;
    struct ordered_node *node = ordered_after(&memory->by_wake, &key.by_wake, false);
    for (; node; node = ordered_after(&memory->by_wake, node, false)) {
        const struct row *row = container_of(node, struct row, by_wake);
        bool is_full = result.records.n_records == limit || (bytes > bytes_max && result.records.n_records > 0);
        if (row->record.wake_ns > until_ns || is_full) {
            result.is_complete = row->record.wake_ns > until_ns;
            result.next_wake_ns = row->record.wake_ns;
            break;
        }
        bytes += store_record_bytes(&row->record);
        if (add(&result.records, &row->record) != DR_OK) {
            store_records_deinit(&result.records);
            return error_set(error, DR_NO_MEMORY, "scan: out of memory");
        }
    }
    *ret_result = result;
    return DR_OK;
}

static dr_code scan_live_children(struct store *store, struct id parent, uint32_t below_generation, size_t limit,
                                  struct store_records *ret_records, struct dr_error *error)
{
    struct store_records records = {0};
    struct id after = {{0}};
    const struct row *row;
    while (records.n_records < limit && (row = next_child(self(store), parent, after))) {
        after = row->record.id;
        bool is_wanted = row->record.state != CALL_DONE &&
                         (below_generation == UINT32_MAX || row->record.parent_generation < below_generation);
        if (is_wanted && add(&records, &row->record) != DR_OK) {
            store_records_deinit(&records);
            return error_set(error, DR_NO_MEMORY, "scan children: out of memory");
        }
    }
    *ret_records = records;
    return DR_OK;
}

static dr_code scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents, size_t *ret_n,
                         struct dr_error *error)
{
    (void)error;
    struct row key = {0};
    key.record.parent = after_parent;
    memset(key.record.id.bytes, 0xff, ID_BYTES);
    size_t n = 0;
    struct ordered_node *node = ordered_after(&self(store)->by_parent, &key.by_parent, false);
    for (; node && n < limit; node = ordered_after(&self(store)->by_parent, node, false)) {
        const struct call_record *record = &container_of(node, struct row, by_parent)->record;
        bool is_known = n > 0 && id_equal(ret_parents[n - 1], record->parent);
        if (!is_known && record->state == CALL_DONE && record->mail == CALL_MAIL_OPEN)
            ret_parents[n++] = record->parent;
    }
    *ret_n = n;
    return DR_OK;
}

static dr_code scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids, size_t *ret_n,
                           struct dr_error *error)
{
    (void)error;
    struct row key = {0};
    key.record.id = after;
    size_t n = 0;
    struct ordered_node *node = ordered_after(&self(store)->by_id, &key.by_id, false);
    for (; node && n < limit; node = ordered_after(&self(store)->by_id, node, false)) {
        const struct call_record *record = &container_of(node, struct row, by_id)->record;
        if (record->sweep)
            ret_ids[n++] = record->id;
    }
    *ret_n = n;
    return DR_OK;
}

static bool has_text(const struct blob *blob, struct slice wanted)
{
    return wanted.len == 0 || slice_equal(blob_slice(blob), wanted);
}

static bool matches(const struct call_record *record, const struct store_filter *filter)
{
    return (filter->project == 0 || record->project == filter->project) &&
           (filter->state == 0 || record->state == filter->state) &&
           (filter->status < 0 || (record->state == CALL_DONE && record->status == filter->status)) &&
           (id_is_none(filter->root) || id_equal(record->root, filter->root)) &&
           (id_is_none(filter->parent) || id_equal(record->parent, filter->parent)) &&
           has_text(record->function, filter->function) && has_text(record->endpoint, filter->endpoint);
}

static dr_code list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error)
{
    struct store_records records = {0};
    struct row key = {0};
    key.record.id = filter->before;
    const struct ordered *by_id = &self(store)->by_id;
    struct ordered_node *node = id_is_none(filter->before) ? ordered_last(by_id) : ordered_before(by_id, &key.by_id);
    for (; node && records.n_records < filter->limit; node = ordered_before(by_id, node)) {
        const struct call_record *record = &container_of(node, struct row, by_id)->record;
        if (!matches(record, filter))
            continue;
        if (add(&records, record) != DR_OK) {
            store_records_deinit(&records);
            return error_set(error, DR_NO_MEMORY, "list: out of memory");
        }
        store_leave_out_payloads(&records.records[records.n_records - 1]);
    }
    *ret_records = records;
    return DR_OK;
}

/* ---- purge ---- */

static bool is_purgeable(const struct store_memory *memory, const struct call_record *record)
{
    if (record->sweep)
        return false;
    if (record->mail != CALL_MAIL_OPEN)
        return true;
    const struct row *parent = map_get(&memory->rows, record->parent);
    return !parent || parent->record.state == CALL_DONE;
}

static dr_code purge(struct store *store, int64_t done_before_ns, size_t limit, size_t *ret_purged,
                     int64_t *ret_next_done_ns, struct dr_error *error)
{
    (void)error;
    struct store_memory *memory = self(store);
    size_t n = 0;
    struct ordered_node *next;
    for (struct ordered_node *node = ordered_first(&memory->by_done); node && n < limit; node = next) {
        struct row *row = container_of(node, struct row, by_done);
        next = ordered_after(&memory->by_done, node, false);
        if (row->record.done_ns >= done_before_ns)
            break;
        if (is_purgeable(memory, &row->record)) {
            remove_row(memory, row);
            n++;
        }
    }
    struct ordered_node *oldest = ordered_first(&memory->by_done);
    *ret_next_done_ns = oldest ? container_of(oldest, struct row, by_done)->record.done_ns : TIME_NEVER;
    *ret_purged = n;
    return DR_OK;
}

static dr_code counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error)
{
    (void)error;
    *ret_counts = self(store)->counts;
    return DR_OK;
}

static void close_memory(struct store *store)
{
    struct store_memory *memory = self(store);
    struct ordered_node *node;
    while ((node = ordered_first(&memory->by_id)))
        remove_row(memory, container_of(node, struct row, by_id));
    map_deinit(&memory->rows);
    mem_free(memory);
}

static const struct store_methods METHODS = {
    .commit = commit,
    .read = read_one,
    .read_children = read_children,
    .scan_due = scan_due,
    .scan_live_children = scan_live_children,
    .scan_mail = scan_mail,
    .scan_sweeps = scan_sweeps,
    .list = list,
    .purge = purge,
    .counts = counts,
    .close = close_memory,
};

dr_code store_memory_open(struct store **ret_store, struct dr_error *error)
{
    struct store_memory *memory = mem_zalloc(sizeof *memory);
    if (!memory)
        return error_set(error, DR_NO_MEMORY, "open the memory store: out of memory");
    memory->store.methods = &METHODS;
    map_init(&memory->rows);
    memory->by_id.compare = compare_id;
    memory->by_wake.compare = compare_wake;
    memory->by_parent.compare = compare_parent;
    memory->by_done.compare = compare_done;
    *ret_store = &memory->store;
    return DR_OK;
}
