/* One file: what processes see, what is on the medium, and what lies between. */
#include "sim/disk_private.h"

#include "base/mem.h"

#define SECTOR SIM_DISK_SECTOR_BYTES

/* ---- images ---- */

static void image_reserve(struct disk_image *image, uint64_t cap)
{
    if (cap <= image->cap)
        return;
    uint64_t doubled = image->cap * 2;
    image->cap = doubled > cap ? doubled : cap;
    image->bytes = mem_must_realloc(image->bytes, image->cap);
}

void disk_image_truncate(struct disk_image *image, uint64_t len)
{
    if (len > image->len) {
        image_reserve(image, len);
        memset(image->bytes + image->len, 0, len - image->len);
    }
    image->len = len;
}

void disk_image_write(struct disk_image *image, uint64_t at, const uint8_t *bytes, uint64_t len)
{
    if (len == 0)
        return;
    if (at + len > image->len)
        disk_image_truncate(image, at + len);
    memcpy(image->bytes + at, bytes, len);
}

void disk_image_copy(struct disk_image *image, const struct disk_image *from)
{
    disk_image_truncate(image, 0);
    disk_image_write(image, 0, from->bytes, from->len);
}

/* ---- changes ---- */

static void change_free(struct disk_change *change)
{
    mem_free(change->bytes);
}

static void change_apply(struct disk_image *medium, const struct disk_change *change)
{
    if (change->bytes)
        disk_image_write(medium, change->at, change->bytes, change->len);
    else
        disk_image_truncate(medium, change->at);
}

static void forget_changes(struct disk_inode *inode)
{
    for (size_t i = 0; i < inode->n_changes; i++)
        change_free(&inode->changes[i]);
    inode->n_changes = 0;
}

static void add_change(struct disk_inode *inode, struct disk_change change)
{
    if (inode->n_changes == SIM_DISK_CHANGES_MAX) {
        change_apply(&inode->medium, &inode->changes[0]);
        change_free(&inode->changes[0]);
        inode->n_changes--;
        memmove(inode->changes, inode->changes + 1, inode->n_changes * sizeof change);
    }
    if (inode->n_changes == inode->cap_changes) {
        inode->cap_changes = inode->cap_changes ? inode->cap_changes * 2 : 16;
        inode->changes = mem_must_realloc(inode->changes, inode->cap_changes * sizeof change);
    }
    inode->changes[inode->n_changes++] = change;
}

void disk_inode_write(struct disk_inode *inode, uint64_t at, const uint8_t *bytes, uint64_t len)
{
    if (len == 0)
        return;
    uint64_t len_before = inode->seen.len;
    disk_image_write(&inode->seen, at, bytes, len);
    /* whole sectors as they are now: what a failed sync has forgotten beside these bytes comes along */
    uint64_t first = at > len_before ? len_before : at;
    uint64_t begin = first / SECTOR * SECTOR;
    uint64_t end = (at + len + SECTOR - 1) / SECTOR * SECTOR;
    if (end > inode->seen.len)
        end = inode->seen.len;
    struct disk_change change = {.at = begin, .len = end - begin, .bytes = mem_must_alloc(end - begin)};
    memcpy(change.bytes, inode->seen.bytes + begin, end - begin);
    add_change(inode, change);
}

void disk_inode_truncate(struct disk_inode *inode, uint64_t len)
{
    /* to the length that it has as well: what a failed sync has forgotten comes along */
    disk_image_truncate(&inode->seen, len);
    add_change(inode, (struct disk_change){.at = len});
}

void disk_inode_sync(struct disk_inode *inode)
{
    for (size_t i = 0; i < inode->n_changes; i++)
        change_apply(&inode->medium, &inode->changes[i]);
    forget_changes(inode);
}

struct disk_inode *disk_inode_create(void)
{
    struct disk_inode *inode = mem_must_zalloc(sizeof *inode);
    inode->n_refs = 1;
    return inode;
}

void disk_inode_unref(struct disk_inode *inode)
{
    if (!inode || --inode->n_refs > 0)
        return;
    forget_changes(inode);
    mem_free(inode->changes);
    mem_free(inode->seen.bytes);
    mem_free(inode->medium.bytes);
    mem_free(inode);
}

/* ---- what of the changes reaches the medium when something goes wrong ---- */

enum outcome { OUTCOME_NONE, OUTCOME_ALL, OUTCOME_PREFIX, OUTCOME_SCATTERED, OUTCOME_COUNT };

/* One sector of a write that is half old and half new; without powersafe overwrite it is neither. */
struct torn {
    uint64_t at, len;
    uint8_t bytes[SECTOR];
};

static struct torn tear(struct sim_disk *disk, const struct disk_image *medium,
                        const struct disk_change *change)
{
    uint64_t n_sectors = (change->len + SECTOR - 1) / SECTOR;
    uint64_t from = disk_below(disk, n_sectors) * SECTOR;
    const uint8_t *bytes = change->bytes + from;
    struct torn torn = {.at = change->at + from,
                        .len = change->len - from < SECTOR ? change->len - from : SECTOR};
    if (disk->config.is_not_powersafe) {
        for (uint64_t i = 0; i < torn.len; i++)
            torn.bytes[i] = (uint8_t)disk_below(disk, 256);
        return torn;
    }
    uint64_t n_old = torn.at < medium->len ? medium->len - torn.at : 0;
    if (n_old > 0)
        memcpy(torn.bytes, medium->bytes + torn.at, n_old < torn.len ? n_old : torn.len);
    uint64_t cut = disk_below(disk, torn.len + 1);
    if (disk_below(disk, 2))
        memcpy(torn.bytes, bytes, cut);
    else
        memcpy(torn.bytes + cut, bytes + cut, torn.len - cut);
    return torn;
}

/* Any of its sectors; the new length may come before the bytes do. */
static void scatter(struct sim_disk *disk, struct disk_image *medium, const struct disk_change *change)
{
    if (!change->bytes) {
        if (disk_below(disk, 2))
            disk_image_truncate(medium, change->at);
        return;
    }
    if (change->at + change->len > medium->len && disk_below(disk, 2))
        disk_image_truncate(medium, change->at + change->len);
    for (uint64_t from = 0; from < change->len; from += SECTOR) {
        uint64_t len = change->len - from < SECTOR ? change->len - from : SECTOR;
        if (disk_below(disk, 2))
            disk_image_write(medium, change->at + from, change->bytes + from, len);
    }
}

static void settle(struct sim_disk *disk, struct disk_inode *inode)
{
    if (inode->n_changes == 0)
        return;
    /* four ways instead of coins for all: so "all but the last" happens in long lists too */
    enum outcome outcome = (enum outcome)disk_below(disk, OUTCOME_COUNT);
    size_t n_whole = outcome == OUTCOME_ALL      ? inode->n_changes
                     : outcome == OUTCOME_PREFIX ? disk_below(disk, inode->n_changes)
                                                 : 0;
    for (size_t i = 0; i < inode->n_changes; i++) {
        const struct disk_change *change = &inode->changes[i];
        bool is_scattered = outcome == OUTCOME_SCATTERED || (outcome == OUTCOME_PREFIX && i == n_whole);
        if (i >= n_whole && !is_scattered)
            break;
        bool is_torn = change->bytes && disk_strikes(disk, DISK_FAULT_TORN_SECTOR);
        struct torn torn = is_torn ? tear(disk, &inode->medium, change) : (struct torn){0};
        if (is_scattered)
            scatter(disk, &inode->medium, change);
        else
            change_apply(&inode->medium, change);
        disk_image_write(&inode->medium, torn.at, torn.bytes, torn.len);
    }
    forget_changes(inode);
}

void disk_inode_sync_failed(struct sim_disk *disk, struct disk_inode *inode)
{
    settle(disk, inode);
}

void disk_inode_power_loss(struct sim_disk *disk, struct disk_inode *inode)
{
    settle(disk, inode);
    disk_image_copy(&inode->seen, &inode->medium);
}
