/* The disk: names, power, and the doors. */
#include "sim/disk_private.h"

#include "base/check.h"
#include "base/mem.h"
#include <stdio.h>

static const char *const FAULT_NAMES[] = {
#define X(name, text) text,
    DISK_FAULT_TABLE(X)
#undef X
};

static const char *const OP_NAMES[] = {
#define X(name, text) text,
    DISK_OP_TABLE(X)
#undef X
};

/* ---- what the owner decides ---- */

bool disk_strikes(struct sim_disk *disk, enum sim_disk_fault fault)
{
    bool is_struck = disk->config.strikes && disk->config.strikes(disk->config.arg, fault);
    disk->n_faults[fault] += is_struck;
    return is_struck;
}

uint64_t disk_below(struct sim_disk *disk, uint64_t bound)
{
    uint64_t n = disk->config.below && bound > 0 ? disk->config.below(disk->config.arg, bound) : 0;
    CHECK(n == 0 || n < bound);
    return n;
}

void disk_before(struct sim_disk *disk, enum sim_disk_op op)
{
    disk->n_ops[op]++;
    if (disk->config.before)
        disk->config.before(disk->config.arg, op);
}

void disk_after(struct sim_disk *disk, enum sim_disk_op op)
{
    if (disk->config.after)
        disk->config.after(disk->config.arg, op);
}

/* ---- names ---- */

struct disk_name *disk_name_find(struct sim_disk *disk, const char *text)
{
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++)
        if (text[0] && strcmp(disk->names[i].text, text) == 0)
            return &disk->names[i];
    return NULL;
}

static void name_release_if_unused(struct disk_name *name)
{
    for (size_t i = 0; i < name->n_states; i++)
        if (name->states[i])
            return;
    *name = (struct disk_name){0};
}

/* The state i alone is left, and durable. */
static void name_settle(struct disk_name *name, size_t chosen)
{
    struct disk_inode *inode = name->states[chosen];
    for (size_t i = 0; i < name->n_states; i++)
        if (i != chosen)
            disk_inode_unref(name->states[i]);
    name->states[0] = inode;
    name->n_states = 1;
    name_release_if_unused(name);
}

static void name_change(struct disk_name *name, struct disk_inode *inode)
{
    if (name->n_states == DISK_NAME_STATES_MAX) {
        disk_inode_unref(name->states[0]);
        name->n_states--;
        memmove(name->states, name->states + 1, name->n_states * sizeof name->states[0]);
    }
    name->states[name->n_states++] = inode;
}

struct disk_name *disk_create(struct sim_disk *disk, const char *text)
{
    struct disk_name *name = disk_name_find(disk, text);
    for (size_t i = 0; i < SIM_DISK_FILES_MAX && !name; i++)
        if (!disk->names[i].text[0]) {
            name = &disk->names[i];
            snprintf(name->text, sizeof name->text, "%s", text);
            name->n_states = 1; /* durable: no such file */
        }
    if (name)
        name_change(name, disk_inode_create());
    return name;
}

void disk_delete(struct disk_name *name)
{
    name_change(name, NULL);
    name_release_if_unused(name);
}

void disk_sync_directory(struct sim_disk *disk)
{
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++)
        if (disk->names[i].text[0])
            name_settle(&disk->names[i], disk->names[i].n_states - 1);
}

static struct disk_inode *file_now(const struct sim_disk *disk, const char *text)
{
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++)
        if (text[0] && strcmp(disk->names[i].text, text) == 0)
            return disk_name_now(&disk->names[i]);
    return NULL;
}

/* ---- life ---- */

struct sim_disk *sim_disk_create(const struct sim_disk_config *config)
{
    struct sim_disk *disk = mem_must_zalloc(sizeof *disk);
    disk->config = *config;
    list_init(&disk->handles);
    list_init(&disk->dead);
    disk_vfs_init(disk);
    CHECK(sqlite3_vfs_register(&disk->vfs, 0) == SQLITE_OK);
    return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
    if (!disk)
        return;
    CHECK(list_is_empty(&disk->handles) && list_is_empty(&disk->dead));
    sqlite3_vfs_unregister(&disk->vfs);
    if (disk->is_default)
        sqlite3_randomness(0, NULL); /* the next one takes a seed from the next file system */
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++)
        for (size_t k = 0; k < disk->names[i].n_states; k++)
            disk_inode_unref(disk->names[i].states[k]);
    sim_recording_destroy(disk->recording);
    mem_free(disk);
}

const char *sim_disk_vfs_name(const struct sim_disk *disk)
{
    return disk->vfs_name;
}

void sim_disk_make_default(struct sim_disk *disk)
{
    CHECK(sqlite3_vfs_register(&disk->vfs, 1) == SQLITE_OK);
    disk->is_default = true;
    sqlite3_randomness(0, NULL);
}

/* ---- power ---- */

void sim_disk_kill(struct sim_disk *disk)
{
    disk->n_ends++;
    struct list *link;
    while ((link = list_pop_front(&disk->handles))) {
        struct disk_handle *handle = container_of(link, struct disk_handle, link);
        disk_inode_unref(handle->inode);
        handle->inode = NULL;
        list_push_back(&disk->dead, link);
    }
}

void sim_disk_crash(struct sim_disk *disk)
{
    sim_disk_kill(disk);
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        struct disk_name *name = &disk->names[i];
        if (!name->text[0])
            continue;
        name_settle(name, disk_below(disk, name->n_states));
        if (name->text[0])
            disk_inode_power_loss(disk, name->states[0]);
    }
}

/* ---- what the owner does to it ---- */

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity_bytes)
{
    disk->config.capacity_bytes = capacity_bytes;
}

void sim_disk_set_read_only(struct sim_disk *disk, bool is_read_only)
{
    disk->is_read_only = is_read_only;
}

bool sim_disk_flip_bit(struct sim_disk *disk, const char *name, uint64_t byte, unsigned bit)
{
    struct disk_inode *inode = file_now(disk, name);
    if (!inode || byte >= inode->seen.len)
        return false;
    inode->seen.bytes[byte] ^= (uint8_t)(1u << bit % 8);
    if (byte < inode->medium.len)
        inode->medium.bytes[byte] ^= (uint8_t)(1u << bit % 8);
    return true;
}

bool sim_disk_has_file(const struct sim_disk *disk, const char *name)
{
    return file_now(disk, name);
}

struct slice sim_disk_file_bytes(const struct sim_disk *disk, const char *name)
{
    const struct disk_inode *inode = file_now(disk, name);
    return inode ? slice_of(inode->seen.bytes, inode->seen.len) : slice_of(NULL, 0);
}

void sim_disk_put_file(struct sim_disk *disk, const char *text, struct slice bytes)
{
    struct disk_name *name = disk_name_find(disk, text);
    if (!name || !disk_name_now(name))
        name = disk_create(disk, text);
    CHECK(name);
    struct disk_inode *inode = disk_name_now(name);
    disk_inode_truncate(inode, 0);
    disk_inode_write(inode, 0, bytes.data, bytes.len);
    disk_inode_sync(inode);
    name_settle(name, name->n_states - 1);
}

/* Files that are deleted and still open count, as they do on a real disk. */
uint64_t sim_disk_used_bytes(const struct sim_disk *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++)
        if (disk->names[i].text[0] && disk_name_now(&disk->names[i]))
            used += disk_name_now(&disk->names[i])->seen.len;
    for (const struct list *at = disk->handles.next; at != &disk->handles; at = at->next) {
        const struct disk_handle *handle = container_of(at, struct disk_handle, link);
        if (!handle->name || disk_name_now(handle->name) != handle->inode)
            used += handle->inode->seen.len;
    }
    return used;
}

uint64_t sim_disk_n_faults(const struct sim_disk *disk, enum sim_disk_fault fault)
{
    return disk->n_faults[fault];
}

uint64_t sim_disk_n_ops(const struct sim_disk *disk, enum sim_disk_op op)
{
    return disk->n_ops[op];
}

const char *sim_disk_fault_name(enum sim_disk_fault fault)
{
    return FAULT_NAMES[fault];
}

const char *sim_disk_op_name(enum sim_disk_op op)
{
    return OP_NAMES[op];
}
