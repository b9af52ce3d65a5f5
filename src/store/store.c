/* The doors of store.h, and what all implementations share. */
#include "store/store.h"

#include "base/check.h"
#include "base/mem.h"

void store_close(struct store *store)
{
    if (store)
        store->methods->close(store);
}

void store_on_damaged(struct store *store, store_damaged_fn *on_damaged, void *arg)
{
    store->on_damaged = on_damaged;
    store->damaged_arg = arg;
}

dr_code store_commit(struct store *store, struct batch *const *batches, size_t n_batches,
                     struct dr_error *error)
{
    return n_batches == 0 ? DR_OK : store->methods->commit(store, batches, n_batches, error);
}

dr_code store_read(struct store *store, struct id id, struct call_record *ret_record, struct dr_error *error)
{
    return store->methods->read(store, id, ret_record, error);
}

dr_code store_read_children(struct store *store, struct id parent, uint32_t generation,
                            struct store_records *ret_done, uint64_t *ret_outstanding, struct dr_error *error)
{
    return store->methods->read_children(store, parent, generation, ret_done, ret_outstanding, error);
}

dr_code store_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                             struct record_children *ret_children, struct dr_error *error)
{
    return store->methods->count_children(store, parent, generation, limit, ret_children, error);
}

dr_code store_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                       size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error)
{
    CHECK(limit > 0);
    return store->methods->scan_due(store, after, until_ns, limit, bytes_max, ret_result, error);
}

dr_code store_scan_live_children(struct store *store, struct id parent, uint32_t below_generation,
                                 size_t limit, struct store_records *ret_records, struct dr_error *error)
{
    return store->methods->scan_live_children(store, parent, below_generation, limit, ret_records, error);
}

dr_code store_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                        size_t *ret_n, struct dr_error *error)
{
    return store->methods->scan_mail(store, after_parent, limit, ret_parents, ret_n, error);
}

dr_code store_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids,
                          size_t *ret_n, struct dr_error *error)
{
    return store->methods->scan_sweeps(store, after, limit, ret_ids, ret_n, error);
}

dr_code store_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                   struct dr_error *error)
{
    return store->methods->list(store, filter, ret_records, error);
}

dr_code store_purge(struct store *store, const struct purge_order *order, struct purge_result *ret_result,
                    struct dr_error *error)
{
    return store->methods->purge(store, order, ret_result, error);
}

dr_code store_counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error)
{
    return store->methods->counts(store, ret_counts, error);
}

dr_code store_newest(struct store *store, int64_t *ret_newest_ns, struct dr_error *error)
{
    return store->methods->newest(store, ret_newest_ns, error);
}

void store_records_deinit(struct store_records *records)
{
    for (size_t i = 0; i < records->n_records; i++)
        record_deinit(&records->records[i]);
    mem_free(records->records);
    *records = (struct store_records){0};
}

struct call_record *store_records_add(struct store_records *records)
{
    if (records->n_records == records->cap_records) {
        size_t cap = records->cap_records ? records->cap_records * 2 : 8;
        struct call_record *grown = mem_realloc(records->records, cap * sizeof *grown);
        if (!grown)
            return NULL;
        records->records = grown;
        records->cap_records = cap;
    }
    struct call_record *record = &records->records[records->n_records++];
    *record = (struct call_record){0};
    return record;
}

static void leave_out_long(struct blob **text)
{
    if (*text && (*text)->len > STORE_LISTED_BYTES_MAX)
        blob_set(text, NULL);
}

void store_leave_out_payloads(struct call_record *record)
{
    blob_set(&record->input, NULL);
    blob_set(&record->poll_state, NULL);
    blob_set(&record->output, NULL);
    blob_set(&record->error.value, NULL);
    blob_set(&record->error.traceback, NULL);
    leave_out_long(&record->last_error);
    leave_out_long(&record->poll_error);
    leave_out_long(&record->error.type);
    leave_out_long(&record->error.message);
}

size_t store_record_bytes(const struct call_record *record)
{
    return sizeof *record + blob_slice(record->input).len + blob_slice(record->poll_state).len +
           blob_slice(record->output).len + blob_slice(record->error.value).len +
           blob_slice(record->error.traceback).len;
}
