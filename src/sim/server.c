/* The server process: it starts on what the disk holds, steps the engine, answers, and dies whenever the dice
 * say. */
#include "sim/sim_private.h"

#include "wire/wire.h"

#define DATABASE "dispatch.db"

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

static struct sim_request *take_request(struct sim *sim, uint64_t token)
{
    struct id key = {{0}};
    memcpy(key.bytes, &token, sizeof token);
    struct sim_request *request = map_remove(&sim->server.requests, key);
    if (!request)
        sim_violate(sim, "the engine answers a question that nobody asked, or twice");
    return request;
}

static void answer_submit(struct sim *sim, const struct engine_effect *effect)
{
    struct sim_request *request = take_request(sim, effect->answer.token);
    if (!request)
        return;
    request->code = effect->answer.code;
    for (size_t i = 0; i < effect->answer.n_ids; i++) {
        const struct sim_call *call = sim_call_find(sim, effect->answer.ids[i]);
        request->ids[i] = effect->answer.ids[i];
        if (!call || !call->is_durable)
            sim_violate(sim, "I4: a submit was answered before it was durable");
    }
    sim_net_answer(sim, request);
}

static void answer_wait(struct sim *sim, const struct engine_effect *effect)
{
    struct sim_request *request = take_request(sim, effect->answer.token);
    if (!request)
        return;
    request->code = effect->answer.code;
    request->is_done = effect->answer.code == DR_OK;
    if (request->is_done) {
        request->result = sim_result_hash(effect->answer.record);
        if (request->call && !request->call->is_done)
            sim_violate(sim, "I7: c%u: a result was shown before it was durable", request->call->number);
    }
    sim_net_answer(sim, request);
}

static void answer_cancel(struct sim *sim, const struct engine_effect *effect)
{
    struct sim_request *request = take_request(sim, effect->answer.token);
    if (!request)
        return;
    request->code = effect->answer.code;
    bool is_over = request->code == DR_OK || request->code == DR_FAILED_PRECONDITION;
    if (is_over && request->call && !request->call->is_done)
        sim_violate(sim, "I7: c%u: a cancel was answered before its end was durable", request->call->number);
    sim_net_answer(sim, request);
}

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
        answer_submit(sim, effect);
        break;
    case ENGINE_WAKE:
        answer_wait(sim, effect);
        break;
    case ENGINE_ANSWER_CANCEL:
        answer_cancel(sim, effect);
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
    server->deadline_ns = update.next_deadline_ns;
    if (update.batch) {
        sim_calls_see(sim, update.batch);
        sim_store_commit(sim, update.batch);
    }
    for (size_t i = 0; i < update.n_effects; i++)
        perform(sim, &update.effects[i]);
    arm_tick(sim);
}

/* ---- requests of clients ---- */

static void put_request(struct sim *sim, struct sim_request *request)
{
    struct id key = {{0}};
    request->token = ++sim->server.last_token;
    memcpy(key.bytes, &request->token, sizeof request->token);
    request->n_references++;
    CHECK(map_put(&sim->server.requests, key, request) == DR_OK);
}

static void submit(struct sim *sim, struct sim_request *request)
{
    struct arena arena;
    struct wire_dispatch_request calls;
    arena_init(&arena, 0);
    struct slice body = buf_slice(&request->bytes);
    dr_code code = request->is_json ? wire_dispatch_request_json_decode(body, &arena, &calls, NULL)
                                    : wire_dispatch_request_decode(body, &arena, &calls, NULL);
    for (size_t i = 0; code == DR_OK && i < calls.n_calls; i++)
        code = wire_call_validate(&calls.calls[i], true, NULL);
    if (code && request->is_bad) {
        request->code = code;
        request->n_references++;
        sim_net_answer(sim, request);
    } else if (code || calls.n_calls != request->n_calls)
        sim_violate(sim, "a good submit was refused");
    else if (request->is_bad)
        sim_violate(sim, "a bad submit was accepted");
    else {
        put_request(sim, request);
        sim_server_step(sim, &(struct engine_event){.kind = ENGINE_SUBMIT,
                                                    .submit = {.token = request->token,
                                                               .project = SIM_PROJECT,
                                                               .calls = calls.calls,
                                                               .n_calls = calls.n_calls}});
    }
    arena_deinit(&arena);
}

void sim_server_request(struct sim *sim, struct sim_request *request)
{
    int64_t deadline_ns = time_add(sim_server_now(sim), request->timeout_ns);
    switch (request->kind) {
    case SIM_SUBMIT:
        submit(sim, request);
        return;
    case SIM_GET:
    case SIM_LIST:
        sim_store_request(sim, request);
        return;
    default:
        put_request(sim, request);
        sim_server_step(
            sim, &(struct engine_event){.kind = request->kind == SIM_WAIT ? ENGINE_WAIT : ENGINE_CANCEL_CALL,
                                        .ask = {.token = request->token,
                                                .project = SIM_PROJECT,
                                                .id = request->id,
                                                .deadline_ns = deadline_ns}});
    }
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
        .path = DATABASE, .vfs = sim_disk_vfs_name(sim->disk), .busy_timeout_ms = 1};
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

/* Their connections break. */
static void refuse_requests(struct sim *sim)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&sim->server.requests, &cursor))) {
        struct sim_request *request = entry->value;
        request->code = DR_UNAVAILABLE;
        sim_net_answer(sim, request);
    }
    map_deinit(&sim->server.requests);
    map_init(&sim->server.requests);
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
    refuse_requests(sim);
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
        refuse_requests(sim);
        engine_destroy(server->engine);
    }
    map_deinit(&server->requests);
    map_deinit(&server->flights);
}
