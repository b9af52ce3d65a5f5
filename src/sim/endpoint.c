/* Endpoints: where the programs run. They crash, hang, answer late or twice or garbage, and change versions.
 */
#include "sim/sim_private.h"

#include "wire/wire.h"

static void fail(struct sim *sim, struct wire_run_response *response)
{
    static const dr_status statuses[] = {DR_STATUS_TEMPORARY_ERROR, DR_STATUS_THROTTLED, DR_STATUS_TIMEOUT,
                                         DR_STATUS_DNS_ERROR, DR_STATUS_HTTP_ERROR};
    uint64_t lot = dice_below(&sim->dice, 3);
    if (lot > 0) /* else what the program said goes along: only a tail call counts */
        *response = (struct wire_run_response){.outcome = lot == 1 ? WIRE_OUTCOME_EXIT : WIRE_OUTCOME_NONE};
    response->status = statuses[dice_below(&sim->dice, sizeof statuses / sizeof statuses[0])];
}

static void run(struct sim *sim, unsigned host, struct slice bytes, struct sim_reply *ret_reply)
{
    struct arena arena;
    struct wire_run_request request;
    struct wire_run_response response;
    arena_init(&arena, 0);
    CHECK(wire_run_request_decode(bytes, &arena, &request, NULL) == DR_OK);
    struct program_run run = {.request = &request,
                              .version = sim->endpoints[host].version,
                              .arena = &arena,
                              .now_ns = sim->has_clock_jumped ? 0 : sim->now_ns};
    program_run(&run, &response);
    if (run.violation[0])
        sim_violate(sim, "%s (%.*s, %.*s)", run.violation, (int)request.function.len,
                    (const char *)request.function.data, (int)request.dispatch_id.len,
                    (const char *)request.dispatch_id.data);
    if (dice_strikes(&sim->dice, SIM_ENDPOINT_TEMPORARY))
        fail(sim, &response);
    CHECK(wire_run_response_encode(&response, &ret_reply->bytes, NULL) == DR_OK);
    arena_deinit(&arena);
}

static void answer_garbage(struct sim *sim, struct sim_reply *reply)
{
    static const uint8_t garbage[] = {0x0a, 0xff, 0xff,
                                      0xff, 0x7f, 0x00}; /* a field longer than the message */
    buf_clear(&reply->bytes);
    CHECK(buf_append(&reply->bytes, slice_of(garbage, 1 + dice_below(&sim->dice, sizeof garbage - 1))) ==
          DR_OK);
}

void sim_endpoint_run(struct sim *sim, unsigned host, struct slice bytes, struct sim_reply *ret_reply)
{
    struct dice *dice = &sim->dice;
    struct sim_endpoint *endpoint = &sim->endpoints[host];
    if (dice_strikes(dice, SIM_ENDPOINT_DOWN))
        endpoint->down_until_ns = sim->now_ns + dice_between(dice, NS_PER_S, 600 * NS_PER_S);
    if (dice_strikes(dice, SIM_ENDPOINT_VERSION))
        endpoint->version++;
    if (dice_strikes(dice, SIM_ENDPOINT_CRASH)) {
        ret_reply->failure = (struct sim_failure){.status = DR_STATUS_TCP_ERROR, .type = "TCPError"};
        return;
    }
    if (dice_strikes(dice, SIM_ENDPOINT_THROTTLES)) {
        ret_reply->failure = (struct sim_failure){.status = DR_STATUS_THROTTLED, .type = "HTTPError",
                                                  .retry_after_ns = dice_between(dice, 0, 30) * NS_PER_S};
        return;
    }
    run(sim, host, bytes, ret_reply);
    ret_reply->is_lost = dice_strikes(dice, SIM_ENDPOINT_HANG);
    ret_reply->is_twice = dice_strikes(dice, SIM_ENDPOINT_TWICE);
    if (dice_strikes(dice, SIM_ENDPOINT_GARBAGE))
        answer_garbage(sim, ret_reply);
    ret_reply->delay_ns = dice_between(dice, 0, 20 * NS_PER_MS);
    if (dice_strikes(dice, SIM_ENDPOINT_LATE))
        ret_reply->delay_ns = dice_between(dice, NS_PER_S, 1200 * NS_PER_S);
}
