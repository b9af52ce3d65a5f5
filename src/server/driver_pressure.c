/* Pressure: what has been handed to the store and is not durable yet. An endpoint can answer faster than a disk writes
 * (a poll of 10,000 calls, results of 16 MB), and everything not durable is in memory: so replies wait, unread by the
 * engine, while there is much of it. They keep their places among the attempts in flight meanwhile, so the endpoint gets
 * no more work than its limit either. Large replies wait first, small ones only when all else has not helped: one
 * program that floods the store does not hold up the others. */
#include "server/driver_attempt.h"

/* A reply is large beyond either. */
#define SMALL_REPLY_CALLS 64u
#define SMALL_REPLY_BYTES 65536u
/* Large replies wait beyond this part of the maximum. */
#define LARGE_PART 4u

struct unsaved {
    struct list node;
    uint64_t sequence;
    size_t n_ops, n_bytes;
};

void driver_pressure_init(struct driver *driver)
{
    list_init(&driver->pressure.batches);
    list_init(&driver->pressure.small);
    list_init(&driver->pressure.large);
}

void driver_pressure_add(struct driver *driver, const struct batch *batch)
{
    struct unsaved *unsaved = mem_must_zalloc(sizeof *unsaved);
    unsaved->sequence = batch->sequence;
    unsaved->n_ops = batch->n_ops;
    for (size_t i = 0; i < batch->n_ops; i++)
        unsaved->n_bytes += store_record_bytes(&batch->ops[i].record);
    driver->pressure.n_ops += unsaved->n_ops;
    driver->pressure.n_bytes += unsaved->n_bytes;
    list_push_back(&driver->pressure.batches, &unsaved->node);
}

static void forget(struct driver *driver, uint64_t durable_sequence)
{
    struct list *batches = &driver->pressure.batches;
    while (!list_is_empty(batches)) {
        struct unsaved *unsaved = container_of(batches->next, struct unsaved, node);
        if (unsaved->sequence > durable_sequence)
            break;
        driver->pressure.n_ops -= unsaved->n_ops;
        driver->pressure.n_bytes -= unsaved->n_bytes;
        list_remove(&unsaved->node);
        mem_free(unsaved);
    }
}

static bool is_above(const struct driver *driver, unsigned part)
{
    return driver->pressure.n_ops > driver->config.unsaved_ops_max / part ||
           driver->pressure.n_bytes > driver->config.unsaved_bytes_max / part;
}

static bool is_large(const struct driver_attempt *attempt)
{
    bool has_many_calls = attempt->has_response && attempt->response.outcome == WIRE_OUTCOME_POLL &&
                          attempt->response.poll.n_calls > SMALL_REPLY_CALLS;
    return has_many_calls || attempt->result.len > SMALL_REPLY_BYTES;
}

bool driver_pressure_defer(struct driver *driver, struct driver_attempt *attempt)
{
    bool is_big = is_large(attempt);
    struct list *queue = is_big ? &driver->pressure.large : &driver->pressure.small;
    bool must_wait = is_above(driver, is_big ? LARGE_PART : 1) || !list_is_empty(queue);
    if (!must_wait || driver->is_calling_off)
        return false;
    heap_remove(&driver->timeouts, &attempt->timeout); /* it was in time */
    attempt->is_deferred = true;
    driver->pressure.n_deferred++;
    list_push_back(queue, &attempt->event.node);
    return true;
}

static void let_go(struct driver *driver, struct list *queue, unsigned part)
{
    while (!list_is_empty(queue) && (part == 0 || !is_above(driver, part))) {
        struct driver_event *event = container_of(list_pop_front(queue), struct driver_event, node);
        driver->pressure.n_deferred--;
        driver_attempt_end(driver, container_of(event, struct driver_attempt, event));
    }
}

void driver_pressure_durable(struct driver *driver, uint64_t sequence)
{
    forget(driver, sequence);
    let_go(driver, &driver->pressure.small, 1);
    let_go(driver, &driver->pressure.large, LARGE_PART);
}

void driver_pressure_let_go_all(struct driver *driver)
{
    let_go(driver, &driver->pressure.small, 0);
    let_go(driver, &driver->pressure.large, 0);
}

void driver_pressure_deinit(struct driver *driver)
{
    CHECK(driver->pressure.n_deferred == 0);
    forget(driver, UINT64_MAX);
}
