/* Insides of the memory store, shared by store_memory*.c only. A row is in the map and in the ordered sets
 * that its state asks for. One thread at a time. */
#ifndef STORE_STORE_MEMORY_H
#define STORE_STORE_MEMORY_H

#include "base/list.h"
#include "base/map.h"
#include "store/ordered.h"
#include "store/store.h"

struct row {
    struct ordered_node by_id;
    struct ordered_node by_wake; /* live rows: (wake_ns, id) */
    struct ordered_node by_parent; /* children: (parent, id) */
    struct ordered_node by_done; /* done rows: (done_ns, id) */
    struct call_record record;
};

struct store_memory {
    struct store store;
    struct map rows;
    struct ordered by_id, by_wake, by_parent, by_done;
    struct store_counts counts;
};

static inline struct store_memory *memory_self(struct store *store)
{
    return container_of(store, struct store_memory, store);
}

/* store_memory_read.c */
dr_code memory_read(struct store *store, struct id id, struct call_record *ret_record,
                    struct dr_error *error);
dr_code memory_read_children(struct store *store, struct id parent, uint32_t generation,
                             struct store_records *ret_done, uint64_t *ret_outstanding,
                             struct dr_error *error);
dr_code memory_count_children(struct store *store, struct id parent, uint32_t generation, uint64_t limit,
                              struct record_children *ret_children, struct dr_error *error);
dr_code memory_scan_due(struct store *store, struct store_cursor after, int64_t until_ns, size_t limit,
                        size_t bytes_max, struct store_scan_result *ret_result, struct dr_error *error);
dr_code memory_scan_live_children(struct store *store, struct id parent, uint32_t below_generation,
                                  size_t limit, struct store_records *ret_records, struct dr_error *error);
dr_code memory_scan_mail(struct store *store, struct id after_parent, size_t limit, struct id *ret_parents,
                         size_t *ret_n, struct dr_error *error);
dr_code memory_scan_sweeps(struct store *store, struct id after, size_t limit, struct id *ret_ids,
                           size_t *ret_n, struct dr_error *error);
dr_code memory_list(struct store *store, const struct store_filter *filter, struct store_records *ret_records,
                    struct dr_error *error);

#endif
