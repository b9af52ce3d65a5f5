/* A Run request of a stranger to the functions of a program: the first run of a coroutine, its resumption from a
 * journal that anybody may have written, a plain function, a primitive one. The answer must be a RunResponse, or there
 * is none and an error says why. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "sdk/handler.h"
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
    (void)dr_any(both, 2);
    dr_gather(both, 2);
    dr_sleep(INT64_C(1000000));
    const dr_result *third = dr_try(&leaf, dr_now(call) + (int64_t)(dr_random(call) & 1));
    return dr_return(call, dr_format(call, "%s %s", dr_text(dr_task_value(first)),
                                     dr_result_is_ok(third) ? "ok" : dr_result_error_message(third)));
}

static void primitive(const dr_request *request, dr_response *response, void *arg)
{
    (void)arg;
    char text[64];
    size_t n_results = dr_request_result_count(request);
    for (size_t i = 0; i < n_results; i++)
        (void)dr_result_status(dr_request_result(request, i));
    (void)dr_value_format(dr_request_is_resume(request) ? dr_request_state(request) : dr_request_input(request), text,
                          sizeof(text));
    (void)dr_response_return(response, DR_STATUS_OK, dr_request_input(request), NULL);
}

static dr_registry *registry;
static dr_client *client;

static void register_primitive(void)
{
    struct dr_client_options options = {.api_key = "key", .api_url = "http://127.0.0.1:1"};
    CHECK(dr_client_open(&options, &client, NULL) == DR_OK);
    struct dr_registry_options registry_options = {
        .name = "fuzz", .client = client, .endpoint = "http://127.0.0.1:1"};
    CHECK(dr_registry_open(&registry_options, &registry, NULL) == DR_OK);
    CHECK(dr_registry_primitive(registry, "primitive", primitive, NULL, NULL) == DR_OK);
}

__attribute__((destructor)) static void close_registry(void)
{
    dr_registry_close(registry);
    dr_client_close(client);
}

static void check_response(const struct buf *buf)
{
    struct arena arena;
    struct wire_run_response response;
    struct dr_error error = {0};
    arena_init(&arena, 0);
    CHECK(wire_run_response_decode(buf_slice(buf), &arena, &response, &error) == DR_OK);
    CHECK(response.status != DR_STATUS_UNSPECIFIED);
    CHECK(response.outcome != WIRE_OUTCOME_POLL || response.poll.state_arm == WIRE_STATE_TYPED);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!registry)
        register_primitive();
    struct handler_config config = {.parked_max = 4};
    struct handler *handler = handler_create(&config);
    /* Twice: the second one meets what the first one parked. */
    for (int i = 0; i < 2; i++) {
        struct buf response;
        struct dr_error error = {0};
        buf_init(&response, WIRE_MESSAGE_BYTES_MAX);
        dr_code code = handler_run(handler, slice_of(data, size), &response, &error);
        CHECK(code == DR_OK || error.message[0] != '\0');
        if (code == DR_OK)
            check_response(&response);
        buf_deinit(&response);
    }
    handler_destroy(handler);
    return 0;
}
