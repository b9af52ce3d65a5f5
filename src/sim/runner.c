#include "sim/runner.h"

#include "base/check.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process has done so far, in memory that it shares with its parent: it may die. */
struct job {
    pid_t pid;
    uint64_t next; /* the seed it is at */
    uint64_t step;
    uint64_t end;
    struct runner_report report;
};

static void add_violation(struct runner_report *report, uint64_t seed, const char *text)
{
    report->n_violations++;
    if (report->n_shown == RUNNER_SHOWN_MAX)
        return;
    struct runner_violation *violation = &report->violations[report->n_shown++];
    violation->seed = seed;
    snprintf(violation->text, sizeof violation->text, "%s", text);
}

static void add_run(struct runner_report *sum, uint64_t seed, const struct sim_report *report)
{
    sum->n_runs++;
    sum->n_steps += report->n_steps;
    sum->n_calls += report->n_calls;
    sum->digest += dice_mix(seed, report->digest);
    for (int i = 0; i < SIM_DEED_COUNT; i++)
        sum->deeds[i] += report->deeds[i];
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        sum->strikes[i] += report->strikes[i];
    if (report->violation[0])
        add_violation(sum, seed, report->violation);
}

static void work(struct job *job, const struct runner_options *options)
{
    for (; job->next < job->end; job->next += job->step) {
        struct sim_options run = {.seed = job->next, .n_operations = options->n_operations};
        struct sim_report report;
        (void)alarm(SIM_SECONDS_MAX);
        sim_run(&run, &report);
        add_run(&job->report, job->next, &report);
        sim_report_deinit(&report);
    }
}

static void start(struct job *job, const struct runner_options *options)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        job->pid = pid;
        return;
    }
    work(job, options);
    _exit(0);
}

/* Whether the process is finished for good. */
static bool reap(struct job *job, const struct runner_options *options)
{
    int status = 0;
    char text[120];
    while (waitpid(job->pid, &status, 0) < 0)
        CHECK(errno == EINTR);
    if (job->next >= job->end && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    snprintf(text, sizeof text, "the process died (%s %d), see above",
             WIFSIGNALED(status) ? "signal" : "exit code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    job->report.n_runs++;
    add_violation(&job->report, job->next, text);
    job->next += job->step;
    if (job->next >= job->end)
        return true;
    start(job, options);
    return false;
}

static void sum_up(struct runner_report *sum, const struct runner_report *report)
{
    sum->n_runs += report->n_runs;
    sum->n_steps += report->n_steps;
    sum->n_calls += report->n_calls;
    sum->digest += report->digest;
    for (int i = 0; i < SIM_DEED_COUNT; i++)
        sum->deeds[i] += report->deeds[i];
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        sum->strikes[i] += report->strikes[i];
    sum->n_violations += report->n_violations;
    for (unsigned i = 0; i < report->n_shown && sum->n_shown < RUNNER_SHOWN_MAX; i++)
        sum->violations[sum->n_shown++] = report->violations[i];
}

void runner_run(const struct runner_options *options, struct runner_report *ret_report)
{
    CHECK(options->n_jobs >= 1 && options->n_jobs <= RUNNER_JOBS_MAX);
    size_t bytes = options->n_jobs * sizeof(struct job);
    struct job *jobs = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(jobs != MAP_FAILED);
    *ret_report = (struct runner_report){0};
    for (unsigned i = 0; i < options->n_jobs; i++) {
        jobs[i].next = options->first_seed + i;
        jobs[i].step = options->n_jobs;
        jobs[i].end = options->first_seed + options->n_seeds;
        start(&jobs[i], options);
    }
    for (unsigned i = 0; i < options->n_jobs; i++) {
        while (!reap(&jobs[i], options))
            continue;
        sum_up(ret_report, &jobs[i].report);
    }
    (void)munmap(jobs, bytes);
}
