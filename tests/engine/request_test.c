/* What an attempt is sent: every field of a request, and how long it may take. The engine alone, with each batch
 * durable at once. */
#include "base/mem.h"
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SEEN_MAX 16

/* A copy of what one START said. */
struct seen {
    struct id id;
    uint32_t attempt;
    int64_t timeout_ns;
    enum wire_directive directive;
    char function[32], endpoint[32], input[32], own[ID_TEXT_SIZE], parent[ID_TEXT_SIZE], root[ID_TEXT_SIZE];
    int64_t creation_ns, expiration_ns;
    enum wire_state_arm state_arm;
    char state[32];
    size_t n_results;
    struct {
        uint64_t correlation_id;
        char dispatch_id[ID_TEXT_SIZE], output[32], type[32], message[32], value[32], traceback[32];
        bool has_output, has_error;
    } results[4];
};

struct bare {
    struct engine *engine;
    int64_t now_ns;
    struct seen seen[SEEN_MAX];
    size_t n_seen;
};

static void copy_text(char *text, size_t size, struct slice bytes)
{
    snprintf(text, size, "%.*s", (int)bytes.len, bytes.data ? (const char *)bytes.data : "");
}

#define COPY(target, bytes) copy_text(target, sizeof target, bytes)

static void see_results(struct seen *seen, const struct wire_poll_result *poll)
{
    seen->state_arm = poll->state_arm;
    COPY(seen->state, poll->state);
    seen->n_results = poll->n_results;
    for (size_t i = 0; i < poll->n_results && i < 4; i++) {
        const struct wire_result *result = &poll->results[i];
        seen->results[i].correlation_id = result->correlation_id;
        COPY(seen->results[i].dispatch_id, result->dispatch_id);
        COPY(seen->results[i].output, result->output);
        seen->results[i].has_output = result->output.data != NULL;
        seen->results[i].has_error = result->has_error;
        COPY(seen->results[i].type, result->error.type);
        COPY(seen->results[i].message, result->error.message);
        COPY(seen->results[i].value, result->error.value);
        COPY(seen->results[i].traceback, result->error.traceback);
    }
}

static void see(struct bare *bare, const struct engine_effect *effect)
{
    const struct wire_run_request *request = &effect->start.request;
    assert_in_range(bare->n_seen, 0, SEEN_MAX - 1);
    struct seen *seen = &bare->seen[bare->n_seen++];
    *seen = (struct seen){.id = effect->start.id, .attempt = effect->start.attempt,
                          .timeout_ns = effect->start.timeout_ns, .directive = request->directive,
                          .creation_ns = request->creation_ns, .expiration_ns = request->expiration_ns};
    COPY(seen->function, request->function);
    COPY(seen->endpoint, effect->start.endpoint);
    COPY(seen->input, request->input);
    COPY(seen->own, request->dispatch_id);
    COPY(seen->parent, request->parent_dispatch_id);
    COPY(seen->root, request->root_dispatch_id);
    if (request->directive == WIRE_DIRECTIVE_POLL_RESULT)
        see_results(seen, &request->poll_result);
}

static void step(struct bare *bare, const struct engine_event *event)
{
    struct engine_update update = {0};
    engine_step(bare->engine, event, bare->now_ns, &update);
    for (size_t i = 0; i < update.n_effects; i++)
        if (update.effects[i].kind == ENGINE_START)
            see(bare, &update.effects[i]);
    if (!update.batch)
        return;
    uint64_t sequence = update.batch->sequence;
    batch_destroy(update.batch);
    step(bare, &(struct engine_event){.kind = ENGINE_BATCH_DURABLE, .durable_sequence = sequence});
}

static void start(struct bare *bare, int64_t expiration_ns)
{
    *bare = (struct bare){.now_ns = 1000 * NS_PER_S};
    struct engine_config config = {.seed = {1}, .run_timeout_ns = 60 * NS_PER_S};
    bare->engine = engine_create(&config);
    struct wire_call call = {.endpoint = slice_text("http://a"), .function = slice_text("f"), .input = slice_text("in"),
                             .expiration_ns = expiration_ns};
    struct engine_event event = {.kind = ENGINE_SUBMIT};
    event.submit.project = 1;
    event.submit.calls = &call;
    event.submit.n_calls = 1;
    step(bare, &event);
    assert_int_equal(bare->n_seen, 1);
}

/* To the i-th attempt seen. */
static void reply(struct bare *bare, size_t i, const struct wire_run_response *response)
{
    struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE};
    event.attempt_done.id = bare->seen[i].id;
    event.attempt_done.attempt = bare->seen[i].attempt;
    event.attempt_done.response = response;
    step(bare, &event);
}

static void a_first_run_carries_the_call(void **state)
{
    (void)state;
    struct bare bare;
    start(&bare, 3600 * NS_PER_S);
    const struct seen *seen = &bare.seen[0];
    char text[ID_TEXT_SIZE];
    assert_int_equal(seen->directive, WIRE_DIRECTIVE_INPUT);
    assert_string_equal(seen->function, "f");
    assert_string_equal(seen->endpoint, "http://a");
    assert_string_equal(seen->input, "in");
    assert_string_equal(seen->own, id_format(seen->id, text));
    assert_string_equal(seen->root, seen->own);
    assert_string_equal(seen->parent, "");
    assert_int_equal(seen->creation_ns, bare.now_ns);
    assert_int_equal(seen->expiration_ns, bare.now_ns + 3600 * NS_PER_S);
    assert_int_equal(seen->timeout_ns, 60 * NS_PER_S);
    engine_destroy(bare.engine);
}

static void an_attempt_takes_no_longer_than_its_call_may_live(void **state)
{
    (void)state;
    struct bare bare;
    start(&bare, 5 * NS_PER_S);
    assert_int_equal(bare.seen[0].timeout_ns, 5 * NS_PER_S);
    engine_destroy(bare.engine);
}

static void poll_for_two(struct bare *bare, size_t i)
{
    struct wire_call calls[] = {{.function = slice_text("g"), .correlation_id = 7},
                                {.function = slice_text("h"), .correlation_id = 9, .version = slice_text("v")}};
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll.state_arm = WIRE_STATE_BYTES;
    response.poll.calls = calls;
    response.poll.n_calls = 2;
    response.poll.min_results = 2;
    reply(bare, i, &response);
}

static void a_child_knows_its_parent_and_its_root(void **state)
{
    (void)state;
    struct bare bare;
    start(&bare, 0);
    poll_for_two(&bare, 0);
    assert_int_equal(bare.n_seen, 3);
    poll_for_two(&bare, 1);
    assert_int_equal(bare.n_seen, 5);
    for (size_t i = 1; i < 5; i++) {
        assert_string_equal(bare.seen[i].root, bare.seen[0].own);
        assert_string_equal(bare.seen[i].parent, bare.seen[i < 3 ? 0 : 1].own);
        assert_string_not_equal(bare.seen[i].own, bare.seen[i].parent);
        assert_int_equal(bare.seen[i].directive, WIRE_DIRECTIVE_NONE); /* it has no input */
    }
    engine_destroy(bare.engine);
}

/* A coroutine may have no state at all: it is still resumed, not begun anew. */
static void a_resume_without_state_is_a_resume(void **state)
{
    (void)state;
    struct bare bare;
    start(&bare, 0);
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    response.poll.state_arm = WIRE_STATE_BYTES;
    response.poll.has_max_wait = true;
    reply(&bare, 0, &response);
    assert_int_equal(bare.n_seen, 2);
    assert_int_equal(bare.seen[1].directive, WIRE_DIRECTIVE_POLL_RESULT);
    assert_int_equal(bare.seen[1].state_arm, WIRE_STATE_BYTES);
    assert_string_equal(bare.seen[1].input, "");
    engine_destroy(bare.engine);
}

static void a_resume_carries_each_result_whole(void **state)
{
    (void)state;
    struct bare bare;
    start(&bare, 0);
    poll_for_two(&bare, 0);
    struct wire_run_response response = {.status = DR_STATUS_PERMANENT_ERROR, .outcome = WIRE_OUTCOME_EXIT,
                                         .has_result = true};
    response.result.has_error = true;
    response.result.error = (struct wire_error){slice_text("T"), slice_text("M"), slice_text("V"), slice_text("B")};
    reply(&bare, 1, &response); /* no output at all */
    response = (struct wire_run_response){.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.output = slice_text("");
    reply(&bare, 2, &response); /* an empty output, no error */
    assert_int_equal(bare.n_seen, 4);
    const struct seen *seen = &bare.seen[3];
    assert_int_equal(seen->n_results, 2);
    assert_int_equal(seen->results[0].correlation_id, 7);
    assert_string_equal(seen->results[0].dispatch_id, bare.seen[1].own);
    assert_false(seen->results[0].has_output);
    assert_true(seen->results[0].has_error);
    assert_string_equal(seen->results[0].type, "T");
    assert_string_equal(seen->results[0].message, "M");
    assert_string_equal(seen->results[0].value, "V");
    assert_string_equal(seen->results[0].traceback, "B");
    assert_int_equal(seen->results[1].correlation_id, 9);
    assert_string_equal(seen->results[1].dispatch_id, bare.seen[2].own);
    assert_true(seen->results[1].has_output);
    assert_false(seen->results[1].has_error);
    engine_destroy(bare.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_run_carries_the_call),
        cmocka_unit_test(an_attempt_takes_no_longer_than_its_call_may_live),
        cmocka_unit_test(a_child_knows_its_parent_and_its_root),
        cmocka_unit_test(a_resume_without_state_is_a_resume),
        cmocka_unit_test(a_resume_carries_each_result_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
