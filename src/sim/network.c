/* Messages: between clients and server, and between server and endpoints. They are late, lost, repeated, out
 * of order and cut off. */
#include "sim/sim_private.h"

/* A Run request on its way, or its answer. */
struct run_message {
    struct sim_event event;
    struct id id;
    uint32_t attempt;
    uint32_t epoch;
    unsigned host;
    struct sim_failure failure; /* of an answer: there is none */
    uint8_t *bytes;
    size_t len;
};

struct request_message {
    struct sim_event event;
    struct sim_request *request;
};

static int64_t delay_ns(struct sim *sim)
{
    bool is_late = dice_strikes(&sim->dice, SIM_NET_DELAY);
    return is_late ? dice_between(&sim->dice, NS_PER_MS, 30 * NS_PER_S)
                   : dice_between(&sim->dice, 50 * NS_PER_US, NS_PER_MS);
}

/* ---- runs ---- */

static void free_run(struct sim_event *event)
{
    struct run_message *message = container_of(event, struct run_message, event);
    mem_free(message->bytes);
    mem_free(message);
}

static void fire_answer(struct sim *sim, struct sim_event *event)
{
    struct run_message *message = container_of(event, struct run_message, event);
    if (message->failure.status)
        sim_run_failed(sim, message->id, message->attempt, message->epoch, &message->failure);
    else
        sim_run_answered(sim, message->id, message->attempt, message->epoch,
                         slice_of(message->bytes, message->len));
    free_run(event);
}

static void send_answer(struct sim *sim, const struct run_message *request, const struct sim_failure *failure,
                        struct slice bytes, int64_t after_ns)
{
    struct run_message *message = mem_must_alloc(sizeof *message);
    *message = (struct run_message){.event = {.fire = fire_answer, .drop = free_run},
                                    .id = request->id,
                                    .attempt = request->attempt,
                                    .epoch = request->epoch,
                                    .host = request->host,
                                    .failure = *failure,
                                    .len = bytes.len};
    message->bytes = mem_must_alloc(bytes.len + 1);
    if (bytes.len)
        memcpy(message->bytes, bytes.data, bytes.len);
    sim_after(sim, &message->event, after_ns);
}

static const struct sim_failure BROKEN = {.status = DR_STATUS_TCP_ERROR, .type = "TCPError"};

static void fire_run(struct sim *sim, struct sim_event *event)
{
    struct run_message *message = container_of(event, struct run_message, event);
    struct sim_reply reply = {0};
    buf_init(&reply.bytes, 1 << 20);
    if (sim->endpoints[message->host].down_until_ns > sim->now_ns)
        reply.failure = BROKEN;
    else
        sim_endpoint_run(sim, message->host, slice_of(message->bytes, message->len), &reply);
    if (!reply.failure.status && dice_strikes(&sim->dice, SIM_NET_CUT))
        reply.failure = BROKEN;
    bool is_lost = reply.is_lost || dice_strikes(&sim->dice, SIM_NET_DROP);
    for (int i = 0; !is_lost && i < 1 + reply.is_twice; i++)
        send_answer(sim, message, &reply.failure, buf_slice(&reply.bytes), reply.delay_ns + delay_ns(sim));
    buf_deinit(&reply.bytes);
    free_run(event);
}

void sim_net_run(struct sim *sim, const struct sim_flight *flight, uint8_t *bytes, size_t len)
{
    int n = 1;
    if (dice_strikes(&sim->dice, SIM_NET_DROP))
        n = 0;
    else if (dice_strikes(&sim->dice, SIM_NET_REPEAT))
        n = 2;
    for (int i = 0; i < n; i++) {
        struct run_message *message = mem_must_alloc(sizeof *message);
        *message = (struct run_message){.event = {.fire = fire_run, .drop = free_run},
                                        .id = flight->id,
                                        .attempt = flight->attempt,
                                        .epoch = sim->server.epoch,
                                        .host = flight->host,
                                        .len = len};
        message->bytes = mem_must_alloc(len + 1);
        memcpy(message->bytes, bytes, len);
        sim_after(sim, &message->event, delay_ns(sim));
    }
    mem_free(bytes);
}

/* ---- clients ---- */

static void free_request(struct sim_event *event)
{
    struct request_message *message = container_of(event, struct request_message, event);
    sim_request_unref(message->request);
    mem_free(message);
}

static void fire_request(struct sim *sim, struct sim_event *event)
{
    struct sim_request *request = container_of(event, struct request_message, event)->request;
    if (sim->server.is_up)
        sim_server_request(sim, request);
    else if (!request->is_over) {
        request->code = DR_UNAVAILABLE;
        sim_client_answered(sim, request);
    }
    free_request(event);
}

static void fire_response(struct sim *sim, struct sim_event *event)
{
    struct sim_request *request = container_of(event, struct request_message, event)->request;
    if (!request->is_over)
        sim_client_answered(sim, request);
    free_request(event);
}

/* Takes over a reference. */
static void send_request(struct sim *sim, struct sim_request *request,
                         void (*fire)(struct sim *sim, struct sim_event *event))
{
    struct request_message *message = mem_must_zalloc(sizeof *message);
    message->event.fire = fire;
    message->event.drop = free_request;
    message->request = request;
    sim_after(sim, &message->event, delay_ns(sim));
}

void sim_net_request(struct sim *sim, struct sim_request *request)
{
    if (dice_strikes(&sim->dice, SIM_NET_DROP))
        return; /* the client gives up after a while */
    request->n_references++;
    send_request(sim, request, fire_request);
}

void sim_net_answer(struct sim *sim, struct sim_request *request)
{
    if (dice_strikes(&sim->dice, SIM_NET_DROP)) {
        sim_request_unref(request);
        return;
    }
    send_request(sim, request, fire_response);
}
