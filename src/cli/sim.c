#include "cli/command.h"

#include "sim/reduce.h"
#include "sim/runner.h"
#include <inttypes.h>
#include <stdlib.h>

struct sim_command_options {
    uint32_t seed;
    uint32_t seeds;
    uint32_t jobs;
    uint32_t operations;
    bool is_trace_wanted;
    bool is_all_met_wanted;
};

#define AT(member) .offset = offsetof(struct sim_command_options, member)

static const struct option options[] = {
    {.name = "seed", .environment = "", .value = "N", .type = OPTION_COUNT, AT(seed), .initial = "1",
     .help = "the first seed"},
    {.name = "seeds", .environment = "", .value = "N", .type = OPTION_COUNT, AT(seeds), .initial = "1", .count_min = 1,
     .help = "how many seeds, one run each"},
    {.name = "jobs", .environment = "", .value = "N", .type = OPTION_COUNT, AT(jobs), .initial = "1", .count_min = 1,
     .count_max = RUNNER_JOBS_MAX, .help = "runs at a time, each in a process"},
    {.name = "operations", .environment = "", .value = "N", .type = OPTION_COUNT, AT(operations), .initial = "0",
     .count_max = 100000, .help = "of the clients in each run; 0 = a few, by the seed"},
    {.name = "trace", .environment = "", .type = OPTION_SWITCH, AT(is_trace_wanted),
     .help = "print what happens (one seed only)"},
    {.name = "all-met", .environment = "", .type = OPTION_SWITCH, AT(is_all_met_wanted),
     .help = "fail unless every transition and every kind of fault was met"},
    {.name = NULL},
};

/* False when something never happened. */
static bool print_counts(const uint64_t *deeds, const uint64_t *strikes)
{
    bool is_all_met = true;
    printf("\nwhat happened:\n");
    for (int i = 0; i < SIM_DEED_COUNT; i++) {
        printf("  %-28s%12" PRIu64 "%s\n", sim_deed_name(i), deeds[i], deeds[i] ? "" : "   never");
        is_all_met &= deeds[i] > 0;
    }
    printf("faults:\n");
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        printf("  %-28s%12" PRIu64 "%s\n", sim_fault_name(i), strikes[i], strikes[i] ? "" : "   never met");
        is_all_met &= strikes[i] > 0;
    }
    return is_all_met;
}

static int exit_code(const struct sim_command_options *wanted, bool is_wrong, bool is_all_met)
{
    return is_wrong || (wanted->is_all_met_wanted && !is_all_met) ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

static void print_trace(const struct sim_report *report)
{
    if (report->trace.len > 0)
        (void)fwrite(report->trace.data, 1, report->trace.len, stdout);
}

/* The shortest run that still goes wrong, as text. */
static void explain(const struct sim_options *run, const struct sim_report *report)
{
    struct reduction reduction;
    struct sim_report shortest;
    fprintf(stderr, "reducing ...\n");
    reduce_run(run, report, &reduction);
    reduction.options.has_trace = true;
    sim_run_child(&reduction.options, &shortest);
    printf("\nthe shortest of %u runs that goes wrong:\n", reduction.n_runs);
    print_trace(&shortest);
    printf("%s\n", shortest.violation);
    sim_report_deinit(&shortest);
    reduction_deinit(&reduction);
}

static int run_one(const struct sim_command_options *wanted)
{
    struct sim_options run = {
        .seed = wanted->seed, .n_operations = wanted->operations, .has_trace = wanted->is_trace_wanted};
    struct sim_report report;
    sim_run_child(&run, &report);
    print_trace(&report);
    printf("seed %" PRIu32 ": %" PRIu64 " steps, %" PRIu64 " calls, %" PRId64
           " s simulated, digest %016" PRIx64 "\n",
           wanted->seed, report.n_steps, report.n_calls, report.simulated_ns / INT64_C(1000000000),
           report.digest);
    bool is_all_met = print_counts(report.deeds, report.strikes);
    bool is_wrong = report.violation[0] != '\0';
    if (is_wrong) {
        printf("\nVIOLATION: %s\n", report.violation);
        explain(&run, &report);
    }
    sim_report_deinit(&report);
    return exit_code(wanted, is_wrong, is_all_met);
}

static int run_many(const struct sim_command_options *wanted)
{
    struct runner_options many = {.first_seed = wanted->seed,
                                  .n_seeds = wanted->seeds,
                                  .n_jobs = wanted->jobs,
                                  .n_operations = wanted->operations};
    struct runner_report report;
    runner_run(&many, &report);
    bool is_all_met = print_counts(report.deeds, report.strikes);
    for (unsigned i = 0; i < report.n_shown; i++)
        printf("seed %" PRIu64 ": %s\n", report.violations[i].seed, report.violations[i].text);
    printf("%" PRIu64 " runs from seed %" PRIu32 ", %" PRIu64 " violations; %" PRIu64 " calls, %" PRIu64
           " steps, digest %016" PRIx64 "\n",
           report.n_runs, wanted->seed, report.n_violations, report.n_calls, report.n_steps, report.digest);
    if (report.n_violations)
        printf("`dispatch sim --seed N` shows the shortest way to one.\n");
    return exit_code(wanted, report.n_violations > 0, is_all_met);
}

static int sim(void *target, const struct option_arguments *arguments)
{
    const struct sim_command_options *wanted = target;
    (void)arguments;
    return wanted->seeds > 1 ? run_many(wanted) : run_one(wanted);
}

const struct command sim_command = {
    .name = "sim",
    .summary = "simulates a server, its disk, network, clock and users, with faults, from a seed",
    .arguments = "",
    .options = options,
    .target_size = sizeof(struct sim_command_options),
    .about = "The engine and the store are the ones that `dispatch serve` runs; everything round them is simulated and\n"
             "fails. The same seed gives the same run, byte for byte. A violation of what dispatch promises is reduced\n"
             "to the shortest run that shows it. Exit code 1: something went wrong.",
    .run = sim,
};
