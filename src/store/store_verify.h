/* Is a database whole? Looks at everything in a file and changes nothing: SQLite's structure, the sum of every record and
 * payload, and the rules between them (docs/design/storage.md, "Verifying"). For `dispatch verify` and for backups.
 *
 * A file in use is refused: what stands in a server's log must be read by that server. One thread; blocks as long as
 * reading the file takes, and holds few kilobytes. */
#ifndef STORE_STORE_VERIFY_H
#define STORE_STORE_VERIFY_H

#include <dispatchrun/error.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_FINDINGS_MAX 1000u /* told one by one; more are counted */

struct store_verify_options {
    const char *path;
    const char *vfs; /* as for store_sqlite_open */
    /* One line of text for each thing that is wrong. */
    void (*on_finding)(void *arg, const char *text);
    void *arg;
};

struct store_verify_result {
    uint64_t n_calls;
    uint64_t n_payloads; /* those that lie apart */
    uint64_t n_findings; /* 0 = whole */
};

/* DR_OK: was looked through; *ret_result says what was found. DR_FAILED_PRECONDITION: in use, not ours, or of another
 * schema version; DR_UNAVAILABLE: cannot be read; DR_NO_MEMORY. */
dr_code store_verify(const struct store_verify_options *options, struct store_verify_result *ret_result,
                     struct dr_error *error);

#endif
