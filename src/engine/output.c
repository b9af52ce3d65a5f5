/* What a step puts out: one batch, and the effects that may be performed now (E5). */
#include "engine/engine_private.h"

#include <stdio.h>

void output_begin(struct engine *engine)
{
    CHECK(engine->batch == NULL);
    struct list *node;
    while ((node = list_pop_front(&engine->shown))) {
        struct held *held = container_of(node, struct held, node);
        record_deinit(&held->record);
        mem_free(held->ids);
        mem_free(held);
    }
    engine->n_effects = 0;
    arena_reset(&engine->arena);
}

struct engine_effect *output_effect(struct engine *engine, enum engine_effect_kind kind, uint64_t after_batch)
{
    CHECK(after_batch <= engine->durable);
    if (engine->n_effects == engine->cap_effects) {
        engine->cap_effects = engine->cap_effects ? engine->cap_effects * 2 : 64;
        engine->effects = mem_must_realloc(engine->effects, engine->cap_effects * sizeof *engine->effects);
    }
    struct engine_effect *effect = &engine->effects[engine->n_effects++];
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    effect->after_batch = after_batch;
    return effect;
}

uint64_t output_write(struct engine *engine, enum batch_op_kind kind, unsigned fields, const struct call_record *record)
{
    if (!engine->batch)
        engine->batch = batch_create(engine->next_batch++);
    batch_add(engine->batch, kind, fields, record);
    return engine->batch->sequence;
}

struct held *output_hold(struct engine *engine, enum engine_effect_kind kind, uint64_t token, uint64_t after_batch)
{
    struct held *held = mem_must_zalloc(sizeof *held);
    list_init(&held->node);
    held->kind = kind;
    held->token = token;
    held->after_batch = after_batch;
    list_push_back(&engine->held, &held->node);
    return held;
}

static void emit(struct engine *engine, struct held *held)
{
    struct engine_effect *effect = output_effect(engine, held->kind, held->after_batch);
    effect->answer.token = held->token;
    effect->answer.code = held->code;
    effect->answer.message = held->message;
    effect->answer.ids = held->ids;
    effect->answer.n_ids = held->n_ids;
    effect->answer.record = held->has_record ? &held->record : NULL;
}

void output_release(struct engine *engine)
{
    while (!list_is_empty(&engine->held)) {
        struct held *held = container_of(engine->held.next, struct held, node);
        if (held->after_batch > engine->durable)
            return;
        list_remove(&held->node);
        list_push_back(&engine->shown, &held->node);
        emit(engine, held);
    }
}

void output_finish(struct engine *engine, struct engine_update *update)
{
    update->batch = engine->batch;
    update->effects = engine->effects;
    update->n_effects = engine->n_effects;
    engine->batch = NULL;
}

void output_deinit(struct engine *engine)
{
    output_begin(engine);
    struct list *node;
    while ((node = list_pop_front(&engine->held)))
        list_push_back(&engine->shown, node);
    output_begin(engine);
    mem_free(engine->effects);
    arena_deinit(&engine->arena);
}

struct blob *engine_blob(struct slice bytes)
{
    if (!bytes.data)
        return NULL;
    struct blob *blob = blob_create(bytes);
    CHECK(blob); /* the process is crash-only: base/mem.h */
    return blob;
}

struct blob *engine_blob_text(const char *text)
{
    return engine_blob(slice_text(text));
}
