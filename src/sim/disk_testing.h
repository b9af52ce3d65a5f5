/* What the tests of the simulated disk share: an owner whose answers are given beforehand, and files opened
 * as SQLite opens them. Every function fails the running test when something is not as it must be. */
#ifndef SIM_DISK_TESTING_H
#define SIM_DISK_TESTING_H

#include "base/random.h"
#include "sim/disk.h"

#include <sqlite3.h>

#define MAIN (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
#define WAL (SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)

struct owner {
    struct sim_disk *disk;
    struct random random; /* of below */
    unsigned countdown[DISK_FAULT_COUNT]; /* 1: strikes at the next question; 0: never */
    int64_t now_ns;
    int64_t slept_ns;
    enum sim_disk_op ends_at; /* with ends_in */
    unsigned ends_before, ends_after; /* 1: power is lost before, after the next operation of that kind */
    unsigned n_before[DISK_OP_COUNT];
};

int owner_open(void **state); /* cmocka setup: a struct owner with a disk */
int owner_close(void **state);
struct sim_disk_config owner_config(struct owner *owner);

/* Opens a file; NULL name: a temporary one. */
sqlite3_file *file_open(struct owner *owner, const char *name, int flags);
/* What xOpen says; nothing stays open. */
int file_try(struct owner *owner, const char *name, int flags);
void file_close(sqlite3_file *file);
/* What xWrite says of a text. */
int file_write(sqlite3_file *file, const char *text, int64_t at);
/* n bytes of `fill`, which must be written. */
void file_fill(sqlite3_file *file, char fill, size_t n, int64_t at);
int file_sync(sqlite3_file *file);
int file_delete(struct owner *owner, const char *name, bool syncs_directory);
void assert_file(struct owner *owner, const char *name, const char *text); /* NULL: there is none */

#endif
