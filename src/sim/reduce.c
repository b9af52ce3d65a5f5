#include "sim/reduce.h"

#include "base/mem.h"
#include <string.h>

/* A candidate: what else is left out. */
struct candidate {
    uint64_t kinds_off;
    uint64_t operations_off[4];
    struct dice_mask *masks; /* room for all strikes */
    size_t n_masks;
};

static struct sim_options options_of(const struct reduction *reduction, const struct candidate *candidate)
{
    struct sim_options options = reduction->options;
    options.has_trace = false;
    options.is_quiet = true;
    options.kinds_off = candidate->kinds_off;
    memcpy(options.operations_off, candidate->operations_off, sizeof options.operations_off);
    options.masks = candidate->masks;
    options.n_masks = candidate->n_masks;
    return options;
}

/* Runs it; when it still goes wrong it is the new best. */
static bool accepts(struct reduction *reduction, const struct candidate *candidate)
{
    struct sim_report report;
    if (reduction->n_runs >= REDUCE_RUNS_MAX)
        return false;
    reduction->n_runs++;
    struct sim_options options = options_of(reduction, candidate);
    sim_run_child(&options, &report);
    bool is_wrong = report.violation[0] != '\0';
    bool is_smaller = report.n_steps <= reduction->n_steps || reduction->n_steps == 0;
    if (is_wrong && is_smaller) {
        reduction->n_steps = report.n_steps;
        memcpy(reduction->violation, report.violation, sizeof reduction->violation);
    }
    sim_report_deinit(&report);
    return is_wrong && is_smaller;
}

static void leave_out_kinds(struct reduction *reduction, struct candidate *best)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        struct candidate candidate = *best;
        candidate.kinds_off |= UINT64_C(1) << i;
        if (accepts(reduction, &candidate))
            *best = candidate;
    }
}

static void set_operations(struct candidate *candidate, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n && i < 256; i++)
        candidate->operations_off[i / 64] |= UINT64_C(1) << (i % 64);
}

static void leave_out_operations(struct reduction *reduction, struct candidate *best)
{
    uint32_t n = reduction->options.n_operations ? reduction->options.n_operations : SIM_OPERATIONS_MOST;
    if (n > 256)
        n = 256;
    for (uint32_t size = n / 2; size > 0; size /= 2) {
        for (uint32_t end = n; end > 0; end -= size < end ? size : end) {
            struct candidate candidate = *best;
            uint32_t first = end > size ? end - size : 0;
            set_operations(&candidate, first, end - first);
            bool is_new =
                memcmp(candidate.operations_off, best->operations_off, sizeof best->operations_off) != 0;
            if (is_new && accepts(reduction, &candidate))
                *best = candidate;
        }
    }
}

/* The strikes of the best run so far. */
static struct dice_mask *strikes_of(struct reduction *reduction, const struct candidate *best, size_t *ret_n)
{
    struct sim_report report;
    struct sim_options options = options_of(reduction, best);
    sim_run_child(&options, &report);
    struct dice_mask *strikes = report.struck;
    *ret_n = report.n_struck;
    report.struck = NULL;
    sim_report_deinit(&report);
    return strikes;
}

static void leave_out_strikes(struct reduction *reduction, struct candidate *best)
{
    size_t n;
    struct dice_mask *strikes = strikes_of(reduction, best, &n);
    for (size_t size = n / 2; size > 0; size /= 2) {
        for (size_t end = n; end > 0; end -= size < end ? size : end) {
            size_t first = end > size ? end - size : 0;
            size_t before = best->n_masks;
            if (before + (end - first) > SIM_STRUCK_MAX)
                continue;
            memcpy(best->masks + before, strikes + first, (end - first) * sizeof *strikes);
            best->n_masks += end - first;
            if (!accepts(reduction, best)) {
                best->n_masks = before;
                continue;
            }
            memmove(strikes + first, strikes + end, (n - end) * sizeof *strikes);
            n -= end - first;
        }
    }
    mem_free(strikes);
}

void reduce_run(const struct sim_options *options, const struct sim_report *report,
                struct reduction *ret_reduction)
{
    *ret_reduction = (struct reduction){.options = *options, .n_steps = report->n_steps};
    memcpy(ret_reduction->violation, report->violation, sizeof ret_reduction->violation);
    ret_reduction->masks = mem_must_alloc(SIM_STRUCK_MAX * sizeof *ret_reduction->masks);
    struct candidate best = {.kinds_off = options->kinds_off, .masks = ret_reduction->masks};
    leave_out_kinds(ret_reduction, &best);
    leave_out_operations(ret_reduction, &best);
    leave_out_strikes(ret_reduction, &best);
    leave_out_operations(ret_reduction, &best);
    ret_reduction->options = options_of(ret_reduction, &best);
    ret_reduction->options.is_quiet = false;
    ret_reduction->n_masks = best.n_masks;
}

void reduction_deinit(struct reduction *reduction)
{
    mem_free(reduction->masks);
    *reduction = (struct reduction){0};
}
