/* What endpoints answer to Run requests, applied by the engine: a root call whose attempts, and those of the calls it
 * makes, get the pieces of the input as replies, in turn. Commits and reads go to the memory store, the clock is moved by
 * hand, everything in one thread. Whatever the replies are, the root is done in the end, once (I1), no call has two
 * attempts in flight (I3), and every answer to a waiter is durable.
 *
 * A piece: one byte for the kind, two for the length (least first), the bytes. Kinds: 0 a RunResponse in protobuf (what
 * cannot be decoded is a lost attempt, as in the driver), 1 a lost attempt whose status is the first byte, 2 a crash of
 * the server, 3 the attempt is answered twice. When there are no more pieces every attempt returns. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "store/store.h"
#include "wire/wire.h"

#include <string.h>

enum { ATTEMPTS_MAX = 4096, EVENTS_MAX = 200000, QUEUE_MAX = 64 };

struct attempt {
    struct id id;
    uint32_t number;
};

struct world {
    struct engine *engine;
    struct store *store;
    int64_t now_ns, deadline_ns;
    struct attempt attempts[ATTEMPTS_MAX]; /* in flight */
    size_t n_attempts;
    struct batch *batches[QUEUE_MAX]; /* to be committed */
    size_t n_batches;
    struct engine_effect reads[QUEUE_MAX]; /* to be performed */
    size_t n_reads;
    struct id root;
    unsigned n_events, n_boots;
    unsigned n_woken;
    uint8_t status; /* of the root, at its first answer */
};

static struct world world;

/* ---- effects ---- */

/* Steps, and performs what cannot lead to another step: what an update points to is borrowed until then. */
static void step(const struct engine_event *event);

static void read_call(const struct engine_effect *effect)
{
    struct call_record record = {0};
    struct store_records children = {0};
    struct engine_event event = {.kind = ENGINE_LOADED, .loaded.id = effect->read.id, .loaded.record = &record};
    event.loaded.is_found = store_read(world.store, effect->read.id, &record, NULL) == DR_OK;
    if (event.loaded.is_found && record.state != CALL_DONE && record.has_children)
        CHECK(store_read_children(world.store, record.id, record.generation, &children, &event.loaded.n_outstanding,
                                  NULL) == DR_OK);
    event.loaded.children = children.records;
    event.loaded.n_children = children.n_records;
    step(&event);
    store_records_deinit(&children);
    record_deinit(&record);
}

static void scan_due(const struct engine_effect *effect)
{
    struct store_scan_result result = {0};
    struct store_cursor after = {effect->read.after_wake_ns, effect->read.id};
    CHECK(store_scan_due(world.store, after, effect->read.until_ns, effect->read.limit, effect->read.bytes_max, &result,
                         NULL) == DR_OK);
    struct engine_event event = {.kind = ENGINE_DUE_SCANNED};
    event.scanned.records = result.records.records;
    event.scanned.n_records = result.records.n_records;
    event.scanned.is_complete = result.is_complete;
    event.scanned.next_wake_ns = result.next_wake_ns;
    step(&event);
    store_records_deinit(&result.records);
}

static void scan_children(const struct engine_effect *effect)
{
    struct store_records records = {0};
    CHECK(store_scan_live_children(world.store, effect->read.id, effect->read.below_generation, effect->read.limit,
                                   &records, NULL) == DR_OK);
    struct engine_event event = {.kind = ENGINE_CHILDREN_SCANNED};
    event.found.parent = effect->read.id;
    event.found.below_generation = effect->read.below_generation;
    event.found.records = records.records;
    event.found.n = records.n_records;
    step(&event);
    store_records_deinit(&records);
}

static void scan_ids(const struct engine_effect *effect)
{
    bool is_mail = effect->kind == ENGINE_SCAN_MAIL;
    struct id *ids = mem_must_alloc(effect->read.limit * sizeof *ids);
    struct engine_event event = {.kind = is_mail ? ENGINE_MAIL_SCANNED : ENGINE_SWEEPS_SCANNED};
    event.found.ids = ids;
    CHECK((is_mail ? store_scan_mail : store_scan_sweeps)(world.store, effect->read.id, effect->read.limit, ids,
                                                          &event.found.n, NULL) == DR_OK);
    step(&event);
    mem_free(ids);
}

static void purge(const struct engine_effect *effect)
{
    struct engine_event event = {.kind = ENGINE_PURGED};
    CHECK(store_purge(world.store, &effect->purge, &event.purged, NULL) == DR_OK);
    step(&event);
}

static void start(const struct engine_effect *effect)
{
    CHECK(world.n_attempts < ATTEMPTS_MAX);
    for (size_t i = 0; i < world.n_attempts; i++)
        CHECK(!id_equal(world.attempts[i].id, effect->start.id)); /* I3 */
    struct buf bytes;
    buf_init(&bytes, WIRE_MESSAGE_BYTES_MAX);
    CHECK(wire_run_request_encode(&effect->start.request, &bytes, NULL) == DR_OK);
    buf_deinit(&bytes);
    world.attempts[world.n_attempts++] = (struct attempt){effect->start.id, effect->start.attempt};
}

static void on_wake(const struct engine_effect *effect)
{
    CHECK(effect->answer.code == DR_OK);
    const struct call_record *record = effect->answer.record;
    CHECK(record->state == CALL_DONE && id_equal(record->id, world.root));
    CHECK(world.n_woken++ == 0 || record->status == world.status); /* I7 */
    world.status = record->status;
}

static void perform(const struct engine_effect *effect)
{
    switch (effect->kind) {
    case ENGINE_START:
        start(effect);
        return;
    case ENGINE_ABORT: /* an attempt called off is answered all the same (D5) */
        return;
    case ENGINE_ANSWER_SUBMIT:
        CHECK(effect->answer.code == DR_OK);
        world.root = effect->answer.ids[0];
        return;
    case ENGINE_WAKE:
        on_wake(effect);
        return;
    default:
        CHECK(world.n_reads < QUEUE_MAX);
        world.reads[world.n_reads++] = *effect;
        return;
    }
}

static void step(const struct engine_event *event)
{
    struct engine_update update = {0};
    CHECK(++world.n_events < EVENTS_MAX);
    engine_step(world.engine, event, world.now_ns, &update);
    world.deadline_ns = update.next_deadline_ns;
    for (size_t i = 0; i < update.n_effects; i++)
        perform(&update.effects[i]);
    CHECK(world.n_batches < QUEUE_MAX);
    if (update.batch)
        world.batches[world.n_batches++] = update.batch;
}

static void commit(void)
{
    uint64_t sequence = world.batches[world.n_batches - 1]->sequence;
    CHECK(store_commit(world.store, world.batches, world.n_batches, NULL) == DR_OK);
    while (world.n_batches > 0)
        batch_destroy(world.batches[--world.n_batches]);
    step(&(struct engine_event){.kind = ENGINE_BATCH_DURABLE, .durable_sequence = sequence});
}

static void read_next(void)
{
    struct engine_effect effect = world.reads[0];
    memmove(world.reads, world.reads + 1, --world.n_reads * sizeof effect);
    if (effect.kind == ENGINE_LOAD)
        read_call(&effect);
    else if (effect.kind == ENGINE_SCAN_DUE)
        scan_due(&effect);
    else if (effect.kind == ENGINE_SCAN_CHILDREN)
        scan_children(&effect);
    else if (effect.kind == ENGINE_PURGE)
        purge(&effect);
    else
        scan_ids(&effect);
}

/* Steps, and then does everything that this leads to, commits before reads (D4). */
static void feed(const struct engine_event *event)
{
    step(event);
    while (world.n_batches > 0 || world.n_reads > 0) {
        if (world.n_batches > 0)
            commit();
        else
            read_next();
    }
}

/* ---- the life of the server ---- */

static void boot(void)
{
    struct engine_config config = {.seed = {42, world.n_boots++}}; /* as the driver: never the same, for ids (I5) */
    world.n_attempts = 0;
    world.engine = engine_create(&config);
    feed(&(struct engine_event){.kind = ENGINE_RECOVER});
}

static void wait_for_root(void)
{
    struct engine_event event = {.kind = ENGINE_WAIT};
    event.ask.token = 1;
    event.ask.id = world.root;
    event.ask.deadline_ns = TIME_NEVER;
    feed(&event);
}

static void crash(void)
{
    engine_destroy(world.engine);
    boot();
    wait_for_root();
}

static void submit_root(void)
{
    struct wire_call call = {.endpoint = slice_text("http://a"), .function = slice_text("root"),
                             .input = slice_text("")};
    struct engine_event event = {.kind = ENGINE_SUBMIT};
    event.submit.project = 1;
    event.submit.calls = &call;
    event.submit.n_calls = 1;
    feed(&event);
    wait_for_root();
}

/* ---- replies ---- */

static void reply(struct attempt attempt, const struct wire_run_response *response, uint8_t status)
{
    struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE};
    event.attempt_done.id = attempt.id;
    event.attempt_done.attempt = attempt.number;
    event.attempt_done.response = response;
    event.attempt_done.status = response ? DR_STATUS_OK : (dr_status)status;
    event.attempt_done.error_type = slice_text("HTTPError");
    event.attempt_done.error_message = slice_text("lost");
    feed(&event);
}

static void reply_with(struct attempt attempt, struct slice bytes)
{
    struct arena arena;
    struct wire_run_response response;
    arena_init(&arena, 0);
    bool is_whole = wire_run_response_decode(bytes, &arena, &response, NULL) == DR_OK;
    reply(attempt, is_whole ? &response : NULL, DR_STATUS_INVALID_RESPONSE);
    arena_deinit(&arena);
}

static struct attempt take_attempt(void)
{
    struct attempt attempt = world.attempts[0];
    world.n_attempts--;
    memmove(world.attempts, world.attempts + 1, world.n_attempts * sizeof attempt);
    return attempt;
}

static struct slice take_bytes(struct slice *input, size_t n)
{
    struct slice taken = slice_of(input->data, n < input->len ? n : input->len);
    *input = slice_of(input->data + taken.len, input->len - taken.len);
    return taken;
}

static void answer_next(struct slice *input)
{
    if (input->len < 3) {
        struct wire_run_response done = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT};
        reply(take_attempt(), &done, 0);
        return;
    }
    struct slice head = take_bytes(input, 3);
    struct slice bytes = take_bytes(input, (size_t)head.data[1] | (size_t)head.data[2] << 8);
    struct attempt attempt = world.attempts[0];
    switch (head.data[0] & 3) {
    case 2:
        crash();
        return;
    case 1:
        reply(take_attempt(), NULL, bytes.len > 0 && bytes.data[0] != DR_STATUS_OK ? bytes.data[0] : DR_STATUS_TIMEOUT);
        return;
    default:
        reply_with(take_attempt(), bytes);
        if ((head.data[0] & 3) == 3)
            reply_with(attempt, bytes);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    memset(&world, 0, sizeof world);
    world.now_ns = 1000 * NS_PER_S;
    CHECK(store_memory_open(&world.store, NULL) == DR_OK);
    boot();
    submit_root();
    while (world.n_woken == 0) {
        if (world.n_attempts > 0) {
            answer_next(&input);
        } else {
            CHECK(world.deadline_ns != TIME_NEVER); /* else the root would never be done */
            world.now_ns = world.deadline_ns > world.now_ns ? world.deadline_ns : world.now_ns;
            feed(&(struct engine_event){.kind = ENGINE_TICK});
        }
    }
    crash();
    CHECK(world.n_woken == 2); /* what was shown is durable */
    engine_destroy(world.engine);
    store_close(world.store);
    return 0;
}
