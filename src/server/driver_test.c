/* The driver with the memory store, runs in this process and the virtual clock: what test mode is made of. */
#include "base/testing.h"

#include "base/clock.h"
#include "server/driver.h"
#include "server/transport_local.h"
#include "wire/wire.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ENDPOINT "http://test:1"
#define START_NS (INT64_C(1700000000) * NS_PER_S)

struct fixture {
    struct driver *driver;
    struct transport *transport;
    atomic_uint n_runs;
    atomic_uint n_inside;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool is_open; /* the gate of function "gate" */
};

/* ---- the program: what functions do, by name --------------------------------------------------------------------- */

static void pass_gate(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    while (!fixture->is_open)
        pthread_cond_wait(&fixture->opened, &fixture->lock);
    pthread_mutex_unlock(&fixture->lock);
}

static void open_gate(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    fixture->is_open = true;
    pthread_cond_broadcast(&fixture->opened);
    pthread_mutex_unlock(&fixture->lock);
}

static void fan_out(struct wire_run_response *response, struct arena *arena)
{
    struct wire_call *calls = arena_zalloc(arena, 10 * sizeof *calls);
    for (size_t i = 0; i < 10; i++)
        calls[i] = (struct wire_call){.correlation_id = i + 1, .function = slice_text("echo")};
    response->outcome = WIRE_OUTCOME_POLL;
    response->poll = (struct wire_poll){.state_arm = WIRE_STATE_BYTES, .state = slice_text("fan"), .calls = calls,
                                        .n_calls = 10, .min_results = 10, .max_results = 10};
}

static void answer(struct fixture *fixture, const struct wire_run_request *request, struct wire_run_response *response,
                   struct arena *arena)
{
    bool is_first = request->directive != WIRE_DIRECTIVE_POLL_RESULT;
    unsigned n_runs = atomic_fetch_add(&fixture->n_runs, 1) + 1;
    response->status = DR_STATUS_OK;
    response->outcome = WIRE_OUTCOME_EXIT;
    response->has_result = true;
    response->result.output = request->input;
    if (slice_equal(request->function, slice_text("third_time")) && n_runs < 3)
        response->status = DR_STATUS_TEMPORARY_ERROR;
    if (slice_equal(request->function, slice_text("never")))
        response->status = DR_STATUS_TEMPORARY_ERROR;
    if (slice_equal(request->function, slice_text("gate")))
        pass_gate(fixture);
    if (slice_equal(request->function, slice_text("sleep")) && is_first) {
        response->outcome = WIRE_OUTCOME_POLL;
        response->poll = (struct wire_poll){.state_arm = WIRE_STATE_BYTES, .state = slice_text("s"),
                                            .has_max_wait = true, .max_wait_ns = 7 * 24 * 3600 * NS_PER_S};
    }
    if (slice_equal(request->function, slice_text("fan")) && is_first)
        fan_out(response, arena);
}

static void serve(void *arg, struct slice bytes, struct transport_local_reply *reply)
{
    struct fixture *fixture = arg;
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_run_request request;
    struct wire_run_response response = {0};
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    atomic_fetch_add(&fixture->n_inside, 1);
    assert_int_equal(wire_run_request_decode(bytes, &arena, &request, NULL), DR_OK);
    answer(fixture, &request, &response, &arena);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    reply->body = buf_steal(&buf, &reply->len);
    if (slice_equal(request.function, slice_text("garbage")) && reply->len > 2)
        memset(reply->body, 0xff, reply->len);
    atomic_fetch_sub(&fixture->n_inside, 1);
    arena_deinit(&arena);
}

/* ---- blocking requests ------------------------------------------------------------------------------------------- */

struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_done;
    dr_code code;
    char message[256];
    struct id ids[4];
    size_t n_ids;
    struct call_record record;
    size_t n_calls;
    char why[DRIVER_WHY_SIZE];
    struct driver_counts counts;
    atomic_int n_released;
};

static void outcome_init(struct outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    pthread_mutex_init(&outcome->lock, NULL);
    pthread_cond_init(&outcome->came, NULL);
}

static void outcome_set(struct outcome *outcome, dr_code code, const char *message)
{
    pthread_mutex_lock(&outcome->lock);
    assert_false(outcome->is_done);
    outcome->code = code;
    snprintf(outcome->message, sizeof outcome->message, "%s", message ? message : "");
    outcome->is_done = true;
    pthread_cond_signal(&outcome->came);
    pthread_mutex_unlock(&outcome->lock);
}

static dr_code outcome_get(struct outcome *outcome)
{
    pthread_mutex_lock(&outcome->lock);
    while (!outcome->is_done)
        pthread_cond_wait(&outcome->came, &outcome->lock);
    pthread_mutex_unlock(&outcome->lock);
    return outcome->code;
}

static void outcome_deinit(struct outcome *outcome)
{
    record_deinit(&outcome->record);
    pthread_mutex_destroy(&outcome->lock);
    pthread_cond_destroy(&outcome->came);
}

static void on_submitted(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    struct outcome *outcome = arg;
    assert_int_equal(outcome->n_released, 1);
    outcome->n_ids = n_ids;
    for (size_t i = 0; i < n_ids && i < 4; i++)
        outcome->ids[i] = ids[i];
    outcome_set(outcome, code, message);
}

static void on_waited(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    struct outcome *outcome = arg;
    if (record)
        record_copy(&outcome->record, record);
    outcome_set(outcome, code, message);
}

static void on_cancelled(void *arg, dr_code code, const char *message) { outcome_set(arg, code, message); }

static void on_calls(void *arg, dr_code code, const char *message, const struct driver_call *calls, size_t n_calls,
                     struct id next_before)
{
    (void)next_before;
    struct outcome *outcome = arg;
    outcome->n_calls = n_calls;
    if (n_calls > 0) {
        record_copy(&outcome->record, calls[0].record);
        snprintf(outcome->why, sizeof outcome->why, "%s", calls[0].why);
    }
    outcome_set(outcome, code, message);
}

static void on_counts(void *arg, dr_code code, const char *message, const struct driver_counts *counts)
{
    struct outcome *outcome = arg;
    outcome->counts = *counts;
    outcome_set(outcome, code, message);
}

static void released(void *owner) { atomic_fetch_add(&((struct outcome *)owner)->n_released, 1); }

static dr_code submit_n(struct fixture *fixture, const char *function, size_t n, struct outcome *outcome)
{
    struct wire_call *calls = mem_must_zalloc(n * sizeof *calls);
    for (size_t i = 0; i < n; i++)
        calls[i] = (struct wire_call){.endpoint = slice_text(ENDPOINT), .function = slice_text(function)};
    struct wire_dispatch_request request = {.calls = calls, .n_calls = n};
    outcome_init(outcome);
    struct driver_submit submit = {.project = 1, .request = &request, .n_bytes = n * 100, .release = released,
                                   .owner = outcome, .on_done = on_submitted, .arg = outcome};
    dr_code code = driver_submit(fixture->driver, &submit, NULL);
    if (code == DR_OK)
        code = outcome_get(outcome);
    mem_free(calls);
    return code;
}

static struct id submit_one(struct fixture *fixture, const char *function)
{
    struct outcome outcome;
    assert_int_equal(submit_n(fixture, function, 1, &outcome), DR_OK);
    struct id id = outcome.ids[0];
    outcome_deinit(&outcome);
    return id;
}

static dr_code wait_for(struct fixture *fixture, struct id id, int64_t timeout_ns, struct outcome *outcome)
{
    outcome_init(outcome);
    struct driver_wait wait = {.id = id, .timeout_ns = timeout_ns, .on_done = on_waited, .arg = outcome};
    assert_int_equal(driver_wait(fixture->driver, &wait, NULL, NULL), DR_OK);
    return outcome_get(outcome);
}

static dr_status run_to_end(struct fixture *fixture, const char *function)
{
    struct outcome outcome;
    assert_int_equal(wait_for(fixture, submit_one(fixture, function), TIME_NEVER, &outcome), DR_OK);
    dr_status status = outcome.record.status;
    outcome_deinit(&outcome);
    return status;
}

static void read_counts(struct fixture *fixture, struct driver_counts *counts)
{
    struct outcome outcome;
    outcome_init(&outcome);
    assert_int_equal(driver_counts(fixture->driver, on_counts, &outcome, NULL), DR_OK);
    assert_int_equal(outcome_get(&outcome), DR_OK);
    *counts = outcome.counts;
    outcome_deinit(&outcome);
}

static void read_one(struct fixture *fixture, struct id id, struct outcome *outcome)
{
    outcome_init(outcome);
    assert_int_equal(driver_get(fixture->driver, 0, id, on_calls, outcome, NULL), DR_OK);
    outcome_get(outcome);
}

static void wait_until_inside(struct fixture *fixture)
{
    while (atomic_load(&fixture->n_inside) == 0)
        sched_yield();
}

/* ---- set up ------------------------------------------------------------------------------------------------------ */

static void open_driver(struct fixture *fixture, struct driver_config config)
{
    memset(fixture, 0, sizeof *fixture);
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->opened, NULL);
    fixture->transport = transport_local_create(0);
    assert_int_equal(transport_local_add(fixture->transport, slice_text(ENDPOINT), serve, fixture, NULL), DR_OK);
    assert_int_equal(store_memory_open(&config.store, NULL), DR_OK);
    config.transport = fixture->transport;
    config.engine.seed[0] = 1;
    config.virtual_start_ns = START_NS;
    assert_int_equal(driver_create(&config, &fixture->driver, NULL), DR_OK);
    assert_int_equal(driver_start(fixture->driver, NULL), DR_OK);
}

static void open_virtual(struct fixture *fixture)
{
    open_driver(fixture, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL});
}

static void close_driver(struct fixture *fixture)
{
    driver_destroy(fixture->driver);
    transport_destroy(fixture->transport);
    pthread_cond_destroy(&fixture->opened);
    pthread_mutex_destroy(&fixture->lock);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void a_submitted_call_runs_and_its_result_reaches_the_waiter(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    assert_int_equal(run_to_end(&fixture, "echo"), DR_STATUS_OK);
    close_driver(&fixture);
}

static void a_real_clock_runs_a_call_too(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.engine.backoff_base_ns = NS_PER_MS});
    assert_int_equal(run_to_end(&fixture, "third_time"), DR_STATUS_OK);
    assert_int_equal(fixture.n_runs, 3);
    close_driver(&fixture);
}

static void backoff_takes_no_real_time(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL,
                                                 .engine.backoff_base_ns = 3600 * NS_PER_S,
                                                 .engine.backoff_max_ns = 3600 * NS_PER_S});
    int64_t before_ns = driver_now_ns(fixture.driver);
    assert_int_equal(run_to_end(&fixture, "third_time"), DR_STATUS_OK);
    assert_int_equal(fixture.n_runs, 3);
    assert_true(driver_now_ns(fixture.driver) > before_ns);
    close_driver(&fixture);
}

static void a_sleep_of_a_week_is_instant(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL,
                                                 .engine.default_expiration_ns = 30 * 24 * 3600 * NS_PER_S,
                                                 .engine.max_expiration_ns = 30 * 24 * 3600 * NS_PER_S});
    assert_int_equal(run_to_end(&fixture, "sleep"), DR_STATUS_OK);
    assert_int_equal(driver_now_ns(fixture.driver), START_NS + 7 * 24 * 3600 * NS_PER_S);
    close_driver(&fixture);
}

static void an_expiration_is_reached_at_its_moment(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    assert_int_equal(run_to_end(&fixture, "never"), DR_STATUS_TIMEOUT);
    assert_int_equal(driver_now_ns(fixture.driver), START_NS + 24 * 3600 * NS_PER_S);
    close_driver(&fixture);
}

static void a_fan_out_gets_all_results(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    assert_int_equal(run_to_end(&fixture, "fan"), DR_STATUS_OK);
    assert_int_equal(fixture.n_runs, 12);
    close_driver(&fixture);
}

static void the_clock_stands_while_a_run_executes(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "gate");
    struct outcome outcome;
    outcome_init(&outcome);
    struct driver_wait wait = {.id = id, .timeout_ns = NS_PER_S, .on_done = on_waited, .arg = &outcome};
    assert_int_equal(driver_wait(fixture.driver, &wait, NULL, NULL), DR_OK);
    wait_until_inside(&fixture);
    struct driver_counts counts;
    read_counts(&fixture, &counts);
    assert_int_equal(counts.now_ns, START_NS);
    assert_int_equal(counts.engine.in_flight, 1);
    open_gate(&fixture);
    assert_int_equal(outcome_get(&outcome), DR_OK);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void the_clock_stands_while_nobody_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "never");
    struct driver_counts counts;
    do
        read_counts(&fixture, &counts);
    while (counts.engine.retried == 0);
    read_counts(&fixture, &counts);
    assert_int_equal(counts.now_ns, START_NS);
    struct outcome shown;
    read_one(&fixture, id, &shown);
    assert_non_null(strstr(shown.why, "next attempt at 2023-11-14T"));
    outcome_deinit(&shown);
    close_driver(&fixture);
}

static void a_clock_moved_by_hand_passes_every_deadline(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "third_time");
    driver_advance(fixture.driver, 3600 * NS_PER_S, true);
    assert_int_equal(driver_now_ns(fixture.driver), START_NS + 3600 * NS_PER_S);
    assert_int_equal(fixture.n_runs, 3);
    struct outcome shown;
    read_one(&fixture, id, &shown);
    assert_int_equal(shown.record.state, CALL_DONE);
    assert_string_equal(shown.why, "done");
    outcome_deinit(&shown);
    close_driver(&fixture);
}

static void a_run_times_out_on_the_virtual_clock(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "gate");
    wait_until_inside(&fixture);
    driver_advance(fixture.driver, 600 * NS_PER_S, false);
    struct driver_counts counts;
    do
        read_counts(&fixture, &counts);
    while (counts.engine.retried == 0);
    struct outcome shown;
    read_one(&fixture, id, &shown);
    assert_int_equal(shown.record.last_status, DR_STATUS_TIMEOUT);
    assert_string_equal(blob_text(shown.record.last_error), ENDPOINT ": no answer within 600000 ms");
    outcome_deinit(&shown);
    open_gate(&fixture);
    close_driver(&fixture);
}

static void an_undecodable_reply_is_terminal(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct outcome outcome;
    assert_int_equal(wait_for(&fixture, submit_one(&fixture, "garbage"), TIME_NEVER, &outcome), DR_OK);
    assert_int_equal(outcome.record.status, DR_STATUS_INVALID_RESPONSE);
    assert_string_equal(blob_text(outcome.record.error.type), "InvalidResponseError");
    assert_non_null(strstr(blob_text(outcome.record.error.message), ENDPOINT ": unmarshal message"));
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void a_wait_ends_with_its_timeout(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct outcome outcome;
    struct id id = submit_one(&fixture, "never");
    assert_int_equal(wait_for(&fixture, id, 10 * NS_PER_S, &outcome), DR_DEADLINE_EXCEEDED);
    assert_int_equal(driver_now_ns(fixture.driver), START_NS + 10 * NS_PER_S);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void a_wait_for_nothing_is_not_found(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct outcome outcome;
    assert_int_equal(wait_for(&fixture, (struct id){{7}}, TIME_NEVER, &outcome), DR_NOT_FOUND);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void an_abandoned_wait_is_answered_once(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "gate");
    struct outcome outcome;
    outcome_init(&outcome);
    uint64_t token;
    struct driver_wait wait = {.id = id, .timeout_ns = TIME_NEVER, .on_done = on_waited, .arg = &outcome};
    assert_int_equal(driver_wait(fixture.driver, &wait, &token, NULL), DR_OK);
    driver_wait_abandon(fixture.driver, token);
    driver_wait_abandon(fixture.driver, token);
    assert_int_equal(outcome_get(&outcome), DR_CANCELED);
    open_gate(&fixture);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void a_cancelled_call_ends_at_once_while_its_run_goes_on(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "gate");
    wait_until_inside(&fixture);
    struct outcome cancelled, outcome;
    outcome_init(&cancelled);
    assert_int_equal(driver_cancel(fixture.driver, 1, id, on_cancelled, &cancelled, NULL), DR_OK);
    assert_int_equal(outcome_get(&cancelled), DR_OK);
    assert_int_equal(wait_for(&fixture, id, TIME_NEVER, &outcome), DR_OK);
    assert_string_equal(blob_text(outcome.record.error.type), "CanceledError");
    outcome_deinit(&outcome);
    outcome_deinit(&cancelled);
    open_gate(&fixture);
    close_driver(&fixture);
}

static void another_project_sees_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "echo");
    struct outcome shown, cancelled;
    outcome_init(&shown);
    assert_int_equal(driver_get(fixture.driver, 2, id, on_calls, &shown, NULL), DR_OK);
    assert_int_equal(outcome_get(&shown), DR_NOT_FOUND);
    outcome_deinit(&shown);
    outcome_init(&cancelled);
    assert_int_equal(driver_cancel(fixture.driver, 2, id, on_cancelled, &cancelled, NULL), DR_OK);
    assert_int_equal(outcome_get(&cancelled), DR_NOT_FOUND);
    outcome_deinit(&cancelled);
    close_driver(&fixture);
}

static void a_list_is_filtered_and_limited(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct outcome outcome;
    assert_int_equal(submit_n(&fixture, "echo", 4, &outcome), DR_OK);
    outcome_deinit(&outcome);
    (void)submit_one(&fixture, "never");
    struct store_filter filter = {.project = 1, .function = slice_text("echo"), .status = -1, .limit = 3};
    outcome_init(&outcome);
    assert_int_equal(driver_list(fixture.driver, &filter, on_calls, &outcome, NULL), DR_OK);
    assert_int_equal(outcome_get(&outcome), DR_OK);
    assert_int_equal(outcome.n_calls, 3);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void submits_over_the_limit_are_refused_and_take_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL, .submit_bytes_max = 1000});
    struct wire_call call = {.endpoint = slice_text(ENDPOINT), .function = slice_text("echo")};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    enum { N = 64 };
    static struct outcome outcomes[N];
    unsigned n_refused = 0;
    for (size_t i = 0; i < N; i++) {
        outcome_init(&outcomes[i]);
        struct driver_submit submit = {.project = 1, .request = &request, .n_bytes = 600, .release = released,
                                       .owner = &outcomes[i], .on_done = on_submitted, .arg = &outcomes[i]};
        dr_code code = driver_submit(fixture.driver, &submit, NULL);
        if (code == DR_OK)
            continue;
        assert_int_equal(code, DR_RESOURCE_EXHAUSTED);
        assert_int_equal(outcomes[i].n_released, 0);
        outcomes[i].is_done = true;
        n_refused++;
    }
    for (size_t i = 0; i < N; i++) {
        (void)outcome_get(&outcomes[i]);
        outcome_deinit(&outcomes[i]);
    }
    assert_true(n_refused < N);
    close_driver(&fixture);
}

static void a_refused_submit_is_released_before_its_answer(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct outcome outcome;
    assert_int_equal(submit_n(&fixture, "", 1, &outcome), DR_INVALID_ARGUMENT);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void thousands_of_calls_end(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct outcome outcome;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(submit_n(&fixture, "echo", 1000, &outcome), DR_OK);
        outcome_deinit(&outcome);
    }
    driver_advance(fixture.driver, NS_PER_S, true);
    struct driver_counts counts;
    read_counts(&fixture, &counts);
    assert_int_equal(counts.store.n_done, 5000);
    assert_int_equal(counts.store.n_live, 0);
    assert_int_equal(fixture.n_runs, 5000);
    close_driver(&fixture);
}

static void *submit_and_wait_often(void *arg)
{
    for (int i = 0; i < 50; i++)
        assert_int_equal(run_to_end(arg, i % 10 ? "echo" : "fan"), DR_STATUS_OK);
    return NULL;
}

static void many_threads_share_a_driver(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_and_wait_often, &fixture), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    close_driver(&fixture);
}

static void a_stop_lets_runs_end_and_refuses_afterwards(void **state)
{
    (void)state;
    struct fixture fixture;
    open_virtual(&fixture);
    struct id id = submit_one(&fixture, "gate");
    wait_until_inside(&fixture);
    struct outcome outcome;
    outcome_init(&outcome);
    struct driver_wait wait = {.id = id, .timeout_ns = TIME_NEVER, .on_done = on_waited, .arg = &outcome};
    assert_int_equal(driver_wait(fixture.driver, &wait, NULL, NULL), DR_OK);
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, (void *(*)(void *))(void (*)(void))open_gate, &fixture), 0);
    driver_stop(fixture.driver);
    pthread_join(opener, NULL);
    dr_code code = outcome_get(&outcome); /* whichever was quicker */
    assert_true(code == DR_OK || code == DR_UNAVAILABLE);
    outcome_deinit(&outcome);
    assert_int_equal(submit_n(&fixture, "echo", 1, &outcome), DR_UNAVAILABLE);
    outcome_deinit(&outcome);
    close_driver(&fixture);
}

static void *stop_driver(void *arg)
{
    const struct fixture *fixture = arg;
    driver_stop(fixture->driver);
    return NULL;
}

static void a_stop_from_a_second_thread_waits_for_the_end_too(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.drain_timeout_ns = 3600 * NS_PER_S});
    struct id id = submit_one(&fixture, "gate");
    wait_until_inside(&fixture);
    pthread_t first, opener;
    assert_int_equal(pthread_create(&first, NULL, stop_driver, &fixture), 0);
    struct outcome outcome;
    dr_code code = DR_OK; /* the stop has begun when waits are refused */
    while (code == DR_OK) {
        outcome_init(&outcome);
        struct driver_wait wait = {.id = id, .on_done = on_waited, .arg = &outcome};
        code = driver_wait(fixture.driver, &wait, NULL, NULL);
        if (code == DR_OK)
            (void)outcome_get(&outcome);
        outcome_deinit(&outcome);
    }
    assert_int_equal(code, DR_UNAVAILABLE);
    assert_int_equal(pthread_create(&opener, NULL, (void *(*)(void *))(void (*)(void))open_gate, &fixture), 0);
    driver_stop(fixture.driver);
    pthread_mutex_lock(&fixture.lock);
    bool is_open = fixture.is_open; /* the run in flight cannot end before */
    pthread_mutex_unlock(&fixture.lock);
    pthread_join(first, NULL);
    pthread_join(opener, NULL);
    assert_true(is_open);
    close_driver(&fixture);
}

static void a_stop_calls_off_what_does_not_end(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.clock = DRIVER_CLOCK_VIRTUAL, .drain_timeout_ns = -1});
    (void)submit_one(&fixture, "gate");
    wait_until_inside(&fixture);
    driver_stop(fixture.driver);
    open_gate(&fixture);
    close_driver(&fixture);
}

static void a_second_signal_ends_the_drain(void **state)
{
    (void)state;
    struct fixture fixture;
    open_driver(&fixture, (struct driver_config){.drain_timeout_ns = 3600 * NS_PER_S});
    (void)submit_one(&fixture, "gate");
    wait_until_inside(&fixture);
    driver_stop_hurry(fixture.driver);
    driver_stop(fixture.driver);
    open_gate(&fixture);
    close_driver(&fixture);
}

static void a_driver_that_never_started_answers_what_it_was_given(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    fixture.transport = transport_local_create(0);
    struct driver_config config = {.transport = fixture.transport, .clock = DRIVER_CLOCK_VIRTUAL};
    assert_int_equal(store_memory_open(&config.store, NULL), DR_OK);
    assert_int_equal(driver_create(&config, &fixture.driver, NULL), DR_OK);
    struct outcome outcome;
    outcome_init(&outcome);
    struct driver_wait wait = {.id = {{1}}, .timeout_ns = TIME_NEVER, .on_done = on_waited, .arg = &outcome};
    assert_int_equal(driver_wait(fixture.driver, &wait, NULL, NULL), DR_OK);
    driver_destroy(fixture.driver);
    assert_int_equal(outcome_get(&outcome), DR_UNAVAILABLE);
    outcome_deinit(&outcome);
    transport_destroy(fixture.transport);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submitted_call_runs_and_its_result_reaches_the_waiter),
        cmocka_unit_test(a_real_clock_runs_a_call_too),
        cmocka_unit_test(backoff_takes_no_real_time),
        cmocka_unit_test(a_sleep_of_a_week_is_instant),
        cmocka_unit_test(an_expiration_is_reached_at_its_moment),
        cmocka_unit_test(a_fan_out_gets_all_results),
        cmocka_unit_test(the_clock_stands_while_a_run_executes),
        cmocka_unit_test(the_clock_stands_while_nobody_waits),
        cmocka_unit_test(a_clock_moved_by_hand_passes_every_deadline),
        cmocka_unit_test(a_run_times_out_on_the_virtual_clock),
        cmocka_unit_test(an_undecodable_reply_is_terminal),
        cmocka_unit_test(a_wait_ends_with_its_timeout),
        cmocka_unit_test(a_wait_for_nothing_is_not_found),
        cmocka_unit_test(an_abandoned_wait_is_answered_once),
        cmocka_unit_test(a_cancelled_call_ends_at_once_while_its_run_goes_on),
        cmocka_unit_test(another_project_sees_nothing),
        cmocka_unit_test(a_list_is_filtered_and_limited),
        cmocka_unit_test(submits_over_the_limit_are_refused_and_take_nothing),
        cmocka_unit_test(a_refused_submit_is_released_before_its_answer),
        cmocka_unit_test(thousands_of_calls_end),
        cmocka_unit_test(many_threads_share_a_driver),
        cmocka_unit_test(a_stop_lets_runs_end_and_refuses_afterwards),
        cmocka_unit_test(a_stop_from_a_second_thread_waits_for_the_end_too),
        cmocka_unit_test(a_stop_calls_off_what_does_not_end),
        cmocka_unit_test(a_second_signal_ends_the_drain),
        cmocka_unit_test(a_driver_that_never_started_answers_what_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
