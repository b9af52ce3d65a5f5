/* What chaos does to attempts (chaos.h). An attempt goes through here three times: before it is started, when its result
 * has come, and, if that is late on purpose, when its time has come. */
#include "server/driver_attempt.h"

/* The second run of a duplicated attempt. Nobody reads its answer. */
struct ghost {
    struct driver_event event;
    struct list node;
    struct driver *driver;
    struct transport_run run;
    char endpoint[];
};

static void count(struct driver *driver, enum chaos_kind kind) { driver->chaos.n[kind]++; }

/* ---- duplicates ---- */

static void handle_ghost(struct driver *driver, struct driver_event *event)
{
    struct ghost *ghost = container_of(event, struct ghost, event);
    driver->n_ghosts--;
    list_remove(&ghost->node);
    mem_free(ghost);
}

/* Any thread. */
static void on_ghost_done(void *arg, struct transport_run *run, struct transport_result *result)
{
    struct ghost *ghost = arg;
    (void)run;
    mem_free(result->body);
    result->body = NULL;
    room_give(&result->hold);
    driver_post(ghost->driver, &ghost->event);
}

static void start_ghost(struct driver *driver, const struct driver_attempt *attempt, struct slice request)
{
    struct slice endpoint = attempt->run.endpoint;
    struct ghost *ghost = mem_must_zalloc(sizeof *ghost + endpoint.len);
    uint8_t *copy = mem_must_alloc(request.len);
    memcpy(copy, request.data, request.len);
    if (endpoint.len > 0)
        memcpy(ghost->endpoint, endpoint.data, endpoint.len);
    ghost->event.handle = handle_ghost;
    ghost->driver = driver;
    ghost->run = (struct transport_run){.id = attempt->run.id, .attempt = attempt->run.attempt,
                                        .endpoint = slice_of(ghost->endpoint, endpoint.len),
                                        .timeout_ns = attempt->run.timeout_ns, .on_done = on_ghost_done, .arg = ghost};
    driver->n_ghosts++;
    list_push_back(&driver->ghosts, &ghost->node);
    transport_start(driver->config.transport, &ghost->run, copy, request.len);
}

/* ---- before the start ---- */

bool driver_chaos_start(struct driver *driver, struct driver_attempt *attempt, struct slice request)
{
    if (!driver->chaos.options.is_on)
        return true;
    struct chaos_plan *plan = &attempt->plan;
    if (plan->has[CHAOS_FAIL]) {
        count(driver, CHAOS_FAIL);
        transport_result_fail(&attempt->result, DR_STATUS_TEMPORARY_ERROR, attempt->run.endpoint,
                              "chaos: a temporary error");
        return false;
    }
    if (plan->has[CHAOS_REQUEST_LOST]) {
        count(driver, CHAOS_REQUEST_LOST);
        transport_result_fail(&attempt->result, DR_STATUS_HTTP_ERROR, attempt->run.endpoint,
                              "chaos: the request was lost");
        return false;
    }
    if (plan->has[CHAOS_DUPLICATE]) {
        count(driver, CHAOS_DUPLICATE);
        start_ghost(driver, attempt, request);
    }
    return true;
}

/* ---- when the result is there ---- */

static void lose_answer(struct driver_attempt *attempt, const char *cause)
{
    attempt->has_response = false;
    transport_result_fail(&attempt->result, DR_STATUS_HTTP_ERROR, attempt->run.endpoint, "chaos: %s", cause);
}

/* All connections to that endpoint break. */
static void crash(struct driver *driver, const struct driver_attempt *attempt)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&driver->attempts, &cursor))) {
        struct driver_attempt *other = entry->value;
        bool is_there = other != attempt && !other->is_held && other->run.transport;
        if (!is_there || !slice_equal(other->run.endpoint, attempt->run.endpoint))
            continue;
        other->is_cut = true;
        transport_abort(driver->config.transport, &other->run);
    }
    if (driver->config.on_endpoint_crash)
        driver->config.on_endpoint_crash(driver->config.endpoint_crash_arg);
}

void driver_chaos_answer(struct driver *driver, struct driver_attempt *attempt)
{
    if (attempt->is_cut && !attempt->is_timed_out) {
        lose_answer(attempt, "the endpoint crashed");
        return;
    }
    if (!attempt->has_response)
        return;
    if (attempt->plan.has[CHAOS_CRASH]) {
        count(driver, CHAOS_CRASH);
        lose_answer(attempt, "the endpoint crashed");
        crash(driver, attempt);
    } else if (attempt->plan.has[CHAOS_ANSWER_LOST]) {
        count(driver, CHAOS_ANSWER_LOST);
        lose_answer(attempt, "the answer was lost");
    }
}

/* ---- late answers ---- */

bool driver_chaos_hold(struct driver *driver, struct driver_attempt *attempt)
{
    if (!attempt->plan.has[CHAOS_DELAY] || driver->is_drain_begun || attempt->is_timed_out)
        return false;
    attempt->held.key = time_add(driver_now_ns(driver), attempt->plan.delay_ns);
    if (attempt->held.key >= attempt->timeout.key) {
        attempt->held.key = attempt->timeout.key;
        attempt->has_response = false;
        attempt->is_timed_out = true;
    }
    count(driver, CHAOS_DELAY);
    heap_remove(&driver->timeouts, &attempt->timeout);
    attempt->is_held = true;
    driver->n_held++;
    CHECK(heap_push(&driver->held, &attempt->held) == DR_OK);
    return true;
}

static void let_go(struct driver *driver, struct driver_attempt *attempt)
{
    heap_remove(&driver->held, &attempt->held);
    attempt->is_held = false;
    driver->n_held--;
}

void driver_chaos_let_go(struct driver *driver, int64_t now_ns)
{
    struct heap_node *node;
    while ((node = heap_peek(&driver->held)) && node->key <= now_ns) {
        struct driver_attempt *attempt = container_of(node, struct driver_attempt, held);
        let_go(driver, attempt);
        driver_attempt_end(driver, attempt);
    }
}

static void handle_let_go(struct driver *driver, struct driver_event *event)
{
    driver_attempt_end(driver, container_of(event, struct driver_attempt, event));
}

/* Not at once: the caller may be in the middle of a step's effects. */
bool driver_chaos_call_off(struct driver *driver, struct driver_attempt *attempt)
{
    if (!attempt->is_held)
        return false;
    let_go(driver, attempt);
    attempt->event.handle = handle_let_go;
    driver_post(driver, &attempt->event);
    return true;
}

/* ---- the end ---- */

void driver_chaos_stop(struct driver *driver)
{
    driver_chaos_let_go(driver, TIME_NEVER);
}

void driver_chaos_abort_all(struct driver *driver)
{
    for (struct list *node = driver->ghosts.next; node != &driver->ghosts; node = node->next)
        transport_abort(driver->config.transport, &container_of(node, struct ghost, node)->run);
}
