/* What the simulator knows of each call, and the shadow: a memory store with every batch that must survive.
 */
#include "sim/sim_private.h"

struct sim_call *sim_call_find(struct sim *sim, struct id id)
{
    return map_get(&sim->calls, id);
}

bool sim_shadow(struct sim *sim, struct id id, struct call_record *ret_record)
{
    *ret_record = (struct call_record){0};
    return store_read(sim->shadow, id, ret_record, NULL) == DR_OK;
}

static void add_call(struct sim *sim, const struct call_record *record)
{
    if (sim_call_find(sim, record->id)) {
        sim_violate(sim, "I5: a dispatch id was given to a second call");
        return;
    }
    struct sim_call *call = mem_must_zalloc(sizeof *call);
    call->id = record->id;
    call->parent = id_is_none(record->parent) ? NULL : sim_call_find(sim, record->parent);
    if (call->parent) {
        call->next_sibling = call->parent->first_child;
        call->parent->first_child = call;
    }
    call->live_ns = sim->now_ns;
    call->done_ns = TIME_NEVER;
    call->generation = record->generation;
    call->project = record->project;
    if (!program_read_input(blob_slice(record->input), &call->input))
        sim_violate(sim, "a call has an input that nobody made");
    if (sim->n_calls == sim->cap_calls) {
        sim->cap_calls = sim->cap_calls ? 2 * sim->cap_calls : 64;
        sim->call_list = mem_must_realloc(sim->call_list, sim->cap_calls * sizeof(struct sim_call *));
    }
    sim->call_list[sim->n_calls++] = call;
    call->number = (unsigned)sim->n_calls;
    CHECK(map_put(&sim->calls, call->id, call) == DR_OK);
    sim_trace(sim, "c%u is %s, depth %u, below c%u", call->number, program_name(program_kind_of(call->input)),
              call->input.depth, call->parent ? call->parent->number : 0);
}

void sim_calls_see(struct sim *sim, const struct batch *batch)
{
    for (size_t i = 0; i < batch->n_ops; i++) {
        if (batch->ops[i].kind == BATCH_INSERT)
            add_call(sim, &batch->ops[i].record);
    }
}

void sim_calls_lose(struct sim *sim, const struct batch *batch)
{
    for (size_t i = 0; i < batch->n_ops; i++) {
        struct sim_call *call = sim_call_find(sim, batch->ops[i].record.id);
        if (batch->ops[i].kind == BATCH_INSERT && call)
            sim_trace(sim, "c%u was never recorded", call->number);
    }
}

static void see_update(struct sim *sim, struct sim_call *call, const struct batch_op *op)
{
    const struct call_record *record = &op->record;
    if (call->is_done)
        sim_violate(sim, "I1: c%u changes after its end", call->number);
    if (op->fields & RECORD_CODE && record->generation != call->generation) {
        bool is_restart = record->last_status == DR_STATUS_INCOMPATIBLE_STATE;
        sim_did(sim, is_restart ? SIM_T9 : SIM_T5);
        call->generation = record->generation;
        if (is_restart) {
            call->n_restarts++;
            sim->is_sweep_recorded |= call->first_child != NULL;
            call->restarted_ns = sim->now_ns;
            call->restarted_jobs = sim->n_jobs;
        }
    }
    if (record->state == CALL_DONE) {
        call->is_done = true;
        call->finished_ns = sim->now_ns;
        sim_check_durable_end(sim, call, record);
        sim->is_sweep_recorded |= call->is_ended_by_server && call->first_child;
    }
}

void sim_calls_commit(struct sim *sim, struct batch *batch)
{
    CHECK(store_commit(sim->shadow, &batch, 1, NULL) == DR_OK);
    for (size_t i = 0; i < batch->n_ops; i++) {
        const struct batch_op *op = &batch->ops[i];
        struct sim_call *call = sim_call_find(sim, op->record.id);
        if (!call)
            continue;
        if (op->kind == BATCH_INSERT) {
            sim_did(sim, SIM_T1);
            call->is_durable = true;
            call->durable_ns = sim->now_ns;
        }
        if (op->kind == BATCH_UPDATE)
            see_update(sim, call, op);
    }
}

static uint64_t hash_blob(uint64_t hash, const struct blob *blob)
{
    struct slice bytes = blob_slice(blob);
    hash = dice_mix(hash, blob ? bytes.len + 1 : 0);
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t sim_result_hash(const struct call_record *record)
{
    uint64_t hash = dice_mix(record->status, record->done_sequence);
    hash = hash_blob(hash, record->output);
    hash = hash_blob(hash, record->error.type);
    hash = hash_blob(hash, record->error.message);
    return hash;
}

void sim_calls_see_purged(struct sim *sim)
{
    for (size_t i = 0; i < sim->n_calls; i++) {
        struct sim_call *call = sim->call_list[i];
        struct call_record record;
        if (!call->is_done || call->is_purged)
            continue;
        call->is_purged = !sim_shadow(sim, call->id, &record);
        record_deinit(&record);
    }
}
