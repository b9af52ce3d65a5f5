/* `dispatch serve`: from options to a running server, and its end by signals. */
#include "cli/serve.h"

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "server/server.h"
#include <ctype.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define API_KEY_LENGTH 32
#define HOST_SIZE 256

struct address {
    char host[HOST_SIZE];
    uint16_t port;
};

/* "127.0.0.1:7117", "[::1]:7117", ":7117" (every address). */
static dr_code parse_address(const char *text, struct address *ret_address, struct dr_error *error)
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon ? colon + 1 : "";
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    bool has_brackets = host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']';
    bool is_ambiguous = !has_brackets && memchr(text, ':', host_len);
    unsigned long port = strtoul(digits, NULL, 10);
    bool is_port = *digits && strspn(digits, "0123456789") == strlen(digits) && strlen(digits) <= 5 && port <= 65535;
    if (!is_port || is_ambiguous || host_len >= HOST_SIZE)
        return error_set(error, DR_INVALID_ARGUMENT,
                         "--listen: \"%.200s\" is not ADDRESS:PORT such as 127.0.0.1:7117 or [::1]:7117", text);
    if (has_brackets)
        snprintf(ret_address->host, HOST_SIZE, "%.*s", (int)host_len - 2, text + 1);
    else if (host_len > 0)
        snprintf(ret_address->host, HOST_SIZE, "%.*s", (int)host_len, text);
    else
        snprintf(ret_address->host, HOST_SIZE, "0.0.0.0");
    ret_address->port = (uint16_t)port;
    return DR_OK;
}

static void make_api_key(char key[API_KEY_LENGTH + 1])
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < API_KEY_LENGTH;) {
        uint8_t byte;
        CHECK(random_system_bytes(&byte, 1) == DR_OK);
        if (byte < 4 * (sizeof letters - 1)) /* the rest would favour some letters */
            key[i++] = letters[byte % (sizeof letters - 1)];
    }
    key[API_KEY_LENGTH] = '\0';
}

static void on_trouble(void *arg, dr_code code, const char *message)
{
    (void)arg;
    if (code)
        log_write(LOG_ERROR, "the store fails; it is tried again", "code", dr_code_name(code), "cause", message,
                  NULL);
    else
        log_write(LOG_INFO, "the store works again", NULL);
}

static void on_damaged(void *arg, struct id id, const char *message)
{
    char text[ID_TEXT_SIZE];
    (void)arg;
    log_write(LOG_ERROR, "a record is damaged", "call", id_format(id, text), "cause", message, NULL);
}

static void on_called_off(void *arg, size_t n_attempts)
{
    char n[24];
    (void)arg;
    snprintf(n, sizeof n, "%zu", n_attempts);
    log_write(LOG_WARN, "attempts did not end in time; they are called off, and made again after the next start", "attempts", n,
              NULL);
}

/* Its log is there only while a server has it open, or when the last one did not close it. */
static bool is_log_left(const struct serve_options *options)
{
    char log[PATH_MAX];
    struct stat found;
    int len = snprintf(log, sizeof log, "%s-wal", options->db);
    return !options->is_memory && len < (int)sizeof log && stat(log, &found) == 0 && found.st_size > 0;
}

static dr_code open_store(const struct serve_options *options, struct store **ret_store, struct dr_error *error)
{
    if (options->is_memory)
        return store_memory_open(ret_store, error);
    struct store_sqlite_options sqlite = {.path = options->db, .durability = (enum store_durability)options->durability};
    return store_sqlite_open(&sqlite, ret_store, error);
}

static struct driver_config driver_config_of(const struct serve_options *options)
{
    return (struct driver_config){
        .engine = {.default_expiration_ns = options->default_expiration_ns,
                   .max_expiration_ns = options->max_expiration_ns,
                   .run_timeout_ns = options->run_timeout_ns,
                   .retention_ns = options->retention_ns,
                   .in_flight_max = options->in_flight_max,
                   .group_cap = options->group_cap},
        .clock = (enum driver_clock)options->clock,
        .drain_timeout_ns = options->drain_timeout_ns > 0 ? options->drain_timeout_ns : -1,
        .on_trouble = on_trouble,
        .on_damaged = on_damaged,
        .on_called_off = on_called_off,
    };
}

static void warn_of_chaos(const struct chaos_options *chaos)
{
    char text[CHAOS_TEXT_SIZE];
    if (chaos->is_on)
        log_write(LOG_WARN, "chaos: attempts are lost, repeated and late on purpose", "again_with", chaos_format(chaos, text),
                  NULL);
}

static dr_code create_server(const struct serve_options *options, const struct address *address, const char *made_key,
                             struct store *store, struct server **ret_server, struct dr_error *error)
{
    const char *const made_keys[] = {made_key};
    bool has_keys = options->api_keys.n > 0;
    struct server_config config = {.driver = driver_config_of(options), .host = address->host, .port = address->port,
                                   .api_keys = has_keys ? options->api_keys.items : made_keys,
                                   .n_api_keys = has_keys ? options->api_keys.n : 1};
    config.driver.store = store;
    (void)chaos_parse(options->chaos, &config.driver.chaos, NULL); /* serve.c has checked it */
    warn_of_chaos(&config.driver.chaos);
    return server_create(&config, ret_server, error);
}

static int fail(const struct dr_error *error, const char *advice)
{
    int exit_code = command_fail(&serve_command, error->message);
    fprintf(stderr, "%s\n", advice);
    return exit_code;
}

static void warn_of_clock(struct server *server)
{
    int64_t ahead_ns = driver_now_ns(server_driver(server)) - clock_real_ns();
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(ahead_ns / NS_PER_S));
    if (ahead_ns > NS_PER_S)
        log_write(LOG_WARN, "the clock is behind what the database has seen; time goes on from there", "seconds",
                  seconds, NULL);
}

static void warn_of_durability(const struct serve_options *options)
{
    if (!options->is_memory && options->durability == STORE_SURVIVES_PROCESS)
        log_write(LOG_WARN, "loss of power may take the latest acknowledged calls (--durability process)", NULL);
}

static void say_ready(const struct serve_options *options, const char *url, const char *made_key)
{
    if (options->api_keys.n == 0)
        fprintf(stderr, "export DISPATCH_API_KEY=%s\nexport DISPATCH_API_URL=%s\n", made_key, url);
    log_write(LOG_INFO, "ready", "url", url, "store", options->is_memory ? "memory" : options->db, NULL);
    printf("listening on %s\n", url);
    (void)fflush(stdout);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

/* A waiting client is a descriptor, and the soft limit is often 1,024. What cannot be raised stays as it is. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* They are taken by sigwait in one thread; all threads are started with them blocked. */
static sigset_t block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file size is a full disk: commits fail and are tried again */
    return signals;
}

static atomic_bool is_stopped;

static void *exit_on_second_signal(void *arg)
{
    const sigset_t *signals = arg;
    int number;
    (void)sigwait(signals, &number);
    if (atomic_load(&is_stopped)) /* woken by serve_until_signal */
        return NULL;
    log_write(LOG_WARN, "second signal: ends at once", NULL);
    _exit(EXIT_CODE_FAILED); /* as safe as any crash */
}

static void serve_until_signal(struct server *server, sigset_t *signals)
{
    int number;
    pthread_t watcher;
    (void)sigwait(signals, &number);
    log_write(LOG_INFO, "stopping", "signal", strsignal(number), NULL);
    bool has_watcher = pthread_create(&watcher, NULL, exit_on_second_signal, signals) == 0;
    server_stop(server);
    if (has_watcher) {
        atomic_store(&is_stopped, true);
        (void)pthread_kill(watcher, SIGTERM);
        (void)pthread_join(watcher, NULL);
    }
    log_write(LOG_INFO, "stopped", NULL);
}

int serve_run(const struct serve_options *options)
{
    struct address address;
    struct dr_error error = {0};
    raise_descriptor_limit();
    if (parse_address(options->listen, &address, &error)) {
        (void)command_fail(&serve_command, error.message);
        return EXIT_CODE_USAGE;
    }
    log_init((enum log_level)options->log_level, options->log_format == 1);
    sigset_t signals = block_signals();
    char made_key[API_KEY_LENGTH + 1];
    make_api_key(made_key);

    struct store *store = NULL;
    struct server *server = NULL;
    bool is_recovered = is_log_left(options);
    if (open_store(options, &store, &error))
        return fail(&error, "--db names a file that can be written, in a folder that is there, on a disk with room; --memory needs none.");
    dr_code code = create_server(options, &address, made_key, store, &server, &error);
    if (!code)
        code = server_start(server, &error);
    if (!code) {
        char url[HOST_SIZE + 32];
        bool is_ipv6 = strchr(address.host, ':') != NULL;
        snprintf(url, sizeof url, "http://%s%s%s:%u", is_ipv6 ? "[" : "", address.host, is_ipv6 ? "]" : "",
                 server_port(server));
        if (is_recovered)
            log_write(LOG_WARN, "the last server was not stopped in order; what it recorded is taken from its log", NULL);
        warn_of_clock(server);
        warn_of_durability(options);
        say_ready(options, url, made_key);
        serve_until_signal(server, &signals);
    }
    server_destroy(server);
    return code ? fail(&error, "--listen names another address; its port 0 picks a free one.") : EXIT_CODE_OK;
}
