/* A file system for SQLite that is the real one, but for one call of a kind that fails, and which knows what has been
 * written and not synced. Named FAULT_VFS in store_sqlite_options. One thread at a time. */
#ifndef TESTS_STORE_FAULT_VFS_H
#define TESTS_STORE_FAULT_VFS_H

#include <stdbool.h>
#include <stddef.h>

#define FAULT_VFS "fault"

enum fault_kind {
    FAULT_NONE = 0,
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE, /* I/O error */
    FAULT_FULL,  /* the disk is full, half of the bytes are written */
    FAULT_SYNC,
    FAULT_TRUNCATE,
    FAULT_SIZE,
    FAULT_SQLITE_MEMORY, /* SQLite's own allocations */
    FAULT_MEMORY,        /* ours (base/mem.h) */
    FAULT_KINDS,
    FAULT_READ_ONLY /* the opened file cannot be written; not of a sweep, because it stays so */
};

/* Before the first use of SQLite in the process. */
void fault_vfs_register(void);
/* The n-th call of this kind from now fails, once; FAULT_NONE switches off. */
void fault_set(enum fault_kind kind, unsigned long nth);
bool fault_is_hit(void);
/* Files that have been written to since they were synced. */
size_t fault_unsynced_files(void);
/* Syncs since fault_set. */
unsigned long fault_syncs(void);

#endif
