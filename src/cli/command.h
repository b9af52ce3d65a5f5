/* A sub-command: one file each, listed in main.c. main parses its options, prints its help and its errors. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/options.h"

enum exit_code { EXIT_CODE_OK = 0, EXIT_CODE_FAILED = 1, EXIT_CODE_USAGE = 2 };

struct command {
    const char *name;
    const char *summary;             /* one line for the list of commands */
    const char *arguments;           /* shown in the usage line; "" = none */
    size_t n_arguments_min, n_arguments_max;
    const struct option *options;
    size_t target_size;              /* of the struct that the options fill, zeroed before */
    const char *about;               /* paragraphs for the help; may be NULL */
    /* Returns an exit code; prints what it has to say itself, failures by command_fail. */
    int (*run)(void *target, const struct option_arguments *arguments);
};

extern const struct command serve_command;
extern const struct command get_command;
extern const struct command list_command;
extern const struct command cancel_command;
extern const struct command backup_command;
extern const struct command verify_command;
extern const struct command sim_command;
extern const struct command version_command;
extern const struct command help_command;

/* "dispatch NAME: text" on stderr; returns EXIT_CODE_FAILED. */
int command_fail(const struct command *command, const char *text);
/* The help of a command, or of all with NULL, on stdout. */
void command_help(const struct command *command);
/* NULL when there is none; then *ret_near is the nearest name or NULL. */
const struct command *command_find(const char *name, const char **ret_near);

#endif
