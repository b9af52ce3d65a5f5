/* Attempts, as the driver and its transport make them: each start gets exactly one answer (D5). */
#include "sim/sim_private.h"

#include "wire/wire.h"

static unsigned host_of(struct slice endpoint)
{
    CHECK(endpoint.len == sizeof "http://e0" - 1);
    return (unsigned)(endpoint.data[endpoint.len - 1] - '0');
}

static void free_flight(struct sim_flight *flight)
{
    mem_free(flight->delivered.ids);
    mem_free(flight);
}

/* E7: a retry brings what the attempt before it brought, while the call stays in memory. */
static void check_delivery(struct sim *sim, struct sim_flight *flight)
{
    struct sim_call *call = flight->call;
    bool stays = sim->config.resident_max > SIM_CALLS_FEW && sim->config.tree_resident_max > SIM_CALLS_FEW &&
                 sim->config.resident_bytes_max == 0;
    const struct sim_delivery *now = &flight->delivered, *before = &call->retried;
    bool is_same = now->n_ids == before->n_ids;
    for (size_t i = 0; is_same && i < now->n_ids; i++)
        is_same = id_equal(now->ids[i], before->ids[i]);
    if (stays && before->ids && call->retried_epoch == sim->server.epoch && !is_same)
        sim_violate(sim, "E7: a retry of c%u brings other results than the attempt before", call->number);
}

static void keep_retried(struct sim *sim, struct sim_flight *flight)
{
    struct sim_call *call = flight->call;
    const struct call_record *record = engine_peek(sim->server.engine, call->id);
    bool is_retry = record && record->is_resume && record->state == CALL_SCHEDULED &&
                    record->due_ns < sim->server.stepped_ns + SIM_SHORT_SLEEP_NS;
    mem_free(call->retried.ids);
    call->retried = is_retry ? flight->delivered : (struct sim_delivery){0};
    call->retried_epoch = sim->server.epoch;
    if (is_retry)
        flight->delivered = (struct sim_delivery){0};
}

static void feed(struct sim *sim, struct sim_flight *flight, const struct engine_event *event)
{
    struct sim_server *server = &sim->server;
    CHECK(map_remove(&server->flights, flight->id) == flight);
    server->n_flights[flight->host]--;
    heap_remove(&sim->events, &flight->timeout.node);
    server->replying = flight;
    sim_server_step(sim, event);
    server->replying = NULL;
    keep_retried(sim, flight);
    free_flight(flight);
}

static struct engine_event failed(struct id id, uint32_t attempt, const struct sim_failure *failure)
{
    return (struct engine_event){.kind = ENGINE_ATTEMPT_DONE,
                                 .attempt_done = {.id = id,
                                                  .attempt = attempt,
                                                  .status = failure->status,
                                                  .error_type = slice_text(failure->type),
                                                  .error_message = slice_text("simulated"),
                                                  .retry_after_ns = failure->retry_after_ns}};
}

static void fail(struct sim *sim, struct sim_flight *flight, const struct sim_failure *failure)
{
    struct engine_event event = failed(flight->id, flight->attempt, failure);
    sim_trace(sim, "c%u attempt %u failed: %s", flight->call->number, flight->attempt, failure->type);
    feed(sim, flight, &event);
}

static struct sim_flight *find(struct sim *sim, struct id id, uint32_t attempt, uint32_t epoch)
{
    struct sim_flight *flight = map_get(&sim->server.flights, id);
    bool is_ours = sim->server.is_up && epoch == sim->server.epoch && flight && flight->attempt == attempt;
    if (!is_ours)
        sim_did(sim, SIM_LATE_ANSWERS);
    return is_ours ? flight : NULL;
}

/* The transport would have dropped it; the engine must too (E8). What is due by now happens before, so that it is not
 * taken for a deed of the reply. */
static void feed_late(struct sim *sim, const struct engine_event *event, uint32_t epoch)
{
    if (!sim->server.is_up || epoch != sim->server.epoch)
        return;
    sim_server_step(sim, &(struct engine_event){.kind = ENGINE_TICK});
    sim_server_step(sim, event);
}

void sim_run_failed(struct sim *sim, struct id id, uint32_t attempt, uint32_t epoch, const struct sim_failure *failure)
{
    struct sim_flight *flight = find(sim, id, attempt, epoch);
    struct engine_event event = failed(id, attempt, failure);
    if (flight)
        fail(sim, flight, failure);
    else
        feed_late(sim, &event, epoch);
}

static void count_directive(struct sim *sim, const struct wire_run_response *response)
{
    bool is_retryable = dr_status_is_retryable(response->status);
    if (is_retryable && !response->has_tail_call)
        sim_did(sim, SIM_T4);
    else if (response->outcome == WIRE_OUTCOME_POLL)
        sim_did(sim, SIM_T6);
}

void sim_run_answered(struct sim *sim, struct id id, uint32_t attempt, uint32_t epoch, struct slice bytes)
{
    static const struct sim_failure garbage = {.status = DR_STATUS_INVALID_RESPONSE, .type = "InvalidResponse"};
    struct sim_flight *flight = find(sim, id, attempt, epoch);
    struct arena arena;
    struct wire_run_response response;
    struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE,
                                 .attempt_done = {.id = id, .attempt = attempt, .response = &response}};
    arena_init(&arena, 0);
    bool is_garbage = wire_run_response_decode(bytes, &arena, &response, NULL) != DR_OK;
    if (is_garbage)
        event = failed(id, attempt, &garbage);
    if (!flight)
        feed_late(sim, &event, epoch);
    else if (is_garbage) {
        flight->call->is_spoiled = true;
        fail(sim, flight, &garbage);
    } else {
        sim_trace(sim, "c%u attempt %u answered: status %d, outcome %d", flight->call->number, attempt,
                  (int)response.status, (int)response.outcome);
        count_directive(sim, &response);
        feed(sim, flight, &event);
    }
    arena_deinit(&arena);
}

static void fire_timeout(struct sim *sim, struct sim_event *event)
{
    struct sim_flight *flight = container_of(event, struct sim_flight, timeout);
    fail(sim, flight,
         &(struct sim_failure){.status = DR_STATUS_TIMEOUT, .type = flight->is_aborted ? "Aborted" : "TimeoutError"});
}

static void drop_flight(struct sim_event *event)
{
    free_flight(container_of(event, struct sim_flight, timeout));
}

static void keep_delivered(struct sim_flight *flight, const struct wire_run_request *request)
{
    const struct wire_poll_result *poll = &request->poll_result;
    if (request->directive != WIRE_DIRECTIVE_POLL_RESULT || poll->n_results == 0)
        return;
    struct sim_delivery *delivered = &flight->delivered;
    delivered->ids = mem_must_zalloc(poll->n_results * sizeof *delivered->ids);
    delivered->n_ids = poll->n_results;
    for (size_t i = 0; i < poll->n_results; i++)
        CHECK(id_parse(poll->results[i].dispatch_id, &delivered->ids[i]));
}

void sim_run_start(struct sim *sim, const struct engine_effect *effect)
{
    struct sim_server *server = &sim->server;
    struct sim_call *call = sim_call_find(sim, effect->start.id);
    if (!call) {
        sim_violate(sim, "T2: an attempt of a call that does not exist");
        return;
    }
    bool is_resume = effect->start.request.directive == WIRE_DIRECTIVE_POLL_RESULT;
    sim_did(sim, SIM_T2);
    if (is_resume)
        sim_did(sim, SIM_T7);
    sim_trace(sim, "c%u attempt %u starts%s", call->number, effect->start.attempt,
              is_resume ? ", a resume" : "");
    sim_check_start(sim, call, effect);
    if (server->is_stopping)
        sim_violate(sim, "c%u starts in a server that is to stop", call->number);
    if (server->flights.len >= sim->config.in_flight_max)
        sim_violate(sim, "more attempts are in flight than may be");
    if (map_get(&server->flights, call->id)) {
        sim_violate(sim, "I3: c%u has two attempts in flight", call->number);
        return;
    }
    struct sim_flight *flight = mem_must_zalloc(sizeof *flight);
    flight->id = call->id;
    flight->attempt = effect->start.attempt;
    flight->call = call;
    flight->host = host_of(effect->start.endpoint);
    flight->timeout.fire = fire_timeout;
    flight->timeout.drop = drop_flight;
    keep_delivered(flight, &effect->start.request);
    if (is_resume)
        check_delivery(sim, flight);
    CHECK(map_put(&server->flights, call->id, flight) == DR_OK);
    server->n_flights[flight->host]++;
    sim_after(sim, &flight->timeout, effect->start.timeout_ns);
    struct buf bytes;
    buf_init(&bytes, WIRE_MESSAGE_BYTES_MAX);
    CHECK(wire_run_request_encode(&effect->start.request, &bytes, NULL) == DR_OK);
    size_t len;
    uint8_t *data = buf_steal(&bytes, &len);
    sim_net_run(sim, flight, data, len);
}

/* Its answer comes soon, whatever the endpoint does. */
void sim_run_abort(struct sim *sim, const struct engine_effect *effect)
{
    struct sim_flight *flight = map_get(&sim->server.flights, effect->start.id);
    if (!flight || flight->attempt != effect->start.attempt) {
        sim_violate(sim, "an attempt was called off that is not in flight");
        return;
    }
    sim_trace(sim, "c%u attempt %u is called off", flight->call->number, flight->attempt);
    flight->is_aborted = true;
    heap_remove(&sim->events, &flight->timeout.node);
    sim_after(sim, &flight->timeout, dice_between(&sim->dice, 0, 5 * NS_PER_MS));
}

void sim_runs_abandon(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&server->flights, &cursor))) {
        struct sim_flight *flight = entry->value;
        heap_remove(&sim->events, &flight->timeout.node);
        free_flight(flight);
    }
    map_deinit(&server->flights);
    map_init(&server->flights);
    memset(server->n_flights, 0, sizeof server->n_flights);
}
