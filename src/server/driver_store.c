/* What the driver asks of the store: batches in order (D2), and reads that see every batch before them (D4), both by
 * the store's queue. Results come back through the inbox. */
#include "server/driver_attempt.h"

#include <stdio.h>
#include <time.h>

#define READ_TRIES_MAX 5 /* at once: 150 ms in all, while commits wait; then the engine orders it again, later */
#define READ_PAUSE_FIRST_MS 10
#define READ_TROUBLE_PAUSE_NS (10 * NS_PER_S) /* between two reports of reads that fail */

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* On the queue's thread. */
static void on_durable(void *arg, uint64_t sequence, dr_code code)
{
    struct driver *driver = arg;
    if (code) /* given up by a stop: nobody is told anything, as after a crash */
        return;
    pthread_mutex_lock(&driver->lock);
    driver->durable_sequence = sequence;
    if (!driver->is_durable_told && !driver->is_turning)
        pthread_cond_signal(&driver->wake);
    driver->is_durable_told = true;
    pthread_mutex_unlock(&driver->lock);
}

void driver_store_commit(struct driver *driver, struct batch *batch)
{
    CHECK(batch->sequence == driver->handed_sequence + 1);
    driver->handed_sequence = batch->sequence;
    driver_pressure_add(driver, batch);
    store_queue_commit(driver->store, batch, on_durable, driver);
}

/* ---- reads of the engine ----------------------------------------------------------------------------------------- */

struct engine_read {
    struct driver_event event;
    struct driver *driver;
    struct engine_effect effect;
    dr_code code;
    struct dr_error error;
    /* results, by kind */
    bool is_found;
    struct call_record record;
    struct store_records records;  /* children */
    uint64_t n_outstanding;
    struct store_scan_result scan;
    struct id *ids;
    size_t n_ids;
    struct purge_result purged;
};

static void engine_read_free(struct engine_read *read)
{
    record_deinit(&read->record);
    store_records_deinit(&read->records);
    store_records_deinit(&read->scan.records);
    mem_free(read->ids);
    mem_free(read);
}

static dr_code load(struct engine_read *read, struct store *store, struct dr_error *error)
{
    struct id id = read->effect.read.id;
    dr_code code = store_read(store, id, &read->record, error);
    if (code == DR_NOT_FOUND)
        return DR_OK;
    if (code)
        return code;
    const struct call_record *record = &read->record;
    bool has_mail = record->state != CALL_DONE && record->has_children;
    if (has_mail)
        code = store_read_children(store, id, record->generation, &read->records, &read->n_outstanding, error);
    if (code)
        record_deinit(&read->record);
    read->is_found = code == DR_OK;
    return code;
}

static dr_code scan_ids(struct engine_read *read, struct store *store, struct dr_error *error)
{
    size_t limit = read->effect.read.limit;
    struct id after = read->effect.read.id;
    if (!read->ids)
        read->ids = mem_must_alloc(limit * sizeof *read->ids);
    if (read->effect.kind == ENGINE_SCAN_MAIL)
        return store_scan_mail(store, after, limit, read->ids, &read->n_ids, error);
    return store_scan_sweeps(store, after, limit, read->ids, &read->n_ids, error);
}

static dr_code read_once(struct engine_read *read, struct store *store, struct dr_error *error)
{
    const struct engine_effect *effect = &read->effect;
    switch (effect->kind) {
    case ENGINE_LOAD:
        return load(read, store, error);
    case ENGINE_SCAN_DUE: {
        struct store_cursor after = {.wake_ns = effect->read.after_wake_ns, .id = effect->read.id};
        return store_scan_due(store, after, effect->read.until_ns, effect->read.limit, effect->read.bytes_max,
                              &read->scan, error);
    }
    case ENGINE_SCAN_CHILDREN:
        return store_scan_live_children(store, effect->read.id, effect->read.below_generation, effect->read.limit,
                                        &read->records, error);
    case ENGINE_SCAN_MAIL:
    case ENGINE_SCAN_SWEEPS:
        return scan_ids(read, store, error);
    case ENGINE_PURGE:
        return store_purge(store, &effect->purge, &read->purged, error);
    default:
        CHECK(!"an effect that reads");
        return DR_INTERNAL;
    }
}

static void report(struct driver *driver, dr_code code, const char *message)
{
    if (driver->config.on_trouble)
        driver->config.on_trouble(driver->config.trouble_arg, code, message);
}

/* On the queue's thread. A read of a bad sector may fail for ever, while others work: the engine orders it again, and
 * nothing waits for it here. */
static void note_failure(struct driver *driver, const struct engine_read *read)
{
    int64_t now_ns = clock_monotonic_ns();
    pthread_mutex_lock(&driver->lock);
    driver->n_read_failures++;
    bool is_turn = driver->n_read_failures == 1 || now_ns >= driver->next_read_report_ns;
    if (is_turn)
        driver->next_read_report_ns = now_ns + READ_TROUBLE_PAUSE_NS;
    pthread_mutex_unlock(&driver->lock);
    if (is_turn)
        report(driver, read->code, read->error.message);
}

static void read_for_engine(struct store *store, void *arg)
{
    struct engine_read *read = arg;
    long pause_ms = READ_PAUSE_FIRST_MS;
    for (int tries = 1; (read->code = read_once(read, store, &read->error)) != DR_OK; tries++) {
        if (tries == READ_TRIES_MAX || read->code == DR_DATA_LOSS)
            break;
        struct timespec pause = {.tv_nsec = pause_ms * NS_PER_MS};
        (void)nanosleep(&pause, NULL);
        pause_ms *= 2;
    }
    if (read->code)
        note_failure(read->driver, read);
    driver_post(read->driver, &read->event);
}

static struct engine_event failure_of(struct engine_read *read)
{
    return (struct engine_event){.kind = ENGINE_READ_FAILED,
                                 .read_failed = {.effect = read->effect.kind,
                                                 .id = read->effect.kind == ENGINE_LOAD ? read->effect.read.id
                                                                                        : (struct id){{0}},
                                                 .code = read->code,
                                                 .message = read->error.message}};
}

static struct engine_event event_of(struct engine_read *read)
{
    struct engine_event event = {0};
    switch (read->effect.kind) {
    case ENGINE_LOAD:
        event.kind = ENGINE_LOADED;
        event.loaded.id = read->effect.read.id;
        event.loaded.is_found = read->is_found;
        event.loaded.record = &read->record;
        event.loaded.children = read->records.records;
        event.loaded.n_children = read->records.n_records;
        event.loaded.n_outstanding = read->n_outstanding;
        break;
    case ENGINE_SCAN_DUE:
        event.kind = ENGINE_DUE_SCANNED;
        event.scanned.records = read->scan.records.records;
        event.scanned.n_records = read->scan.records.n_records;
        event.scanned.is_complete = read->scan.is_complete;
        event.scanned.next_wake_ns = read->scan.next_wake_ns;
        break;
    case ENGINE_SCAN_CHILDREN:
        event.kind = ENGINE_CHILDREN_SCANNED;
        event.found.parent = read->effect.read.id;
        event.found.below_generation = read->effect.read.below_generation;
        event.found.records = read->records.records;
        event.found.n = read->records.n_records;
        break;
    case ENGINE_SCAN_MAIL:
    case ENGINE_SCAN_SWEEPS:
        event.kind = read->effect.kind == ENGINE_SCAN_MAIL ? ENGINE_MAIL_SCANNED : ENGINE_SWEEPS_SCANNED;
        event.found.ids = read->ids;
        event.found.n = read->n_ids;
        break;
    default:
        event.kind = ENGINE_PURGED;
        event.purged = read->purged;
        break;
    }
    return event;
}

static void handle_read(struct driver *driver, struct driver_event *posted)
{
    struct engine_read *read = container_of(posted, struct engine_read, event);
    driver->n_store_jobs--;
    if (!driver->is_closed) {
        struct engine_event event = read->code ? failure_of(read) : event_of(read);
        driver_step(driver, &event);
    }
    engine_read_free(read);
}

void driver_store_perform(struct driver *driver, const struct engine_effect *effect)
{
    if (driver->is_closing) /* what the engine would like to know is read again after the next start */
        return;
    struct engine_read *read = mem_must_zalloc(sizeof *read);
    read->event.handle = handle_read;
    read->driver = driver;
    read->effect = *effect;
    driver->n_store_jobs++;
    store_queue_run(driver->store, read_for_engine, read);
}

/* ---- reads for people -------------------------------------------------------------------------------------------- */

static void handle_answer(struct driver *driver, struct driver_event *event)
{
    struct driver_read *read = container_of(event, struct driver_read, event);
    driver->n_store_jobs--;
    read->answer(driver, read);
}

static void read_for_people(struct store *store, void *arg)
{
    struct driver_read *read = arg;
    read->read(read, store);
    driver_post(read->driver, &read->event);
}

void driver_read_handle(struct driver *driver, struct driver_event *event)
{
    struct driver_read *read = container_of(event, struct driver_read, event);
    event->handle = handle_answer;
    driver->n_store_jobs++;
    store_queue_look(driver->store, read_for_people, read);
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void on_trouble(void *arg, dr_code code, const char *message)
{
    struct driver *driver = arg;
    pthread_mutex_lock(&driver->lock);
    driver->n_store_failures += code != DR_OK && !driver->is_store_troubled;
    driver->is_store_troubled = code != DR_OK;
    if (code && !driver->is_trouble_posted) {
        driver->is_trouble_posted = true;
        driver->trouble_event.handle = driver_waits_look;
        driver_post_locked(driver, &driver->trouble_event);
    }
    pthread_cond_signal(&driver->wake);
    pthread_mutex_unlock(&driver->lock);
    report(driver, code, message);
}

static void on_damaged(void *arg, struct id id, const char *message)
{
    struct driver *driver = arg;
    pthread_mutex_lock(&driver->lock);
    driver->n_damaged++;
    pthread_mutex_unlock(&driver->lock);
    if (driver->config.on_damaged)
        driver->config.on_damaged(driver->config.trouble_arg, id, message);
}

dr_code driver_store_open(struct driver *driver, struct dr_error *error)
{
    store_on_damaged(driver->config.store, on_damaged, driver);
    struct store_queue_config config = {
        .store = driver->config.store, .on_trouble = on_trouble, .trouble_arg = driver};
    dr_code code = store_queue_start(&config, &driver->store, error);
    if (code)
        store_close(driver->config.store);
    return code;
}

void driver_store_close(struct driver *driver)
{
    store_queue_stop(driver->store);
    driver->store = NULL;
}
