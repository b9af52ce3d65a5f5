/* The body of a simulated function: one attempt. */
#include "sim/program_private.h"

#include "base/check.h"
#include "base/clock.h"
#include <stdarg.h>
#include <stdio.h>

enum { STATE_MARK = 0x5057 };

/* What a coroutine saves: what it is, its place, what it has so far, and when it asked. No padding: it goes
 * out as it is. */
struct saved {
    uint32_t mark;
    uint32_t version;
    uint64_t seed;
    uint32_t depth;
    uint32_t n_tail_calls;
    uint32_t round;
    uint32_t n_polls;
    uint32_t n_made;
    uint32_t n_got;
    uint64_t got; /* bit per call made */
    uint64_t value;
    int64_t polled_ns;
    uint64_t is_tainted;
};

struct body {
    struct program_run *run;
    struct program_input input;
    enum program_kind kind;
    struct saved saved;
    struct wire_run_response *response;
};

static void violate(struct program_run *run, const char *format, ...) DR_PRINTF(2, 3);
static void violate(struct program_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!run->violation[0])
        vsnprintf(run->violation, sizeof run->violation, format, args);
    va_end(args);
}

/* ---- ends ---- */

static void end_with(struct body *body, const struct program_result *result)
{
    struct wire_run_response *response = body->response;
    response->outcome = WIRE_OUTCOME_EXIT;
    response->has_result = true;
    response->status = result->is_error ? DR_STATUS_PERMANENT_ERROR : DR_STATUS_OK;
    if (!result->is_error) {
        response->result.output = program_output(result, body->run->arena);
        return;
    }
    char *message = arena_printf(body->run->arena, "E %016llx %u", (unsigned long long)result->value,
                                 (unsigned)result->is_tainted);
    CHECK(message);
    response->result.has_error = true;
    response->result.error =
        (struct wire_error){.type = slice_text(PROGRAM_ERROR), .message = slice_text(message)};
}

static void end(struct body *body)
{
    struct program_result result = {.value = program_value(body->input),
                                    .is_error = body->kind == PROGRAM_RAISES};
    if (body->kind == PROGRAM_GATHERS) {
        result.value += body->saved.value;
        result.is_tainted = body->saved.is_tainted;
    }
    end_with(body, &result);
}

static void tail_call(struct body *body)
{
    struct wire_run_response *response = body->response;
    response->outcome = WIRE_OUTCOME_EXIT;
    response->status = DR_STATUS_OK;
    response->has_tail_call = true;
    program_call(program_tail(body->input), body->run->arena, &response->tail_call);
    response->tail_call.expiration_ns = 0;
}

/* ---- polls ---- */

static void poll(struct body *body, const struct program_terms *terms)
{
    struct wire_run_response *response = body->response;
    struct wire_poll *wire = &response->poll;
    response->outcome = WIRE_OUTCOME_POLL;
    response->status = DR_STATUS_OK;
    body->saved.n_polls++;
    body->saved.polled_ns = body->run->now_ns;
    wire->min_results = terms->min_results;
    wire->max_results = terms->max_results;
    wire->has_max_wait = terms->max_wait_ns > 0;
    wire->max_wait_ns = terms->max_wait_ns;
    wire->state_arm = terms->arm;
    wire->state = program_pad(slice_of(&body->saved, sizeof body->saved), body->saved.seed, body->run->arena);
    if (terms->arm == WIRE_STATE_TYPED)
        wire->state = program_any(wire->state, body->run->arena);
}

static void make_calls(struct body *body, unsigned n)
{
    struct wire_call *calls = arena_zalloc(body->run->arena, n * sizeof *calls);
    CHECK(calls && body->saved.n_made + n <= PROGRAM_CALLS_MAX);
    for (unsigned i = 0; i < n; i++) {
        unsigned number = ++body->saved.n_made;
        program_call(program_child(body->input, number), body->run->arena, &calls[i]);
        calls[i].correlation_id = number;
    }
    body->response->poll.calls = calls;
    body->response->poll.n_calls = n;
}

static void wait_for_more(struct body *body)
{
    struct program_terms terms = program_terms(body->input, body->saved.n_polls);
    if (body->kind == PROGRAM_RACES)
        terms.min_results = 1;
    poll(body, &terms);
}

static void begin_round(struct body *body)
{
    make_calls(body, program_calls(body->input, body->saved.round));
    body->saved.round++;
    wait_for_more(body);
}

static void sleep_once(struct body *body, int64_t duration_ns)
{
    struct program_terms terms = program_terms(body->input, 0);
    terms.max_wait_ns = duration_ns;
    poll(body, &terms);
}

static void make_refused_call(struct body *body)
{
    struct program_terms terms = program_terms(body->input, 0);
    struct wire_call *calls = arena_zalloc(body->run->arena, 2 * sizeof *calls);
    CHECK(calls);
    program_call(program_child(body->input, 1), body->run->arena, &calls[0]);
    calls[0].correlation_id = 1;
    calls[1] = (struct wire_call){.correlation_id = 2, .endpoint = slice_text("http://e0")}; /* no function */
    body->response->poll.calls = calls;
    body->response->poll.n_calls = 2;
    poll(body, &terms);
}

static void end_oddly(struct body *body)
{
    struct wire_run_response *response = body->response;
    response->status = DR_STATUS_OK;
    switch (program_oddity(body->input)) {
    case ODD_NO_ERROR:
        response->outcome = WIRE_OUTCOME_EXIT;
        response->status = DR_STATUS_NOT_FOUND;
        return;
    case ODD_POLL:
        sleep_once(body, NS_PER_S);
        response->status = DR_STATUS_PERMISSION_DENIED;
        return;
    case ODD_TAIL_CALL:
        tail_call(body);
        response->tail_call.endpoint = slice_text("ftp://nowhere");
        return;
    default:
        return;
    }
}

static void start(struct body *body)
{
    body->saved = (struct saved){.mark = STATE_MARK,
                                 .version = body->run->version,
                                 .seed = body->input.seed,
                                 .depth = body->input.depth,
                                 .n_tail_calls = body->input.n_tail_calls};
    switch (body->kind) {
    case PROGRAM_SLEEPS:
        sleep_once(body, program_sleep_ns(body->input));
        return;
    case PROGRAM_WAITS_FOR_NOTHING:
        sleep_once(body, 0);
        return;
    case PROGRAM_IS_REFUSED:
        make_refused_call(body);
        return;
    case PROGRAM_ENDS_ODDLY:
        end_oddly(body);
        return;
    case PROGRAM_RACES:
    case PROGRAM_GATHERS:
        begin_round(body);
        return;
    case PROGRAM_TAIL_CALLS:
        tail_call(body);
        return;
    default:
        end(body);
    }
}

/* ---- resumes ---- */

static bool read_state(struct body *body, const struct wire_poll_result *poll_result)
{
    struct slice state = poll_result->state;
    if (poll_result->state_arm == WIRE_STATE_TYPED && !program_any_value(state, &state))
        return false;
    if (state.len < sizeof body->saved)
        return false;
    memcpy(&body->saved, state.data, sizeof body->saved);
    return body->saved.mark == STATE_MARK &&
           program_unpad(state, sizeof body->saved, body->saved.seed, &state);
}

static void take_result(struct body *body, const struct wire_result *wire)
{
    struct saved *saved = &body->saved;
    uint64_t number = wire->correlation_id;
    struct program_result result;
    if (number < 1 || number > saved->n_made) {
        violate(body->run, "I2: a result with correlation id %llu, which no call had",
                (unsigned long long)number);
        return;
    }
    if (saved->got >> (number - 1) & 1)
        violate(body->run, "I2: the result of call %llu came a second time", (unsigned long long)number);
    saved->got |= UINT64_C(1) << (number - 1);
    saved->n_got++;
    struct program_input child = program_child(body->input, (unsigned)number);
    if (!program_read_result(wire->output, wire->error.type, wire->error.message, &result) ||
        !program_may_end(child, &result)) {
        violate(body->run, "I2: the result of call %llu is not its own", (unsigned long long)number);
        return;
    }
    saved->value += program_fold((unsigned)number, &result);
    if (result.is_tainted || (result.is_lost && !program_expected(child).is_lost))
        saved->is_tainted = 1;
}

/* What the last poll asked for. */
static struct program_terms last_terms(const struct body *body)
{
    unsigned number = body->saved.n_polls - 1;
    struct program_terms terms = program_terms(body->input, number);
    if (body->kind == PROGRAM_RACES)
        terms.min_results = 1;
    if (body->kind == PROGRAM_SLEEPS)
        terms.max_wait_ns = program_sleep_ns(body->input);
    if (body->kind == PROGRAM_WAITS_FOR_NOTHING)
        terms.max_wait_ns = 0;
    return terms;
}

static void check_terms(struct body *body, const struct wire_poll_result *poll_result)
{
    struct program_run *run = body->run;
    struct program_terms terms = last_terms(body);
    uint32_t n_open = body->saved.n_made - body->saved.n_got;
    uint32_t n_least = terms.min_results > 1 ? (uint32_t)terms.min_results : 1;
    uint32_t n_wanted = n_least < n_open ? n_least : n_open;
    bool is_refused = body->kind == PROGRAM_IS_REFUSED;
    if (poll_result->state_arm != terms.arm)
        violate(run, "Q7: the state came back in another arm");
    if (poll_result->has_error != is_refused)
        violate(run,
                is_refused ? "a poll with a call without function was accepted"
                           : "a good poll was refused: %.*s",
                (int)poll_result->error.message.len, (const char *)poll_result->error.message.data);
    if (poll_result->n_results > (size_t)terms.max_results)
        violate(run, "max_results is %d, and %zu came", terms.max_results, poll_result->n_results);
    bool is_short = poll_result->n_results < n_wanted || n_open == 0;
    if (is_short && terms.max_wait_ns == 0 && !is_refused)
        violate(run, "resumed with %zu results of %u wanted", poll_result->n_results, n_wanted);
    bool is_timed = run->now_ns > 0 && body->saved.polled_ns > 0;
    if (is_short && !is_refused && is_timed &&
        run->now_ns < time_add(body->saved.polled_ns, terms.max_wait_ns))
        violate(run, "resumed before max_wait was over");
}

static void go_on(struct body *body)
{
    const struct saved *saved = &body->saved;
    bool is_enough = body->kind == PROGRAM_RACES ? saved->n_got > 0 : saved->n_got == saved->n_made;
    if (body->kind == PROGRAM_WAITS_FOR_NOTHING)
        violate(body->run, "Q10: a call that waits for nothing was resumed");
    if (!is_enough)
        wait_for_more(body);
    else if (body->kind == PROGRAM_GATHERS && saved->round < program_rounds(body->input))
        begin_round(body);
    else
        end(body);
}

static void resume(struct body *body)
{
    const struct wire_poll_result *poll_result = &body->run->request->poll_result;
    if (!read_state(body, poll_result)) {
        violate(body->run, "the state is not what was saved");
        return;
    }
    const struct saved *saved = &body->saved;
    body->input = (struct program_input){saved->seed, (uint8_t)saved->depth, (uint8_t)saved->n_tail_calls};
    body->kind = program_kind_of(body->input);
    if (saved->version != body->run->version) {
        body->response->status = DR_STATUS_INCOMPATIBLE_STATE;
        return;
    }
    check_terms(body, poll_result);
    for (size_t i = 0; i < poll_result->n_results; i++)
        take_result(body, &poll_result->results[i]);
    go_on(body);
}

static void begin(struct body *body)
{
    if (!program_read_input(body->run->request->input, &body->input)) {
        violate(body->run, "the input is not what was submitted");
        return;
    }
    body->kind = program_kind_of(body->input);
    start(body);
}

void program_run(struct program_run *run, struct wire_run_response *ret_response)
{
    struct body body = {.run = run, .response = ret_response};
    *ret_response = (struct wire_run_response){0};
    run->violation[0] = '\0';
    if (run->request->directive == WIRE_DIRECTIVE_POLL_RESULT)
        resume(&body);
    else
        begin(&body);
    if (!run->violation[0] && !slice_equal(run->request->function, slice_text(program_name(body.kind))))
        violate(run, "T5: function %.*s was called with the input of %s", (int)run->request->function.len,
                (const char *)run->request->function.data, program_name(body.kind));
}
