/* The server's store thread: one queue, group commit, retries; as store_queue.c and driver_store.c do it, but
 * in simulated time. Work is done when its event comes, its answer reaches the engine a little later, in
 * order. */
#include "sim/sim_private.h"

#include <stdio.h>

enum { GROUP_MAX = 8, IDS_MAX = 1024, PAUSE_FIRST_MS = 100, PAUSE_MAX_MS = 5000 };

struct work {
    struct sim_event event;
    uint32_t epoch;
};

/* What the store says to the engine: that batches are durable, or what a read found. */
struct answer {
    struct sim_event event;
    uint32_t epoch;
    uint64_t durable; /* 0 = a read */
    struct engine_event found;
    struct call_record record;
    struct store_records records;
    struct dr_error error;
    struct id ids[IDS_MAX];
};

static void fire_work(struct sim *sim, struct sim_event *event);

static void free_work(struct sim_event *event)
{
    mem_free(container_of(event, struct work, event));
}

static void work_after(struct sim *sim, int64_t delay_ns)
{
    struct work *work = mem_must_zalloc(sizeof *work);
    work->event.fire = fire_work;
    work->event.drop = free_work;
    work->epoch = sim->server.epoch;
    sim->server.is_working = true;
    sim_after(sim, &work->event, delay_ns);
}

static void work_soon(struct sim *sim)
{
    if (!sim->server.is_working && !list_is_empty(&sim->server.jobs))
        work_after(sim, sim->disk_delay_ns + dice_between(&sim->dice, 20 * NS_PER_US, 3 * NS_PER_MS));
}

static void push(struct sim *sim, struct sim_job job)
{
    struct sim_job *copy = mem_must_alloc(sizeof *copy);
    *copy = job;
    list_push_back(&sim->server.jobs, &copy->node);
    work_soon(sim);
}

void sim_store_commit(struct sim *sim, struct batch *batch)
{
    if (batch->sequence != sim->server.handed + 1)
        sim_violate(sim, "D2: batch %llu follows %llu", (unsigned long long)batch->sequence,
                    (unsigned long long)sim->server.handed);
    sim->server.handed = batch->sequence;
    push(sim, (struct sim_job){.batch = batch});
}

void sim_store_read(struct sim *sim, const struct engine_effect *effect)
{
    push(sim, (struct sim_job){.read = *effect});
}


void sim_job_free(struct sim_job *job)
{
    if (job->request)
        sim_request_unref(job->request);
    batch_destroy(job->batch);
    mem_free(job);
}

bool sim_store_is_quiet(const struct sim *sim)
{
    const struct sim_server *server = &sim->server;
    return list_is_empty(&server->jobs) && server->told == server->handed;
}

/* ---- answers ---- */

static void answer_free(struct sim_event *event)
{
    struct answer *answer = container_of(event, struct answer, event);
    store_records_deinit(&answer->records);
    record_deinit(&answer->record);
    mem_free(answer);
}

static void fire_answer(struct sim *sim, struct sim_event *event)
{
    struct answer *answer = container_of(event, struct answer, event);
    struct sim_server *server = &sim->server;
    if (server->is_up && answer->epoch == server->epoch) {
        if (answer->durable)
            server->told = answer->durable;
        sim_server_step(sim, &answer->found);
    }
    answer_free(event);
}

static struct answer *answer_create(struct sim *sim)
{
    struct answer *answer = mem_must_zalloc(sizeof *answer);
    answer->event.fire = fire_answer;
    answer->event.drop = answer_free;
    answer->epoch = sim->server.epoch;
    return answer;
}

static void answer_later(struct sim *sim, struct answer *answer)
{
    int64_t at_ns = sim->now_ns + sim->disk_delay_ns + (int64_t)dice_below(&sim->dice, NS_PER_MS);
    if (at_ns < sim->server.answered_ns)
        at_ns = sim->server.answered_ns;
    sim->server.answered_ns = at_ns;
    sim_after(sim, &answer->event, at_ns - sim->now_ns);
}

/* ---- commits ---- */

static bool is_over_for(struct sim *sim, dr_code code, const char *message, enum sim_deed deed)
{
    if (code == DR_OK)
        return false;
    sim_did(sim, deed);
    if (sim->is_dying)
        return true;
    sim_trace(sim, "%s failed: %s", deed == SIM_COMMIT_FAILED ? "commit" : "read", message);
    if (code == DR_DATA_LOSS)
        sim_violate(sim, "I4: the store says that it is damaged: %s", message);
    if (sim->dice.is_calm)
        sim_violate(sim, "the store fails on a disk that works: %s", message);
    struct sim_server *server = &sim->server;
    int64_t pause_ns = server->retry_pause_ns ? server->retry_pause_ns : PAUSE_FIRST_MS * NS_PER_MS;
    server->retry_pause_ns =
        2 * pause_ns < PAUSE_MAX_MS * NS_PER_MS ? 2 * pause_ns : PAUSE_MAX_MS * NS_PER_MS;
    work_after(sim, pause_ns);
    return true;
}

static size_t take_group(struct sim *sim, struct batch **group)
{
    size_t n = 0, most = 1 + dice_below(&sim->dice, GROUP_MAX);
    for (struct list *node = sim->server.jobs.next; node != &sim->server.jobs && n < most;
         node = node->next) {
        struct sim_job *job = container_of(node, struct sim_job, node);
        if (!job->batch)
            break;
        group[n++] = job->batch;
    }
    return n;
}

static void commit_group(struct sim *sim)
{
    struct batch *group[GROUP_MAX];
    struct sim_server *server = &sim->server;
    struct dr_error error = {0};
    size_t n = take_group(sim, group);
    if (n > server->n_tried)
        server->n_tried = n;
    dr_code code = store_commit(server->store, group, n, &error);
    if (sim->is_dying || is_over_for(sim, code, error.message, SIM_COMMIT_FAILED))
        return;
    server->n_tried = 0;
    server->committed = group[n - 1]->sequence;
    sim_trace(sim, "batch %llu is durable", (unsigned long long)server->committed);
    struct answer *answer = answer_create(sim);
    answer->durable = server->committed;
    answer->found.kind = ENGINE_BATCH_DURABLE;
    answer->found.durable_sequence = server->committed;
    for (size_t i = 0; i < n; i++) {
        sim_calls_commit(sim, group[i]);
        sim_job_free(container_of(list_pop_front(&server->jobs), struct sim_job, node));
    }
    answer_later(sim, answer);
}

/* ---- reads of the engine ---- */

static dr_code load(struct store *store, const struct engine_effect *read, struct answer *answer,
                    struct dr_error *error)
{
    struct engine_event *event = &answer->found;
    struct call_record *record = &answer->record;
    event->kind = ENGINE_LOADED;
    event->loaded.id = read->read.id;
    dr_code code = store_read(store, read->read.id, record, error);
    if (code && code != DR_NOT_FOUND)
        return code;
    event->loaded.is_found = code == DR_OK;
    event->loaded.record = record;
    if (code == DR_NOT_FOUND)
        return DR_OK;
    if (record->state != CALL_DONE && record->has_children)
        code = store_read_children(store, record->id, record->generation, &answer->records,
                                   &event->loaded.n_outstanding, error);
    event->loaded.children = answer->records.records;
    event->loaded.n_children = answer->records.n_records;
    return code;
}

static dr_code scan_due(struct store *store, const struct engine_effect *read, struct answer *answer,
                        struct dr_error *error)
{
    struct store_scan_result result = {0};
    struct store_cursor after = {read->read.after_wake_ns, read->read.id};
    dr_code code = store_scan_due(store, after, read->read.until_ns, read->read.limit, read->read.bytes_max,
                                  &result, error);
    answer->records = result.records;
    answer->found.kind = ENGINE_DUE_SCANNED;
    answer->found.scanned.records = result.records.records;
    answer->found.scanned.n_records = result.records.n_records;
    answer->found.scanned.is_complete = result.is_complete;
    answer->found.scanned.next_wake_ns = result.next_wake_ns;
    return code;
}

static dr_code scan_ids(struct store *store, const struct engine_effect *read, struct answer *answer,
                        struct dr_error *error)
{
    bool is_mail = read->kind == ENGINE_SCAN_MAIL;
    size_t limit = read->read.limit < IDS_MAX ? read->read.limit : IDS_MAX;
    CHECK(limit == read->read.limit);
    answer->found.kind = is_mail ? ENGINE_MAIL_SCANNED : ENGINE_SWEEPS_SCANNED;
    answer->found.found.ids = answer->ids;
    return (is_mail ? store_scan_mail : store_scan_sweeps)(store, read->read.id, limit, answer->ids,
                                                           &answer->found.found.n, error);
}

static dr_code scan_children(struct store *store, const struct engine_effect *read, struct answer *answer,
                             struct dr_error *error)
{
    answer->found.kind = ENGINE_CHILDREN_SCANNED;
    answer->found.found.parent = read->read.id;
    answer->found.found.below_generation = read->read.below_generation;
    dr_code code = store_scan_live_children(store, read->read.id, read->read.below_generation,
                                            read->read.limit, &answer->records, error);
    answer->found.found.records = answer->records.records;
    answer->found.found.n = answer->records.n_records;
    return code;
}

static void purge_shadow(struct sim *sim, const struct purge_order *order, const struct purge_result *found)
{
    struct purge_result expected;
    CHECK(store_purge(sim->shadow, order, &expected, NULL) == DR_OK);
    bool is_same = found->n_purged == expected.n_purged && found->n_kept == expected.n_kept &&
                   found->reached_done_ns == expected.reached_done_ns &&
                   id_equal(found->reached, expected.reached) && found->next_done_ns == expected.next_done_ns;
    if (!is_same)
        sim_violate(sim, "a purge took %zu calls away, %zu were expected", found->n_purged,
                    expected.n_purged);
    if (found->n_purged == 0)
        return;
    sim_did(sim, SIM_PURGED);
    sim_trace(sim, "%zu calls purged", found->n_purged);
    sim_calls_see_purged(sim);
}

static dr_code purge(struct sim *sim, const struct purge_order *order, struct answer *answer,
                     struct dr_error *error)
{
    struct sim_server *server = &sim->server;
    int64_t youngest_ns = sim_server_now(sim) - sim->config.retention_ns;
    if (order->done_before_ns > youngest_ns)
        sim_violate(sim, "a purge reaches into the retention time");
    answer->found.kind = ENGINE_PURGED;
    dr_code code = store_purge(server->store, order, &answer->found.purged, error);
    server->is_purge_in_doubt = code != DR_OK || sim->is_dying;
    server->purge_in_doubt = *order;
    if (!server->is_purge_in_doubt)
        purge_shadow(sim, order, &answer->found.purged);
    return code;
}

static dr_code read_once(struct sim *sim, const struct engine_effect *read, struct answer *answer,
                         struct dr_error *error)
{
    struct store *store = sim->server.store;
    switch (read->kind) {
    case ENGINE_LOAD:
        return load(store, read, answer, error);
    case ENGINE_SCAN_DUE:
        return scan_due(store, read, answer, error);
    case ENGINE_SCAN_CHILDREN:
        return scan_children(store, read, answer, error);
    case ENGINE_PURGE:
        return purge(sim, &read->purge, answer, error);
    default:
        return scan_ids(store, read, answer, error);
    }
}

/* After some tries the engine is told (D4), and orders the read again. A purge goes on being tried: whether it has
 * happened must be known. */
static bool is_given_up(struct sim *sim, const struct engine_effect *read, struct answer *answer, dr_code code)
{
    bool may = code && code != DR_DATA_LOSS && read->kind != ENGINE_PURGE && !sim->is_dying && !sim->dice.is_calm;
    if (!may || dice_below(&sim->dice, 2) > 0)
        return false;
    sim_did(sim, SIM_READ_GIVEN_UP);
    sim_trace(sim, "read given up: %s", answer->error.message);
    answer->found = (struct engine_event){.kind = ENGINE_READ_FAILED};
    answer->found.read_failed.effect = read->kind;
    answer->found.read_failed.code = code;
    answer->found.read_failed.message = answer->error.message;
    if (read->kind == ENGINE_LOAD)
        answer->found.read_failed.id = read->read.id;
    return true;
}

static void read_for_engine(struct sim *sim, struct sim_job *job)
{
    struct answer *answer = answer_create(sim);
    dr_code code = read_once(sim, &job->read, answer, &answer->error);
    bool is_told = is_given_up(sim, &job->read, answer, code);
    if (sim->is_dying || (!is_told && is_over_for(sim, code, answer->error.message, SIM_READ_FAILED))) {
        answer_free(&answer->event);
        return;
    }
    list_remove(&job->node);
    sim_job_free(job);
    answer_later(sim, answer);
}

/* ---- the queue ---- */

void sim_store_request(struct sim *sim, struct sim_request *request)
{
    request->n_references++;
    if (sim->server.n_tried == 0) {
        push(sim, (struct sim_job){.request = request});
        return;
    }
    struct sim_job *job = mem_must_zalloc(sizeof *job); /* a commit fails: people may look between two tries */
    job->request = request;
    list_init(&job->node);
    sim_request_read(sim, job);
    if (!sim->is_dying)
        return;
    sim_job_free(job);
    sim_server_die(sim, SIM_END_POWER_LOST);
}


static void fire_work(struct sim *sim, struct sim_event *event)
{
    struct work *work = container_of(event, struct work, event);
    struct sim_server *server = &sim->server;
    bool is_ours = server->is_up && work->epoch == server->epoch;
    free_work(event);
    if (!is_ours)
        return;
    server->is_working = false;
    sim->disk_delay_ns = 0;
    sim->n_jobs++;
    struct sim_job *job = container_of(server->jobs.next, struct sim_job, node);
    if (job->batch)
        commit_group(sim);
    else if (job->request)
        sim_request_read(sim, job);
    else
        read_for_engine(sim, job);
    if (sim->is_dying) {
        sim_server_die(sim, SIM_END_POWER_LOST);
        return;
    }
    if (!server->is_working)
        server->retry_pause_ns = 0;
    work_soon(sim);
}

/* A commit that was tried and failed, or was under way, may turn out to have happened: the next start will
 * see. */
void sim_store_abandon(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    struct list *node;
    for (; server->n_tried > 0; server->n_tried--)
        list_push_back(&server->in_doubt, list_pop_front(&server->jobs));
    while ((node = list_pop_front(&server->jobs))) {
        struct sim_job *job = container_of(node, struct sim_job, node);
        if (job->batch)
            sim_calls_lose(sim, job->batch);
        sim_job_free(job);
    }
    server->is_working = false;
    server->retry_pause_ns = 0;
    server->answered_ns = 0;
    sim->disk_delay_ns = 0;
}
