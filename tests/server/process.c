#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what)
{
    perror(what);
    abort();
}

void directory_make(char *path, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/dispatch-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        fail(path);
}

void directory_remove(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    (void)rmdir(path);
}

static void exec_binary(const struct process *process, int out, const char *const *arguments)
{
    char *argv[PROCESS_ARGUMENTS_MAX + 2] = {(char *)(size_t)DISPATCH_BINARY};
    for (size_t i = 0; arguments[i] && i < PROCESS_ARGUMENTS_MAX; i++)
        argv[i + 1] = (char *)(size_t)arguments[i];
    char *clean[1024];
    size_t n = 0;
    for (char **variable = environ; *variable && n < 1023; variable++) {
        if (strncmp(*variable, "DISPATCH_", 9) != 0)
            clean[n++] = *variable;
    }
    clean[n] = NULL;
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(process->err_file, STDERR_FILENO);
    execve(DISPATCH_BINARY, argv, clean);
    _exit(127);
}

void process_start(struct process *process, const char *const *arguments)
{
    int ends[2];
    memset(process, 0, sizeof *process);
    process->err_file = memfd_create("stderr", MFD_CLOEXEC);
    if (process->err_file < 0 || pipe2(ends, O_CLOEXEC) < 0)
        fail("pipe");
    process->pid = fork();
    if (process->pid < 0)
        fail("fork");
    if (process->pid == 0)
        exec_binary(process, ends[1], arguments);
    close(ends[1]);
    process->out = ends[0];
}

bool process_wait_ready(struct process *process)
{
    char line[256];
    size_t len = 0;
    while (len + 1 < sizeof line) {
        ssize_t n = read(process->out, line + len, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || line[len] == '\n')
            break;
        len++;
    }
    line[len] = '\0';
    static const char ready[] = "listening on ";
    if (strncmp(line, ready, strlen(ready)) != 0)
        return false;
    snprintf(process->url, sizeof process->url, "%.100s", line + strlen(ready));
    return true;
}

void process_signal(struct process *process, int signal)
{
    if (kill(process->pid, signal) < 0)
        fail("kill");
}

int process_wait(struct process *process)
{
    int status;
    while (wait4(process->pid, &status, 0, &process->usage) < 0) {
        if (errno != EINTR)
            fail("wait4");
    }
    process->pid = 0;
    close(process->out);
    process->out = -1;
    process->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return process->status;
}

char *process_errors(struct process *process, char text[PROCESS_TEXT_SIZE])
{
    ssize_t n = pread(process->err_file, text, PROCESS_TEXT_SIZE - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

char *process_output(struct process *process, char text[PROCESS_TEXT_SIZE])
{
    size_t len = 0;
    while (len + 1 < PROCESS_TEXT_SIZE) {
        ssize_t n = read(process->out, text + len, PROCESS_TEXT_SIZE - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

long long process_cpu_ns(const struct process *process)
{
    char path[64];
    char text[1024] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *behind_name = strrchr(text, ')');
    unsigned long user = 0;
    unsigned long system = 0;
    if (behind_name)
        (void)sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (long long)(user + system) * (1000000000LL / sysconf(_SC_CLK_TCK));
}
