/* The command `dispatch`. */
#include "cli/command.h"

#include "base/mem.h"
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &serve_command, &get_command, &list_command, &cancel_command, &backup_command,
    &verify_command, &sim_command, &version_command, &help_command,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

int command_fail(const struct command *command, const char *text)
{
    fprintf(stderr, "dispatch %s: %s\n", command->name, text);
    return EXIT_CODE_FAILED;
}

const struct command *command_find(const char *name, const char **ret_near)
{
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, names[i]) == 0)
            return commands[i];
    }
    *ret_near = nearest_name(name, names, N_COMMANDS);
    return NULL;
}

static void help_all(void)
{
    printf("dispatch: durable function calls\n\nusage: dispatch COMMAND [FLAGS]\n\ncommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-10s%s\n", commands[i]->name, commands[i]->summary);
    printf("\n`dispatch help COMMAND` tells more about one.\n");
}

void command_help(const struct command *command)
{
    if (!command) {
        help_all();
        return;
    }
    bool has_options = command->options && command->options->name;
    printf("usage: dispatch %s%s%s%s\n\n%s\n", command->name, has_options ? " [FLAGS]" : "",
           *command->arguments ? " " : "", command->arguments, command->summary);
    if (command->about)
        printf("\n%s\n", command->about);
    if (has_options) {
        printf("\nflags, with their environment variables and [defaults]:\n");
        options_help(command->options, stdout);
    }
}

static int refuse(const struct command *command, const char *text)
{
    fprintf(stderr, "dispatch %s: %s\n`dispatch help %s` tells more.\n", command->name, text, command->name);
    return EXIT_CODE_USAGE;
}

static int run(const struct command *command, int argc, char *const *argv)
{
    static const struct option no_options[] = {{.name = NULL}};
    struct option_arguments arguments;
    struct dr_error error = {0};
    void *target = mem_must_zalloc(command->target_size + 1);
    const struct option *options = command->options ? command->options : no_options;
    int exit_code;
    if (options_parse(options, target, argc, argv, &arguments, &error) != DR_OK)
        exit_code = refuse(command, error.message);
    else if (arguments.is_help_wanted) {
        command_help(command);
        exit_code = EXIT_CODE_OK;
    } else if (arguments.n < command->n_arguments_min) {
        snprintf(error.message, sizeof error.message, "%s is missing", command->arguments);
        exit_code = refuse(command, error.message);
    } else if (arguments.n > command->n_arguments_max) {
        snprintf(error.message, sizeof error.message, "what is \"%.100s\"?", arguments.items[command->n_arguments_max]);
        exit_code = refuse(command, error.message);
    } else
        exit_code = command->run(target, &arguments);
    options_release(options, target);
    mem_free(target);
    return exit_code;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help_all();
        return EXIT_CODE_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const char *near;
    const struct command *command = command_find(name, &near);
    if (command)
        return run(command, argc - 2, argv + 2);
    fprintf(stderr, "dispatch: unknown command \"%.100s\"", name);
    if (near)
        fprintf(stderr, "; did you mean \"%s\"?", near);
    fprintf(stderr, "\n`dispatch help` lists the commands.\n");
    return EXIT_CODE_USAGE;
}
