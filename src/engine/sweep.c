/* The list of sweeps under way (E9): whose descendants are still to be cancelled. */
#include "engine/engine_private.h"

void sweep_add(struct engine *engine, struct id parent, uint32_t below_generation)
{
    struct sweep *sweep = map_get(&engine->sweep_of, parent);
    if (sweep) {
        if (sweep->below_generation < below_generation)
            sweep->below_generation = below_generation;
        return;
    }
    sweep = mem_must_zalloc(sizeof *sweep);
    list_init(&sweep->node);
    sweep->parent = parent;
    sweep->below_generation = below_generation;
    list_push_back(&engine->sweeps, &sweep->node);
    CHECK(map_put(&engine->sweep_of, parent, sweep) == DR_OK);
}

void sweep_deinit(struct engine *engine)
{
    struct list *node;
    while ((node = list_pop_front(&engine->sweeps)))
        mem_free(container_of(node, struct sweep, node));
    map_deinit(&engine->sweep_of);
}
