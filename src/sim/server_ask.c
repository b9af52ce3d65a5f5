/* What clients ask the server, as its API does it: requests go to the engine or to the store, answers go back. */
#include "sim/sim_private.h"

#include "wire/wire.h"

/* ---- answers of the engine ---- */

static struct sim_request *take_request(struct sim *sim, uint64_t token)
{
    struct id key = {{0}};
    memcpy(key.bytes, &token, sizeof token);
    struct sim_request *request = map_remove(&sim->server.requests, key);
    if (!request)
        sim_violate(sim, "the engine answers a question that nobody asked, or twice");
    return request;
}

void sim_answer_submit(struct sim *sim, const struct engine_effect *effect)
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

void sim_answer_wait(struct sim *sim, const struct engine_effect *effect)
{
    struct sim_request *request = take_request(sim, effect->answer.token);
    if (!request)
        return;
    request->code = effect->answer.code;
    request->is_done = effect->answer.code == DR_OK;
    sim_check_wait(sim, request);
    if (request->is_done) {
        request->result = sim_result_hash(effect->answer.record);
        if (request->call && !request->call->is_done)
            sim_violate(sim, "I7: c%u: a result was shown before it was durable", request->call->number);
    }
    sim_net_answer(sim, request);
}

void sim_answer_cancel(struct sim *sim, const struct engine_effect *effect)
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

/* ---- questions to the engine ---- */

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
    bool is_for_engine = calls.n_calls % 2; /* to refuse, in case the API let it pass */
    for (size_t i = 0; code == DR_OK && !is_for_engine && i < calls.n_calls; i++)
        code = wire_call_validate(&calls.calls[i], true, NULL);
    if (code && request->is_bad) {
        request->code = code;
        request->n_references++;
        sim_net_answer(sim, request);
    } else if (code || calls.n_calls != request->n_calls)
        sim_violate(sim, "a good submit was refused");
    else if (request->is_bad && !is_for_engine)
        sim_violate(sim, "a bad submit was accepted");
    else {
        put_request(sim, request);
        sim->server.submitting = request;
        sim_server_step(sim, &(struct engine_event){.kind = ENGINE_SUBMIT,
                                                    .submit = {.token = request->token,
                                                               .project = request->project,
                                                               .calls = calls.calls,
                                                               .n_calls = calls.n_calls}});
    }
    arena_deinit(&arena);
}

void sim_server_request(struct sim *sim, struct sim_request *request)
{
    request->deadline_ns = time_add(sim_server_now(sim), request->timeout_ns);
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
                                                .project = request->project,
                                                .id = request->id,
                                                .deadline_ns = request->deadline_ns}});
    }
}

/* Their connections break. */
void sim_requests_abandon(struct sim *sim)
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

/* ---- reads for clients ---- */

static dr_code get(struct sim *sim, struct sim_request *request, struct dr_error *error)
{
    struct call_record record = {0}, expected;
    unsigned number = request->call ? request->call->number : 0;
    dr_code code = store_read(sim->server.store, request->id, &record, error);
    bool is_there = sim_shadow(sim, request->id, &expected);
    if ((code == DR_OK && !is_there) || (code == DR_NOT_FOUND && is_there))
        sim_violate(sim, "I4: c%u is %s", number, is_there ? "not found" : "found, and should not be");
    if (code == DR_OK && is_there && sim_result_hash(&record) != sim_result_hash(&expected))
        sim_violate(sim, "I7: c%u is shown otherwise than it was recorded", number);
    request->is_done = code == DR_OK && record.state == CALL_DONE;
    request->result = code == DR_OK ? sim_result_hash(&record) : 0;
    record_deinit(&record);
    record_deinit(&expected);
    return code;
}

static dr_code list(struct sim *sim, struct sim_request *request, struct dr_error *error)
{
    struct store_records found = {0}, expected = {0};
    dr_code code = store_list(sim->server.store, &request->filter, &found, error);
    if (code == DR_OK) {
        CHECK(store_list(sim->shadow, &request->filter, &expected, NULL) == DR_OK);
        bool is_same = found.n_records == expected.n_records;
        for (size_t i = 0; is_same && i < found.n_records; i++)
            is_same = id_equal(found.records[i].id, expected.records[i].id);
        if (!is_same)
            sim_violate(sim, "a list shows %zu calls, not the %zu it should", found.n_records,
                        expected.n_records);
    }
    store_records_deinit(&found);
    store_records_deinit(&expected);
    return code;
}

void sim_request_read(struct sim *sim, struct sim_job *job)
{
    struct dr_error error = {0};
    struct sim_request *request = job->request;
    dr_code code = request->kind == SIM_GET ? get(sim, request, &error) : list(sim, request, &error);
    if (sim->is_dying)
        return;
    if (code == DR_DATA_LOSS)
        sim_violate(sim, "I4: the store says that it is damaged: %s", error.message);
    if (code && code != DR_NOT_FOUND)
        sim_did(sim, SIM_READ_FAILED);
    request->code = code;
    sim_net_answer(sim, request);
    list_remove(&job->node);
    job->request = NULL; /* its reference goes with the answer */
    sim_job_free(job);
}
