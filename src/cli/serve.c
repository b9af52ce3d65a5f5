/* The options of `dispatch serve`. */
#include "cli/serve.h"

#include "base/clock.h"
#include "base/error.h"
#include "server/chaos.h"

static const char *const clocks[] = {"real", "virtual", NULL};
static const char *const durabilities[] = {"power", "process", NULL}; /* enum store_durability */
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

#define AT(member) .offset = offsetof(struct serve_options, member)

static const struct option options[] = {
    {.name = "listen", .value = "ADDRESS:PORT", .type = OPTION_TEXT, AT(listen), .initial = "127.0.0.1:7117",
     .help = "where the API listens; port 0 picks a free one"},
    {.name = "db", .value = "FILE", .type = OPTION_TEXT, AT(db), .initial = "dispatch.db",
     .help = "the database, made when missing"},
    {.name = "memory", .type = OPTION_SWITCH, AT(is_memory), .help = "no database: everything ends with the process"},
    {.name = "durability", .value = "power|process", .type = OPTION_CHOICE, AT(durability), .initial = "power",
     .choices = durabilities, .help = "what an acknowledged call survives: loss of power, or the end of the process only"},
    {.name = "api-key", .value = "KEY", .type = OPTION_LIST, AT(api_keys),
     .help = "key that clients must send; without one, a key is made and shown"},
    {.name = "clock", .value = "real|virtual", .type = OPTION_CHOICE, AT(clock), .initial = "real", .choices = clocks,
     .help = "virtual: jumps over waits, for tests"},
    {.name = "run-timeout", .value = "DURATION", .type = OPTION_DURATION, AT(run_timeout_ns), .initial = "10m",
     .help = "longest time of one attempt"},
    {.name = "default-expiration", .value = "DURATION", .type = OPTION_DURATION, AT(default_expiration_ns),
     .initial = "24h", .help = "life time of a call that asks for none"},
    {.name = "max-expiration", .value = "DURATION", .type = OPTION_DURATION, AT(max_expiration_ns), .initial = "7d",
     .help = "longer wishes are cut to this"},
    {.name = "retention", .value = "DURATION", .type = OPTION_DURATION, AT(retention_ns), .initial = "24h",
     .help = "how long results are kept"},
    {.name = "max-in-flight", .value = "N", .type = OPTION_COUNT, AT(in_flight_max), .initial = "4096",
     .count_min = 1, .count_max = 65536, .help = "attempts at the same time"},
    {.name = "group-cap", .value = "N", .type = OPTION_COUNT, AT(group_cap), .initial = "0", .count_max = 65536,
     .help = "attempts at the same time per endpoint host; 0 = as found out"},
    {.name = "drain-timeout", .value = "DURATION", .type = OPTION_DURATION, AT(drain_timeout_ns), .initial = "30s",
     .help = "how long a stop waits for attempts to end"},
    {.name = "chaos", .value = "FAULTS", .type = OPTION_TEXT, AT(chaos),
     .help = "loses, repeats and delays attempts, to test programs: seed=42,drop=1%,duplicate=1%,delay=50ms"},
    {.name = "log-level", .value = "LEVEL", .type = OPTION_CHOICE, AT(log_level), .initial = "info",
     .choices = log_levels, .help = "debug, info, warn or error"},
    {.name = "log-format", .value = "text|json", .type = OPTION_CHOICE, AT(log_format), .initial = "text",
     .choices = log_formats, .help = "log lines on stderr"},
    {.name = NULL},
};

static const char *check(const struct serve_options *serve)
{
    static struct dr_error wrong;
    struct chaos_options chaos;
    if (chaos_parse(serve->chaos, &chaos, &wrong) != DR_OK)
        return wrong.message;
    if (serve->run_timeout_ns <= 0)
        return "--run-timeout must be more than 0";
    if (serve->max_expiration_ns <= 0 || serve->default_expiration_ns <= 0)
        return "an expiration must be more than 0";
    if (serve->default_expiration_ns > serve->max_expiration_ns)
        return "--default-expiration must not be more than --max-expiration";
    if (serve->retention_ns <= 0)
        return "--retention must be more than 0";
    return NULL;
}

static int serve(void *target, const struct option_arguments *arguments)
{
    const struct serve_options *serve_options = target;
    (void)arguments;
    const char *wrong = check(serve_options);
    if (wrong) {
        (void)command_fail(&serve_command, wrong);
        return EXIT_CODE_USAGE;
    }
    return serve_run(serve_options);
}

const struct command serve_command = {
    .name = "serve",
    .summary = "runs the server",
    .arguments = "",
    .options = options,
    .target_size = sizeof(struct serve_options),
    .about = "When the server is ready it prints one line, `listening on URL`, on stdout. SIGTERM and SIGINT end it\n"
             "after the attempts that run; a second signal ends it at once. Nothing acknowledged is lost either way.",
    .run = serve,
};
