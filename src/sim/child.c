/* A run in a child process, so that a failed CHECK or a sanitizer's report is a violation like any other. */
#include "sim/sim.h"

#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(1);
        at += n;
        len -= (size_t)n;
    }
}

static bool read_all(int fd, void *bytes, size_t len)
{
    uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* The report's fixed part, then what it points to. */
static _Noreturn void run_in_child(const struct sim_options *options, int fd)
{
    struct sim_report report;
    if (options->is_quiet && !freopen("/dev/null", "w", stderr))
        _exit(1);
    (void)alarm(SIM_SECONDS_MAX);
    sim_run(options, &report);
    write_all(fd, &report, sizeof report);
    write_all(fd, report.struck, report.n_struck * sizeof *report.struck);
    write_all(fd, report.trace.data, report.trace.len);
    _exit(0);
}

static bool read_report(int fd, struct sim_report *report)
{
    if (!read_all(fd, report, sizeof *report))
        return false;
    size_t len = report->trace.len;
    report->struck = report->n_struck ? mem_must_alloc(report->n_struck * sizeof *report->struck) : NULL;
    buf_init(&report->trace, report->trace.max);
    bool is_whole = read_all(fd, report->struck, report->n_struck * sizeof *report->struck) &&
                    buf_reserve(&report->trace, len) == DR_OK && read_all(fd, report->trace.data, len);
    report->trace.len = is_whole ? len : 0;
    return is_whole;
}

static void say_died(int status, struct sim_report *report)
{
    if (WIFSIGNALED(status))
        snprintf(report->violation, sizeof report->violation, "the process died of signal %d (%s), see above",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(report->violation, sizeof report->violation, "the process exited with %d, see above",
                 WEXITSTATUS(status));
}

void sim_run_child(const struct sim_options *options, struct sim_report *ret_report)
{
    int fds[2];
    int status = 0;
    CHECK(pipe(fds) == 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        run_in_child(options, fds[1]);
    }
    (void)close(fds[1]);
    bool is_told = read_report(fds[0], ret_report);
    (void)close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (is_told)
        return;
    *ret_report = (struct sim_report){0};
    say_died(status, ret_report);
}
