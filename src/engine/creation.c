/* The record of a new call, for T1 and T6. */
#include "engine/engine_private.h"

/* Calls of one request mostly share endpoint, function and version: one blob serves a run of equals. */
struct blob *creation_text(struct slice bytes, struct blob *previous)
{
    if (previous && slice_equal(bytes, blob_slice(previous)))
        return blob_ref(previous);
    return bytes.len ? engine_blob(bytes) : NULL;
}

static int64_t expiration(const struct engine *engine, int64_t wished_ns)
{
    int64_t span = wished_ns > 0 ? wished_ns : engine->config.default_expiration_ns;
    if (span > engine->config.max_expiration_ns)
        span = engine->config.max_expiration_ns;
    return time_add(engine->now_ns, span);
}

void creation_record(struct engine *engine, const struct wire_call *wire, struct call_record *ret_record)
{
    struct call_record *record = ret_record;
    record->id = id_next(&engine->ids, engine->now_ns);
    record->root = record->id;
    record->correlation_id = wire->correlation_id;
    record->created_ns = engine->now_ns;
    record->expires_ns = expiration(engine, wire->expiration_ns);
    record->generation = 1;
    record->state = CALL_SCHEDULED;
    record->due_ns = engine->now_ns;
    record->wake_ns = engine->now_ns;
    record->input = engine_blob(wire->input);
}
