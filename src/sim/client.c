/* What users ask, and what they may be told: submit, wait, get, list and cancel, one after the other per
 * client. */
#include "sim/sim_private.h"

#include "wire/wire.h"

enum { PATIENCE_S = 60 };

struct client_timer {
    struct sim_event event;
    struct sim_client *client;
};

static void next_operation(struct sim *sim, struct sim_client *client);

void sim_request_unref(struct sim_request *request)
{
    if (--request->n_references > 0)
        return;
    buf_deinit(&request->bytes);
    mem_free(request);
}

/* ---- timers ---- */

static void free_timer(struct sim_event *event)
{
    mem_free(container_of(event, struct client_timer, event));
}

static void disarm(struct sim *sim, struct sim_client *client)
{
    if (!client->timer)
        return;
    heap_remove(&sim->events, &client->timer->node);
    free_timer(client->timer);
    client->timer = NULL;
}

static void give_up(struct sim *sim, struct sim_client *client)
{
    struct sim_request *request = client->request;
    struct id key = {{0}};
    memcpy(key.bytes, &request->token, sizeof request->token);
    bool is_asked = sim->server.is_up && map_get(&sim->server.requests, key) == request;
    if (is_asked)
        sim_check_unanswered(sim, request);
    if (is_asked && request->kind == SIM_WAIT) /* a wake that is held back still comes, so the request stays known */
        sim_server_step(
            sim, &(struct engine_event){.kind = ENGINE_WAIT_ABANDONED, .ask = {.token = request->token}});
    request->code = DR_DEADLINE_EXCEEDED;
    request->is_given_up = true;
    sim_client_answered(sim, request);
}

static void fire_timer(struct sim *sim, struct sim_event *event)
{
    struct sim_client *client = container_of(event, struct client_timer, event)->client;
    client->timer = NULL;
    free_timer(event);
    if (client->request)
        give_up(sim, client);
    else
        next_operation(sim, client);
}

static void arm(struct sim *sim, struct sim_client *client, int64_t delay_ns)
{
    struct client_timer *timer = mem_must_zalloc(sizeof *timer);
    timer->event.fire = fire_timer;
    timer->event.drop = free_timer;
    timer->client = client;
    client->timer = &timer->event;
    sim_after(sim, &timer->event, delay_ns);
}

static void pause(struct sim *sim, struct sim_client *client)
{
    static const int64_t most_ns[] = {NS_PER_MS, NS_PER_S, 10 * NS_PER_S, 900 * NS_PER_S};
    if (sim->n_operations_left > 0)
        arm(sim, client, dice_between(&sim->dice, 0, most_ns[dice_below(&sim->dice, 4)]));
}

/* ---- asking ---- */

static void fill_submit(struct sim *sim, struct sim_request *request)
{
    struct arena arena;
    struct wire_call calls[3];
    arena_init(&arena, 0);
    request->n_calls = 1 + (uint32_t)dice_below(&sim->dice, 3);
    request->is_json = dice_below(&sim->dice, 2);
    request->is_bad = dice_below(&sim->dice, 12) == 0;
    for (uint32_t i = 0; i < request->n_calls; i++) {
        request->inputs[i] = (struct program_input){.seed = dice_below(&sim->dice, UINT64_MAX)};
        program_call(request->inputs[i], &arena, &calls[i]);
    }
    if (request->is_bad)
        calls[dice_below(&sim->dice, request->n_calls)].function = slice_text("");
    struct wire_dispatch_request message = {.calls = calls, .n_calls = request->n_calls};
    buf_init(&request->bytes, WIRE_MESSAGE_BYTES_MAX);
    CHECK((request->is_json ? wire_dispatch_request_json_encode(&message, &request->bytes, NULL)
                            : wire_dispatch_request_encode(&message, &request->bytes, NULL)) == DR_OK);
    arena_deinit(&arena);
}

static void fill_list(struct sim *sim, struct sim_request *request)
{
    struct store_filter *filter = &request->filter;
    uint64_t lot = dice_below(&sim->dice, 32);
    *filter =
        (struct store_filter){.project = request->project, .status = -1, .limit = 1 + dice_below(&sim->dice, 50)};
    const struct sim_call *call = sim->n_calls ? sim->call_list[dice_below(&sim->dice, sim->n_calls)] : NULL;
    if (lot & 1)
        filter->function =
            slice_text(program_name((enum program_kind)dice_below(&sim->dice, PROGRAM_KIND_COUNT)));
    if (lot & 2)
        filter->state = CALL_SCHEDULED + (int)dice_below(&sim->dice, 3);
    if (lot & 4 && call && call->parent)
        filter->parent = call->parent->id;
    if (lot & 8 && call)
        filter->before = call->id;
    if ((lot & 16) && (lot & 2))
        filter->status = (int)dice_below(&sim->dice, 16);
}

/* A call, or now and then one that never was. */
static void choose_call(struct sim *sim, struct sim_request *request)
{
    if (dice_below(&sim->dice, 16) == 0) {
        for (size_t i = 0; i < sizeof request->id.bytes; i++)
            request->id.bytes[i] = (uint8_t)dice_below(&sim->dice, 256);
        return;
    }
    const struct sim_request *other = sim->clients[dice_below(&sim->dice, SIM_CLIENTS)].request;
    bool is_same = dice_below(&sim->dice, 2) == 0 && other && other->call; /* two that ask for one */
    request->call = is_same ? other->call : sim->call_list[dice_below(&sim->dice, sim->n_calls)];
    request->id = request->call->id;
    request->is_foreign = dice_below(&sim->dice, 6) == 0;
    request->project = request->is_foreign ? 1 + request->call->project % SIM_PROJECTS : request->call->project;
}

static enum sim_request_kind choose(struct sim *sim)
{
    uint64_t lot = dice_below(&sim->dice, 100);
    if (sim->n_calls == 0 || lot < 40)
        return SIM_SUBMIT;
    return lot < 65 ? SIM_WAIT : lot < 80 ? SIM_GET : lot < 90 ? SIM_LIST : SIM_CANCEL;
}

static bool is_left_out(const struct sim *sim, uint32_t number)
{
    return number < 256 && sim->options->operations_off[number / 64] >> (number % 64) & 1;
}

static void ask(struct sim *sim, struct sim_client *client, uint32_t number)
{
    static const int64_t waits_ns[] = {0, NS_PER_S, 60 * NS_PER_S, 1200 * NS_PER_S};
    static const char *const names[] = {"", "submit", "wait", "get", "list", "cancel"};
    struct sim_request *request = mem_must_zalloc(sizeof *request);
    request->kind = choose(sim);
    request->number = number;
    request->sent_ns = sim->now_ns;
    request->n_references = 1;
    request->project = 1 + (uint32_t)dice_below(&sim->dice, SIM_PROJECTS);
    if (request->kind == SIM_SUBMIT)
        fill_submit(sim, request);
    else if (request->kind == SIM_LIST)
        fill_list(sim, request);
    else
        choose_call(sim, request);
    if (request->kind == SIM_WAIT)
        request->timeout_ns = waits_ns[dice_below(&sim->dice, 4)];
    if (is_left_out(sim, number)) {
        sim_request_unref(request);
        pause(sim, client);
        return;
    }
    if (request->kind == SIM_CANCEL && request->call && !request->is_foreign)
        request->call->is_cancel_asked = true;
    sim_trace(sim, "operation %u: %s c%u", number, names[request->kind],
              request->call ? request->call->number : 0);
    client->request = request;
    arm(sim, client, request->timeout_ns + PATIENCE_S * NS_PER_S);
    sim_net_request(sim, request);
}

static void next_operation(struct sim *sim, struct sim_client *client)
{
    if (sim->n_operations_left > 0)
        ask(sim, client, sim->n_operations - sim->n_operations_left--);
}

/* ---- being told ---- */

static void told_submitted(struct sim *sim, const struct sim_request *request)
{
    for (uint32_t i = 0; i < request->n_calls; i++) {
        const struct sim_call *call = sim_call_find(sim, request->ids[i]);
        bool is_mine = call && call->input.seed == request->inputs[i].seed;
        if (!is_mine)
            sim_violate(sim, "I4: the ids of operation %u are not of its calls", request->number);
    }
}

static void told_missing(struct sim *sim, const struct sim_request *request)
{
    const struct sim_call *call = request->call;
    bool was_there = call->is_durable && call->durable_ns < request->sent_ns;
    if (was_there && !call->is_purged)
        sim_violate(sim, "I4: c%u is said to be unknown", call->number);
}

static void told_cancelled(struct sim *sim, const struct sim_request *request)
{
    sim_check_seen_live(sim, request->call, request->sent_ns);
    sim_check_seen_done(sim, request->call);
    if (!request->call->is_ended_by_server)
        sim_violate(sim, "I7: c%u was cancelled and ended otherwise", request->call->number);
}

/* Of a submit, a list, or a call that never was. */
static void told_of_no_call(struct sim *sim, const struct sim_request *request)
{
    bool is_ok = request->code == DR_OK;
    if (request->kind == SIM_SUBMIT && is_ok && !request->is_bad)
        told_submitted(sim, request);
    else if (is_ok && request->kind != SIM_LIST)
        sim_violate(sim, "operation %u went well, and must not", request->number);
    if (request->code == DR_NOT_FOUND && (request->kind == SIM_SUBMIT || request->kind == SIM_LIST))
        sim_violate(sim, "operation %u found nothing", request->number);
    if (request->code == DR_INVALID_ARGUMENT && !request->is_bad)
        sim_violate(sim, "operation %u was refused", request->number);
}

static void told_foreign(struct sim *sim, const struct sim_request *request)
{
    bool is_hidden = request->code == DR_NOT_FOUND || request->code == DR_UNAVAILABLE;
    bool is_shown = request->kind == SIM_GET; /* the API hides it, which is not here */
    if (!is_hidden && !is_shown)
        sim_violate(sim, "c%u is shown to another project: %s", request->call->number, dr_code_name(request->code));
}

static void told(struct sim *sim, const struct sim_request *request)
{
    struct sim_call *call = request->call;
    if (!call)
        told_of_no_call(sim, request);
    if (!call || request->is_given_up) /* then it tells nothing of the call */
        return;
    if (request->is_foreign) {
        told_foreign(sim, request);
        return;
    }
    if (request->code == DR_NOT_FOUND)
        told_missing(sim, request);
    else if (request->kind == SIM_CANCEL && request->code == DR_OK)
        told_cancelled(sim, request);
    else if (request->kind == SIM_CANCEL && request->code == DR_FAILED_PRECONDITION)
        sim_check_seen_done(sim, call);
    else if (request->kind != SIM_CANCEL && request->code == DR_OK && request->is_done) {
        sim_check_seen_done(sim, call);
        sim_check_seen_result(sim, call, request->result);
    } else if (request->code == DR_OK || (request->kind == SIM_WAIT && request->code == DR_DEADLINE_EXCEEDED))
        sim_check_seen_live(sim, call, request->sent_ns);
}

void sim_client_answered(struct sim *sim, struct sim_request *request)
{
    static const enum sim_deed deeds[][2] = {[SIM_SUBMIT] = {SIM_SUBMIT_OK, SIM_SUBMIT_FAILED},
                                             [SIM_WAIT] = {SIM_WAIT_OK, SIM_WAIT_FAILED},
                                             [SIM_GET] = {SIM_GET_OK, SIM_GET_FAILED},
                                             [SIM_LIST] = {SIM_LIST_OK, SIM_LIST_FAILED},
                                             [SIM_CANCEL] = {SIM_CANCEL_OK, SIM_CANCEL_FAILED}};
    for (int i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->request != request)
            continue;
        sim_trace(sim, "operation %u: %s", request->number,
                  request->code ? dr_code_name(request->code) : "ok");
        sim_did(sim, deeds[request->kind][request->code != DR_OK]);
        request->is_over = true;
        told(sim, request);
        disarm(sim, client);
        client->request = NULL;
        sim_request_unref(request);
        pause(sim, client);
        return;
    }
    CHECK(!"a request belongs to a client");
}

bool sim_clients_are_idle(const struct sim *sim)
{
    bool is_idle = sim->n_operations_left == 0;
    for (int i = 0; i < SIM_CLIENTS; i++)
        is_idle &= !sim->clients[i].request;
    return is_idle;
}

void sim_clients_start(struct sim *sim)
{
    for (int i = 0; i < SIM_CLIENTS; i++)
        pause(sim, &sim->clients[i]);
}

void sim_clients_deinit(struct sim *sim)
{
    for (int i = 0; i < SIM_CLIENTS; i++) {
        disarm(sim, &sim->clients[i]);
        if (sim->clients[i].request)
            sim_request_unref(sim->clients[i].request);
    }
}
