#include "cli/command.h"

static int version(void *target, const struct option_arguments *arguments)
{
    (void)target;
    (void)arguments;
    printf("dispatch %s\n", DISPATCH_VERSION);
    return EXIT_CODE_OK;
}

const struct command version_command = {
    .name = "version",
    .summary = "prints the version",
    .arguments = "",
    .run = version,
};
