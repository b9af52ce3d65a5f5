/* Insides of the simulated disk, shared by disk*.c only. disk_medium.c: one file, its images and what loss of
 * power makes of it. disk.c: names, power, and the doors. disk_file.c and disk_vfs.c: what SQLite calls.
 * disk_record.c: recordings. */
#ifndef SIM_DISK_PRIVATE_H
#define SIM_DISK_PRIVATE_H

#include "base/list.h"
#include "sim/disk.h"

#include <sqlite3.h>

#define DISK_NAME_BYTES_MAX 256
#define DISK_NAME_STATES_MAX                                                                                 \
    8 /* what a name may be after loss of power; past it the oldest change is durable */
#define DISK_VFS_NAME_SIZE 48

struct disk_image {
    uint8_t *bytes;
    uint64_t len, cap;
};

/* Not synced. A write covers whole sectors, cut at the end of the file. */
struct disk_change {
    uint8_t *bytes; /* owned; NULL: a truncate to `at` */
    uint64_t at;
    uint64_t len;
};

struct disk_inode {
    unsigned n_refs; /* names and handles */
    struct disk_image seen; /* by processes */
    struct disk_image medium;
    struct disk_change *changes; /* from seen's last sync on, oldest first */
    size_t n_changes, cap_changes;
    struct disk_inode *clone; /* only inside sim_disk_clone */
};

struct disk_name {
    char text[DISK_NAME_BYTES_MAX]; /* "" = the slot is free */
    struct disk_inode *states[DISK_NAME_STATES_MAX]; /* NULL = no such file. First: durable; last: now */
    size_t n_states;
};

struct disk_handle { /* sqlite3_file; SQLite owns the memory */
    sqlite3_file base;
    struct sim_disk *disk;
    struct disk_inode *inode; /* NULL: dead */
    struct disk_name *name; /* the slot it was opened by; NULL: a temporary file */
    struct list link; /* disk.handles or disk.dead */
    int lock; /* SQLITE_LOCK_* */
    bool syncs_directory; /* at its first sync */
    bool is_read_only;
    bool deletes_at_close;
};

struct sim_disk {
    struct sim_disk_config config;
    sqlite3_vfs vfs;
    char vfs_name[DISK_VFS_NAME_SIZE];
    struct disk_name names[SIM_DISK_FILES_MAX];
    struct list handles;
    struct list dead;
    bool is_default;
    bool is_read_only;
    uint64_t n_ends; /* of power and of processes */
    uint64_t n_faults[DISK_FAULT_COUNT];
    uint64_t n_ops[DISK_OP_COUNT];
    struct sim_recording *recording; /* owned; NULL: none */
};

/* ---- disk.c ---- */
bool disk_strikes(struct sim_disk *disk, enum sim_disk_fault fault);
uint64_t disk_below(struct sim_disk *disk, uint64_t bound); /* bound 0 gives 0 */
/* Counts and tells the owner. */
void disk_before(struct sim_disk *disk, enum sim_disk_op op);
void disk_after(struct sim_disk *disk, enum sim_disk_op op);
static inline bool disk_is_down(const struct sim_disk *disk)
{
    return !list_is_empty(&disk->dead);
}

struct disk_name *disk_name_find(struct sim_disk *disk, const char *text); /* NULL: never was */
static inline struct disk_inode *disk_name_now(const struct disk_name *name)
{
    return name->n_states ? name->states[name->n_states - 1] : NULL;
}
/* A new empty file; NULL if the disk has no room for the name. */
struct disk_name *disk_create(struct sim_disk *disk, const char *text);
void disk_delete(struct disk_name *name);
void disk_sync_directory(struct sim_disk *disk);

/* ---- disk_medium.c: one file; `disk` for its choices ---- */
void disk_image_write(struct disk_image *image, uint64_t at, const uint8_t *bytes, uint64_t len);
void disk_image_truncate(struct disk_image *image, uint64_t len); /* or extends with zeros */
void disk_image_copy(struct disk_image *image, const struct disk_image *from);
struct disk_inode *disk_inode_create(void); /* empty, with one reference */
void disk_inode_unref(struct disk_inode *inode); /* accepts NULL */
void disk_inode_write(struct disk_inode *inode, uint64_t at, const uint8_t *bytes, uint64_t len);
void disk_inode_truncate(struct disk_inode *inode, uint64_t len);
void disk_inode_sync(struct disk_inode *inode);
/* Some changes reach the medium, the others are forgotten; processes see what they saw. */
void disk_inode_sync_failed(struct sim_disk *disk, struct disk_inode *inode);
/* The same, and processes see the medium. */
void disk_inode_power_loss(struct sim_disk *disk, struct disk_inode *inode);

/* ---- disk_record.c: each keeps one operation, if the disk is recording and the file has a name ---- */
void disk_record_write(struct sim_disk *disk, const struct disk_handle *handle, uint64_t at,
                       const uint8_t *bytes, uint64_t len);
void disk_record_truncate(struct sim_disk *disk, const struct disk_handle *handle, uint64_t len);
void disk_record_sync(struct sim_disk *disk, const struct disk_handle *handle, bool has_directory);
void disk_record_create(struct sim_disk *disk, const char *name);
void disk_record_delete(struct sim_disk *disk, const char *name, bool has_directory);

/* ---- disk_file.c, disk_vfs.c ---- */
extern const sqlite3_io_methods DISK_FILE_METHODS;
void disk_vfs_init(struct sim_disk *disk);

#endif
