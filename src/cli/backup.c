/* `dispatch backup`: a copy of a database, also of one in use. */
#include "cli/command.h"

#include "store/store_backup.h"

struct backup_options {
    const char *db;
    bool is_unverified;
};

static const struct option options[] = {
    {.name = "db", .value = "FILE", .type = OPTION_TEXT, .offset = offsetof(struct backup_options, db),
     .initial = "dispatch.db", .help = "the database, as given to `dispatch serve`"},
    {.name = "no-verify", .environment = "", .type = OPTION_SWITCH,
     .offset = offsetof(struct backup_options, is_unverified), .help = "does not look whether the copy is whole"},
    {.name = NULL},
};

static int backup(void *target, const struct option_arguments *arguments)
{
    const struct backup_options *wishes = target;
    struct store_verify_result result = {0};
    struct dr_error error = {0};
    struct store_backup_options how = {
        .path = wishes->db, .target = arguments->items[0], .is_unverified = wishes->is_unverified};
    if (store_backup(&how, &result, &error))
        return command_fail(&backup_command, error.message);
    if (wishes->is_unverified)
        printf("%s: copied, not verified\n", how.target);
    else
        printf("%s: %llu calls, %llu long payloads: whole\n", how.target, (unsigned long long)result.n_calls,
               (unsigned long long)result.n_payloads);
    return EXIT_CODE_OK;
}

const struct command backup_command = {
    .name = "backup",
    .summary = "copies a database, also while a server uses it",
    .arguments = "TARGET",
    .n_arguments_min = 1,
    .n_arguments_max = 1,
    .options = options,
    .target_size = sizeof(struct backup_options),
    .about = "What was acknowledged before it began is in the copy. The server goes on meanwhile; it is not asked, so this runs\n"
             "on its machine, as a user who may read the file. The copy is one file, verified and synced before it gets the\n"
             "name TARGET, which must be free. `dispatch serve --db TARGET` opens it.",
    .run = backup,
};
