#include "cli/options.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/duration.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENVIRONMENT_NAME_SIZE 64
#define HELP_COLUMN 30
#define OPTIONS_MAX 64

/* DISPATCH_RUN_TIMEOUT of "run-timeout"; "" when the option has no variable. */
static const char *environment_name(const struct option *option, char text[ENVIRONMENT_NAME_SIZE])
{
    if (option->environment)
        return option->environment;
    snprintf(text, ENVIRONMENT_NAME_SIZE, "DISPATCH_%s", option->name);
    for (char *c = text; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    return text;
}

static dr_code refuse(const char *source, const char *value, const char *expected, struct dr_error *error)
{
    return error_set(error, DR_INVALID_ARGUMENT, "%s: \"%.100s\" is not %s", source, value, expected);
}

static dr_code set_switch(const char *source, const char *value, bool *target, struct dr_error *error)
{
    static const char *const on[] = {"1", "true", "yes", "on"};
    static const char *const off[] = {"0", "false", "no", "off", ""};
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        if (strcmp(value, on[i]) == 0) {
            *target = true;
            return DR_OK;
        }
    }
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        if (strcmp(value, off[i]) == 0) {
            *target = false;
            return DR_OK;
        }
    }
    return refuse(source, value, "true or false", error);
}

static dr_code set_count(const struct option *option, const char *source, const char *value, uint32_t *target,
                         struct dr_error *error)
{
    uint32_t max = option->count_max ? option->count_max : UINT32_MAX;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    bool is_number = isdigit((unsigned char)value[0]) && *end == '\0' && errno == 0;
    if (!is_number || number < option->count_min || number > max) {
        char expected[80];
        snprintf(expected, sizeof expected, "a whole number from %u to %u", option->count_min, max);
        return refuse(source, value, expected, error);
    }
    *target = (uint32_t)number;
    return DR_OK;
}

static dr_code set_choice(const struct option *option, const char *source, const char *value, int *target,
                          struct dr_error *error)
{
    char expected[160] = "one of";
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(value, option->choices[i]) == 0) {
            *target = i;
            return DR_OK;
        }
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s %s", i ? "," : "", option->choices[i]);
    }
    return refuse(source, value, expected, error);
}

static dr_code list_add(const char *source, const char *value, struct option_list *list, struct dr_error *error)
{
    if (list->n == OPTION_LIST_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "%s: more than %d values", source, OPTION_LIST_MAX);
    if (!*value)
        return refuse(source, value, "a value", error);
    list->items[list->n++] = value;
    return DR_OK;
}

/* `source` names flag or variable for the error text. */
static dr_code set_value(const struct option *option, const char *source, const char *value, void *command,
                         struct dr_error *error)
{
    void *target = (char *)command + option->offset;
    switch (option->type) {
    case OPTION_SWITCH:
        return set_switch(source, value, target, error);
    case OPTION_TEXT:
        *(const char **)target = value;
        return DR_OK;
    case OPTION_LIST:
        return list_add(source, value, target, error);
    case OPTION_DURATION:
        if (!duration_parse(value, target))
            return refuse(source, value, "a duration such as 500ms, 10s, 1h30m or 7d", error);
        return DR_OK;
    case OPTION_COUNT:
        return set_count(option, source, value, target, error);
    case OPTION_CHOICE:
        return set_choice(option, source, value, target, error);
    }
    return DR_OK;
}

/* A list in the environment: its parts stay in memory as long as the command. */
static dr_code set_list_from_environment(const struct option *option, const char *source, const char *value,
                                         void *command, struct dr_error *error)
{
    dr_code code = DR_OK;
    struct option_list *list = (struct option_list *)((char *)command + option->offset);
    list->copy = mem_strndup(value, strlen(value));
    if (!list->copy)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    for (char *item = list->copy; item && !code;) {
        char *comma = strchr(item, ',');
        if (comma)
            *comma = '\0';
        if (*item)
            code = set_value(option, source, item, command, error);
        item = comma ? comma + 1 : NULL;
    }
    return code;
}

/* Variable, else the initial value. */
static dr_code set_initial(const struct option *option, void *command, struct dr_error *error)
{
    char name[ENVIRONMENT_NAME_SIZE];
    const char *variable = environment_name(option, name);
    const char *value = *variable ? getenv(variable) : NULL;
    if (value && *value && option->type == OPTION_LIST)
        return set_list_from_environment(option, variable, value, command, error);
    if (value && *value)
        return set_value(option, variable, value, command, error);
    return option->initial ? set_value(option, option->name, option->initial, command, error) : DR_OK;
}

static const struct option *find(const struct option *options, const char *name, size_t len)
{
    for (; options->name; options++) {
        if (strlen(options->name) == len && memcmp(options->name, name, len) == 0)
            return options;
    }
    return NULL;
}

static dr_code refuse_unknown(const struct option *options, const char *flag, size_t len, struct dr_error *error)
{
    const char *names[OPTIONS_MAX];
    size_t n = 0;
    for (; options->name && n < OPTIONS_MAX; options++)
        names[n++] = options->name;
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)len, flag);
    const char *near = nearest_name(text, names, n);
    if (near)
        return error_set(error, DR_INVALID_ARGUMENT, "unknown flag --%s; did you mean --%s?", text, near);
    return error_set(error, DR_INVALID_ARGUMENT, "unknown flag --%s", text);
}

/* One flag at argv[*i]; moves *i over its value. */
static dr_code set_flag(const struct option *options, void *command, int argc, char *const *argv, int *i, bool *seen,
                        struct dr_error *error)
{
    const char *flag = argv[*i] + 2;
    size_t len = strcspn(flag, "=");
    const struct option *option = find(options, flag, len);
    if (!option)
        return refuse_unknown(options, flag, len, error);
    char source[64];
    snprintf(source, sizeof source, "--%s", option->name);
    const char *value = flag[len] == '=' ? flag + len + 1 : NULL;
    if (!value && option->type == OPTION_SWITCH)
        value = "true";
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value)
        return error_set(error, DR_INVALID_ARGUMENT, "%s: a value is missing: %s %s", source, source, option->value);
    seen[option - options] = true;
    return set_value(option, source, value, command, error);
}

static dr_code add_argument(struct option_arguments *arguments, const char *text, struct dr_error *error)
{
    if (arguments->n == OPTION_ARGUMENTS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "more than %d arguments", OPTION_ARGUMENTS_MAX);
    arguments->items[arguments->n++] = text;
    return DR_OK;
}

dr_code options_parse(const struct option *options, void *target, int argc, char *const *argv,
                      struct option_arguments *ret_arguments, struct dr_error *error)
{
    bool seen[OPTIONS_MAX] = {false};
    *ret_arguments = (struct option_arguments){0};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            ret_arguments->is_help_wanted = true;
            return DR_OK;
        }
    }
    dr_code code = DR_OK;
    bool is_flags_over = false;
    for (int i = 0; i < argc && !code; i++) {
        bool is_flag = !is_flags_over && strncmp(argv[i], "-", 1) == 0 && argv[i][1] != '\0';
        if (is_flag && strcmp(argv[i], "--") == 0)
            is_flags_over = true;
        else if (is_flag && argv[i][1] == '-')
            code = set_flag(options, target, argc, argv, &i, seen, error);
        else if (is_flag)
            code = error_set(error, DR_INVALID_ARGUMENT, "unknown flag %s; flags are written --name", argv[i]);
        else
            code = add_argument(ret_arguments, argv[i], error);
    }
    /* A flag wins over its variable, even over one that could not be read. */
    for (const struct option *option = options; option->name && !code; option++)
        code = seen[option - options] ? DR_OK : set_initial(option, target, error);
    return code;
}

void options_release(const struct option *options, void *target)
{
    for (; options->name; options++) {
        struct option_list *list = (struct option_list *)((char *)target + options->offset);
        if (options->type == OPTION_LIST)
            mem_free(list->copy);
    }
}

void options_help(const struct option *options, FILE *out)
{
    for (; options->name; options++) {
        char name[ENVIRONMENT_NAME_SIZE];
        const char *variable = environment_name(options, name);
        const char *value = options->value ? options->value : "";
        int width = fprintf(out, "  --%s%s%s", options->name, *value ? " " : "", value);
        if (width >= HELP_COLUMN) {
            fprintf(out, "\n");
            width = 0;
        }
        fprintf(out, "%*s%s", HELP_COLUMN - width, "", options->help);
        if (options->type == OPTION_LIST)
            fprintf(out, "; repeatable");
        if (options->initial && options->type != OPTION_SWITCH)
            fprintf(out, " [%s]", options->initial);
        if (*variable)
            fprintf(out, "\n%*s%s", HELP_COLUMN, "", variable);
        fprintf(out, "\n");
    }
}
