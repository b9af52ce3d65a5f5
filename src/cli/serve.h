/* What `dispatch serve` is told: filled by the options table of serve.c, used by serve_run.c. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "base/log.h"
#include "cli/command.h"

struct serve_options {
    const char *listen;
    const char *db;
    bool is_memory;
    int durability; /* enum store_durability */
    struct option_list api_keys;
    int clock; /* enum driver_clock */
    int64_t run_timeout_ns;
    int64_t default_expiration_ns;
    int64_t max_expiration_ns;
    int64_t retention_ns;
    uint32_t in_flight_max;
    uint32_t group_cap;
    int64_t drain_timeout_ns;
    const char *chaos;
    int log_level; /* enum log_level */
    int log_format;
};

/* Serves until a signal. Returns an exit code. */
int serve_run(const struct serve_options *options);

#endif
