/* The handler, fed by hand: no server, every byte of a request under control. */
#include "base/testing.h"

#include "base/arena.h"
#include "sdk/handler.h"
#include "sdk/value_wire.h"
#include "wire/wire.h"

#include <stdio.h>

#define ID "0123456789abcdef0123456789abcdef"

/* ---- functions ---- */

static int n_starts;    /* of `sum` */
static int n_child_sum; /* what it got, to see that it is right */

DR_EXTERN_FUNCTION(child, "child", NULL);

static void add_up(void *arg)
{
    (*(int *)arg)++;
}

static int n_ends;

DR_FUNCTION(sum)
{
    n_starts++;
    (void)dr_defer(call, add_up, &n_ends);
    const char *what = dr_format(call, "%s of %d", dr_dispatch_id(call), (int)dr_int(dr_input(call)));
    int64_t first = dr_int(dr_await(&child, what));
    dr_task *two[2] = {dr_begin(&child, first), dr_begin(&child, what)};
    dr_gather(two, 2);
    n_child_sum = (int)(first + dr_int(dr_task_value(two[0])) + dr_int(dr_task_value(two[1])));
    return dr_return(call, n_child_sum + dr_int(dr_input(call)));
}

DR_FUNCTION(arguments)
{
    return dr_return(call, dr_format(call, "%zu %d %d %d", dr_value_len(dr_input(call)), (int)dr_int(dr_argument(call, 0)),
                                     (int)dr_int(dr_argument(call, 1)), (int)dr_int(dr_keyword(call, "k"))));
}

DR_FUNCTION(single)
{
    return dr_return(call, dr_int(dr_input(call)) + dr_int(dr_argument(call, 0)));
}

static void echo_primitive(const dr_request *request, dr_response *response, void *arg)
{
    (void)arg;
    (void)dr_response_return(response, DR_STATUS_OK, dr_request_input(request), NULL);
}

/* ---- requests and answers ---- */

struct answer {
    struct arena arena;
    struct buf bytes;
    dr_code code;
    struct dr_error error;
    struct wire_run_response wire;
};

static void answer_free(struct answer *answer)
{
    arena_deinit(&answer->arena);
    buf_deinit(&answer->bytes);
}

/* Faults that a sweep has set may hit here: no decoding. */
static void feed_raw(struct handler *handler, struct slice request, struct answer *answer)
{
    *answer = (struct answer){0};
    arena_init(&answer->arena, 0);
    buf_init(&answer->bytes, WIRE_MESSAGE_BYTES_MAX);
    answer->code = handler_run(handler, request, &answer->bytes, &answer->error);
}

static void read_answer(struct answer *answer)
{
    if (!answer->code)
        assert_int_equal(wire_run_response_decode(buf_slice(&answer->bytes), &answer->arena, &answer->wire, NULL), DR_OK);
}

static void feed(struct handler *handler, struct slice request, struct answer *answer)
{
    feed_raw(handler, request, answer);
    read_answer(answer);
}

/* Takes the value. The bytes live in the arena. */
static struct slice any_of(struct arena *arena, dr_value *value)
{
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(value_encode_any(value, &buf, NULL), DR_OK);
    dr_value_unref(value);
    struct slice any = slice_of(arena_copy(arena, buf_slice(&buf)), buf.len);
    buf_deinit(&buf);
    return any;
}

static struct slice encode(struct arena *arena, const struct wire_run_request *request)
{
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_run_request_encode(request, &buf, NULL), DR_OK);
    struct slice bytes = slice_of(arena_copy(arena, buf_slice(&buf)), buf.len);
    buf_deinit(&buf);
    return bytes;
}

static struct slice first_request(struct arena *arena, const char *function, const char *id, dr_value *input)
{
    struct wire_run_request request = {.function = slice_text(function),
                                       .directive = WIRE_DIRECTIVE_INPUT,
                                       .input = any_of(arena, input),
                                       .dispatch_id = slice_text(id),
                                       .root_dispatch_id = slice_text(id),
                                       .creation_ns = 1000,
                                       .expiration_ns = 2000};
    return encode(arena, &request);
}

/* The request that answers a poll of `function`: the results, numbered from `first` on, are first, first + 1, ... */
static struct slice resume_request(struct arena *arena, const char *function, const char *id,
                                   const struct answer *polled, uint64_t first, size_t n)
{
    struct wire_result results[4] = {0};
    for (size_t i = 0; i < n; i++) {
        results[i].correlation_id = first + i;
        results[i].output = any_of(arena, dr_value_int((int64_t)(first + i)));
    }
    struct wire_run_request request = {
        .function = slice_text(function), .directive = WIRE_DIRECTIVE_POLL_RESULT, .dispatch_id = slice_text(id)};
    request.poll_result = (struct wire_poll_result){.state_arm = polled->wire.poll.state_arm,
                                                    .state = polled->wire.poll.state,
                                                    .results = results,
                                                    .n_results = n};
    return encode(arena, &request);
}

static void assert_polls(const struct answer *answer, size_t n_calls)
{
    assert_int_equal(answer->code, DR_OK);
    assert_int_equal(answer->wire.outcome, WIRE_OUTCOME_POLL);
    assert_int_equal(answer->wire.poll.n_calls, n_calls);
    assert_int_equal(answer->wire.poll.min_results, n_calls);
}

static void assert_returns(const struct answer *answer, dr_value *wanted)
{
    dr_value *value = NULL;
    assert_int_equal(answer->code, DR_OK);
    assert_int_equal(answer->wire.status, DR_STATUS_OK);
    assert_int_equal(answer->wire.outcome, WIRE_OUTCOME_EXIT);
    assert_int_equal(value_decode_any(answer->wire.result.output, &value, NULL), DR_OK);
    assert_true(dr_value_equal(value, wanted));
    dr_value_unref(value);
    dr_value_unref(wanted);
}

static void assert_fails(const struct answer *answer, dr_status status)
{
    assert_int_equal(answer->code, DR_OK);
    assert_int_equal(answer->wire.outcome, WIRE_OUTCOME_EXIT);
    assert_int_equal(answer->wire.status, status);
    assert_true(answer->wire.result.has_error);
}

struct fixture {
    struct arena arena;
    struct handler *handler;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_must_zalloc(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    fixture->handler = handler_create(&(struct handler_config){.parked_max = 3});
    *state = fixture;
    n_starts = n_ends = 0;
    return fixture->handler ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    handler_destroy(fixture->handler);
    arena_deinit(&fixture->arena);
    mem_free(fixture);
    return 0;
}

/* ---- refusals ---- */

static void refuses(struct fixture *fixture, struct slice request, dr_code code, const char *message)
{
    struct answer answer;
    feed(fixture->handler, request, &answer);
    assert_int_equal(answer.code, code);
    assert_int_equal(answer.bytes.len, 0);
    if (!strstr(answer.error.message, message))
        fail_msg("'%s' does not hold '%s'", answer.error.message, message);
    answer_free(&answer);
}

static void requests_without_a_known_function_are_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, first_request(&fixture->arena, "unknown", ID, dr_value_int(1)), DR_NOT_FOUND,
            "function 'unknown' does not exist");
    refuses(fixture, first_request(&fixture->arena, "", ID, dr_value_int(1)), DR_INVALID_ARGUMENT,
            "function is required");
    refuses(fixture, slice_of("", 0), DR_INVALID_ARGUMENT, "function is required");
    refuses(fixture, slice_text("garbage"), DR_INVALID_ARGUMENT, "unmarshal message");
}

/* ---- going on ---- */

static void run_through(struct fixture *fixture, const char *id, bool is_forgetting)
{
    struct answer answers[3];
    feed(fixture->handler, first_request(&fixture->arena, "sum", id, dr_value_int(100)), &answers[0]);
    assert_polls(&answers[0], 1);
    if (is_forgetting)
        handler_forget(fixture->handler);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", id, &answers[0], 1, 1), &answers[1]);
    assert_polls(&answers[1], 2);
    if (is_forgetting)
        handler_forget(fixture->handler);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", id, &answers[1], 2, 2), &answers[2]);
    assert_returns(&answers[2], dr_value_int(106));
    for (int i = 0; i < 3; i++)
        answer_free(&answers[i]);
}

static void a_parked_stack_goes_on_where_it_was(void **state)
{
    run_through(*state, ID, false);
    assert_int_equal(n_starts, 1);
    assert_int_equal(n_ends, 1);
}

static void without_its_stack_a_run_goes_through_its_journal(void **state)
{
    run_through(*state, ID, true);
    assert_int_equal(n_starts, 3);
    assert_int_equal(n_ends, 3);
}

static void ids_are_opaque(void **state)
{
    run_through(*state, "any text at all", false);
    assert_int_equal(n_starts, 1);
}

static void a_resume_that_comes_again_is_answered_again(void **state)
{
    struct fixture *fixture = *state;
    struct answer first, second, again, last;
    feed(fixture->handler, first_request(&fixture->arena, "sum", ID, dr_value_int(100)), &first);
    struct slice resume = resume_request(&fixture->arena, "sum", ID, &first, 1, 1);
    feed(fixture->handler, resume, &second);
    feed(fixture->handler, resume, &again); /* its answer was lost: the stack went further than the server knows */
    assert_polls(&again, 2);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", ID, &second, 2, 2), &last);
    assert_returns(&last, dr_value_int(106));
    answer_free(&first);
    answer_free(&second);
    answer_free(&again);
    answer_free(&last);
}

static void parked_stacks_are_bounded_and_the_longest_unused_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct answer polls[10], answer;
    char ids[10][8];
    for (int i = 0; i < 10; i++) {
        snprintf(ids[i], sizeof ids[i], "run %d", i);
        feed(fixture->handler, first_request(&fixture->arena, "sum", ids[i], dr_value_int(i)), &polls[i]);
        assert_int_equal(n_ends, i < 3 ? 0 : i - 2);
    }
    for (int i = 9; i >= 0; i--) {
        n_starts = 0;
        feed(fixture->handler, resume_request(&fixture->arena, "sum", ids[i], &polls[i], 1, 1), &answer);
        assert_polls(&answer, 2);
        assert_int_equal(n_starts, i < 7 ? 1 : 0);
        answer_free(&answer);
        answer_free(&polls[i]);
    }
}

static void results_of_strangers_and_repeated_ones_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct answer first, second, third, last;
    feed(fixture->handler, first_request(&fixture->arena, "sum", ID, dr_value_int(100)), &first);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", ID, &first, 1, 1), &second);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", ID, &second, 1, 2), &third); /* 1 again, and 2 */
    assert_int_equal(third.wire.outcome, WIRE_OUTCOME_POLL);
    assert_int_equal(third.wire.poll.n_calls, 0);
    assert_int_equal(third.wire.poll.min_results, 1);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", ID, &third, 3, 3), &last); /* 3, and 4 and 5 */
    assert_returns(&last, dr_value_int(106));
    answer_free(&first);
    answer_free(&second);
    answer_free(&third);
    answer_free(&last);
}

static void a_poll_that_was_refused_fails_the_function(void **state)
{
    struct fixture *fixture = *state;
    struct answer first, second;
    feed(fixture->handler, first_request(&fixture->arena, "sum", ID, dr_value_int(100)), &first);
    struct wire_run_request request = {
        .function = slice_text("sum"), .directive = WIRE_DIRECTIVE_POLL_RESULT, .dispatch_id = slice_text(ID)};
    request.poll_result.state_arm = WIRE_STATE_TYPED;
    request.poll_result.state = first.wire.poll.state;
    request.poll_result.has_error = true;
    request.poll_result.error.message = slice_text("too many calls");
    feed(fixture->handler, encode(&fixture->arena, &request), &second);
    assert_fails(&second, DR_STATUS_INVALID_ARGUMENT);
    answer_free(&first);
    answer_free(&second);
}

/* ---- states that are not ours ---- */

static void states_of_another_kind_are_incompatible(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    struct wire_run_request request = {
        .function = slice_text("sum"), .directive = WIRE_DIRECTIVE_POLL_RESULT, .dispatch_id = slice_text(ID)};
    for (int arm = WIRE_STATE_NONE; arm <= WIRE_STATE_TYPED; arm++) {
        request.poll_result.state_arm = (enum wire_state_arm)arm;
        request.poll_result.state = any_of(&fixture->arena, dr_value_text("a pickle"));
        feed(fixture->handler, encode(&fixture->arena, &request), &answer);
        assert_fails(&answer, DR_STATUS_INCOMPATIBLE_STATE);
        answer_free(&answer);
    }
}

static void a_journal_of_another_function_is_incompatible(void **state)
{
    struct fixture *fixture = *state;
    struct answer first, second;
    feed(fixture->handler, first_request(&fixture->arena, "sum", ID, dr_value_int(100)), &first);
    feed(fixture->handler, resume_request(&fixture->arena, "single", ID, &first, 1, 1), &second);
    answer_free(&second);
    handler_forget(fixture->handler);
    feed(fixture->handler, resume_request(&fixture->arena, "single", ID, &first, 1, 1), &second);
    assert_fails(&second, DR_STATUS_INCOMPATIBLE_STATE);
    answer_free(&second);
    answer_free(&first);
}

static void damaged_requests_never_crash(void **state)
{
    struct fixture *fixture = *state;
    struct answer first, second, answer;
    feed(fixture->handler, first_request(&fixture->arena, "sum", ID, dr_value_int(100)), &first);
    feed(fixture->handler, resume_request(&fixture->arena, "sum", ID, &first, 1, 1), &second);
    struct slice resume = resume_request(&fixture->arena, "sum", ID, &second, 2, 2);
    for (size_t len = 0; len < resume.len; len++) {
        feed(fixture->handler, slice_of(resume.data, len), &answer);
        answer_free(&answer);
    }
    uint8_t *copy = mem_must_alloc(resume.len);
    for (size_t bit = 0; bit < resume.len * 8; bit++) {
        memcpy(copy, resume.data, resume.len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        handler_forget(fixture->handler);
        feed(fixture->handler, slice_of(copy, resume.len), &answer);
        answer_free(&answer);
    }
    mem_free(copy);
    answer_free(&first);
    answer_free(&second);
}

/* ---- inputs ---- */

static dr_value *python_arguments(int n, bool has_keyword)
{
    const char *key = "k";
    dr_value *items[3], *keyword = dr_value_int(7), *message = NULL;
    for (int i = 0; i < n; i++)
        items[i] = dr_value_int(i + 1);
    dr_value *args = dr_value_list(items, (size_t)n), *kwargs = dr_value_map(&key, &keyword, 1);
    assert_int_equal(dr_value_pickle_arguments(args, has_keyword ? kwargs : NULL, &message, NULL), DR_OK);
    dr_value_unref(args);
    dr_value_unref(kwargs);
    return message;
}

static void arguments_of_python_are_read(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    feed(fixture->handler, first_request(&fixture->arena, "arguments", ID, python_arguments(2, true)), &answer);
    assert_returns(&answer, dr_value_text("2 1 2 7"));
    answer_free(&answer);
    feed(fixture->handler, first_request(&fixture->arena, "single", ID, python_arguments(1, false)), &answer);
    assert_returns(&answer, dr_value_int(2)); /* alone, it is the input */
    answer_free(&answer);
    feed(fixture->handler, first_request(&fixture->arena, "single", ID, dr_value_int(21)), &answer);
    assert_returns(&answer, dr_value_int(42));
    answer_free(&answer);
}

static void an_input_that_cannot_be_read_is_an_invalid_argument(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    struct buf any;
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_any_encode(slice_text("type.googleapis.com/google.protobuf.Int64Value"),
                                     slice_text("\xff\xff\xff"), &any), DR_OK);
    struct wire_run_request request = {.function = slice_text("single"), .directive = WIRE_DIRECTIVE_INPUT,
                                       .input = buf_slice(&any), .dispatch_id = slice_text(ID)};
    feed(fixture->handler, encode(&fixture->arena, &request), &answer);
    assert_fails(&answer, DR_STATUS_INVALID_ARGUMENT);
    answer_free(&answer);
    buf_deinit(&any);
}

/* ---- lack of memory ---- */

enum { STEPS = 6 };

/* The requests of a run's life, in order; before the third the stacks are forgotten. */
static void feed_all(const struct slice requests[STEPS], struct answer answers[STEPS])
{
    struct handler *handler = handler_create(&(struct handler_config){.parked_max = 10});
    for (int i = 0; i < STEPS; i++) {
        if (i == 2 && handler)
            handler_forget(handler);
        if (handler)
            feed_raw(handler, requests[i], &answers[i]);
        else
            answers[i] = (struct answer){.code = DR_NO_MEMORY};
    }
    handler_destroy(handler);
}

static void verify(struct answer *answer, int step, bool may_lack)
{
    static const size_t n_calls[STEPS] = {1, 2, 2, 0, 0, 0};
    read_answer(answer);
    bool has_lacked = answer->code == DR_NO_MEMORY || (!answer->code && answer->wire.status == DR_STATUS_TEMPORARY_ERROR);
    if (has_lacked)
        assert_true(may_lack);
    else if (n_calls[step])
        assert_polls(answer, n_calls[step]);
    else if (step == 3)
        assert_returns(answer, dr_value_int(106));
    else if (step == 4)
        assert_returns(answer, dr_value_text("2 1 2 7"));
    else
        assert_returns(answer, dr_value_text("primitive"));
    answer_free(answer);
}

static void lack_of_memory_gives_a_clean_answer_wherever_it_strikes(void **state)
{
    struct fixture *fixture = *state;
    struct answer first, second, answers[STEPS];
    dr_registry *registry = NULL;
    struct dr_registry_options options = {.name = "faults", .endpoint = "http://127.0.0.1:1"};
    setenv("DISPATCH_API_KEY", "key", 1);
    assert_int_equal(dr_registry_open(&options, &registry, NULL), DR_OK);
    assert_int_equal(dr_registry_primitive(registry, "by hand", echo_primitive, NULL, NULL), DR_OK);
    struct slice requests[STEPS];
    requests[0] = first_request(&fixture->arena, "sum", ID, dr_value_int(100));
    feed(fixture->handler, requests[0], &first);
    requests[1] = requests[2] = resume_request(&fixture->arena, "sum", ID, &first, 1, 1);
    feed(fixture->handler, requests[1], &second);
    requests[3] = resume_request(&fixture->arena, "sum", ID, &second, 2, 2);
    requests[4] = first_request(&fixture->arena, "arguments", ID, python_arguments(2, true));
    requests[5] = first_request(&fixture->arena, "by hand", ID, dr_value_text("primitive"));
    bool is_hit = true;
    for (unsigned long nth = 1; is_hit && nth < 100000; nth++) {
        n_starts = n_ends = 0;
        mem_fault_set(nth);
        feed_all(requests, answers);
        is_hit = mem_fault_hit();
        mem_fault_set(0);
        for (int i = 0; i < STEPS; i++)
            verify(&answers[i], i, is_hit);
        assert_int_equal(n_starts, n_ends); /* what was deferred has always run */
    }
    assert_false(is_hit);
    answer_free(&first);
    answer_free(&second);
    dr_registry_close(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_without_a_known_function_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_parked_stack_goes_on_where_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_its_stack_a_run_goes_through_its_journal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_are_opaque, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_resume_that_comes_again_is_answered_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parked_stacks_are_bounded_and_the_longest_unused_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(results_of_strangers_and_repeated_ones_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_poll_that_was_refused_fails_the_function, set_up, tear_down),
        cmocka_unit_test_setup_teardown(states_of_another_kind_are_incompatible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_journal_of_another_function_is_incompatible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_requests_never_crash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arguments_of_python_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_input_that_cannot_be_read_is_an_invalid_argument, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lack_of_memory_gives_a_clean_answer_wherever_it_strikes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
