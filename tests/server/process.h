/* The real binary as a child process, for tests and benchmarks. One owner; not thread-safe. */
#ifndef TESTS_SERVER_PROCESS_H
#define TESTS_SERVER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#define PROCESS_TEXT_SIZE 16384
#define PROCESS_ARGUMENTS_MAX 40

struct process {
    pid_t pid;
    int out;                       /* its stdout */
    int err_file;                  /* its stderr, in a file without a name */
    char url[128];                 /* of the ready line */
    int status;                    /* after process_wait: exit code, or 128 + signal */
    struct rusage usage;           /* after process_wait */
};

/* A directory that a test may fill: under TMPDIR. */
void directory_make(char *path, size_t size);
void directory_remove(const char *path);

/* Starts DISPATCH_BINARY with the arguments (ends with NULL). The environment is the test's without DISPATCH_*. */
void process_start(struct process *process, const char *const *arguments);
/* Waits for the ready line `listening on URL`; false when the process ended before. */
bool process_wait_ready(struct process *process);
void process_signal(struct process *process, int signal);
/* Waits for the end; returns the status. */
int process_wait(struct process *process);
/* What it wrote to stderr so far; returns `text`. */
char *process_errors(struct process *process, char text[PROCESS_TEXT_SIZE]);
/* The rest of stdout until it is closed; returns `text`. */
char *process_output(struct process *process, char text[PROCESS_TEXT_SIZE]);
/* CPU time of the running process so far, user and system, in ns. */
long long process_cpu_ns(const struct process *process);

#endif
