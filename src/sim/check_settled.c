/* Once nothing strikes any more: what must have come to an end, and what may be left. */
#include "sim/sim_private.h"

#include "store/store_verify.h"
#include <stdio.h>

static bool is_swept(struct sim *sim, const struct sim_call *call)
{
    struct call_record record;
    bool is_under_way = sim_shadow(sim, call->id, &record) && record.sweep_below != 0;
    record_deinit(&record);
    return !is_under_way;
}

static bool is_kept_for_ever(const struct sim *sim)
{
    return sim->config.retention_ns == TIME_NEVER;
}

/* NULL when there is nothing left to do for the call. */
static const char *what_is_left(struct sim *sim, const struct sim_call *call)
{
    if (!call->is_durable || call->is_purged)
        return NULL;
    if (!call->is_done)
        return "it is not done";
    if (!is_swept(sim, call))
        return "its descendants are still to be cancelled";
    return is_kept_for_ever(sim) ? NULL : "its result was not purged";
}

bool sim_is_settled(struct sim *sim)
{
    if (!sim->server.is_up || !sim_store_is_quiet(sim))
        return false;
    for (size_t i = sim->n_calls; i > 0; i--) {
        if (what_is_left(sim, sim->call_list[i - 1]))
            return false;
    }
    return true;
}

/* I2: what was there when the parent ended is consumed. What came later, or was not read when the parent was cancelled, may
 * lie there unopened. */
static void check_mail(struct sim *sim, const struct sim_call *call)
{
    struct call_record record, parent = {0};
    bool is_open = sim_shadow(sim, call->id, &record) && record.mail == CALL_MAIL_OPEN;
    if (is_open && call->parent && !call->parent->is_ended_by_server && sim_shadow(sim, record.parent, &parent) && record.done_sequence < parent.done_sequence &&
        record.parent_generation == parent.generation)
        sim_violate(sim, "I2: the result of c%u still waits for its parent, which is done", call->number);
    record_deinit(&record);
    record_deinit(&parent);
}

static void say_why(struct sim *sim, const struct sim_call *call, char *why, size_t size)
{
    struct call_record record;
    snprintf(why, size, "nobody knows it");
    if (sim->server.is_up && sim_shadow(sim, call->id, &record)) {
        struct engine_why reason = sim_why(sim, &record);
        engine_why_format(&reason, why, size);
    }
    record_deinit(&record);
}

void sim_check_settled(struct sim *sim)
{
    for (size_t i = 0; i < sim->n_calls; i++) {
        const struct sim_call *call = sim->call_list[i];
        const char *left = what_is_left(sim, call);
        char why[200];
        if (left) {
            say_why(sim, call, why, sizeof why);
            sim_violate(sim, "liveness: c%u: %s: %s", call->number, left, why);
            return;
        }
        check_mail(sim, call);
    }
    if (sim->server.is_up)
        sim_store_compare(sim);
}

static void on_finding(void *arg, const char *text)
{
    sim_violate(arg, "the file is not whole: %s", text);
}

void sim_check_file(struct sim *sim)
{
    struct store_verify_result result;
    struct dr_error error = {0};
    struct store_verify_options options = {.path = SIM_DATABASE,
                                           .vfs = sim_disk_vfs_name(sim->disk),
                                           .on_finding = on_finding,
                                           .arg = sim};
    if (store_verify(&options, &result, &error))
        sim_violate(sim, "the file cannot be looked through: %s", error.message);
}
