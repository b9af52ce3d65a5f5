/* Recordings: what changed the files, operation by operation, and disks as they were after any of them. */
#include "sim/disk_private.h"

#include "base/check.h"
#include "base/mem.h"

struct operation {
    enum sim_disk_op op; /* DISK_OP_OPEN: a creation */
    bool has_directory; /* the directory was synced as well */
    char *name; /* owned */
    uint64_t at; /* of a truncate: the length */
    uint64_t len;
    uint8_t *bytes; /* of a write; owned */
};

struct sim_recording {
    struct sim_disk *start; /* the files when it began; owned */
    struct operation *operations;
    size_t n_operations, cap_operations;
};

/* ---- keeping ---- */

static struct operation *keep(struct sim_disk *disk, enum sim_disk_op op, const char *name)
{
    struct sim_recording *recording = disk->recording;
    if (!recording || recording->n_operations == SIM_DISK_RECORDED_MAX)
        return NULL;
    if (recording->n_operations == recording->cap_operations) {
        recording->cap_operations = recording->cap_operations ? recording->cap_operations * 2 : 256;
        recording->operations = mem_must_realloc(recording->operations,
                                                 recording->cap_operations * sizeof *recording->operations);
    }
    struct operation *operation = &recording->operations[recording->n_operations++];
    *operation = (struct operation){.op = op, .name = mem_strndup(name, strlen(name))};
    CHECK(operation->name);
    return operation;
}

static const char *name_of(const struct disk_handle *handle)
{
    return handle->name && disk_name_now(handle->name) == handle->inode ? handle->name->text : NULL;
}

void disk_record_write(struct sim_disk *disk, const struct disk_handle *handle, uint64_t at,
                       const uint8_t *bytes, uint64_t len)
{
    const char *name = name_of(handle);
    struct operation *operation = name && len > 0 ? keep(disk, DISK_OP_WRITE, name) : NULL;
    if (!operation)
        return;
    operation->at = at;
    operation->len = len;
    operation->bytes = mem_must_alloc(len);
    memcpy(operation->bytes, bytes, len);
}

void disk_record_truncate(struct sim_disk *disk, const struct disk_handle *handle, uint64_t len)
{
    const char *name = name_of(handle);
    struct operation *operation = name ? keep(disk, DISK_OP_TRUNCATE, name) : NULL;
    if (operation)
        operation->at = len;
}

void disk_record_sync(struct sim_disk *disk, const struct disk_handle *handle, bool has_directory)
{
    const char *name = name_of(handle);
    struct operation *operation = name ? keep(disk, DISK_OP_SYNC, name) : NULL;
    if (operation)
        operation->has_directory = has_directory;
}

void disk_record_create(struct sim_disk *disk, const char *name)
{
    (void)keep(disk, DISK_OP_OPEN, name);
}

void disk_record_delete(struct sim_disk *disk, const char *name, bool has_directory)
{
    struct operation *operation = keep(disk, DISK_OP_DELETE, name);
    if (operation)
        operation->has_directory = has_directory;
}

/* ---- doors of the recording ---- */

void sim_disk_record(struct sim_disk *disk)
{
    sim_recording_destroy(disk->recording);
    disk->recording = mem_must_zalloc(sizeof *disk->recording);
    disk->recording->start = sim_disk_clone(disk, &(struct sim_disk_config){0});
}

size_t sim_disk_recorded(const struct sim_disk *disk)
{
    return disk->recording ? disk->recording->n_operations : 0;
}

struct sim_recording *sim_disk_recording_take(struct sim_disk *disk)
{
    struct sim_recording *recording = disk->recording;
    CHECK(recording);
    disk->recording = NULL;
    return recording;
}

void sim_recording_destroy(struct sim_recording *recording)
{
    if (!recording)
        return;
    for (size_t i = 0; i < recording->n_operations; i++) {
        mem_free(recording->operations[i].name);
        mem_free(recording->operations[i].bytes);
    }
    mem_free(recording->operations);
    sim_disk_destroy(recording->start);
    mem_free(recording);
}

size_t sim_recording_length(const struct sim_recording *recording)
{
    return recording->n_operations;
}

enum sim_disk_op sim_recording_op(const struct sim_recording *recording, size_t i)
{
    CHECK(i < recording->n_operations);
    return recording->operations[i].op;
}

/* ---- playing back ---- */

static struct disk_inode *clone_inode(struct disk_inode *inode)
{
    if (!inode)
        return NULL;
    struct disk_inode *clone = disk_inode_create();
    disk_image_copy(&clone->seen, &inode->seen);
    disk_image_copy(&clone->medium, &inode->medium);
    clone->cap_changes = clone->n_changes = inode->n_changes;
    if (inode->n_changes > 0)
        clone->changes = mem_must_alloc(inode->n_changes * sizeof *inode->changes);
    for (size_t i = 0; i < inode->n_changes; i++) {
        struct disk_change change = inode->changes[i];
        if (change.bytes) {
            uint8_t *bytes = mem_must_alloc(change.len);
            memcpy(bytes, change.bytes, change.len);
            change.bytes = bytes;
        }
        clone->changes[i] = change;
    }
    return clone;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *disk, const struct sim_disk_config *config)
{
    struct sim_disk *clone = sim_disk_create(config);
    clone->is_read_only = disk->is_read_only;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX;
         i++) { /* every state is a file of its own: there are no links */
        clone->names[i] = disk->names[i];
        for (size_t k = 0; k < disk->names[i].n_states; k++)
            clone->names[i].states[k] = clone_inode(disk->names[i].states[k]);
    }
    return clone;
}

static void replay_one(struct sim_disk *disk, const struct operation *operation)
{
    struct disk_name *name = disk_name_find(disk, operation->name);
    struct disk_inode *inode = name ? disk_name_now(name) : NULL;
    CHECK(inode || operation->op == DISK_OP_OPEN);
    switch (operation->op) {
    case DISK_OP_OPEN:
        CHECK(disk_create(disk, operation->name));
        return;
    case DISK_OP_WRITE:
        disk_inode_write(inode, operation->at, operation->bytes, operation->len);
        return;
    case DISK_OP_TRUNCATE:
        disk_inode_truncate(inode, operation->at);
        return;
    case DISK_OP_SYNC:
        disk_inode_sync(inode);
        break;
    case DISK_OP_DELETE:
        disk_delete(name);
        break;
    default:
        CHECK(!"an operation that is kept");
    }
    if (operation->has_directory)
        disk_sync_directory(disk);
}

void sim_disk_replay_on(struct sim_disk *disk, const struct sim_recording *recording, size_t from, size_t to)
{
    CHECK(from <= to && to <= recording->n_operations);
    for (size_t i = from; i < to; i++)
        replay_one(disk, &recording->operations[i]);
}

struct sim_disk *sim_disk_replay(const struct sim_recording *recording, size_t n_operations,
                                 const struct sim_disk_config *config)
{
    struct sim_disk *disk = sim_disk_clone(recording->start, config);
    sim_disk_replay_on(disk, recording, 0, n_operations);
    return disk;
}

void sim_disk_replay_torn(struct sim_disk *disk, const struct sim_recording *recording, size_t i)
{
    CHECK(i < recording->n_operations);
    const struct operation *operation = &recording->operations[i];
    if (operation->op != DISK_OP_WRITE)
        return;
    struct disk_inode *inode = disk_name_now(disk_name_find(disk, operation->name));
    for (uint64_t at = 0, len; at < operation->len; at += len) {
        len = SIM_DISK_SECTOR_BYTES - (operation->at + at) % SIM_DISK_SECTOR_BYTES;
        if (len > operation->len - at)
            len = operation->len - at;
        if (disk_below(disk, 2))
            disk_inode_write(inode, operation->at + at, operation->bytes + at, len);
    }
}
