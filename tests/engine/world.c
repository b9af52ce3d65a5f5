#include "world.h"

#include "base/arena.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void perform(struct world *world, const struct engine_update *update);

static void trace(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void trace(struct world *world, const char *format, ...)
{
    if (world->is_quiet)
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_int_equal(buf_append_text(&world->trace, line), DR_OK);
    assert_int_equal(buf_append_text(&world->trace, "\n"), DR_OK);
}

void world_event(struct world *world, const struct engine_event *event)
{
    struct engine_update update = {0};
    engine_step(world->engine, event, world->now_ns, &update);
    perform(world, &update);
}

static void feed_durable(struct world *world, uint64_t sequence)
{
    world_event(world, &(struct engine_event){.kind = ENGINE_BATCH_DURABLE, .durable_sequence = sequence});
}

void world_commit(struct world *world)
{
    while (world->n_pending > 0) {
        size_t n = world->n_pending;
        struct batch *batches[256];
        memcpy(batches, world->pending, n * sizeof(struct batch *));
        world->n_pending = 0;
        assert_int_equal(store_commit(world->store, batches, n, NULL), DR_OK);
        uint64_t sequence = batches[n - 1]->sequence;
        for (size_t i = 0; i < n; i++)
            batch_destroy(batches[i]);
        feed_durable(world, sequence);
        if (world->holds_commits)
            return;
    }
}

static void read_load(struct world *world, const struct engine_effect *effect)
{
    struct call_record record = {0};
    struct store_records children = {0};
    struct engine_event event = {.kind = ENGINE_LOADED};
    event.loaded.id = effect->read.id;
    event.loaded.is_found = store_read(world->store, effect->read.id, &record, NULL) == DR_OK;
    event.loaded.record = &record;
    if (event.loaded.is_found && record.state != CALL_DONE && record.has_children)
        assert_int_equal(store_read_children(world->store, record.id, record.generation, &children,
                                             &event.loaded.n_outstanding, NULL), DR_OK);
    event.loaded.children = children.records;
    event.loaded.n_children = children.n_records;
    world_event(world, &event);
    store_records_deinit(&children);
    record_deinit(&record);
}

static void read_due(struct world *world, const struct engine_effect *effect)
{
    struct store_scan_result result = {0};
    struct store_cursor after = {effect->read.after_wake_ns, effect->read.id};
    assert_int_equal(store_scan_due(world->store, after, effect->read.until_ns, effect->read.limit,
                                    effect->read.bytes_max, &result, NULL), DR_OK);
    struct engine_event event = {.kind = ENGINE_DUE_SCANNED};
    event.scanned.records = result.records.records;
    event.scanned.n_records = result.records.n_records;
    event.scanned.is_complete = result.is_complete;
    event.scanned.next_wake_ns = result.next_wake_ns;
    world_event(world, &event);
    store_records_deinit(&result.records);
}

static void read_children(struct world *world, const struct engine_effect *effect)
{
    struct store_records records = {0};
    assert_int_equal(store_scan_live_children(world->store, effect->read.id, effect->read.below_generation,
                                              effect->read.limit, &records, NULL), DR_OK);
    struct engine_event event = {.kind = ENGINE_CHILDREN_SCANNED};
    event.found.parent = effect->read.id;
    event.found.below_generation = effect->read.below_generation;
    event.found.records = records.records;
    event.found.n = records.n_records;
    world_event(world, &event);
    store_records_deinit(&records);
}

static void read_ids(struct world *world, const struct engine_effect *effect)
{
    struct id *ids = mem_must_alloc(effect->read.limit * sizeof *ids);
    size_t n = 0;
    struct engine_event event = {.kind = ENGINE_MAIL_SCANNED};
    if (effect->kind == ENGINE_SCAN_MAIL) {
        assert_int_equal(store_scan_mail(world->store, effect->read.id, effect->read.limit, ids, &n, NULL), DR_OK);
    } else {
        event.kind = ENGINE_SWEEPS_SCANNED;
        assert_int_equal(store_scan_sweeps(world->store, effect->read.id, effect->read.limit, ids, &n, NULL), DR_OK);
    }
    event.found.ids = ids;
    event.found.n = n;
    world_event(world, &event);
    mem_free(ids);
}

static void purge(struct world *world, const struct engine_effect *effect)
{
    struct engine_event event = {.kind = ENGINE_PURGED};
    assert_int_equal(store_purge(world->store, &effect->purge, &event.purged, NULL), DR_OK);
    world_event(world, &event);
}

static void perform_read(struct world *world, const struct engine_effect *effect)
{
    switch (effect->kind) {
    case ENGINE_LOAD:
        read_load(world, effect);
        return;
    case ENGINE_SCAN_DUE:
        read_due(world, effect);
        return;
    case ENGINE_SCAN_CHILDREN:
        read_children(world, effect);
        return;
    case ENGINE_PURGE:
        purge(world, effect);
        return;
    default:
        read_ids(world, effect);
        return;
    }
}

void world_read_one(struct world *world)
{
    struct engine_effect effect = world->reads[0];
    world->n_reads--;
    memmove(world->reads, world->reads + 1, world->n_reads * sizeof effect);
    perform_read(world, &effect);
}

void world_read(struct world *world)
{
    if (world->is_reading)
        return; /* what a read leads to waits for its turn, below */
    world->is_reading = true;
    while (world->n_reads > 0)
        world_read_one(world);
    world->is_reading = false;
}

static void ask_endpoint(struct world *world, const struct engine_effect *effect)
{
    if (world->n_replies == world->cap_replies) {
        world->cap_replies = world->cap_replies ? world->cap_replies * 2 : 64;
        world->replies = mem_must_realloc(world->replies, world->cap_replies * sizeof *world->replies);
    }
    dr_status status = world->endpoint(world, effect, world->endpoint_arg);
    world->replies[world->n_replies++] =
        (struct world_reply){.id = effect->start.id, .number = effect->start.attempt, .status = status};
}

static void pass_replies(struct world *world)
{
    if (world->is_replying)
        return;
    world->is_replying = true;
    for (size_t i = 0; i < world->n_replies; i++) { /* more may come meanwhile */
        struct world_reply reply = world->replies[i];
        static const struct wire_run_response EXIT = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT};
        struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE};
        event.attempt_done.id = reply.id;
        event.attempt_done.attempt = reply.number;
        event.attempt_done.response = reply.status == DR_STATUS_OK ? &EXIT : NULL;
        event.attempt_done.status = reply.status;
        event.attempt_done.error_message = slice_text("no");
        world_event(world, &event);
    }
    world->n_replies = 0;
    world->is_replying = false;
}

static void start(struct world *world, const struct engine_effect *effect)
{
    if (world->endpoint) {
        ask_endpoint(world, effect);
        return;
    }
    const struct wire_run_request *request = &effect->start.request;
    struct world_attempt *attempt = NULL;
    char function[64];
    snprintf(function, sizeof function, "%.*s", (int)request->function.len, (const char *)request->function.data);
    for (size_t i = 0; i < world->n_attempts && !attempt; i++)
        if (strcmp(world->attempts[i].function, function) == 0)
            attempt = &world->attempts[i];
    if (!attempt) {
        assert_in_range(world->n_attempts, 0, WORLD_CALLS_MAX - 1);
        attempt = &world->attempts[world->n_attempts++];
    }
    assert_false(attempt->is_in_flight); /* I3 */
    *attempt = (struct world_attempt){.id = effect->start.id, .number = effect->start.attempt, .is_in_flight = true};
    snprintf(attempt->function, sizeof attempt->function, "%s", function);
    if (request->directive != WIRE_DIRECTIVE_POLL_RESULT) {
        trace(world, "start %s", function);
        return;
    }
    const struct wire_poll_result *poll = &request->poll_result;
    char ids[200] = "";
    size_t len = 0;
    for (size_t i = 0; i < poll->n_results && len + 24 < sizeof ids; i++)
        len += (size_t)snprintf(ids + len, sizeof ids - len, "%s%llu", i ? " " : "",
                                (unsigned long long)poll->results[i].correlation_id);
    attempt->state_arm = poll->state_arm;
    snprintf(attempt->state, sizeof attempt->state, "%.*s", (int)poll->state.len, (const char *)poll->state.data);
    if (poll->has_error)
        snprintf(attempt->poll_error, sizeof attempt->poll_error, "%.*s", (int)poll->error.message.len,
                 (const char *)poll->error.message.data);
    trace(world, "resume %s [%s]%s%s", function, ids, poll->has_error ? " error: " : "", attempt->poll_error);
}

static void trace_wake(struct world *world, const struct engine_effect *effect)
{
    const struct call_record *record = effect->answer.record;
    if (effect->answer.code != DR_OK)
        trace(world, "wake %s", dr_code_name(effect->answer.code));
    else if (error_record_is_set(&record->error))
        trace(world, "wake %s %s: %s", dr_status_text(record->status), blob_text(record->error.type),
              blob_text(record->error.message));
    else
        trace(world, "wake ok \"%s\"", blob_text(record->output));
}

static void perform_effect(struct world *world, const struct engine_effect *effect)
{
    switch (effect->kind) {
    case ENGINE_START:
        start(world, effect);
        return;
    case ENGINE_ABORT:
        for (size_t i = 0; i < world->n_attempts; i++)
            if (id_equal(world->attempts[i].id, effect->start.id))
                trace(world, "abort %s", world->attempts[i].function);
        return;
    case ENGINE_ANSWER_SUBMIT:
        if (effect->answer.code != DR_OK) {
            trace(world, "submit: %s: %s", dr_code_name(effect->answer.code), effect->answer.message);
            return;
        }
        trace(world, "submit: %zu call%s", effect->answer.n_ids, effect->answer.n_ids == 1 ? "" : "s");
        world->n_submitted = effect->answer.n_ids < WORLD_CALLS_MAX ? effect->answer.n_ids : WORLD_CALLS_MAX;
        if (world->n_submitted)
            memcpy(world->submitted, effect->answer.ids, world->n_submitted * sizeof(struct id));
        return;
    case ENGINE_ANSWER_CANCEL:
        trace(world, "cancel: %s", dr_code_name(effect->answer.code));
        return;
    case ENGINE_WAKE:
        trace_wake(world, effect);
        return;
    default:
        assert_in_range(world->n_reads, 0, WORLD_READS_MAX - 1);
        world->reads[world->n_reads++] = *effect;
        return;
    }
}

static void perform(struct world *world, const struct engine_update *update)
{
    world->deadline_ns = update->next_deadline_ns;
    if (update->batch) {
        assert_in_range(world->n_pending, 0, 255);
        world->pending[world->n_pending++] = update->batch;
    }
    for (size_t i = 0; i < update->n_effects; i++)
        perform_effect(world, &update->effects[i]);
    if (!world->holds_commits)
        world_commit(world);
    if (!world->holds_reads && !world->holds_commits)
        world_read(world);
    pass_replies(world);
}

static void boot(struct world *world)
{
    world->engine = engine_create(&world->config);
    world_event(world, &(struct engine_event){.kind = ENGINE_RECOVER});
}

void world_init(struct world *world, const struct engine_config *config)
{
    *world = (struct world){.now_ns = 1000 * NS_PER_S};
    buf_init(&world->trace, 1 << 20);
    if (config)
        world->config = *config;
    world->config.seed[0] = 42;
    assert_int_equal(store_memory_open(&world->store, NULL), DR_OK);
    boot(world);
}

void world_deinit(struct world *world)
{
    engine_destroy(world->engine);
    for (size_t i = 0; i < world->n_pending; i++)
        batch_destroy(world->pending[i]);
    store_close(world->store);
    mem_free(world->replies);
    buf_deinit(&world->trace);
}

void world_crash(struct world *world)
{
    engine_destroy(world->engine);
    for (size_t i = 0; i < world->n_pending; i++)
        batch_destroy(world->pending[i]);
    world->n_pending = 0;
    world->n_reads = 0;
    world->n_attempts = 0;
    memset(world->attempts, 0, sizeof world->attempts);
    world->holds_commits = world->holds_reads = false;
    boot(world);
}

void world_submit_call(struct world *world, struct wire_call call)
{
    struct engine_event event = {.kind = ENGINE_SUBMIT};
    event.submit.token = ++world->next_token;
    event.submit.project = 1;
    event.submit.calls = &call;
    event.submit.n_calls = 1;
    world_event(world, &event);
}

void world_submit(struct world *world, size_t n, const char *const *functions)
{
    struct wire_call *calls = mem_must_zalloc((n + 1) * sizeof *calls);
    for (size_t i = 0; i < n; i++) {
        calls[i].endpoint = slice_text("http://a");
        calls[i].function = slice_text(functions[i]);
        calls[i].input = slice_text("in");
    }
    struct engine_event event = {.kind = ENGINE_SUBMIT};
    event.submit.token = ++world->next_token;
    event.submit.project = 1;
    event.submit.calls = calls;
    event.submit.n_calls = n;
    world_event(world, &event);
    mem_free(calls);
}

static void ask(struct world *world, enum engine_event_kind kind, struct id id)
{
    struct engine_event event = {.kind = kind};
    event.ask.token = ++world->next_token;
    event.ask.project = 1;
    event.ask.id = id;
    event.ask.deadline_ns = TIME_NEVER;
    world_event(world, &event);
}

void world_wait(struct world *world, struct id id)
{
    ask(world, ENGINE_WAIT, id);
}

void world_cancel(struct world *world, struct id id)
{
    ask(world, ENGINE_CANCEL_CALL, id);
}

void world_advance(struct world *world, int64_t duration_ns)
{
    int64_t until = world->now_ns + duration_ns;
    while (world->deadline_ns <= until) {
        if (world->deadline_ns > world->now_ns)
            world->now_ns = world->deadline_ns;
        world_event(world, &(struct engine_event){.kind = ENGINE_TICK});
    }
    world->now_ns = until;
    world_event(world, &(struct engine_event){.kind = ENGINE_TICK});
}

const struct world_attempt *world_attempt_of(const struct world *world, const char *function)
{
    for (size_t i = 0; i < world->n_attempts; i++)
        if (strcmp(world->attempts[i].function, function) == 0)
            return &world->attempts[i];
    return NULL;
}

bool world_is_running(const struct world *world, const char *function)
{
    const struct world_attempt *attempt = world_attempt_of(world, function);
    return attempt && attempt->is_in_flight;
}

struct id world_id(const struct world *world, const char *function)
{
    const struct world_attempt *attempt = world_attempt_of(world, function);
    assert_non_null(attempt);
    return attempt->id;
}

static void finish(struct world *world, const char *function, struct engine_event *event)
{
    struct world_attempt *attempt = (struct world_attempt *)(uintptr_t)world_attempt_of(world, function);
    if (!attempt || !attempt->is_in_flight)
        fail_msg("no attempt of %s is in flight", function);
    attempt->is_in_flight = false;
    event->kind = ENGINE_ATTEMPT_DONE;
    event->attempt_done.id = attempt->id;
    event->attempt_done.attempt = attempt->number;
    world_event(world, event);
}

void world_reply(struct world *world, const char *function, const struct wire_run_response *response)
{
    struct engine_event event = {0};
    event.attempt_done.response = response;
    finish(world, function, &event);
}

void world_return(struct world *world, const char *function, const char *output)
{
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.output = slice_text(output);
    world_reply(world, function, &response);
}

void world_fail(struct world *world, const char *function, dr_status status)
{
    struct wire_run_response response = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.has_error = true;
    response.result.error.type = slice_text("Oops");
    response.result.error.message = slice_text("it broke");
    world_reply(world, function, &response);
}

void world_lose(struct world *world, const char *function, dr_status status, int64_t retry_after_ns)
{
    struct engine_event event = {0};
    event.attempt_done.status = status;
    event.attempt_done.error_type = slice_text("TCPError");
    event.attempt_done.error_message = slice_text("connection refused");
    event.attempt_done.retry_after_ns = retry_after_ns;
    finish(world, function, &event);
}

void world_poll(struct world *world, const char *function, int32_t min_results, int32_t max_results,
                int64_t max_wait_ns, uint64_t first, size_t n, const char *const *functions)
{
    struct wire_call *calls = mem_must_zalloc((n + 1) * sizeof *calls);
    for (size_t i = 0; i < n; i++) {
        calls[i].function = slice_text(functions[i]);
        calls[i].correlation_id = first + i;
    }
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll.state_arm = WIRE_STATE_TYPED;
    response.poll.state = slice_text("S");
    response.poll.calls = calls;
    response.poll.n_calls = n;
    response.poll.min_results = min_results;
    response.poll.max_results = max_results;
    response.poll.has_max_wait = max_wait_ns >= 0;
    response.poll.max_wait_ns = max_wait_ns;
    world_reply(world, function, &response);
    mem_free(calls);
}

void world_tail_call(struct world *world, const char *function, dr_status status, const char *to)
{
    struct wire_run_response response = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_tail_call = true};
    response.tail_call.function = slice_text(to);
    response.tail_call.input = slice_text("in2");
    world_reply(world, function, &response);
}

void world_expect(struct world *world, const char *expected)
{
    const char *text = buf_text(&world->trace);
    assert_string_equal(text ? text : "", expected);
    buf_clear(&world->trace);
}

struct call_record world_stored(struct world *world, struct id id)
{
    struct call_record record = {0};
    assert_int_equal(store_read(world->store, id, &record, NULL), DR_OK);
    return record;
}
