/* A run from beginning to end. */
#include "sim/sim_private.h"

#include <stdio.h>

/* Calls nest three deep, sleep an hour each and retry every minute; what is not done by then never will be.
 */
#define LIVENESS_NS (48 * 3600 * NS_PER_S)
#define FILES_CHECKED 4 /* of so many runs one looks through its file at the end, which costs a fifth of the run */
#define TRACE_BYTES_MAX (64u << 20)

void sim_after(struct sim *sim, struct sim_event *event, int64_t delay_ns)
{
    event->node.key = time_add(sim->now_ns, delay_ns);
    CHECK(heap_push(&sim->events, &event->node) == DR_OK);
}

/* ---- the disk's questions ---- */

static bool disk_strikes(void *arg, enum sim_disk_fault fault)
{
    static const enum sim_fault faults[DISK_FAULT_COUNT] = {[DISK_FAULT_OPEN] = SIM_DISK_OPEN_ERROR,
                                                            [DISK_FAULT_READ] = SIM_DISK_READ_ERROR,
                                                            [DISK_FAULT_SHORT_READ] = SIM_DISK_SHORT_READ,
                                                            [DISK_FAULT_WRITE] = SIM_DISK_WRITE_ERROR,
                                                            [DISK_FAULT_PARTIAL_WRITE] =
                                                                SIM_DISK_PARTIAL_WRITE,
                                                            [DISK_FAULT_FULL] = SIM_DISK_FULL,
                                                            [DISK_FAULT_SYNC] = SIM_DISK_SYNC_ERROR,
                                                            [DISK_FAULT_TRUNCATE] = SIM_DISK_TRUNCATE_ERROR,
                                                            [DISK_FAULT_DELETE] = SIM_DISK_DELETE_ERROR,
                                                            [DISK_FAULT_TORN_SECTOR] = SIM_DISK_TORN};
    struct sim *sim = arg;
    return dice_strikes(&sim->dice, faults[fault]);
}

static uint64_t disk_below(void *arg, uint64_t bound)
{
    struct sim *sim = arg;
    return dice_below(&sim->dice, bound);
}

static int64_t disk_now_ns(void *arg)
{
    struct sim *sim = arg;
    return sim->now_ns;
}

/* The power fails, or the process dies, between two operations of the disk: in the middle of a commit. */
static void disk_after(void *arg, enum sim_disk_op op)
{
    struct sim *sim = arg;
    if (!sim->is_dying && dice_strikes(&sim->dice, SIM_DISK_DELAY)) {
        int64_t delay_ns = sim->disk_delay_ns + dice_between(&sim->dice, NS_PER_MS, 10 * NS_PER_S);
        sim->disk_delay_ns = delay_ns < SIM_DISK_DELAY_MAX_NS ? delay_ns : SIM_DISK_DELAY_MAX_NS;
    }
    if (sim->is_dying || !dice_strikes(&sim->dice, SIM_POWER_LOSS_IN_WRITE))
        return;
    sim->is_dying = true;
    sim_trace(sim, "power lost within %s", sim_disk_op_name(op));
    sim_disk_crash(sim->disk);
}

/* ---- what strikes between events ---- */

static void jump(struct sim *sim, int64_t by_ns)
{
    sim->skew_ns += by_ns;
    sim->has_clock_jumped = true;
    sim_trace(sim, "the clock jumps by %lld ms", (long long)(by_ns / NS_PER_MS));
}

static void fill_up(struct sim *sim)
{
    sim_trace(sim, "the disk is full");
    sim_disk_set_capacity(sim->disk, sim_disk_used_bytes(sim->disk) + 1);
    sim->disk_full_until_ns = sim->now_ns + dice_between(&sim->dice, NS_PER_S, 600 * NS_PER_S);
}

static void free_disk(struct sim *sim)
{
    sim_disk_set_capacity(sim->disk, 0);
    sim->disk_full_until_ns = 0;
    sim->disk_trouble_ns = sim->now_ns;
}

static void hazards(struct sim *sim)
{
    struct dice *dice = &sim->dice;
    if (dice_strikes(dice, SIM_DISK_FILLS_UP))
        fill_up(sim);
    if (sim->disk_full_until_ns && sim->now_ns >= sim->disk_full_until_ns)
        free_disk(sim);
    if (dice_strikes(dice, SIM_CLOCK_FORWARD))
        jump(sim, dice_between(dice, NS_PER_MS, 7200 * NS_PER_S));
    if (dice_strikes(dice, SIM_CLOCK_BACK))
        jump(sim, -dice_between(dice, NS_PER_MS, 600 * NS_PER_S));
    if (dice_strikes(dice, SIM_POWER_LOSS))
        sim_server_die(sim, SIM_END_POWER_LOST);
    if (dice_strikes(dice, SIM_KILL) || (sim->is_sweep_recorded && dice_strikes(dice, SIM_KILL_IN_SWEEP)))
        sim_server_die(sim, SIM_END_KILLED);
    sim->is_sweep_recorded = false;
    if (dice_strikes(dice, SIM_STOP))
        sim_server_stop(sim);
}

static void on_strike(void *arg, struct dice_mask strike)
{
    struct sim *sim = arg;
    struct sim_report *report = sim->report;
    if (strike.fault <= SIM_DISK_DELAY)
        sim->disk_trouble_ns = sim->now_ns;
    sim_trace(sim, "fault: %s #%llu", sim_fault_name(strike.fault), (unsigned long long)strike.number);
    if (report->n_struck == SIM_STRUCK_MAX)
        return;
    if (!report->struck)
        report->struck = mem_must_alloc(SIM_STRUCK_MAX * sizeof *report->struck);
    report->struck[report->n_struck++] = strike;
}

/* ---- the run ---- */

static void draw_config(struct sim *sim)
{
    static const int64_t retentions_ns[] = {TIME_NEVER, TIME_NEVER, 10 * NS_PER_S, 3600 * NS_PER_S};
    static const int64_t timeouts_ns[] = {NS_PER_S, 30 * NS_PER_S, 600 * NS_PER_S};
    static const uint32_t residents[] = {1, 5, 50, 200000};
    static const uint32_t few[] = {1, 3, 20, 4096};
    static const size_t bytes[] = {0, 0, 1000, 100000};
    struct dice *dice = &sim->dice;
    sim->config = (struct engine_config){
        .retention_ns = retentions_ns[dice_below(dice, 4)],
        .backoff_base_ns = 100 * NS_PER_MS,
        .backoff_max_ns = 60 * NS_PER_S,
        .default_expiration_ns = 4 * 24 * 3600 * NS_PER_S,
        .max_expiration_ns = 5 * 24 * 3600 * NS_PER_S, /* some wish for more */
        .run_timeout_ns = timeouts_ns[dice_below(dice, 3)],
        .resident_max = residents[dice_below(dice, 4)],
        .resident_bytes_max = bytes[dice_below(dice, 4)],
        .tree_resident_max = few[dice_below(dice, 4)],
        .in_flight_max = few[dice_below(dice, 4)],
    };
}

static void init(struct sim *sim, const struct sim_options *options, struct sim_report *report)
{
    *report = (struct sim_report){0};
    buf_init(&report->trace, TRACE_BYTES_MAX);
    *sim = (struct sim){.options = options, .report = report, .digest = UINT64_C(0xcbf29ce484222325)};
    dice_init(&sim->dice, options->seed);
    sim->dice.kinds_off = options->kinds_off;
    sim->dice.masks = options->masks;
    sim->dice.n_masks = options->n_masks;
    sim->dice.on_strike = on_strike;
    sim->dice.arg = sim;
    sim->now_ns = SIM_START_NS;
    heap_init(&sim->events);
    map_init(&sim->calls);
    map_init(&sim->server.flights);
    map_init(&sim->server.requests);
    list_init(&sim->server.jobs);
    list_init(&sim->server.in_doubt);
    draw_config(sim);
    uint32_t n_drawn = (uint32_t)dice_between(&sim->dice, 4, SIM_OPERATIONS_MOST);
    sim->n_operations = options->n_operations ? options->n_operations : n_drawn;
    sim->n_operations_left = sim->n_operations;
    sim->disk = sim_disk_create(&(struct sim_disk_config){.arg = sim,
                                                          .strikes = disk_strikes,
                                                          .below = disk_below,
                                                          .now_ns = disk_now_ns,
                                                          .after = disk_after});
    sim_disk_make_default(sim->disk);
    CHECK(store_memory_open(&sim->shadow, NULL) == DR_OK);
}

static void call_free(struct sim_call *call)
{
    mem_free(call->retried.ids);
    mem_free(call);
}

static void deinit(struct sim *sim)
{
    struct heap_node *node;
    struct list *job;
    sim_server_deinit(sim);
    sim_clients_deinit(sim);
    while ((node = heap_peek(&sim->events))) {
        struct sim_event *event = container_of(node, struct sim_event, node);
        heap_remove(&sim->events, node);
        if (event->drop)
            event->drop(event);
    }
    while ((job = list_pop_front(&sim->server.in_doubt))) {
        struct sim_job *in_doubt = container_of(job, struct sim_job, node);
        batch_destroy(in_doubt->batch);
        mem_free(in_doubt);
    }
    heap_deinit(&sim->events);
    for (size_t i = 0; i < sim->n_calls; i++)
        call_free(sim->call_list[i]);
    mem_free(sim->call_list);
    map_deinit(&sim->calls);
    store_close(sim->shadow);
    sim_disk_destroy(sim->disk);
}

static void step(struct sim *sim)
{
    struct heap_node *node = heap_peek(&sim->events);
    struct sim_event *event = container_of(node, struct sim_event, node);
    heap_remove(&sim->events, node);
    sim->now_ns = node->key;
    sim->report->n_steps++;
    event->fire(sim, event);
    if (sim_is_violated(sim))
        return;
    hazards(sim);
    if (sim->n_calls > 0 && sim->server.is_up)
        sim_check_why(sim, sim->call_list[dice_below(&sim->dice, sim->n_calls)]);
}

/* All faults stop; from now on everything that can end must. */
static void calm_down(struct sim *sim)
{
    sim_trace(sim, "calm");
    sim->dice.is_calm = true;
    sim->calm_ns = sim->now_ns;
    free_disk(sim);
    for (int i = 0; i < PROGRAM_ENDPOINTS; i++)
        sim->endpoints[i].down_until_ns = 0;
}

static bool is_over(struct sim *sim)
{
    if (sim_is_violated(sim) || !heap_peek(&sim->events))
        return true;
    if (!sim->calm_ns)
        return false;
    return sim->now_ns > sim->calm_ns + LIVENESS_NS || sim_is_settled(sim);
}

void sim_run(const struct sim_options *options, struct sim_report *ret_report)
{
    struct sim sim;
    init(&sim, options, ret_report);
    sim_server_schedule_start(&sim);
    sim_clients_start(&sim);
    uint64_t steps_max = SIM_STEPS_MAX + (uint64_t)SIM_STEPS_PER_OPERATION_MAX * sim.n_operations;
    while (!is_over(&sim)) {
        if (ret_report->n_steps > steps_max)
            sim_violate(&sim, "liveness: %llu steps, and no end", (unsigned long long)steps_max);
        step(&sim);
        if (!sim.calm_ns && sim_clients_are_idle(&sim))
            calm_down(&sim);
    }
    if (!sim_is_violated(&sim))
        sim_check_settled(&sim);
    if (!sim_is_violated(&sim) && options->seed % FILES_CHECKED == 0) {
        sim_server_die(&sim, SIM_END_STOPPED);
        sim_check_file(&sim);
    }
    ret_report->digest = sim.digest;
    ret_report->n_calls = sim.n_calls;
    ret_report->simulated_ns = sim.now_ns - SIM_START_NS;
    memcpy(ret_report->strikes, sim.dice.struck, sizeof sim.dice.struck);
    deinit(&sim);
}

void sim_report_deinit(struct sim_report *report)
{
    mem_free(report->struck);
    report->struck = NULL;
    buf_deinit(&report->trace);
}
