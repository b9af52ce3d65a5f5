#include "cli/command.h"

static int help(void *target, const struct option_arguments *arguments)
{
    (void)target;
    const struct command *command = NULL;
    if (arguments->n == 1) {
        const char *near;
        command = command_find(arguments->items[0], &near);
        if (!command) {
            fprintf(stderr, "dispatch help: there is no command \"%.100s\"%s%s%s\n", arguments->items[0],
                    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
            return EXIT_CODE_USAGE;
        }
    }
    command_help(command);
    return EXIT_CODE_OK;
}

const struct command help_command = {
    .name = "help",
    .summary = "tells about all commands, or about one",
    .arguments = "[COMMAND]",
    .n_arguments_max = 1,
    .run = help,
};
