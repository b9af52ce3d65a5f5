/* A disk in memory, seen by SQLite as a file system (VFS): it fails, fills up and loses power when its owner
 * says so.
 *
 * The simulator and the crash tests open the real store on it (struct store_sqlite_options.vfs). Nothing is
 * decided here: every fault, every random choice and the time come from callbacks, so that the same answers
 * give the same run. One thread; no global state but SQLite's list of file systems.
 *
 * What a file is: its bytes as processes see them, its image on the medium, and the changes since its last
 * sync.
 * - A sync brings all changes of the file to the medium. A failed sync brings some and *forgets* the others:
 * processes still see them, a later sync does not bring them (Linux marks the pages clean), writing the
 * sectors again does.
 * - Loss of power leaves, of the changes that were not synced, none, all, those up to some point, or any
 * subset of 512-byte sectors and lengths. A sector is old or new; DISK_FAULT_TORN_SECTOR makes one mixed
 * (with `is_not_powersafe`: destroyed, also the bytes beside what was written).
 * - Names are durable once the directory was synced: by the first sync of a new journal or WAL, or a deletion
 * with sync, as SQLite's unix VFS does it. Else a created file may vanish and a deleted one come back, each
 * for itself.
 * - Death of the process leaves what processes see.
 * There is one directory; a path is only a name. Locks hold between open handles. There is no shared memory,
 * so WAL mode needs locking_mode=EXCLUSIVE.
 *
 * Running out of memory aborts. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "base/slice.h"

struct sim_disk;
struct sim_recording;

#define SIM_DISK_SECTOR_BYTES 512
/* Names at a time, those that may come back included; past it, files cannot be opened. */
#define SIM_DISK_FILES_MAX 64
#define SIM_DISK_FILE_BYTES_MAX (256u << 20) /* past it, the disk is full */
/* Not synced, of one file; past it the oldest reaches the medium by itself. */
#define SIM_DISK_CHANGES_MAX 100000u
#define SIM_DISK_RECORDED_MAX 1000000u /* operations of one recording; the others are left out */

/* X(name, text): what `strikes` is asked, at most once per operation of the file system. */
#define DISK_FAULT_TABLE(X)                                                                                  \
    X(DISK_FAULT_OPEN, "open error")                                                                         \
    X(DISK_FAULT_READ, "read error")                                                                         \
    X(DISK_FAULT_SHORT_READ, "short read") /* some bytes, then an error */                                   \
    X(DISK_FAULT_WRITE, "write error") /* nothing is written */                                              \
    X(DISK_FAULT_PARTIAL_WRITE, "partial write") /* some bytes are, then an error */                         \
    X(DISK_FAULT_FULL, "disk full") /* as beyond the capacity: what fits is written, then SQLITE_FULL */     \
    X(DISK_FAULT_SYNC, "sync error")                                                                         \
    X(DISK_FAULT_TRUNCATE, "truncate error")                                                                 \
    X(DISK_FAULT_DELETE, "delete error")                                                                     \
    X(DISK_FAULT_TORN_SECTOR, "torn sector") /* by loss of power or a failed sync; of each write that is left */

enum sim_disk_fault {
#define X(name, text) name,
    DISK_FAULT_TABLE(X)
#undef X
    DISK_FAULT_COUNT
};

#define DISK_OP_TABLE(X)                                                                                     \
    X(DISK_OP_OPEN, "open")                                                                                  \
    X(DISK_OP_READ, "read")                                                                                  \
    X(DISK_OP_WRITE, "write")                                                                                \
    X(DISK_OP_SYNC, "sync")                                                                                  \
    X(DISK_OP_TRUNCATE, "truncate")                                                                          \
    X(DISK_OP_DELETE, "delete")                                                                              \
    X(DISK_OP_LOCK, "lock")

enum sim_disk_op {
#define X(name, text) name,
    DISK_OP_TABLE(X)
#undef X
    DISK_OP_COUNT
};

/* The owner's callbacks get `arg`; each may be NULL. before and after may call sim_disk_crash and
 * sim_disk_kill (the operation then fails, whether it has happened or not), nothing else of this header that
 * changes the disk. */
struct sim_disk_config {
    void *arg;
    bool (*strikes)(void *arg, enum sim_disk_fault fault); /* NULL: never */
    uint64_t (*below)(void *arg,
                      uint64_t bound); /* a number in [0, bound), bound > 0; NULL: 0, which loses all */
    int64_t (*now_ns)(void *arg); /* time of the day, for SQLite; NULL: 0 */
    void (*sleep)(void *arg, int64_t ns); /* SQLite waits for a lock; NULL: no time passes */
    void (*before)(void *arg, enum sim_disk_op op); /* the place for delays */
    void (*after)(void *arg, enum sim_disk_op op); /* the effect is there, SQLite does not know yet */
    uint64_t capacity_bytes; /* of all files together; 0 = unlimited */
    bool is_not_powersafe; /* SQLite is not told SQLITE_IOCAP_POWERSAFE_OVERWRITE, and it is not so */
};

/* Copies config; `arg` must outlive the disk. Owned. */
struct sim_disk *sim_disk_create(const struct sim_disk_config *config);
/* Every handle must have been closed, those of dead processes too. Accepts NULL. */
void sim_disk_destroy(struct sim_disk *disk);
/* The name for sqlite3_open_v2; registered until the disk is destroyed. Borrowed. */
const char *sim_disk_vfs_name(const struct sim_disk *disk);
/* SQLite takes its time and its randomness (salts, nonces) from this disk's callbacks, from the start, until
 * the disk is destroyed. Without it, what is written differs from run to run. */
void sim_disk_make_default(struct sim_disk *disk);

/* Loss of power; death of the process. Every open handle is dead: its I/O fails, closing it frees it. Until
 * the last dead handle has been closed the disk is down and nothing can be opened, so close the store first.
 */
void sim_disk_crash(struct sim_disk *disk);
void sim_disk_kill(struct sim_disk *disk);

/* 0 = unlimited. What is there stays, also when it is more. */
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity_bytes);
/* As a file system remounted after an error: reads work, everything else fails. */
void sim_disk_set_read_only(struct sim_disk *disk, bool is_read_only);
/* Damage at rest: one bit, in the file and on the medium. False if there is no such byte. */
bool sim_disk_flip_bit(struct sim_disk *disk, const char *name, uint64_t byte, unsigned bit);
bool sim_disk_has_file(const struct sim_disk *disk, const char *name);
/* What processes see; borrowed until the next operation. Empty if there is no such file. */
struct slice sim_disk_file_bytes(const struct sim_disk *disk, const char *name);
/* Writes a whole file from outside, durable at once. */
void sim_disk_put_file(struct sim_disk *disk, const char *name, struct slice bytes);
uint64_t sim_disk_used_bytes(const struct sim_disk *disk);
uint64_t sim_disk_n_faults(const struct sim_disk *disk, enum sim_disk_fault fault); /* how often it struck */
uint64_t sim_disk_n_ops(const struct sim_disk *disk, enum sim_disk_op op);
const char *sim_disk_fault_name(enum sim_disk_fault fault); /* "sync error"; static */
const char *sim_disk_op_name(enum sim_disk_op op); /* static */

/* ---- recordings: loss of power after every single operation ---- */

/* Keeps, from now on, what changes the files that have a name: creations, deletions, writes, truncates and
 * syncs, in order, and the files as they are now. Faults should be off meanwhile: a sync that fails is not
 * kept. */
void sim_disk_record(struct sim_disk *disk);
/* How many operations have been kept so far. */
size_t sim_disk_recorded(const struct sim_disk *disk);
/* Ends it. Owned. */
struct sim_recording *sim_disk_recording_take(struct sim_disk *disk);
void sim_recording_destroy(struct sim_recording *recording); /* accepts NULL */
size_t sim_recording_length(const struct sim_recording *recording);
enum sim_disk_op sim_recording_op(const struct sim_recording *recording, size_t i);
/* A disk with the files of the recording's start and its first n operations done: opened as it is, all of
 * them have reached the medium; after sim_disk_crash, what `below` says of those since the last sync. Owned.
 */
struct sim_disk *sim_disk_replay(const struct sim_recording *recording, size_t n_operations,
                                 const struct sim_disk_config *config);
/* The same, from a disk that is at operation `from` already (sim_disk_replay, sim_disk_replay_on). */
void sim_disk_replay_on(struct sim_disk *disk, const struct sim_recording *recording, size_t from, size_t to);
/* Operation i alone, if it is a write: `below` says which of its sectors. */
void sim_disk_replay_torn(struct sim_disk *disk, const struct sim_recording *recording, size_t i);
/* The same files in the same state, with nothing open. Owned. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk, const struct sim_disk_config *config);

#endif
