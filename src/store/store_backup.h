/* A copy of a database, also of one that a server uses and writes to meanwhile: every commit that had returned when it
 * began is in it, and those after it up to some moment. docs/design/storage.md, "Backups", says why that is so.
 *
 * The server is neither asked nor held up; it puts off its checkpoints until the copy is made. Runs on the machine of
 * the file, by somebody who may read it. One thread; blocks. */
#ifndef STORE_STORE_BACKUP_H
#define STORE_STORE_BACKUP_H

#include <dispatchrun/error.h>
#include <stdbool.h>

#include "store/store_verify.h"

struct store_backup_options {
    const char *path;
    const char *target; /* must not exist */
    bool is_unverified; /* do not look whether the copy is whole */
};

/* The copy has its name only when it is whole, verified and synced; before that it is `target` with ".incomplete" behind
 * it, which is removed when something fails. ret_result: what the verification saw.
 * DR_ALREADY_EXISTS: target, or an .incomplete one; DR_FAILED_PRECONDITION: not a database of ours, or of a newer
 * version; DR_DATA_LOSS: the database is damaged, no copy was made; DR_UNAVAILABLE: cannot be read or written. */
dr_code store_backup(const struct store_backup_options *options, struct store_verify_result *ret_result,
                     struct dr_error *error);

#endif
