/* What is in memory, and when it leaves (E1, E2). The only file that changes a call's phase. */
#include "engine/engine_private.h"

static bool is_tracked_idle(const struct call *call)
{
    return call->phase == PHASE_IDLE && list_is_linked(&call->node);
}

struct call *resident_get(const struct engine *engine, struct id id)
{
    return map_get(&engine->resident, id);
}

static struct call *create(struct engine *engine, struct id id, enum call_phase phase)
{
    struct call *call = mem_must_zalloc(sizeof *call);
    call->record.id = id;
    call->phase = phase;
    list_init(&call->node);
    list_init(&call->mail);
    list_init(&call->asks);
    scheduler_entry_init(&call->entry);
    CHECK(map_put(&engine->resident, id, call) == DR_OK);
    return call;
}

struct call *resident_create(struct engine *engine, struct call_record *record)
{
    CHECK(!resident_get(engine, record->id));
    struct call *call = create(engine, record->id, PHASE_IDLE);
    call->record = *record;
    *record = (struct call_record){0};
    return call;
}

struct call *resident_placeholder(struct engine *engine, struct id id)
{
    engine->n_loading++;
    output_effect(engine, ENGINE_LOAD, 0)->read.id = id;
    return create(engine, id, PHASE_LOADING);
}

void resident_load_later(struct engine *engine, struct call *call)
{
    CHECK(call->phase == PHASE_LOADING && !heap_has(&call->timer));
    engine->n_loading--;
    call->timer.key = time_add(engine->now_ns, ENGINE_READ_RETRY_NS);
    CHECK(heap_push(&engine->timers, &call->timer) == DR_OK);
}

void resident_load_again(struct engine *engine, struct call *call)
{
    heap_remove(&engine->timers, &call->timer);
    engine->n_loading++;
    output_effect(engine, ENGINE_LOAD, 0)->read.id = call->record.id;
}

void resident_fill(struct call *call, struct call_record *record)
{
    CHECK(call->phase == PHASE_LOADING);
    CHECK(id_equal(call->record.id, record->id));
    call->record = *record;
    *record = (struct call_record){0};
    call->phase = PHASE_IDLE;
}

/* Small calls never leave for the sake of bytes when they are due: counts bound them. */
#define RESIDENT_SMALL_BYTES 4096u

static size_t payload_bytes(const struct call *call)
{
    const struct call_record *record = &call->record;
    return blob_slice(record->input).len + blob_slice(record->poll_state).len + call->mail_bytes;
}

/* In which sum the call's bytes are; NULL = in none. */
static size_t *bytes_of_phase(struct engine *engine, const struct call *call)
{
    if (is_tracked_idle(call))
        return &engine->idle_bytes;
    bool is_active = call->phase == PHASE_RECORDING || call->phase == PHASE_READY;
    return is_active ? &engine->ready_bytes : NULL;
}

/* The call has come into its phase. */
static void count_bytes(struct engine *engine, struct call *call)
{
    call->n_bytes = payload_bytes(call);
    *bytes_of_phase(engine, call) += call->n_bytes;
}

static void uncount_bytes(struct engine *engine, struct call *call)
{
    size_t *sum = bytes_of_phase(engine, call);
    if (sum)
        *sum -= call->n_bytes;
}

void resident_grow(struct engine *engine, struct call *call, size_t n_bytes)
{
    size_t *sum = bytes_of_phase(engine, call);
    if (!sum)
        return;
    call->n_bytes += n_bytes;
    *sum += n_bytes;
}

/* Takes the call out of every list and queue of its phase. */
static void leave_phase(struct engine *engine, struct call *call)
{
    uncount_bytes(engine, call);
    if (is_tracked_idle(call))
        engine->n_idle--;
    list_remove(&call->node);
    heap_remove(&engine->timers, &call->timer);
    scheduler_remove(engine->scheduler, &call->entry);
}

static void arm(struct engine *engine, struct call *call, int64_t when_ns)
{
    call->timer.key = when_ns;
    CHECK(heap_push(&engine->timers, &call->timer) == DR_OK);
}

void resident_set_idle(struct engine *engine, struct call *call)
{
    leave_phase(engine, call);
    call->phase = PHASE_IDLE;
    call->attempt = NULL;
    arm(engine, call, call->record.wake_ns);
    list_push_back(&engine->idle, &call->node);
    engine->n_idle++;
    count_bytes(engine, call);
}

int position_compare(struct position a, struct position b)
{
    if (a.wake_ns != b.wake_ns)
        return a.wake_ns < b.wake_ns ? -1 : 1;
    return id_compare(a.id, b.id);
}

const struct position POSITION_LAST = {TIME_NEVER, {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                     0xff, 0xff, 0xff, 0xff, 0xff}}};

/* A position before every call with this wake. */
static struct position position_before(int64_t wake_ns)
{
    struct position before = POSITION_LAST;
    before.wake_ns = time_add(wake_ns, -1);
    return before;
}

void backlog_add(struct engine *engine, struct position at)
{
    if (!engine->has_backlog) {
        engine->has_backlog = true;
        engine->backlog_at = position_before(at.wake_ns);
        engine->backlog_low = POSITION_LAST;
        engine->next_backlog_ns = time_add(engine->now_ns, ENGINE_BACKLOG_PAUSE_NS);
        engine->backlog_started = engine->counts.started;
        engine->backlog_goal = 1 + engine->config.tree_resident_max / 2;
    } else if (position_compare(at, engine->backlog_low) < 0) {
        engine->backlog_low = at;
    }
}

/* E2: the record stays in the store, and E1 is kept: it lies behind the edge, or in the backlog. */
static void evict(struct engine *engine, struct call *call)
{
    struct position at = {call->record.wake_ns, call->record.id};
    if (position_compare(at, engine->edge) <= 0) {
        backlog_add(engine, at);
    } else {
        if (engine->scan == SCAN_EDGE && position_compare(at, engine->edge_floor) < 0)
            engine->edge_floor = at;
        if (at.wake_ns < engine->far_wake_ns)
            engine->far_wake_ns = at.wake_ns;
    }
    resident_remove(engine, call);
}

static void free_call(struct call *call)
{
    mail_drop(call, call->n_mail);
    record_deinit(&call->record);
    mem_free(call);
}

void resident_remove(struct engine *engine, struct call *call)
{
    CHECK(call->attempt == NULL);
    leave_phase(engine, call);
    if (engine->scan != SCAN_NONE)
        CHECK(map_put(&engine->gone, call->record.id, engine) == DR_OK); /* E4 */
    CHECK(map_remove(&engine->resident, call->record.id) == call);
    CHECK(list_is_empty(&call->asks));
    free_call(call);
}

/* E2: a due call that its record alone describes need not be in memory. */
static bool is_spillable(const struct engine *engine, const struct call *call)
{
    if (call->record.state != CALL_SCHEDULED || call->record.is_resume)
        return false;
    struct slice endpoint = blob_slice(call->record.endpoint);
    struct scheduler_group_view group;
    if (!scheduler_group_view(engine->scheduler, call->record.project, endpoint, &group))
        return false;
    bool is_heavy = blob_slice(call->record.input).len > RESIDENT_SMALL_BYTES;
    if (is_heavy && group.ready > 0 && engine->ready_bytes > engine->config.resident_bytes_max)
        return true;
    return group.ready >= engine->config.resident_max ||
           scheduler_tree_ready(engine->scheduler, call->record.project, endpoint, call->record.root) >=
               engine->config.tree_resident_max;
}

void resident_set_ready(struct engine *engine, struct call *call)
{
    CHECK(call->phase == PHASE_IDLE || call->phase == PHASE_RECORDING);
    leave_phase(engine, call);
    if (is_spillable(engine, call)) {
        call->phase = PHASE_IDLE;
        evict(engine, call);
        return;
    }
    arm(engine, call, call->record.expires_ns);
    if (call->after_batch > engine->durable) {
        call->phase = PHASE_RECORDING;
        list_push_back(&engine->recording, &call->node);
        count_bytes(engine, call);
        return;
    }
    call->phase = PHASE_READY;
    count_bytes(engine, call);
    scheduler_push(engine->scheduler, &call->entry, call->record.project, blob_slice(call->record.endpoint),
                   call->record.root);
}

void resident_set_running(struct engine *engine, struct call *call, struct attempt *attempt)
{
    CHECK(call->phase == PHASE_READY);
    uncount_bytes(engine, call);
    call->phase = PHASE_RUNNING;
    call->attempt = attempt; /* its timer stays at the expiration */
}

void resident_recorded(struct engine *engine)
{
    while (!list_is_empty(&engine->recording)) {
        struct call *call = container_of(engine->recording.next, struct call, node);
        if (call->after_batch > engine->durable)
            return;
        resident_set_ready(engine, call);
    }
}

void resident_trim(struct engine *engine)
{
    while (engine->n_idle > engine->config.resident_max ||
           (engine->idle_bytes > engine->config.resident_bytes_max && engine->n_idle > 0)) {
        struct call *call = container_of(engine->idle.next, struct call, node);
        evict(engine, call);
    }
}

/* Sleeps longer than the look-ahead, and nobody will knock before. */
static bool is_sleeper(const struct engine *engine, const struct call *call)
{
    if (call->n_outstanding > 0 || call->n_mail > 0)
        return false;
    return call->record.wake_ns > time_add(engine->now_ns, ENGINE_LOOK_AHEAD_NS);
}

void resident_place(struct engine *engine, struct call *call)
{
    CHECK(call->record.state == CALL_SCHEDULED || call->record.state == CALL_SUSPENDED);
    resident_set_idle(engine, call);
    if (call->record.expires_ns <= engine->now_ns)
        return; /* the timer is due: cancel_expire in this step */
    bool is_due = call->record.due_ns <= engine->now_ns;
    if (is_due || (call->record.state == CALL_SUSPENDED && mail_satisfies_poll(call)))
        resident_set_ready(engine, call);
    else if (is_sleeper(engine, call))
        evict(engine, call);
}

void resident_deinit(struct engine *engine)
{
    size_t cursor = 0;
    struct map_entry *entry;
    engine->scan = SCAN_NONE;
    while ((entry = map_next(&engine->attempts, &cursor))) {
        struct attempt *attempt = entry->value;
        if (attempt->call)
            attempt->call->attempt = NULL;
        mem_free(attempt);
    }
    /* the map is not changed meanwhile: taking entries out of it one by one would search it from its start each time */
    cursor = 0;
    while ((entry = map_next(&engine->resident, &cursor))) {
        struct call *call = entry->value;
        struct list *node;
        while ((node = list_pop_front(&call->asks)))
            mem_free(container_of(node, struct ask, node));
        leave_phase(engine, call);
        free_call(call);
    }
    map_deinit(&engine->attempts);
    map_deinit(&engine->resident);
    map_deinit(&engine->gone);
}
