#include "base/testing.h"

#include "served.h"

#include "../server/process.h"
#include "faults.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TRIES 12u
#define WAIT_NS (20 * NS_PER_S)
#define API_KEY "key"

static char program_url[128];

/* ---- the program ---- */

DR_FUNCTION(greet)
{
    return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
}

DR_FUNCTION(pair)
{
    dr_task *tasks[] = {dr_begin(&greet, "A"), dr_begin(&greet, "B")};
    dr_gather(tasks, 2);
    return dr_return(call, dr_format(call, "%s %s", dr_text(dr_task_value(tasks[0])), dr_text(dr_task_value(tasks[1]))));
}

DR_FUNCTION(hang)
{
    dr_sleep(7 * 24 * 3600 * NS_PER_S);
    return dr_return(call, "never");
}

static void program_main(int url_fd)
{
    dr_endpoint *endpoint = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dr_endpoint_start(&(struct dr_endpoint_options){.address = "127.0.0.1:0"}, &endpoint, NULL))
        _exit(1);
    (void)!write(url_fd, dr_endpoint_url(endpoint), strlen(dr_endpoint_url(endpoint)));
    (void)close(url_fd);
    for (;;)
        (void)pause();
}

/* What libraries open once and keep does not count as left open. */
static void warm_up(void)
{
    struct served *served = served_of(0);
    struct dr_error error = {0};
    served_prepare(served);
    assert_int_equal(served_open(served, &error), DR_OK);
    served_connect(served);
    served_probe(served);
    served->n_descriptors = 0;
    served_close(served);
    fault_spare(false);
    served_remove(served);
}

void served_program_start(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        program_main(fds[1]);
    }
    (void)close(fds[1]);
    ssize_t len = 0;
    for (ssize_t n; (n = read(fds[0], program_url + len, sizeof program_url - 1 - (size_t)len)) > 0;)
        len += n;
    (void)close(fds[0]);
    assert_true(len > 0);
    warm_up();
}

const char *served_program_url(void) { return program_url; }
void served_program_set(const char *url) { (void)snprintf(program_url, sizeof program_url, "%s", url); }

/* ---- the server ---- */

struct served *served_of(unsigned index)
{
    static struct served *worlds;
    if (!worlds) {
        size_t size = FAULT_CHILDREN * sizeof *worlds;
        worlds = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(worlds != MAP_FAILED);
    }
    return &worlds[index];
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        n++;
    (void)closedir(directory);
    return n;
}

void served_prepare(struct served *served)
{
    *served = (struct served){.n_descriptors = count_descriptors()};
    directory_make(served->directory, sizeof served->directory);
    (void)snprintf(served->path, sizeof served->path, "%s/db", served->directory);
}

void served_remove(struct served *served) { directory_remove(served->directory); }

/* The operator is told; then the disk recovers. */
static void on_trouble(void *arg, dr_code code, const char *message)
{
    (void)arg;
    CHILD_CHECK(code == DR_OK || message[0] != '\0');
    if (code && fault_goes_on())
        fault_end();
}

dr_code served_open(struct served *served, struct dr_error *error)
{
    static const char *const keys[] = {API_KEY};
    struct server_config config = {.driver = {.clock = DRIVER_CLOCK_VIRTUAL, .on_trouble = on_trouble,
                                              .drain_timeout_ns = NS_PER_S},
                                   .api_keys = keys, .n_api_keys = 1};
    config.driver.engine.seed[0] = 1;
    dr_code code = store_sqlite_open(&(struct store_sqlite_options){.path = served->path}, &config.driver.store, error);
    if (!code)
        code = server_create(&config, &served->server, error);
    if (!code)
        code = server_start(served->server, error);
    if (code) {
        server_destroy(served->server);
        served->server = NULL;
    }
    return code;
}

static void fail_with_descriptors(void)
{
    char path[64], target[256];
    for (int fd = 0; fd < 200; fd++) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target);
        if (len > 0)
            (void)fprintf(stderr, "%d: %.*s\n", fd, (int)len, target);
    }
    CHILD_CHECK(!"no descriptor is left open");
}

void served_close(struct served *served)
{
    dr_client_close(served->client);
    server_destroy(served->server);
    served->client = NULL;
    served->server = NULL;
    unsigned n_open = count_descriptors();
    bool is_one_more = served->may_leave_one && n_open == served->n_descriptors + 1;
    if (served->n_descriptors > 0 && n_open != served->n_descriptors && !is_one_more)
        fail_with_descriptors();
}

/* ---- the client ---- */

dr_code served_client_open(struct served *served, struct dr_error *error)
{
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", server_port(served->server));
    struct dr_client_options options = {.api_key = API_KEY, .api_url = url};
    return dr_client_open(&options, &served->client, error);
}

void served_connect(struct served *served)
{
    fault_spare(true);
    CHILD_CHECK(served_client_open(served, NULL) == DR_OK);
}

/* An error is there because of a fault, and says that one may try again. */
static void expect_retryable(const char *what, dr_code code, const struct dr_error *error)
{
    bool is_known = code == DR_UNAVAILABLE || code == DR_RESOURCE_EXHAUSTED || code == DR_DEADLINE_EXCEEDED ||
                    code == DR_NO_MEMORY;
    if (fault_hits() > 0 && is_known && error->message[0] != '\0')
        return;
    (void)fprintf(stderr, "%s: %s: %s\n", what, dr_code_name(code), error->message);
    CHILD_CHECK(!"an error that a fault explains and that says try again");
}

static struct served_call *submit(struct served *served, const char *function, enum served_end end)
{
    struct served_call *call = &served->calls[served->n_calls];
    struct dr_error error = {0};
    dr_value *input = NULL;
    while (!input) /* NULL would be a call without input */
        input = dr_value_text("World");
    struct dr_call_options options = {.function = function, .endpoint = program_url, .input = input};
    dr_code code = DR_UNAVAILABLE;
    for (unsigned i = 0; i < TRIES && code; i++) {
        code = dr_client_submit(served->client, &options, call->id, &error);
        if (code)
            expect_retryable("submit", code, &error);
    }
    dr_value_unref(input);
    CHILD_CHECK(code == DR_OK);
    call->end = end;
    served->n_calls++;
    return call;
}

static void show(struct served *served, const struct served_call *call)
{
    struct dr_error error = {0};
    dr_value *shown = NULL;
    dr_code code = DR_UNAVAILABLE;
    for (unsigned i = 0; i < TRIES && code; i++) {
        code = dr_client_get(served->client, call->id, &shown, &error);
        if (code)
            expect_retryable("get", code, &error);
    }
    CHILD_CHECK(code == DR_OK);
    CHILD_CHECK(strcmp(dr_text(dr_value_get(shown, "dispatchId")), call->id) == 0);
    dr_value_unref(shown);
}

/* Cancelled before, by a request whose answer was lost, is cancelled, too. */
static void cancel(struct served *served, const struct served_call *call)
{
    struct dr_error error = {0};
    dr_code code = DR_UNAVAILABLE;
    for (unsigned i = 0; i < TRIES && code; i++) {
        code = dr_client_cancel(served->client, call->id, &error);
        if (code == DR_FAILED_PRECONDITION && i > 0)
            code = DR_OK;
        if (code)
            expect_retryable("cancel", code, &error);
    }
    CHILD_CHECK(code == DR_OK);
}

static void expect_end(const struct served_call *call, const dr_result *result)
{
    const char *output = dr_text(dr_result_output(result));
    bool is_right = call->end == SERVED_GREETING   ? strcmp(output, "Hello World!") == 0
                    : call->end == SERVED_PAIR     ? strcmp(output, "Hello A! Hello B!") == 0
                                                   : !dr_result_is_ok(result);
    if (is_right)
        return;
    (void)fprintf(stderr, "call %s: %s, %s: %s\n", call->id, output, dr_result_error_type(result),
                  dr_result_error_message(result));
    CHILD_CHECK(!"ends as it must");
}

static void await(struct served *served, struct served_call *call)
{
    struct dr_error error = {0};
    dr_result *result = NULL;
    dr_code code = DR_UNAVAILABLE;
    for (unsigned i = 0; i < TRIES && code; i++) {
        code = dr_client_wait(served->client, call->id, WAIT_NS, &result, &error);
        if (code)
            expect_retryable("wait", code, &error);
    }
    CHILD_CHECK(code == DR_OK);
    expect_end(call, result);
    call->is_seen_done = true;
    dr_result_unref(result);
}

void served_await_all(struct served *served)
{
    for (unsigned i = 0; i < served->n_calls; i++)
        await(served, &served->calls[i]);
}

void served_use(struct served *served)
{
    await(served, submit(served, "greet", SERVED_GREETING));
    struct served_call *hanging = submit(served, "hang", SERVED_CANCELLED);
    show(served, hanging);
    cancel(served, hanging);
    await(served, submit(served, "pair", SERVED_PAIR));
    await(served, hanging);
}

void served_probe(struct served *served)
{
    CHILD_CHECK(served->n_calls < SERVED_CALLS_MAX);
    await(served, submit(served, "greet", SERVED_GREETING));
}

/* ---- afterwards ---- */

static void check_call(struct store *store, const struct served_call *call)
{
    struct call_record record = {0};
    struct id id;
    assert_true(id_parse(slice_text(call->id), &id));
    if (store_read(store, id, &record, NULL) != DR_OK)
        fail_msg("call %s was acknowledged and is lost", call->id);
    if (call->is_seen_done && record.state != CALL_DONE)
        fail_msg("call %s was seen done and is not", call->id);
    record_deinit(&record);
}

void served_check(struct served *served)
{
    struct dr_error error = {0};
    struct store *store = NULL;
    if (store_sqlite_open(&(struct store_sqlite_options){.path = served->path}, &store, &error))
        fail_msg("reopen: %s", error.message);
    for (unsigned i = 0; i < served->n_calls; i++)
        check_call(store, &served->calls[i]);
    store_close(store);
    served_remove(served);
}

void served_recover(struct served *served)
{
    struct dr_error error = {0};
    served->n_descriptors = 0;
    if (served_open(served, &error))
        fail_msg("reopen: %s", error.message);
    served_connect(served);
    for (unsigned i = 0; i < served->n_calls; i++)
        if (served->calls[i].end == SERVED_CANCELLED)
            (void)dr_client_cancel(served->client, served->calls[i].id, NULL); /* maybe it was before */
    served_await_all(served);
    served_close(served);
    fault_spare(false);
}
