/* Options of a command: one table makes the flags, the environment variables and the text of --help, so the three
 * agree.
 *
 *     static const struct option options[] = {
 *         {.name = "listen", .value = "ADDRESS", .type = OPTION_TEXT, .offset = offsetof(struct serve, listen),
 *          .initial = "127.0.0.1:7117", .help = "where the API listens; port 0 picks a free one"},
 *         {.name = NULL}};
 *     code = options_parse(options, &serve, argc, argv, &rest, &error);
 *
 * A value comes from the flag (--listen X or --listen=X), else from the environment (DISPATCH_LISTEN), else from
 * `initial`, read by the same rules. Error texts name flag or variable, value and what is expected. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_SWITCH = 1, /* bool; no value; in the environment 1, true, yes or 0, false, no */
    OPTION_TEXT,       /* const char * */
    OPTION_LIST,       /* struct option_list; repeatable, in the environment separated by commas */
    OPTION_DURATION,   /* int64_t ns */
    OPTION_COUNT,      /* uint32_t */
    OPTION_CHOICE      /* int: index in `choices` */
};

#define OPTION_LIST_MAX 64

struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t n;
    char *copy; /* of the variable, cut into items; owned, freed by options_release */
};

struct option {
    const char *name;            /* without dashes; NULL ends a table */
    const char *environment;     /* NULL: DISPATCH_ and the name in capitals; "" = none */
    const char *value;           /* shown in the help */
    enum option_type type;
    size_t offset;               /* of the target in the command's struct */
    const char *initial;         /* NULL: the target stays as it is */
    const char *const *choices;  /* of a choice; ends with NULL */
    uint32_t count_min, count_max; /* of a count; count_max 0 = no limit */
    const char *help;
};

#define OPTION_ARGUMENTS_MAX 64

/* What is no option, in order. Borrowed from argv. */
struct option_arguments {
    const char *items[OPTION_ARGUMENTS_MAX];
    size_t n;
    bool is_help_wanted; /* -h or --help was among the flags; nothing else was looked at */
};

/* Fills `target`, which was zeroed. Texts are borrowed from argv and environment; options_release after it, also when it
 * failed. DR_INVALID_ARGUMENT, DR_NO_MEMORY. */
dr_code options_parse(const struct option *options, void *target, int argc, char *const *argv,
                      struct option_arguments *ret_arguments, struct dr_error *error);
void options_release(const struct option *options, void *target);
/* One paragraph per option. */
void options_help(const struct option *options, FILE *out);

/* The name nearest to `text` among n, NULL when none is near. */
const char *nearest_name(const char *text, const char *const *names, size_t n);

#endif
