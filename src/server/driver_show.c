/* Calls as shown to people: read from the store, so that nothing is shown which a crash could take back; why a call is
 * not running comes from the engine when it has the call in memory. */
#include "server/driver_private.h"

/* Children that one request looks at; of calls behind them it is said only that they wait for results. */
#define CHILDREN_COUNTED_MAX 1000000u

/* On the store's thread it reads, on the engine thread it explains and answers. */
struct show_request {
    struct driver_read read;      /* first member */
    uint32_t project;
    struct store_filter filter;   /* of a list; its texts in `texts` */
    uint8_t *texts;
    driver_calls_fn *on_done;
    void *arg;
    /* the answer */
    dr_code code;
    struct dr_error error;
    struct store_records records;
    struct call_record record;    /* of a get */
    struct record_children *children; /* of the first n_counted records */
    size_t n_counted;
};

struct counts_request {
    struct driver_read read;      /* first member */
    driver_counts_fn *on_done;
    void *arg;
    dr_code code;
    struct dr_error error;
    struct driver_counts counts;
};

static void explain(struct driver *driver, const struct call_record *record, const struct record_children *children,
                    struct driver_call *ret_call)
{
    struct engine_why why = engine_why(driver->engine, record->id);
    if (why.kind == ENGINE_WHY_UNKNOWN_CALL || record->state == CALL_DONE)
        why = engine_why_record(driver->engine, record, children);
    ret_call->record = record;
    ret_call->why_kind = why.kind;
    engine_why_format(&why, ret_call->why, sizeof ret_call->why);
}

static void answer_show(struct driver *driver, struct show_request *request, const struct call_record *records,
                        size_t n)
{
    struct driver_call *calls = NULL;
    if (request->code == DR_OK && n > 0) {
        calls = mem_must_zalloc(n * sizeof *calls);
        for (size_t i = 0; i < n; i++)
            explain(driver, &records[i], i < request->n_counted ? &request->children[i] : NULL, &calls[i]);
    }
    driver_read_done(driver);
    request->on_done(request->arg, request->code, request->code ? request->error.message : NULL, calls,
                     request->code ? 0 : n, request->records.next_before);
    mem_free(calls);
    record_deinit(&request->record);
    store_records_deinit(&request->records);
    mem_free(request->texts);
    mem_free(request->children);
    mem_free(request);
}

/* On the store's thread. What a suspended call waits for depends on its children; commits wait while they are counted. */
static void count_children(struct show_request *request, struct store *store, const struct call_record *records, size_t n)
{
    uint64_t left = CHILDREN_COUNTED_MAX;
    if (request->code || n == 0)
        return;
    request->children = mem_must_zalloc(n * sizeof *request->children);
    for (; request->n_counted < n; request->n_counted++) {
        const struct call_record *record = &records[request->n_counted];
        struct record_children *children = &request->children[request->n_counted];
        if (record->state != CALL_SUSPENDED || !record->has_children)
            continue;
        request->code = store_count_children(store, record->id, record->generation, (uint64_t)record->min_results,
                                             children, &request->error);
        if (request->code || children->n_done + children->n_outstanding > left)
            return;
        left -= children->n_done + children->n_outstanding;
    }
}

static struct show_request *show_request_create(driver_calls_fn *on_done, void *arg)
{
    struct show_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return NULL;
    request->on_done = on_done;
    request->arg = arg;
    return request;
}

/* ---- get --------------------------------------------------------------------------------------------------------- */

static void read_one(struct driver_read *read, struct store *store)
{
    struct show_request *request = container_of(read, struct show_request, read);
    request->code = store_read(store, request->filter.before, &request->record, &request->error);
    count_children(request, store, &request->record, 1);
}

static void answer_get(struct driver *driver, struct driver_read *read)
{
    struct show_request *request = container_of(read, struct show_request, read);
    bool is_foreign = request->code == DR_OK && request->project && request->record.project != request->project;
    if (is_foreign || request->code == DR_NOT_FOUND)
        request->code = error_set(&request->error, DR_NOT_FOUND, "there is no call with this id");
    answer_show(driver, request, &request->record, 1);
}

dr_code driver_get(struct driver *driver, uint32_t project, struct id id, driver_calls_fn *on_done, void *arg,
                   struct dr_error *error)
{
    struct show_request *request = show_request_create(on_done, arg);
    if (!request)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    request->project = project;
    request->filter.before = id; /* the id asked for */
    request->read.driver = driver;
    request->read.read = read_one;
    request->read.event.handle = driver_read_handle;
    request->read.answer = answer_get;
    dr_code code = driver_read_begin(driver, &request->read.event, error);
    if (code)
        mem_free(request);
    return code;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void read_many(struct driver_read *read, struct store *store)
{
    struct show_request *request = container_of(read, struct show_request, read);
    request->code = store_list(store, &request->filter, &request->records, &request->error);
    count_children(request, store, request->records.records, request->records.n_records);
}

static void answer_list(struct driver *driver, struct driver_read *read)
{
    struct show_request *request = container_of(read, struct show_request, read);
    answer_show(driver, request, request->records.records, request->records.n_records);
}

/* The filter's texts, copied into one piece of memory. */
static dr_code copy_filter(struct show_request *request, const struct store_filter *filter)
{
    size_t function_len = filter->function.len;
    size_t endpoint_len = filter->endpoint.len;
    request->filter = *filter;
    request->texts = mem_alloc(function_len + endpoint_len + 1);
    if (!request->texts)
        return DR_NO_MEMORY;
    if (function_len > 0)
        memcpy(request->texts, filter->function.data, function_len);
    if (endpoint_len > 0)
        memcpy(request->texts + function_len, filter->endpoint.data, endpoint_len);
    request->filter.function = slice_of(request->texts, function_len);
    request->filter.endpoint = slice_of(request->texts + function_len, endpoint_len);
    return DR_OK;
}

dr_code driver_list(struct driver *driver, const struct store_filter *filter, driver_calls_fn *on_done, void *arg,
                    struct dr_error *error)
{
    struct show_request *request = show_request_create(on_done, arg);
    if (!request || copy_filter(request, filter) != DR_OK) {
        mem_free(request);
        return error_set(error, DR_NO_MEMORY, "out of memory");
    }
    request->read.driver = driver;
    request->read.read = read_many;
    request->read.event.handle = driver_read_handle;
    request->read.answer = answer_list;
    dr_code code = driver_read_begin(driver, &request->read.event, error);
    if (code) {
        mem_free(request->texts);
        mem_free(request);
    }
    return code;
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

static void read_counts(struct driver_read *read, struct store *store)
{
    struct counts_request *request = container_of(read, struct counts_request, read);
    request->code = store_counts(store, &request->counts.store, &request->error);
}

static void answer_counts(struct driver *driver, struct driver_read *read)
{
    struct counts_request *request = container_of(read, struct counts_request, read);
    struct driver_counts *counts = &request->counts;
    driver_read_done(driver);
    engine_counts(driver->engine, &counts->engine);
    pthread_mutex_lock(&driver->lock);
    counts->submits = driver->n_submits;
    counts->submit_bytes = driver->submit_bytes;
    pthread_mutex_unlock(&driver->lock);
    counts->store_jobs = driver->n_store_jobs + (driver->handed_sequence - driver->stepped_sequence);
    counts->now_ns = driver_now_ns(driver);
    request->on_done(request->arg, request->code, request->code ? request->error.message : NULL,
                     request->code ? NULL : counts);
    mem_free(request);
}

dr_code driver_counts(struct driver *driver, driver_counts_fn *on_done, void *arg, struct dr_error *error)
{
    struct counts_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    request->on_done = on_done;
    request->arg = arg;
    request->read.driver = driver;
    request->read.read = read_counts;
    request->read.event.handle = driver_read_handle;
    request->read.answer = answer_counts;
    dr_code code = driver_read_begin(driver, &request->read.event, error);
    if (code)
        mem_free(request);
    return code;
}
