/* The state of a suspended C function, handed back by a server that may have changed it: as it is, and again with the
 * fingerprint of the function, so that it gets as far as the function's own awaits. The answer must be a RunResponse. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "sdk/handler.h"
#include "sdk/journal.h"
#include "sdk/run.h"
#include "wire/wire.h"
#include <dispatchrun.h>

DR_FUNCTION(leaf)
{
    return dr_return(call, dr_format(call, "%s!", dr_text(dr_argument(call, 0))));
}

DR_FUNCTION(tree)
{
    dr_task *first = dr_begin(&leaf, "one");
    dr_task *second = dr_begin(&leaf, "two");
    dr_task *both[] = {first, second};
    (void)dr_race(both, 2);
    dr_try_all(both, 2);
    dr_sleep(INT64_C(1000000));
    for (int i = 0; i < 3; i++)
        (void)dr_try(&leaf, dr_now(call) + (int64_t)(dr_random(call) & 1));
    (void)dr_await(&leaf, dr_int(dr_input(call)));
    return dr_return(call, dr_format(call, "%s", dr_text(dr_task_value(first))));
}

static void check_response(const struct buf *buf)
{
    struct arena arena;
    struct wire_run_response response;
    arena_init(&arena, 0);
    CHECK(wire_run_response_decode(buf_slice(buf), &arena, &response, NULL) == DR_OK);
    CHECK(response.status != DR_STATUS_UNSPECIFIED);
    arena_deinit(&arena);
}

static void resume_with(struct handler *handler, struct slice state)
{
    struct wire_result results[] = {{.correlation_id = 2, .output = slice_text("")},
                                    {.correlation_id = 1, .has_error = true, .error.type = slice_text("ValueError")}};
    struct wire_run_request request = {.function = slice_text("tree"),
                                       .directive = WIRE_DIRECTIVE_POLL_RESULT,
                                       .dispatch_id = slice_text("00000000000000000000000000000012"),
                                       .root_dispatch_id = slice_text("00000000000000000000000000000012"),
                                       .creation_ns = 1000,
                                       .expiration_ns = INT64_C(1000000000000)};
    request.poll_result = (struct wire_poll_result){
        .state_arm = WIRE_STATE_TYPED, .state = state, .results = results, .n_results = 2};
    struct buf bytes, response;
    struct dr_error error = {0};
    buf_init(&bytes, WIRE_MESSAGE_BYTES_MAX + 1000);
    buf_init(&response, WIRE_MESSAGE_BYTES_MAX);
    CHECK(wire_run_request_encode(&request, &bytes, NULL) == DR_OK);
    CHECK(handler_run(handler, buf_slice(&bytes), &response, &error) == DR_OK);
    check_response(&response);
    buf_deinit(&bytes);
    buf_deinit(&response);
}

/* What could be read must be written again, and then be read as the same. */
static void resume_as_ours(struct handler *handler, struct slice state)
{
    struct arena arena;
    struct journal journal, again;
    struct buf bytes;
    struct dr_error error = {0};
    arena_init(&arena, 0);
    buf_init(&bytes, WIRE_MESSAGE_BYTES_MAX + 1000);
    dr_code code = journal_decode(state, &arena, &journal, &error);
    CHECK(code == error.code && (code == DR_OK || code == DR_FAILED_PRECONDITION));
    if (code == DR_OK) {
        journal.fingerprint = run_fingerprint(&tree);
        CHECK(journal_encode(&journal, &bytes, NULL) == DR_OK);
        CHECK(bytes.len <= journal_bytes_max(&journal));
        CHECK(journal_decode(buf_slice(&bytes), &arena, &again, NULL) == DR_OK);
        CHECK(again.n_resumes == journal.n_resumes && slice_equal(again.input, journal.input));
        resume_with(handler, buf_slice(&bytes));
    }
    buf_deinit(&bytes);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handler_config config = {.parked_max = 1};
    struct handler *handler = handler_create(&config);
    struct buf state;
    buf_init(&state, WIRE_MESSAGE_BYTES_MAX);
    CHECK(handler != NULL);
    CHECK(wire_any_encode(slice_text(JOURNAL_TYPE_URL), slice_of(data, size), &state) == DR_OK);
    resume_with(handler, buf_slice(&state));
    resume_as_ours(handler, buf_slice(&state));
    buf_deinit(&state);
    handler_destroy(handler);
    return 0;
}
