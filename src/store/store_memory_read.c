/* Reads, scans and lists of the memory store. */
#include "store/store_memory.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>

static dr_code add(struct store_records *records, const struct call_record *record)
{
    struct call_record *copy = store_records_add(records);
    if (!copy)
        return DR_NO_MEMORY;
    record_copy(copy, record);
    return DR_OK;
}

dr_code memory_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error)
{
    const struct row *row = map_get(&memory_self(store)->rows, id);
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

dr_code memory_read_children(struct store *store, struct id parent, uint32_t generation,
                             struct store_records *ret_done, uint64_t *ret_outstanding,
                             struct dr_error *error)
{
    struct store_records done = {0};
    uint64_t n_outstanding = 0;
    struct id after = {{0}};
    const struct row *row;
    while ((row = next_child(memory_self(store), parent, after))) {
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

dr_code memory_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                              struct record_children *ret_children, struct dr_error *error)
{
    (void)error;
    struct record_children children = {0};
    struct id after = {{0}};
    const struct row *row;
    while ((row = next_child(memory_self(store), parent, after))) {
        after = row->record.id;
        if (row->record.parent_generation != generation || row->record.mail != CALL_MAIL_OPEN)
            continue;
        uint64_t *n = row->record.state == CALL_DONE ? &children.n_done : &children.n_outstanding;
        *n += *n < limit;
    }
    *ret_children = children;
    return DR_OK;
}

dr_code memory_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                        size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error)
{
    struct store_memory *memory = memory_self(store);
    struct store_scan_result result = {.is_complete = true, .next_wake_ns = TIME_NEVER};
    struct row key = {0};
    key.record.wake_ns = after.wake_ns;
    key.record.id = after.id;
    size_t bytes = 0;
    struct ordered_node *node = ordered_after(&memory->by_wake, &key.by_wake, false);
    for (; node; node = ordered_after(&memory->by_wake, node, false)) {
        const struct row *row = container_of(node, struct row, by_wake);
        bool is_full =
            result.records.n_records == limit || (bytes > bytes_max && result.records.n_records > 0);
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

dr_code memory_scan_live_children(struct store *store, struct id parent, uint32_t below_generation,
                                  size_t limit, struct store_records *ret_records, struct dr_error *error)
{
    struct store_records records = {0};
    struct id after = {{0}};
    const struct row *row;
    while (records.n_records < limit && (row = next_child(memory_self(store), parent, after))) {
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

dr_code memory_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                         size_t *ret_n, struct dr_error *error)
{
    (void)error;
    struct row key = {0};
    key.record.parent = after_parent;
    memset(key.record.id.bytes, 0xff, ID_BYTES);
    size_t n = 0;
    struct ordered_node *node = ordered_after(&memory_self(store)->by_parent, &key.by_parent, false);
    for (; node && n < limit; node = ordered_after(&memory_self(store)->by_parent, node, false)) {
        const struct call_record *record = &container_of(node, struct row, by_parent)->record;
        bool is_known = n > 0 && id_equal(ret_parents[n - 1], record->parent);
        if (!is_known && record->state == CALL_DONE && record->mail == CALL_MAIL_OPEN)
            ret_parents[n++] = record->parent;
    }
    *ret_n = n;
    return DR_OK;
}

dr_code memory_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids,
                           size_t *ret_n, struct dr_error *error)
{
    (void)error;
    struct row key = {0};
    key.record.id = after;
    size_t n = 0;
    struct ordered_node *node = ordered_after(&memory_self(store)->by_id, &key.by_id, false);
    for (; node && n < limit; node = ordered_after(&memory_self(store)->by_id, node, false)) {
        const struct call_record *record = &container_of(node, struct row, by_id)->record;
        if (record->sweep_below)
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
           (!filter->is_live || record->state != CALL_DONE) &&
           (filter->status < 0 || (record->state == CALL_DONE && record->status == filter->status)) &&
           (id_is_none(filter->root) || id_equal(record->root, filter->root)) &&
           (id_is_none(filter->parent) || id_equal(record->parent, filter->parent)) &&
           has_text(record->function, filter->function) && has_text(record->endpoint, filter->endpoint);
}

dr_code memory_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error)
{
    struct store_records records = {0};
    struct row key = {0};
    key.record.id = filter->before;
    const struct ordered *by_id = &memory_self(store)->by_id;
    struct ordered_node *node =
        id_is_none(filter->before) ? ordered_last(by_id) : ordered_before(by_id, &key.by_id);
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
