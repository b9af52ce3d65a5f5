/* Reading the store: loads of one call (E3), scans of many (E4), recovery (E10). */
#include "engine/engine_private.h"

/* E6: what the store knew, merged with what arrived since. */
static void merge_mail(struct engine *engine, struct call *call, const struct engine_event *event)
{
    struct map arrived;
    map_init(&arrived);
    uint64_t n_unseen = call->n_mail;
    for (struct list *node = call->mail.next; node != &call->mail; node = node->next) {
        const struct mail *mail = container_of(node, struct mail, node);
        CHECK(map_put(&arrived, mail->child, call) == DR_OK);
        if (call->after_batch < mail->after_batch)
            call->after_batch = mail->after_batch; /* what wakes it must be durable by its start (E5) */
    }
    for (size_t i = 0; i < event->loaded.n_children; i++) {
        const struct call_record *child = &event->loaded.children[i];
        if (map_get(&arrived, child->id))
            n_unseen--;
        else
            mail_add(engine, call, mail_create(child, 0));
        if (engine->done_sequence < child->done_sequence)
            engine->done_sequence = child->done_sequence; /* what ends from now on ends later, whatever the clock says */
    }
    map_deinit(&arrived);
    CHECK(event->loaded.n_outstanding >= n_unseen);
    call->n_outstanding = event->loaded.n_outstanding - n_unseen;
}

static void loaded_done(struct engine *engine, struct call *call)
{
    wait_wake(engine, &call->record, 0);
    cancel_answer_asks(engine, call);
    if (call->record.sweep_below)
        sweep_add(engine, call->record.id, call->record.sweep_below); /* E9 */
    resident_remove(engine, call);
}

void read_loaded(struct engine *engine, const struct engine_event *event)
{
    struct call *call = resident_get(engine, event->loaded.id);
    CHECK(call && call->phase == PHASE_LOADING);
    CHECK(engine->n_loading > 0);
    engine->n_loading--;
    if (!event->loaded.is_found) {
        wait_not_found(engine, call->record.id);
        cancel_answer_asks(engine, call);
        resident_remove(engine, call);
    } else {
        resident_fill(call, event->loaded.record);
        if (call->record.state == CALL_DONE) {
            loaded_done(engine, call);
        } else {
            mail_drop_foreign(call);
            wait_loaded(engine, &call->record);
            merge_mail(engine, call, event);
            if (call->record.sweep_below)
                sweep_add(engine, call->record.id, call->record.sweep_below);
            if (list_is_empty(&call->asks))
                resident_place(engine, call);
            else
                cancel_answer_asks(engine, call);
        }
    }
    for (size_t i = 0; i < event->loaded.n_children; i++)
        record_deinit(&event->loaded.children[i]);
}

static void start_due_scan(struct engine *engine, struct position after, int64_t until_ns)
{
    struct engine_effect *effect = output_effect(engine, ENGINE_SCAN_DUE, 0);
    effect->read.after_wake_ns = after.wake_ns;
    effect->read.id = after.id;
    effect->read.until_ns = until_ns;
    effect->read.limit = ENGINE_SCAN_LIMIT;
    effect->read.bytes_max = ENGINE_SCAN_BYTES_MAX;
}

static void start_edge_scan(struct engine *engine)
{
    engine->edge_until_ns = time_add(engine->now_ns, ENGINE_LOOK_AHEAD_NS);
    engine->edge_floor = POSITION_LAST;
    engine->far_wake_ns = TIME_NEVER; /* from here on: of what leaves memory during the scan */
    start_due_scan(engine, engine->edge, engine->edge_until_ns);
}

/* The backlog is read in portions, round and round: when what the last one brought has started, and after a pause. After
 * a pause the pass goes on at once while portions have little that finds room, so that neither a huge tree nor a dead
 * endpoint hides what lies behind it; such a pass reads everything, so the pauses are long beside it. */
static bool wants_backlog_scan(const struct engine *engine)
{
    return engine->has_backlog &&
           (engine->is_backlog_urgent || engine->now_ns >= engine->next_backlog_ns ||
            engine->counts.started - engine->backlog_started >= engine->backlog_goal);
}

static void start_backlog_scan(struct engine *engine)
{
    if (!engine->is_backlog_pass && engine->now_ns >= engine->next_backlog_ns) {
        engine->is_backlog_pass = true;
        engine->backlog_pass_ns = engine->now_ns;
    }
    engine->backlog_started = engine->counts.started;
    engine->next_backlog_ns = time_add(engine->now_ns, ENGINE_BACKLOG_PAUSE_NS);
    start_due_scan(engine, engine->backlog_at, engine->edge.wake_ns);
}

static void start_children_scan(struct engine *engine)
{
    struct sweep *sweep = container_of(engine->sweeps.next, struct sweep, node);
    struct engine_effect *effect = output_effect(engine, ENGINE_SCAN_CHILDREN, 0);
    effect->read.id = sweep->parent;
    effect->read.below_generation = sweep->below_generation;
    effect->read.limit = ENGINE_SWEEP_LIMIT;
}

static void start_id_scan(struct engine *engine, enum engine_effect_kind kind, struct id after)
{
    struct engine_effect *effect = output_effect(engine, kind, 0);
    effect->read.id = after;
    effect->read.limit = ENGINE_MAIL_SCAN_LIMIT;
}

static bool wants_scan(const struct engine *engine, enum scan_kind kind)
{
    if (engine->now_ns < engine->scan_retry_ns[kind])
        return false;
    switch (kind) {
    case SCAN_EDGE:
        return engine->far_wake_ns <= time_add(engine->now_ns, ENGINE_LOOK_AHEAD_NS);
    case SCAN_BACKLOG:
        return wants_backlog_scan(engine);
    case SCAN_CHILDREN:
        return !list_is_empty(&engine->sweeps);
    case SCAN_MAIL:
        return engine->has_mail_to_scan && engine->n_loading < ENGINE_MAIL_SCAN_LIMIT;
    case SCAN_SWEEPS:
        return engine->has_sweeps_to_scan;
    case SCAN_NONE:
    case SCAN_KINDS:
        break;
    }
    return false;
}

/* The kinds take turns, so that none starves another. */
void read_next_scan(struct engine *engine)
{
    if (engine->scan != SCAN_NONE)
        return;
    enum scan_kind kind = engine->last_scan;
    for (int tries = 0; tries < SCAN_SWEEPS; tries++) {
        kind = kind == SCAN_SWEEPS ? SCAN_EDGE : (enum scan_kind)(kind + 1);
        if (!wants_scan(engine, kind))
            continue;
        engine->scan = engine->last_scan = kind;
        if (kind == SCAN_EDGE)
            start_edge_scan(engine);
        else if (kind == SCAN_BACKLOG)
            start_backlog_scan(engine);
        else if (kind == SCAN_CHILDREN)
            start_children_scan(engine);
        else if (kind == SCAN_MAIL)
            start_id_scan(engine, ENGINE_SCAN_MAIL, engine->mail_after);
        else
            start_id_scan(engine, ENGINE_SCAN_SWEEPS, engine->sweeps_after);
        return;
    }
}

static void scan_over(struct engine *engine, enum scan_kind kind)
{
    CHECK(engine->scan == kind);
    engine->scan = SCAN_NONE;
    map_deinit(&engine->gone);
    map_init(&engine->gone);
}

/* E4: scanned records of calls that are, or during the scan were, in memory are stale. */
static bool is_stale(const struct engine *engine, struct id id)
{
    return resident_get(engine, id) || map_get(&engine->gone, id);
}

static void adopt(struct engine *engine, struct call_record *record)
{
    if (is_stale(engine, record->id) || record->state == CALL_DONE)
        return;
    if (record->has_children && (record->state == CALL_SUSPENDED || record->is_resume)) {
        resident_placeholder(engine, record->id); /* its mail is needed too */
        return;
    }
    if (record->sweep_below)
        sweep_add(engine, record->id, record->sweep_below);
    resident_place(engine, resident_create(engine, record));
}

static size_t adopt_all(struct engine *engine, const struct engine_event *event)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < event->scanned.n_records; i++) {
        struct id id = event->scanned.records[i].id;
        adopt(engine, &event->scanned.records[i]);
        n_kept += resident_get(engine, id) != NULL;
    }
    return n_kept;
}

static struct position reached(const struct engine_event *event, int64_t until_ns)
{
    struct position at = POSITION_LAST;
    at.wake_ns = until_ns;
    if (!event->scanned.is_complete) {
        CHECK(event->scanned.n_records > 0);
        const struct call_record *last = &event->scanned.records[event->scanned.n_records - 1];
        at = (struct position){last->wake_ns, last->id};
    }
    return at;
}

/* The edge rises first, because what is adopted may leave again at once. */
static void edge_scanned(struct engine *engine, const struct engine_event *event)
{
    engine->edge = reached(event, engine->edge_until_ns);
    if (event->scanned.next_wake_ns < engine->far_wake_ns)
        engine->far_wake_ns = event->scanned.next_wake_ns;
    if (position_compare(engine->edge_floor, engine->edge) <= 0)
        backlog_add(engine, engine->edge_floor);
    (void)adopt_all(engine, event);
}

static int64_t backlog_pause_ns(int64_t pass_ns)
{
    if (pass_ns > ENGINE_BACKLOG_PAUSE_MAX_NS / ENGINE_BACKLOG_PAUSE_FACTOR)
        return ENGINE_BACKLOG_PAUSE_MAX_NS; /* also when the clock jumped during the pass */
    int64_t pause_ns = pass_ns * ENGINE_BACKLOG_PAUSE_FACTOR;
    return pause_ns > ENGINE_BACKLOG_PAUSE_NS ? pause_ns : ENGINE_BACKLOG_PAUSE_NS;
}

static void backlog_scanned(struct engine *engine, const struct engine_event *event)
{
    engine->backlog_at = reached(event, engine->edge.wake_ns);
    size_t n_kept = adopt_all(engine, event);
    uint64_t most = engine->config.tree_resident_max / 2;
    uint64_t least = most / 4; /* reading a portion for less room than that is a waste */
    engine->backlog_goal = 1 + (n_kept > most ? most : n_kept < least ? least : n_kept);
    engine->is_backlog_urgent =
        engine->is_backlog_pass && !event->scanned.is_complete && n_kept < event->scanned.n_records / 8;
    if (!event->scanned.is_complete)
        return;
    if (engine->is_backlog_pass) {
        engine->next_backlog_ns = time_add(engine->now_ns, backlog_pause_ns(engine->now_ns - engine->backlog_pass_ns));
        engine->is_backlog_pass = false;
    }
    engine->has_backlog = position_compare(engine->backlog_low, POSITION_LAST) < 0;
    engine->backlog_at = engine->backlog_low; /* the next pass starts there */
    engine->backlog_at.wake_ns = time_add(engine->backlog_low.wake_ns, -1);
    engine->backlog_low = POSITION_LAST;
}

void read_due_scanned(struct engine *engine, const struct engine_event *event)
{
    enum scan_kind kind = engine->scan;
    CHECK(kind == SCAN_EDGE || kind == SCAN_BACKLOG);
    if (kind == SCAN_EDGE)
        edge_scanned(engine, event);
    else
        backlog_scanned(engine, event);
    scan_over(engine, kind);
    for (size_t i = 0; i < event->scanned.n_records; i++)
        record_deinit(&event->scanned.records[i]);
}

void read_mail_scanned(struct engine *engine, const struct engine_event *event)
{
    for (size_t i = 0; i < event->found.n; i++) {
        engine->mail_after = event->found.ids[i];
        if (!is_stale(engine, event->found.ids[i]))
            resident_placeholder(engine, event->found.ids[i]);
    }
    engine->has_mail_to_scan = event->found.n == ENGINE_MAIL_SCAN_LIMIT;
    scan_over(engine, SCAN_MAIL);
}

void read_sweeps_scanned(struct engine *engine, const struct engine_event *event)
{
    for (size_t i = 0; i < event->found.n; i++) {
        engine->sweeps_after = event->found.ids[i];
        if (!is_stale(engine, event->found.ids[i]))
            resident_placeholder(engine, event->found.ids[i]); /* loading finds the flag */
    }
    engine->has_sweeps_to_scan = event->found.n == ENGINE_MAIL_SCAN_LIMIT;
    scan_over(engine, SCAN_SWEEPS);
}

void read_children_scanned(struct engine *engine, const struct engine_event *event)
{
    struct sweep *sweep = map_get(&engine->sweep_of, event->found.parent);
    CHECK(sweep);
    list_remove(&sweep->node); /* portions of several sweeps take turns */
    list_push_back(&engine->sweeps, &sweep->node);
    for (size_t i = 0; i < event->found.n; i++) {
        struct call_record *record = &event->found.records[i];
        struct call *call = resident_get(engine, record->id);
        if (!call && !map_get(&engine->gone, record->id))
            call = resident_create(engine, record);
        if (call && call->phase != PHASE_LOADING)
            cancel_call(engine, call, "an ancestor was cancelled, expired or restarted", false);
    }
    scan_over(engine, SCAN_CHILDREN);
    bool is_over = event->found.n == 0 && event->found.below_generation == sweep->below_generation;
    if (is_over) {
        struct call *parent = resident_get(engine, sweep->parent);
        if (parent && parent->phase != PHASE_LOADING)
            parent->record.sweep_below = 0;
        output_write(engine, BATCH_SWEPT, 0, &(struct call_record){.id = sweep->parent});
        list_remove(&sweep->node);
        map_remove(&engine->sweep_of, sweep->parent);
        mem_free(sweep);
    }
    for (size_t i = 0; i < event->found.n; i++)
        record_deinit(&event->found.records[i]);
}

/* Nothing has changed by a scan that failed, but that the edge must be looked for again. */
static void scan_failed(struct engine *engine)
{
    enum scan_kind kind = engine->scan;
    if (kind == SCAN_EDGE)
        engine->far_wake_ns = engine->now_ns;
    engine->scan_retry_ns[kind] = time_add(engine->now_ns, ENGINE_READ_RETRY_NS);
    scan_over(engine, kind);
}

static void load_failed(struct engine *engine, const struct engine_event *event)
{
    struct call *call = resident_get(engine, event->read_failed.id);
    CHECK(call && call->phase == PHASE_LOADING);
    if (event->read_failed.code != DR_DATA_LOSS) {
        resident_load_later(engine, call);
        return;
    }
    engine->n_loading--;
    wait_refuse(engine, call->record.id, DR_DATA_LOSS, event->read_failed.message);
    cancel_refuse_asks(engine, call, DR_DATA_LOSS, event->read_failed.message);
    resident_remove(engine, call);
}

void read_failed(struct engine *engine, const struct engine_event *event)
{
    if (event->read_failed.effect == ENGINE_LOAD)
        load_failed(engine, event);
    else if (event->read_failed.effect == ENGINE_PURGE)
        purge_failed(engine);
    else
        scan_failed(engine);
}

static int64_t not_before(int64_t when, int64_t least)
{
    return when < least ? least : when;
}

/* When the next scan is due by time alone. */
int64_t read_deadline(const struct engine *engine)
{
    if (engine->scan != SCAN_NONE)
        return TIME_NEVER;
    const int64_t *retry_ns = engine->scan_retry_ns;
    int64_t when = TIME_NEVER;
    if (engine->far_wake_ns != TIME_NEVER)
        when = not_before(time_add(engine->far_wake_ns, -ENGINE_LOOK_AHEAD_NS), retry_ns[SCAN_EDGE]);
    if (engine->has_backlog && not_before(engine->next_backlog_ns, retry_ns[SCAN_BACKLOG]) < when)
        when = not_before(engine->next_backlog_ns, retry_ns[SCAN_BACKLOG]);
    for (int kind = SCAN_CHILDREN; kind < SCAN_KINDS; kind++) /* else they begin at once */
        if (engine->now_ns < retry_ns[kind] && retry_ns[kind] < when)
            when = retry_ns[kind];
    return when;
}
