#include "base/testing.h"

#include "faults.h"

#include "base/random.h"
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED 3
#define CHILD_OUTPUT_SIZE 8192

/* What fails in this run; constant while threads run. */
static const struct fault_sweep *current;
static unsigned long nth; /* 0 = none: the run counts only */
static unsigned index_of_run;
static atomic_bool is_counting;
static atomic_ulong n_chances, n_hits;

static _Thread_local bool is_spared;

void fault_spare(bool how) { is_spared = how; }
bool fault_is_spared(void) { return is_spared; }

bool fault_is_due(enum fault_kind kind)
{
    if (is_spared || !atomic_load_explicit(&is_counting, memory_order_acquire) || current->kind != kind)
        return false;
    unsigned long chance = atomic_fetch_add(&n_chances, 1) + 1;
    unsigned long length = current->length ? current->length : 1;
    if (nth == 0 || chance < nth || (chance >= nth + length && !current->goes_on))
        return false;
    atomic_fetch_add(&n_hits, 1);
    errno = current->error;
    return true;
}

static bool is_alloc_due(bool is_must) { return fault_is_due(is_must ? FAULT_MUST_ALLOC : FAULT_ALLOC); }

unsigned long fault_hits(void) { return atomic_load(&n_hits); }
bool fault_goes_on(void) { return nth != 0 && current->goes_on; }
unsigned fault_index(void) { return index_of_run; }

void fault_begin(void)
{
    bool is_memory = current->kind == FAULT_ALLOC || current->kind == FAULT_MUST_ALLOC;
    mem_fault_hook(is_memory ? is_alloc_due : NULL);
    atomic_store_explicit(&is_counting, true, memory_order_release);
}

void fault_end(void)
{
    atomic_store_explicit(&is_counting, false, memory_order_release);
    mem_fault_hook(NULL);
}

/* ---- SQLite's allocator ---- */

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int n) { return fault_is_due(FAULT_SQLITE_ALLOC) ? NULL : sqlite_memory.xMalloc(n); }

static void *sqlite_realloc(void *pointer, int n)
{
    return fault_is_due(FAULT_SQLITE_ALLOC) ? NULL : sqlite_memory.xRealloc(pointer, n);
}

/* A sync of a real disk takes long, and nothing here loses power. */
__attribute__((constructor)) static void use_memory_for_files(void)
{
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
}

void fault_wrap_sqlite(void)
{
    sqlite3_mem_methods methods;
    if (sqlite_memory.xMalloc)
        return;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory), SQLITE_OK);
    methods = sqlite_memory;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}

/* ---- one run ---- */

static void prepare(const struct fault_sweep *sweep, unsigned long which)
{
    current = sweep;
    nth = which;
    atomic_store(&n_chances, 0);
    atomic_store(&n_hits, 0);
}

void fault_child_fail(const char *file, int line, const char *what)
{
    fault_end();
    (void)fprintf(stderr, "%s:%d: %s\n", file, line, what);
    _exit(1);
}

struct child {
    pid_t pid; /* 0 = none */
    unsigned long nth;
    FILE *output;
};

/* What a child tells its parent. */
struct report {
    unsigned long n_chances, n_hits;
};

static struct report *reports;

static void report(void)
{
    reports[index_of_run] = (struct report){atomic_load(&n_chances), atomic_load(&n_hits)};
}

static void on_abort(int number)
{
    report();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void child_start(const struct fault_sweep *sweep, struct child *child, unsigned index, unsigned long which)
{
    child->nth = which;
    child->output = tmpfile();
    assert_non_null(child->output);
    reports[index] = (struct report){0};
    (void)fflush(NULL);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid > 0)
        return;
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)dup2(fileno(child->output), STDERR_FILENO);
    (void)signal(SIGABRT, on_abort);
    (void)alarm(FAULT_CHILD_S);
    index_of_run = index;
    is_spared = false;
    prepare(sweep, which);
    sweep->run(sweep->arg);
    fault_end();
    report();
    exit(0); /* looks for leaks */
}

static bool is_out_of_memory(const struct fault_sweep *sweep, int status, const char *output)
{
    return sweep->may_abort && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(output, "CHECK failed");
}

/* Returns whether it was aborted for lack of memory. */
static bool child_end(const struct fault_sweep *sweep, struct child *child, unsigned index)
{
    static char output[CHILD_OUTPUT_SIZE];
    int status = 0;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    child->pid = 0;
    rewind(child->output);
    output[fread(output, 1, sizeof output - 1, child->output)] = '\0';
    (void)fclose(child->output);
    bool is_aborted = is_out_of_memory(sweep, status, output);
    if (status != 0 && !is_aborted)
        fail_msg("%s: number %lu: status %x: %s", sweep->name, child->nth, (unsigned)status, output);
    if (sweep->check)
        sweep->check(sweep->arg, index);
    return is_aborted;
}

/* ---- the sweep ---- */

struct course {
    unsigned long n_points, n_hit, n_aborted;
    unsigned long n_chances; /* the most that a run met */
};

static void run_here(const struct fault_sweep *sweep, unsigned long which, struct course *course)
{
    prepare(sweep, which);
    sweep->run(sweep->arg);
    fault_end();
    course->n_hit += fault_hits() > 0;
    if (atomic_load(&n_chances) > course->n_chances)
        course->n_chances = atomic_load(&n_chances);
}

static void end_one(const struct fault_sweep *sweep, struct child *child, unsigned index, struct course *course)
{
    if (child->pid == 0)
        return;
    course->n_aborted += child_end(sweep, child, index);
    course->n_hit += reports[index].n_hits > 0;
    if (reports[index].n_chances > course->n_chances)
        course->n_chances = reports[index].n_chances;
}

static void run_points(const struct fault_sweep *sweep, unsigned long step, struct course *course)
{
    struct child children[FAULT_CHILDREN] = {{0}};
    struct random random;
    random_init(&random, SEED);
    unsigned long last = course->n_chances + 1; /* the last one is untouched */
    for (unsigned long first = 1; first <= last; first += step) {
        unsigned long which = first + (step > 1 ? (unsigned long)random_below(&random, step) : 0);
        unsigned index = (unsigned)(course->n_points++ % FAULT_CHILDREN);
        assert_true(course->n_points < FAULT_RUNS_MAX);
        if (!sweep->check) {
            run_here(sweep, which, course);
            continue;
        }
        end_one(sweep, &children[index], index, course);
        child_start(sweep, &children[index], index, which);
    }
    for (unsigned i = 0; i < FAULT_CHILDREN; i++)
        end_one(sweep, &children[i], i, course);
}

void fault_sweep(const struct fault_sweep *sweep)
{
    const char *full = getenv("FAULTS");
    struct course course = {0};
    if (!reports) {
        size_t size = FAULT_CHILDREN * sizeof *reports;
        reports = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(reports != MAP_FAILED);
    }
    if (sweep->check) {
        struct child child = {0};
        child_start(sweep, &child, 0, 0);
        end_one(sweep, &child, 0, &course);
    } else {
        run_here(sweep, 0, &course);
    }
    unsigned points_max = sweep->points_max ? sweep->points_max : FAULT_POINTS_MAX;
    bool is_full = (full && strcmp(full, "full") == 0) || course.n_chances <= points_max;
    run_points(sweep, is_full ? 1 : (course.n_chances + points_max - 1) / points_max, &course);
    print_message("%s%s: %lu of %lu points, %lu hit, %lu out of memory\n", sweep->name,
                  sweep->goes_on ? " from then on" : "", course.n_points, course.n_chances, course.n_hit,
                  course.n_aborted);
    if (course.n_hit == 0)
        fail_msg("%s: no fault has happened", sweep->name);
}
