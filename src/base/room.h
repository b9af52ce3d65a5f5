/* Room: memory that many hold at once, with a stated maximum and fair parts. Whoever is about to hold bytes takes room
 * for them and gives it back; who gets none must do without (refuse, try later).
 *
 * Fair: everybody has a name (an endpoint's host), and nobody may hold more than what is left free. One alone gets a half
 * of it, two get a third each, and for a newcomer there is always some. Names share ROOM_PARTS parts by their hash.
 *
 * Threads: any, for different holds; a hold has one owner at a time. The room outlives its holds. */
#ifndef BASE_ROOM_H
#define BASE_ROOM_H

#include "base/slice.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROOM_PARTS 1024u

struct room {
    pthread_mutex_t lock;
    size_t max;
    size_t used;
    size_t parts[ROOM_PARTS]; /* used by each */
};

/* Copied by value when it moves to another owner, who gives it back then. Zeroed: of no room, takes all it wants. */
struct room_hold {
    struct room *room;
    uint32_t part;
    size_t n_bytes;
};

void room_init(struct room *room, size_t max);
void room_deinit(struct room *room); /* nobody holds any */
size_t room_used(struct room *room);

/* A hold of nothing yet, under that name; `room` may be NULL. */
struct room_hold room_hold_of(struct room *room, struct slice name);
/* Makes it a hold of at least n_bytes. False: there is no room, it is as before. */
bool room_cover(struct room_hold *hold, size_t n_bytes);
/* Gives all back; the hold may be used again. */
void room_give(struct room_hold *hold);
/* Hands it to another owner; what is left is a hold of nothing. */
struct room_hold room_move(struct room_hold *hold);

#endif
