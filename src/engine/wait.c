/* Waiters: who asked for a result and is told once it is there, or that it will not come in time. */
#include "engine/engine_private.h"

#include <stdio.h>

static struct id token_key(uint64_t token)
{
    struct id key = {{0}};
    memcpy(key.bytes, &token, sizeof token);
    key.bytes[15] = 1;
    return key;
}

static struct held *wake(struct engine *engine, uint64_t token, uint64_t after_batch, dr_code code, const char *message)
{
    struct held *held = output_hold(engine, ENGINE_WAKE, token, after_batch);
    held->code = code;
    snprintf(held->message, sizeof held->message, "%s", message);
    return held;
}

static void remove_waiter(struct engine *engine, struct waiter *waiter)
{
    list_remove(&waiter->node);
    heap_remove(&engine->waiter_timers, &waiter->timer);
    map_remove(&engine->waiter_tokens, token_key(waiter->token));
    struct waiters_of *of = map_get(&engine->waiters, waiter->id);
    if (of && list_is_empty(&of->list)) {
        map_remove(&engine->waiters, waiter->id);
        mem_free(of);
    }
    mem_free(waiter);
}

static void add_waiter(struct engine *engine, const struct engine_event *event)
{
    struct waiters_of *of = map_get(&engine->waiters, event->ask.id);
    if (!of) {
        of = mem_must_zalloc(sizeof *of);
        list_init(&of->list);
        CHECK(map_put(&engine->waiters, event->ask.id, of) == DR_OK);
    }
    struct waiter *waiter = mem_must_zalloc(sizeof *waiter);
    list_init(&waiter->node);
    waiter->token = event->ask.token;
    waiter->project = event->ask.project;
    waiter->id = event->ask.id;
    list_push_back(&of->list, &waiter->node);
    CHECK(!map_get(&engine->waiter_tokens, token_key(waiter->token)));
    CHECK(map_put(&engine->waiter_tokens, token_key(waiter->token), waiter) == DR_OK);
    waiter->timer.key = event->ask.deadline_ns;
    CHECK(heap_push(&engine->waiter_timers, &waiter->timer) == DR_OK);
}

void wait_asked(struct engine *engine, const struct engine_event *event)
{
    if (engine->waiter_tokens.len >= engine->config.waiters_max) {
        wake(engine, event->ask.token, 0, DR_RESOURCE_EXHAUSTED, "too many clients wait for results");
        return;
    }
    const struct call *call = resident_get(engine, event->ask.id);
    bool is_known = call && call->phase != PHASE_LOADING; /* else foreign waiters are found when it is loaded */
    if (is_known && event->ask.project != 0 && event->ask.project != call->record.project) {
        wake(engine, event->ask.token, 0, DR_NOT_FOUND, "there is no call with this id");
        return;
    }
    add_waiter(engine, event);
    if (!call)
        resident_placeholder(engine, event->ask.id);
}

void wait_abandoned(struct engine *engine, uint64_t token)
{
    struct waiter *waiter = map_get(&engine->waiter_tokens, token_key(token));
    if (waiter)
        remove_waiter(engine, waiter);
}

void wait_expire(struct engine *engine)
{
    struct heap_node *node;
    while ((node = heap_peek(&engine->waiter_timers)) && node->key <= engine->now_ns) {
        struct waiter *waiter = container_of(node, struct waiter, timer);
        const struct call *call = resident_get(engine, waiter->id);
        if (call && call->phase == PHASE_LOADING) { /* it may be done, and known to be: wait_loaded */
            heap_remove(&engine->waiter_timers, node);
            continue;
        }
        wake(engine, waiter->token, 0, DR_DEADLINE_EXCEEDED, "the call is not done yet");
        remove_waiter(engine, waiter);
    }
}

static bool is_foreign(const struct waiter *waiter, const struct call_record *record)
{
    return waiter->project != 0 && waiter->project != record->project;
}

void wait_wake(struct engine *engine, const struct call_record *record, uint64_t after_batch)
{
    struct waiters_of *of;
    while ((of = map_get(&engine->waiters, record->id))) {
        struct waiter *waiter = container_of(of->list.next, struct waiter, node);
        if (is_foreign(waiter, record)) {
            wake(engine, waiter->token, 0, DR_NOT_FOUND, "there is no call with this id");
        } else {
            struct held *held = wake(engine, waiter->token, after_batch, DR_OK, "");
            record_copy(&held->record, record);
            held->has_record = true;
        }
        remove_waiter(engine, waiter);
    }
}

static void arm_again(struct engine *engine, struct waiters_of *of)
{
    for (struct list *node = of->list.next; node != &of->list; node = node->next) {
        struct waiter *waiter = container_of(node, struct waiter, node);
        if (!heap_has(&waiter->timer))
            CHECK(heap_push(&engine->waiter_timers, &waiter->timer) == DR_OK);
    }
}

void wait_loaded(struct engine *engine, const struct call_record *record)
{
    struct waiters_of *of = map_get(&engine->waiters, record->id);
    if (!of)
        return;
    arm_again(engine, of);
    bool is_last = false;
    for (struct list *node = of->list.next; !is_last && node != &of->list;) {
        struct waiter *waiter = container_of(node, struct waiter, node);
        node = node->next;
        if (!is_foreign(waiter, record))
            continue;
        is_last = of->list.next == of->list.prev; /* removing it frees the list */
        wake(engine, waiter->token, 0, DR_NOT_FOUND, "there is no call with this id");
        remove_waiter(engine, waiter);
    }
}

void wait_refuse(struct engine *engine, struct id id, dr_code code, const char *message)
{
    struct waiters_of *of;
    while ((of = map_get(&engine->waiters, id))) {
        struct waiter *waiter = container_of(of->list.next, struct waiter, node);
        wake(engine, waiter->token, 0, code, message);
        remove_waiter(engine, waiter);
    }
}

void wait_not_found(struct engine *engine, struct id id)
{
    wait_refuse(engine, id, DR_NOT_FOUND, "there is no call with this id");
}

void wait_deinit(struct engine *engine)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&engine->waiter_tokens, &cursor)))
        mem_free(entry->value);
    cursor = 0;
    while ((entry = map_next(&engine->waiters, &cursor)))
        mem_free(entry->value);
    heap_deinit(&engine->waiter_timers);
    map_deinit(&engine->waiter_tokens);
    map_deinit(&engine->waiters);
}
