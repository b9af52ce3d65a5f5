/* The server process: it starts on what the disk holds, steps the engine, and dies whenever the dice say. */
#include "sim/sim_private.h"



/* ---- the clock ---- */

/* As the driver's real clock: a wall clock set forward is followed, one set back is not, while the process
 * lives. */
int64_t sim_server_now(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    if (sim->skew_ns > server->offset_ns)
        server->offset_ns = sim->skew_ns;
    return sim->now_ns + server->offset_ns;
}

static void fire_tick(struct sim *sim, struct sim_event *event);

static void free_event(struct sim_event *event)
{
    mem_free(event);
}

static void arm_tick(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    if (server->tick) {
        heap_remove(&sim->events, &server->tick->node);
        mem_free(server->tick);
        server->tick = NULL;
    }
    if (server->deadline_ns == TIME_NEVER)
        return;
    int64_t delay_ns = server->deadline_ns - sim_server_now(sim);
    server->tick = mem_must_zalloc(sizeof *server->tick);
    server->tick->fire = fire_tick;
    server->tick->drop = free_event;
    sim_after(sim, server->tick, delay_ns > 0 ? delay_ns : 0);
}

static void fire_tick(struct sim *sim, struct sim_event *event)
{
    CHECK(sim->server.tick == event);
    sim->server.tick = NULL;
    mem_free(event);
    sim_server_step(sim, &(struct engine_event){.kind = ENGINE_TICK});
}

/* ---- steps ---- */

static void perform(struct sim *sim, const struct engine_effect *effect)
{
    if (effect->after_batch > sim->server.told)
        sim_violate(sim, "D3: an effect came before its batch was durable");
    switch (effect->kind) {
    case ENGINE_START:
        sim_run_start(sim, effect);
        break;
    case ENGINE_ABORT:
        sim_run_abort(sim, effect);
        break;
    case ENGINE_ANSWER_SUBMIT:
        sim_answer_submit(sim, effect);
        break;
    case ENGINE_WAKE:
        sim_answer_wait(sim, effect);
        break;
    case ENGINE_ANSWER_CANCEL:
        sim_answer_cancel(sim, effect);
        break;
    default:
        sim_store_read(sim, effect);
    }
}

static void step_of_reply(struct sim *sim, const struct engine_event *event, struct engine_update *ret_update)
{
    struct sim_server *server = &sim->server;
    struct call_record before = {0};
    const struct call_record *resident = engine_peek(server->engine, event->attempt_done.id);
    if (resident)
        record_copy(&before, resident);
    engine_step(server->engine, event, server->stepped_ns, ret_update);
    if (server->replying)
        sim_check_reply(sim, server->replying, resident ? &before : NULL, event, ret_update);
    else
        sim_check_late_reply(sim, event->attempt_done.id, ret_update);
    record_deinit(&before);
}

void sim_server_step(struct sim *sim, const struct engine_event *event)
{
    struct sim_server *server = &sim->server;
    struct engine_update update = {0};
    server->stepped_ns = sim_server_now(sim);
    if (event->kind == ENGINE_ATTEMPT_DONE)
        step_of_reply(sim, event, &update);
    else
        engine_step(server->engine, event, server->stepped_ns, &update);
    if (event->kind == ENGINE_SUBMIT)
        sim_check_submit(sim, server->submitting, event, update.batch);
    server->deadline_ns = update.next_deadline_ns;
    if (update.batch) {
        sim_calls_see(sim, update.batch);
        sim_store_commit(sim, update.batch);
    }
    for (size_t i = 0; i < update.n_effects; i++)
        perform(sim, &update.effects[i]);
    arm_tick(sim);
}

/* ---- birth and death ---- */

static void fire_start(struct sim *sim, struct sim_event *event)
{
    mem_free(event);
    sim_server_start(sim);
}

void sim_server_schedule_start(struct sim *sim)
{
    struct sim_event *event = mem_must_zalloc(sizeof *event);
    event->fire = fire_start;
    event->drop = free_event;
    sim_after(sim, event, dice_between(&sim->dice, NS_PER_MS, 20 * NS_PER_S));
}

static bool open_store(struct sim *sim)
{
    struct dr_error error = {0};
    struct store_sqlite_options options = {
        .path = SIM_DATABASE, .vfs = sim_disk_vfs_name(sim->disk), .busy_timeout_ms = 1};
    dr_code code = store_sqlite_open(&options, &sim->server.store, &error);
    if (code == DR_OK)
        return true;
    sim_did(sim, SIM_OPEN_FAILED);
    sim_trace(sim, "open failed: %s", error.message);
    /* every failure must be one that the next try can overcome: nothing may have been damaged */
    if (code == DR_DATA_LOSS || code == DR_FAILED_PRECONDITION || sim->dice.is_calm)
        sim_violate(sim, "I4: the store cannot be opened: %s", error.message);
    return false;
}

/* The power may fail while the store is being opened. */
static bool has_died_opening(struct sim *sim)
{
    if (!sim->is_dying)
        return false;
    sim->is_dying = false;
    store_close(sim->server.store);
    sim->server.store = NULL;
    sim_trace(sim, "power lost while opening");
    return true;
}

/* As the driver's clock begins. */
static bool start_clock(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    struct dr_error error = {0};
    int64_t newest_ns = INT64_MIN;
    dr_code code = store_newest(server->store, &newest_ns, &error);
    server->offset_ns = clock_not_before(sim->now_ns + sim->skew_ns, newest_ns) - sim->now_ns;
    if (code == DR_OK)
        return true;
    sim_did(sim, SIM_OPEN_FAILED);
    sim_trace(sim, "open failed: %s", error.message);
    store_close(server->store);
    server->store = NULL;
    return false;
}

void sim_server_start(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    server->epoch++;
    bool is_open = open_store(sim) && start_clock(sim);
    if (has_died_opening(sim) || !is_open) {
        sim_server_schedule_start(sim);
        return;
    }
    sim_did(sim, SIM_RESTARTS);
    server->started_ns = sim->now_ns;
    sim_trace(sim, "server starts, epoch %u", server->epoch);
    server->is_up = true;
    server->handed = server->committed = server->told = 0;
    server->deadline_ns = TIME_NEVER;
    for (size_t i = 0; i < 4; i++)
        sim->config.seed[i] = dice_below(&sim->dice, UINT64_MAX);
    server->engine = engine_create(&sim->config);
    sim_store_settle(sim);
    if (server->is_up && !sim_is_violated(sim))
        sim_server_step(sim, &(struct engine_event){.kind = ENGINE_RECOVER});
}

void sim_server_die(struct sim *sim, enum sim_end how)
{
    static const char *const words[] = {"server killed", "power lost", "server stopped"};
    struct sim_server *server = &sim->server;
    if (!server->is_up)
        return;
    sim_trace(sim, "%s", words[how]);
    server->is_up = server->is_stopping = false;
    if (how == SIM_END_POWER_LOST && !sim->is_dying)
        sim_disk_crash(sim->disk);
    else if (how == SIM_END_KILLED && !sim->is_dying)
        sim_disk_kill(sim->disk);
    sim_store_abandon(sim);
    store_close(server->store); /* power may be lost even now */
    server->store = NULL;
    sim->is_dying = false;
    sim_runs_abandon(sim);
    sim_requests_abandon(sim);
    engine_destroy(server->engine);
    server->engine = NULL;
    server->deadline_ns = TIME_NEVER;
    arm_tick(sim);
    sim_server_schedule_start(sim);
}

struct stop {
    struct sim_event event;
    uint32_t epoch;
};

static void free_stop(struct sim_event *event)
{
    mem_free(container_of(event, struct stop, event));
}

static void fire_stop(struct sim *sim, struct sim_event *event)
{
    bool is_ours = container_of(event, struct stop, event)->epoch == sim->server.epoch;
    free_stop(event);
    if (is_ours)
        sim_server_die(sim, SIM_END_STOPPED);
}

void sim_server_stop(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    if (!server->is_up || server->is_stopping)
        return;
    sim_trace(sim, "server is to stop");
    server->is_stopping = true;
    engine_set_paused(server->engine, true);
    struct stop *stop = mem_must_zalloc(sizeof *stop);
    stop->event.fire = fire_stop;
    stop->event.drop = free_stop;
    stop->epoch = server->epoch;
    sim_after(sim, &stop->event, dice_between(&sim->dice, 0, 30 * NS_PER_S));
}

void sim_server_deinit(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    server->deadline_ns = TIME_NEVER;
    arm_tick(sim);
    if (server->is_up) {
        sim_disk_kill(sim->disk);
        sim_store_abandon(sim);
        store_close(server->store);
        sim_runs_abandon(sim);
        sim_requests_abandon(sim);
        engine_destroy(server->engine);
    }
    map_deinit(&server->requests);
    map_deinit(&server->flights);
}
