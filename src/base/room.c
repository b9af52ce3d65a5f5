#include "base/room.h"

#include "base/check.h"

void room_init(struct room *room, size_t max)
{
    *room = (struct room){.max = max};
    pthread_mutex_init(&room->lock, NULL);
}

void room_deinit(struct room *room)
{
    CHECK(room->used == 0);
    pthread_mutex_destroy(&room->lock);
}

size_t room_used(struct room *room)
{
    pthread_mutex_lock(&room->lock);
    size_t used = room->used;
    pthread_mutex_unlock(&room->lock);
    return used;
}

/* FNV-1a */
struct room_hold room_hold_of(struct room *room, struct slice name)
{
    uint32_t hash = UINT32_C(0x811c9dc5);
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.data[i]) * UINT32_C(0x01000193);
    return (struct room_hold){.room = room, .part = (hash ^ hash >> 16) % ROOM_PARTS};
}

bool room_cover(struct room_hold *hold, size_t n_bytes)
{
    struct room *room = hold->room;
    if (!room || n_bytes <= hold->n_bytes)
        return true;
    size_t more = n_bytes - hold->n_bytes;
    pthread_mutex_lock(&room->lock);
    size_t *part = &room->parts[hold->part];
    size_t n_free = room->max - room->used;
    bool has_room = more <= n_free && *part + more <= n_free - more;
    if (has_room) {
        *part += more;
        room->used += more;
        hold->n_bytes = n_bytes;
    }
    pthread_mutex_unlock(&room->lock);
    return has_room;
}

void room_give(struct room_hold *hold)
{
    if (hold->n_bytes == 0)
        return;
    struct room *room = hold->room;
    pthread_mutex_lock(&room->lock);
    CHECK(room->parts[hold->part] >= hold->n_bytes);
    room->parts[hold->part] -= hold->n_bytes;
    room->used -= hold->n_bytes;
    pthread_mutex_unlock(&room->lock);
    hold->n_bytes = 0;
}

struct room_hold room_move(struct room_hold *hold)
{
    struct room_hold moved = *hold;
    hold->n_bytes = 0;
    return moved;
}
