/* The store in memory: as durable as the process. Same rules as SQLite's, checked by one suite (tests/store).
 */
#include "store/store_memory.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"

static int compare_ns(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_id(const struct ordered_node *a, const struct ordered_node *b)
{
    return id_compare(container_of(a, struct row, by_id)->record.id,
                      container_of(b, struct row, by_id)->record.id);
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
    row->by_id.priority = row->by_wake.priority = row->by_parent.priority = row->by_done.priority =
        id_hash(record->id);
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

static dr_code check_op(const struct store_memory *memory, const struct batch_op *op,
                        const struct map *inserted, struct dr_error *error)
{
    char text[ID_TEXT_SIZE];
    bool is_there = map_get(&memory->rows, op->record.id) || map_get(inserted, op->record.id);
    if (op->kind == BATCH_INSERT && is_there)
        return error_set(error, DR_INTERNAL, "commit: call %s exists already",
                         id_format(op->record.id, text));
    if (op->kind == BATCH_UPDATE && !is_there)
        return error_set(error, DR_INTERNAL, "commit: there is no call %s to update",
                         id_format(op->record.id, text));
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
        row->record.sweep_below = 0;
        return;
    default:
        CHECK(!"a known batch operation");
    }
}

static dr_code commit(struct store *store, struct batch *const *batches, size_t n_batches,
                      struct dr_error *error)
{
    struct store_memory *memory = memory_self(store);
    dr_code code = check_all(memory, batches, n_batches, error);
    if (code)
        return code;
    /* Memory that runs out half way could not be undone: it ends the process, like the engine's (base/mem.h).
     */
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

/* ---- purge ---- */

static bool is_purgeable(const struct store_memory *memory, const struct call_record *record)
{
    if (record->sweep_below)
        return false;
    if (record->mail != CALL_MAIL_OPEN)
        return true;
    const struct row *parent = map_get(&memory->rows, record->parent);
    return !parent || parent->record.state == CALL_DONE;
}

static dr_code purge(struct store *store, const struct purge_order *order, struct purge_result *ret_result,
                     struct dr_error *error)
{
    (void)error;
    struct store_memory *memory = memory_self(store);
    struct purge_result result = {
        .reached_done_ns = order->after_done_ns, .reached = order->after, .next_done_ns = TIME_NEVER};
    struct row key = {0};
    key.record.done_ns = order->after_done_ns;
    key.record.id = order->after;
    struct ordered_node *node = ordered_after(&memory->by_done, &key.by_done, false);
    while (node && result.n_purged + result.n_kept < order->limit) {
        struct row *row = container_of(node, struct row, by_done);
        if (row->record.done_ns >= order->done_before_ns)
            break;
        node = ordered_after(&memory->by_done, node, false);
        result.reached_done_ns = row->record.done_ns;
        result.reached = row->record.id;
        if (is_purgeable(memory, &row->record)) {
            remove_row(memory, row);
            result.n_purged++;
        } else {
            result.n_kept++;
        }
    }
    if (node)
        result.next_done_ns = container_of(node, struct row, by_done)->record.done_ns;
    *ret_result = result;
    return DR_OK;
}

static dr_code counts(struct store *store, struct store_counts *ret_counts, struct dr_error *error)
{
    (void)error;
    *ret_counts = memory_self(store)->counts;
    return DR_OK;
}

static dr_code newest(struct store *store, int64_t *ret_newest_ns, struct dr_error *error)
{
    (void)error;
    const struct ordered_node *made = ordered_last(&memory_self(store)->by_id);
    const struct ordered_node *done = ordered_last(&memory_self(store)->by_done);
    int64_t made_ns = made ? container_of(made, struct row, by_id)->record.created_ns : INT64_MIN;
    int64_t done_ns = done ? container_of(done, struct row, by_done)->record.done_ns : INT64_MIN;
    *ret_newest_ns = made_ns > done_ns ? made_ns : done_ns;
    return DR_OK;
}

static void close_memory(struct store *store)
{
    struct store_memory *memory = memory_self(store);
    struct ordered_node *node;
    while ((node = ordered_first(&memory->by_id)))
        remove_row(memory, container_of(node, struct row, by_id));
    map_deinit(&memory->rows);
    mem_free(memory);
}

static const struct store_methods METHODS = {
    .commit = commit,
    .read = memory_read,
    .read_children = memory_read_children,
    .count_children = memory_count_children,
    .scan_due = memory_scan_due,
    .scan_live_children = memory_scan_live_children,
    .scan_mail = memory_scan_mail,
    .scan_sweeps = memory_scan_sweeps,
    .list = memory_list,
    .purge = purge,
    .counts = counts,
    .newest = newest,
    .close = close_memory,
};

dr_code store_memory_open(struct store **ret_store, struct dr_error *error)
{
    struct store_memory *memory = mem_zalloc(sizeof *memory);
    if (!memory)
        return error_set(error, DR_NO_MEMORY, "open the memory store: out of memory");
    memory->store.methods = &METHODS;
    memory->store.is_instant = true;
    map_init(&memory->rows);
    memory->by_id.compare = compare_id;
    memory->by_wake.compare = compare_wake;
    memory->by_parent.compare = compare_parent;
    memory->by_done.compare = compare_done;
    *ret_store = &memory->store;
    return DR_OK;
}
