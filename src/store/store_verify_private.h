/* Insides of store_verify.h: the file, and what stands in it. */
#ifndef STORE_STORE_VERIFY_PRIVATE_H
#define STORE_STORE_VERIFY_PRIVATE_H

#include "store/store_sqlite.h"
#include "store/store_verify.h"

struct verify {
    const struct store_verify_options *options;
    char *path; /* the file itself, where options.path may be a link to it */
    int descriptor; /* holds the lock that keeps servers away; -1 = SQLite does */
    struct store_sqlite sqlite; /* path and database only */
    struct store_verify_result result;
};

__attribute__((format(printf, 2, 3))) void verify_found(struct verify *verify, const char *format, ...);

/* store_verify_file.c: opens the file so that nothing changes, and looks at its header. The caller closes, also after a
 * failure. */
dr_code verify_open(struct verify *verify, struct dr_error *error);
void verify_close(struct verify *verify);
/* store_verify_rules.c: what must hold between rows. */
dr_code verify_rules(struct verify *verify, struct dr_error *error);

#endif
