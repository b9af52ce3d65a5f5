/* Random histories against the engine and the memory store, with crashes, late commits and reads, and far too little
 * memory for the calls there are. Goal: I1 to I6 and liveness, for many seeds. Method: the saved state of a coroutine is
 * the list of results it has had and the number of calls it has made; so a result that comes twice, or never, shows.
 * Some seeds have calls that expire soon, or results that are purged soon, or a clock that is set back; then a call may
 * be lost in the ways these allow, and in no other.
 *
 *     engine_random_test [first seed] [number of seeds] [database file, made anew for each seed; default: memory] */
#include "engine/engine.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define CHILDREN_MAX 12
#define FLIGHTS_MAX 4096
#define QUEUE_MAX 65536
#define ROOTS_MAX 400
#define ASKS_MAX 4096
#define SEEN_MAX 64
#define ANSWERS_MAX 4096

/* What a coroutine saves. */
struct saved {
    uint32_t n_made;
    uint32_t n_got;
    bool has[CHILDREN_MAX + 1];
};

struct flight {
    struct id id;
    uint32_t attempt;
    uint32_t depth;
    bool is_resume;
    bool was_aborted;
    struct saved saved;
};

struct item { /* what the store has to do, in order */
    struct batch *batch;
    struct engine_effect read;
};

struct root {
    struct id id;
    uint64_t token;
    bool is_acknowledged;
    bool is_seen_done;
    bool is_waited;
    uint8_t status;
    uint64_t done_sequence;
};

struct ask {
    uint64_t token;
    bool is_wait;
    bool has_deadline;
    bool is_abandoned;   /* a wake may be on its way */
};

/* A read that the store has done and the engine has not been told. */
struct answer {
    struct engine_event event;
    uint64_t committed; /* the batches it saw: the engine learns first that they are durable */
    struct call_record record;
    struct store_records records;
    struct id ids[1024];
};

struct history {
    struct random random;
    struct engine *engine;
    struct engine_config config;
    struct store *store;
    int64_t now_ns;
    int64_t deadline_ns;
    struct flight flights[FLIGHTS_MAX];
    size_t n_flights;
    struct item *queue;
    size_t head, tail;
    struct root roots[ROOTS_MAX];
    size_t n_roots;
    uint64_t next_token;
    struct ask asks[ASKS_MAX];
    size_t n_asks;
    struct id seen[SEEN_MAX];     /* calls of all depths, from their attempts */
    uint64_t n_seen;
    struct answer *answers[ANSWERS_MAX];
    size_t answers_head, answers_tail;
    uint64_t committed, told;
    bool is_expiring, is_purging, is_clock_bad;
    bool is_calm;
    uint64_t n_crashes, n_replies, n_resumes;
};

static struct history h;
static const char *database_path; /* NULL = the memory store */

static void remove_database(void)
{
    char name[300];
    snprintf(name, sizeof name, "%s-wal", database_path);
    (void)unlink(database_path);
    (void)unlink(name);
}

static void open_store(void)
{
    if (!database_path) {
        assert_int_equal(store_memory_open(&h.store, NULL), DR_OK);
        return;
    }
    remove_database();
    struct dr_error error = {0};
    if (store_sqlite_open(&(struct store_sqlite_options){.path = database_path}, &h.store, &error) != DR_OK)
        fail_msg("%s", error.message);
}

static uint64_t below(uint64_t bound)
{
    return random_below(&h.random, bound);
}

static void step(const struct engine_event *event);

static uint32_t depth_of(const struct wire_run_request *request)
{
    return request->function.len > 1 ? (uint32_t)(request->function.data[1] - '0') : 0;
}

static void on_start(const struct engine_effect *effect)
{
    const struct wire_run_request *request = &effect->start.request;
    for (size_t i = 0; i < h.n_flights; i++)
        if (id_equal(h.flights[i].id, effect->start.id))
            fail_msg("I3: two attempts of a call in flight");
    assert_in_range(h.n_flights, 0, FLIGHTS_MAX - 1);
    assert_true(effect->start.timeout_ns > 0);
    h.seen[h.n_seen++ % SEEN_MAX] = effect->start.id;
    struct flight *flight = &h.flights[h.n_flights++];
    *flight = (struct flight){.id = effect->start.id, .attempt = effect->start.attempt, .depth = depth_of(request)};
    if (request->directive != WIRE_DIRECTIVE_POLL_RESULT)
        return;
    h.n_resumes++;
    flight->is_resume = true;
    assert_int_equal(request->poll_result.state.len, sizeof flight->saved);
    memcpy(&flight->saved, request->poll_result.state.data, sizeof flight->saved);
    for (size_t i = 0; i < request->poll_result.n_results; i++) {
        uint64_t which = request->poll_result.results[i].correlation_id;
        assert_in_range(which, 1, flight->saved.n_made);
        assert_false(flight->saved.has[which]); /* I2 */
        flight->saved.has[which] = true;
        flight->saved.n_got++;
    }
}

static void on_abort(const struct engine_effect *effect)
{
    for (size_t i = 0; i < h.n_flights; i++)
        if (id_equal(h.flights[i].id, effect->start.id))
            h.flights[i].was_aborted = true;
}

static void on_submitted(const struct engine_effect *effect)
{
    assert_int_equal(effect->answer.code, DR_OK);
    for (size_t i = 0; i < h.n_roots; i++) {
        if (h.roots[i].token == effect->answer.token) {
            h.roots[i].is_acknowledged = true;
            h.roots[i].id = effect->answer.ids[0];
        }
    }
}

static void ask_add(struct ask ask)
{
    assert_in_range(h.n_asks, 0, ASKS_MAX - 1);
    h.asks[h.n_asks++] = ask;
}

/* Every question is answered once. */
static struct ask ask_take(uint64_t token, bool is_wait)
{
    for (size_t i = 0; i < h.n_asks; i++) {
        struct ask ask = h.asks[i];
        if (ask.token != token)
            continue;
        assert_int_equal(ask.is_wait, is_wait);
        h.asks[i] = h.asks[--h.n_asks];
        return ask;
    }
    fail_msg("an answer that nobody waits for");
    return (struct ask){0};
}

static void on_cancelled(const struct engine_effect *effect)
{
    (void)ask_take(effect->answer.token, false);
    bool may_be_gone = h.is_purging || h.is_expiring;
    if (effect->answer.code == DR_NOT_FOUND && !may_be_gone)
        fail_msg("cancel: %s", effect->answer.message);
}

static void on_wake(const struct engine_effect *effect)
{
    struct ask ask = ask_take(effect->answer.token, true);
    if (ask.is_abandoned)
        return;
    if (effect->answer.code == DR_DEADLINE_EXCEEDED && ask.has_deadline)
        return;
    if (effect->answer.code == DR_NOT_FOUND && h.is_purging)
        return;
    if (effect->answer.code != DR_OK) /* I4: an acknowledged call is found */
        fail_msg("wake: %s at %lld s", effect->answer.message, (long long)(h.now_ns / NS_PER_S));
    const struct call_record *record = effect->answer.record;
    for (size_t i = 0; i < h.n_roots; i++) {
        struct root *root = &h.roots[i];
        if (!root->is_acknowledged || !id_equal(root->id, record->id))
            continue;
        root->is_waited = false;
        if (root->is_seen_done) { /* I1, I7 */
            assert_int_equal(root->status, record->status);
            assert_int_equal(root->done_sequence, record->done_sequence);
        }
        root->is_seen_done = true;
        root->status = record->status;
        root->done_sequence = record->done_sequence;
    }
}

static void queue_push(struct item item)
{
    assert_true(h.tail - h.head < QUEUE_MAX);
    h.queue[h.tail++ % QUEUE_MAX] = item;
}

static void perform(const struct engine_update *update)
{
    h.deadline_ns = update->next_deadline_ns;
    if (update->batch)
        queue_push((struct item){.batch = update->batch});
    for (size_t i = 0; i < update->n_effects; i++) {
        const struct engine_effect *effect = &update->effects[i];
        if (effect->kind == ENGINE_START)
            on_start(effect);
        else if (effect->kind == ENGINE_ABORT)
            on_abort(effect);
        else if (effect->kind == ENGINE_ANSWER_SUBMIT)
            on_submitted(effect);
        else if (effect->kind == ENGINE_WAKE)
            on_wake(effect);
        else if (effect->kind == ENGINE_ANSWER_CANCEL)
            on_cancelled(effect);
        else
            queue_push((struct item){.read = *effect});
    }
}

static void step(const struct engine_event *event)
{
    struct engine_update update = {0};
    int64_t now_ns = h.now_ns;
    if (h.is_clock_bad && below(8) == 0)
        now_ns -= (int64_t)below(20 * NS_PER_S); /* the engine clamps it */
    engine_step(h.engine, event, now_ns, &update);
    perform(&update);
}

static void do_load(const struct engine_effect *read, struct answer *answer)
{
    struct engine_event *event = &answer->event;
    struct call_record *record = &answer->record;
    event->kind = ENGINE_LOADED;
    event->loaded.id = read->read.id;
    event->loaded.is_found = store_read(h.store, read->read.id, record, NULL) == DR_OK;
    event->loaded.record = record;
    if (event->loaded.is_found && record->state != CALL_DONE && record->has_children)
        assert_int_equal(store_read_children(h.store, record->id, record->generation, &answer->records,
                                             &event->loaded.n_outstanding, NULL), DR_OK);
    event->loaded.children = answer->records.records;
    event->loaded.n_children = answer->records.n_records;
}

static void do_scan_due(const struct engine_effect *read, struct answer *answer)
{
    struct store_scan_result result = {0};
    struct engine_event *event = &answer->event;
    event->kind = ENGINE_DUE_SCANNED;
    assert_int_equal(store_scan_due(h.store, (struct store_cursor){read->read.after_wake_ns, read->read.id},
                                    read->read.until_ns, 1 + below(5), read->read.bytes_max, &result, NULL), DR_OK);
    answer->records = result.records;
    event->scanned.records = result.records.records;
    event->scanned.n_records = result.records.n_records;
    event->scanned.is_complete = result.is_complete;
    event->scanned.next_wake_ns = result.next_wake_ns;
}

static void do_scan_others(const struct engine_effect *read, struct answer *answer)
{
    struct engine_event *event = &answer->event;
    if (read->kind == ENGINE_SCAN_CHILDREN) {
        event->kind = ENGINE_CHILDREN_SCANNED;
        event->found.parent = read->read.id;
        event->found.below_generation = read->read.below_generation;
        assert_int_equal(store_scan_live_children(h.store, read->read.id, read->read.below_generation, 1 + below(3),
                                                  &answer->records, NULL), DR_OK);
        event->found.records = answer->records.records;
        event->found.n = answer->records.n_records;
    } else if (read->kind == ENGINE_PURGE) {
        event->kind = ENGINE_PURGED;
        assert_int_equal(store_purge(h.store, &read->purge, &event->purged, NULL), DR_OK);
    } else {
        bool is_mail = read->kind == ENGINE_SCAN_MAIL;
        event->kind = is_mail ? ENGINE_MAIL_SCANNED : ENGINE_SWEEPS_SCANNED;
        event->found.ids = answer->ids;
        assert_in_range(read->read.limit, 1, sizeof answer->ids / sizeof answer->ids[0]);
        assert_int_equal((is_mail ? store_scan_mail : store_scan_sweeps)(h.store, read->read.id, read->read.limit,
                                                                         answer->ids, &event->found.n, NULL), DR_OK);
    }
}

/* As the driver does: of several batches that became durable only the last is named. */
static void tell_durable(uint64_t sequence)
{
    if (sequence <= h.told)
        return;
    h.told = sequence;
    step(&(struct engine_event){.kind = ENGINE_BATCH_DURABLE, .durable_sequence = sequence});
}

static void commit_group(void)
{
    struct batch *group[8];
    size_t n = 0, most = 1 + below(8);
    while (n < most && h.head != h.tail && h.queue[h.head % QUEUE_MAX].batch)
        group[n++] = h.queue[h.head++ % QUEUE_MAX].batch;
    assert_int_equal(store_commit(h.store, group, n, NULL), DR_OK);
    h.committed = group[n - 1]->sequence;
    for (size_t i = 0; i < n; i++)
        batch_destroy(group[i]);
}

static void answer_free(struct answer *answer)
{
    store_records_deinit(&answer->records);
    record_deinit(&answer->record);
    mem_free(answer);
}

static void do_answer(void)
{
    if (h.answers_head == h.answers_tail) {
        tell_durable(h.committed);
        return;
    }
    struct answer *answer = h.answers[h.answers_head++ % ANSWERS_MAX];
    tell_durable(answer->committed > h.told && below(2) ? answer->committed : h.committed);
    step(&answer->event);
    answer_free(answer);
}

static void do_store(void)
{
    if (h.head == h.tail)
        return;
    if (h.queue[h.head % QUEUE_MAX].batch) {
        commit_group();
        return;
    }
    struct engine_effect read = h.queue[h.head++ % QUEUE_MAX].read;
    struct answer *answer = mem_must_zalloc(sizeof *answer);
    answer->committed = h.committed;
    assert_true(h.answers_tail - h.answers_head < ANSWERS_MAX);
    h.answers[h.answers_tail++ % ANSWERS_MAX] = answer;
    if (read.kind == ENGINE_LOAD)
        do_load(&read, answer);
    else if (read.kind == ENGINE_SCAN_DUE)
        do_scan_due(&read, answer);
    else
        do_scan_others(&read, answer);
}

static bool is_store_busy(void)
{
    return h.head != h.tail || h.answers_head != h.answers_tail || h.told < h.committed;
}

static void do_all_store(void)
{
    while (is_store_busy()) {
        do_store();
        do_answer();
    }
}

static int64_t some_expiration_ns(void)
{
    return h.is_expiring && below(3) ? 1 + (int64_t)below(20 * NS_PER_S) : 30 * 24 * 3600 * NS_PER_S;
}

static void do_submit(void)
{
    if (h.n_roots == ROOTS_MAX)
        return;
    struct root *root = &h.roots[h.n_roots++];
    *root = (struct root){.token = ++h.next_token};
    char endpoint[20];
    snprintf(endpoint, sizeof endpoint, "http://e%d", (int)below(3));
    struct wire_call call = {.endpoint = slice_text(endpoint), .function = slice_text("f0"),
                             .expiration_ns = some_expiration_ns()};
    struct engine_event event = {.kind = ENGINE_SUBMIT};
    event.submit.token = root->token;
    event.submit.project = 1;
    event.submit.calls = &call;
    event.submit.n_calls = 1;
    step(&event);
}

static void reply_poll(struct flight *flight, struct wire_run_response *response, struct wire_call *calls)
{
    static char function[CHILDREN_MAX + 1][3];
    static struct saved saved;
    saved = flight->saved;
    uint32_t room = flight->depth < 3 ? CHILDREN_MAX - saved.n_made : 0;
    uint32_t n = h.is_calm ? 0 : (uint32_t)below((room < 5 ? room : 5) + 1);
    for (uint32_t i = 0; i < n; i++) {
        char *name = function[i];
        name[0] = 'f';
        name[1] = (char)('0' + flight->depth + 1);
        calls[i] = (struct wire_call){.function = slice_of(name, 2), .correlation_id = ++saved.n_made,
                                      .expiration_ns = some_expiration_ns()};
    }
    response->outcome = WIRE_OUTCOME_POLL;
    response->poll.state_arm = WIRE_STATE_BYTES;
    response->poll.state = slice_of(&saved, sizeof saved);
    response->poll.calls = calls;
    response->poll.n_calls = n;
    response->poll.min_results = (int32_t)below(4);
    response->poll.max_results = (int32_t)below(4);
    bool is_waiting_for_something = saved.n_got < saved.n_made;
    response->poll.has_max_wait = !is_waiting_for_something || below(2);
    response->poll.max_wait_ns = (int64_t)below(3) * (int64_t)below(20) * NS_PER_S;
}

static void do_reply(void)
{
    if (h.n_flights == 0)
        return;
    size_t which = below(h.n_flights);
    struct flight flight = h.flights[which];
    h.flights[which] = h.flights[--h.n_flights];
    h.n_replies++;
    struct wire_call calls[CHILDREN_MAX];
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE};
    event.attempt_done.id = flight.id;
    event.attempt_done.attempt = flight.attempt;
    event.attempt_done.response = &response;
    uint64_t dice = h.is_calm ? 50 + below(50) : below(100);
    bool has_all = flight.saved.n_got == flight.saved.n_made;
    if (dice < 8)
        response.status = DR_STATUS_TEMPORARY_ERROR;
    else if (dice < 12) {
        event.attempt_done.response = NULL;
        event.attempt_done.status = DR_STATUS_TCP_ERROR;
        event.attempt_done.retry_after_ns = below(2) ? (int64_t)below(9 * NS_PER_S) : 0;
    } else if (dice < 15)
        response.status = DR_STATUS_INCOMPATIBLE_STATE;
    else if (dice < 18) {
        response.has_tail_call = true;
        response.status = dice == 15 ? DR_STATUS_TEMPORARY_ERROR : DR_STATUS_OK;
        static char name[3];
        snprintf(name, sizeof name, "f%u", flight.depth % 10);
        response.tail_call.function = slice_text(name);
    } else if (dice < 20)
        response.status = DR_STATUS_PERMANENT_ERROR;
    else if (!has_all || (!h.is_calm && dice < 60 && flight.depth < 3))
        reply_poll(&flight, &response, calls);
    else
        response.result.output = slice_text("done");
    step(&event);
}

static void do_tick(bool is_far)
{
    bool is_near = h.deadline_ns < h.now_ns + 3600 * NS_PER_S; /* not to expirations and purges */
    if (is_far && is_near && h.deadline_ns > h.now_ns)
        h.now_ns = h.deadline_ns;
    else
        h.now_ns += (int64_t)below(NS_PER_S / 10);
    step(&(struct engine_event){.kind = ENGINE_TICK});
}

/* Also a call that no root is may be asked for, and after a crash before its commit there may be none. */
static void do_ask(enum engine_event_kind kind)
{
    struct root *root = h.n_roots && below(3) ? &h.roots[below(h.n_roots)] : NULL;
    if (root ? !root->is_acknowledged : h.n_seen == 0)
        return;
    struct engine_event event = {.kind = kind};
    event.ask.token = ++h.next_token;
    event.ask.id = root ? root->id : h.seen[below(h.n_seen < SEEN_MAX ? h.n_seen : SEEN_MAX)];
    event.ask.deadline_ns = below(3) ? TIME_NEVER : h.now_ns + (int64_t)below(20 * NS_PER_S);
    ask_add((struct ask){.token = event.ask.token, .is_wait = kind == ENGINE_WAIT,
                         .has_deadline = event.ask.deadline_ns != TIME_NEVER});
    if (kind == ENGINE_WAIT && root)
        root->is_waited = true;
    step(&event);
}

static void do_abandon(void)
{
    struct ask *ask = h.n_asks ? &h.asks[below(h.n_asks)] : NULL;
    if (!ask || !ask->is_wait || ask->is_abandoned)
        return;
    struct engine_event event = {.kind = ENGINE_WAIT_ABANDONED};
    event.ask.token = ask->token;
    ask->is_abandoned = true;
    step(&event);
}

static void boot(void)
{
    h.config.seed[0] = random_next(&h.random) | 1;
    h.engine = engine_create(&h.config);
    step(&(struct engine_event){.kind = ENGINE_RECOVER});
}

static void drop_queue(void)
{
    while (h.head != h.tail)
        batch_destroy(h.queue[h.head++ % QUEUE_MAX].batch);
    while (h.answers_head != h.answers_tail)
        answer_free(h.answers[h.answers_head++ % ANSWERS_MAX]);
    h.committed = h.told = 0;
}

static void do_crash(void)
{
    h.n_crashes++;
    drop_queue();
    engine_destroy(h.engine);
    h.n_flights = 0;
    h.n_asks = 0;
    if (h.is_clock_bad && below(2))
        h.now_ns -= (int64_t)below(100 * NS_PER_S); /* set back while the server was down */
    for (size_t i = 0; i < h.n_roots; i++)
        h.roots[i].is_waited = false;
    boot();
}

static void one_operation(void)
{
    uint64_t dice = below(1000);
    if (dice < 60)
        do_submit();
    else if (dice < 270)
        do_store();
    else if (dice < 460)
        do_answer();
    else if (dice < 800)
        do_reply();
    else if (dice < 900)
        do_tick(false);
    else if (dice < 950)
        do_tick(true);
    else if (dice < 960)
        do_ask(ENGINE_CANCEL_CALL);
    else if (dice < 985)
        do_ask(ENGINE_WAIT);
    else if (dice < 990)
        do_abandon();
    else if (dice < 995)
        engine_set_paused(h.engine, below(2));
    else
        do_crash();
}

/* Faults stop: everything that can finish does, without anything expiring. */
static void calm_down(void)
{
    h.is_calm = true;
    engine_set_paused(h.engine, false);
    int64_t until_ns = h.now_ns + 12 * 3600 * NS_PER_S;
    struct store_counts counts = {.n_live = 1};
    for (uint64_t i = 0; counts.n_live > 0; i++) {
        if (i > 2000000)
            fail_msg("liveness: %llu calls live, %zu in flight", (unsigned long long)counts.n_live, h.n_flights);
        do_all_store();
        if (h.n_flights > 0) {
            do_reply();
        } else {
            if (h.deadline_ns == TIME_NEVER || h.now_ns > until_ns) {
                assert_int_equal(store_counts(h.store, &counts, NULL), DR_OK);
                if (counts.n_live > 0)
                    fail_msg("liveness: %llu calls wait for ever", (unsigned long long)counts.n_live);
            }
            do_tick(true);
        }
        if (i % 64 == 0 || h.n_flights == 0)
            assert_int_equal(store_counts(h.store, &counts, NULL), DR_OK);
    }
    do_all_store();
}

static void check_all_known(void)
{
    for (size_t i = 0; i < h.n_roots; i++) {
        struct root *root = &h.roots[i];
        if (!root->is_acknowledged)
            continue;
        struct engine_event event = {.kind = ENGINE_WAIT};
        event.ask.token = ++h.next_token;
        event.ask.id = root->id;
        event.ask.deadline_ns = TIME_NEVER;
        root->is_waited = true;
        ask_add((struct ask){.token = event.ask.token, .is_wait = true});
        step(&event);
        do_all_store();
        for (size_t k = 0; k < h.n_asks; k++)
            assert_true(h.asks[k].is_abandoned);
        if (h.is_purging)
            continue;
        assert_false(root->is_waited);
        assert_true(root->is_seen_done);
        if (!h.is_expiring)
            assert_int_not_equal(root->status, DR_STATUS_TIMEOUT);
    }
    assert_true(engine_is_idle(h.engine, 0));
}

static void run_history(uint64_t seed)
{
    struct item *queue = h.queue;
    h = (struct history){.queue = queue, .now_ns = 1000 * NS_PER_S};
    random_init(&h.random, seed);
    h.is_expiring = below(3) == 0;
    h.is_purging = below(4) == 0;
    h.is_clock_bad = below(3) == 0;
    h.config = (struct engine_config){.resident_max = 1 + (uint32_t)below(20),
                                      .tree_resident_max = 2 + (uint32_t)below(6),
                                      .in_flight_max = 1 + (uint32_t)below(40),
                                      .max_expiration_ns = 60 * 24 * 3600 * NS_PER_S,
                                      .retention_ns = h.is_purging ? 1 + (int64_t)below(10 * NS_PER_S)
                                                                   : 60 * 24 * 3600 * NS_PER_S};
    open_store();
    boot();
    for (int i = 0; i < 4000; i++)
        one_operation();
    calm_down();
    check_all_known();
    engine_destroy(h.engine);
    drop_queue();
    store_close(h.store);
}

static uint64_t first_seed = 1, n_seeds = 150;

static void random_histories_keep_the_invariants(void **state)
{
    (void)state;
    h.queue = mem_must_zalloc(QUEUE_MAX * sizeof *h.queue);
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        fprintf(stderr, "\rseed %llu ", (unsigned long long)seed); /* the last one shown is the one that fails */
        run_history(seed);
    }
    fprintf(stderr, "\n");
    mem_free(h.queue);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        n_seeds = strtoull(argv[2], NULL, 10);
    if (argc > 3)
        database_path = argv[3];
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories_keep_the_invariants)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (database_path && failures == 0)
        remove_database();
    return failures;
}
