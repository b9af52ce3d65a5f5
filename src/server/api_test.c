/* The API over real HTTP on loopback, with the real driver. */
#include "server/api_testing.h"

#include <dispatch/v1/call.pb-c.h>
#include <jansson.h>

static int set_up(void **state)
{
    struct api_fixture *fixture = mem_must_alloc(sizeof(*fixture));
    api_fixture_start(fixture, NULL);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    api_fixture_stop(*state);
    mem_free(*state);
    return 0;
}

static json_t *load(struct api_answer answer)
{
    json_t *json = json_loadb((const char *)answer.body.data, answer.body.len, 0, NULL);
    if (!json)
        fail_msg("no JSON: %d %.*s", answer.status, (int)answer.body.len, answer.body.data);
    return json;
}

static const char *text_at(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text ? text : "";
}

/* Asks with {"dispatchId": id} and gives the JSON that was answered. */
static json_t *ask_about(struct api_fixture *fixture, const char *path, const char *id)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\"}", id);
    struct api_answer answer = api_ask(fixture, "POST", path, HEADERS_JSON, body);
    assert_int_equal(answer.status, 200);
    return load(answer);
}

/* ---- Dispatch ---- */

static void answers_binary_calls_with_ids_in_order(void **state)
{
    struct wire_call calls[3] = {{.endpoint = slice_text(TEST_ENDPOINT), .function = slice_text("echo")},
                                 {.endpoint = slice_text(TEST_ENDPOINT), .function = slice_text("echo")},
                                 {.endpoint = slice_text(TEST_ENDPOINT), .function = slice_text("echo")}};
    struct wire_dispatch_request request = {.calls = calls, .n_calls = 3};
    struct wire_dispatch_response response;
    struct arena arena;
    struct buf body;
    arena_init(&arena, 0);
    buf_init(&body, 1000);
    assert_int_equal(wire_dispatch_request_encode(&request, &body, NULL), DR_OK);
    struct api_answer answer = api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, buf_slice(&body));
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: application/proto"));
    assert_int_equal(wire_dispatch_response_decode(answer.body, &arena, &response, NULL), DR_OK);
    assert_int_equal(response.n_dispatch_ids, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(response.dispatch_ids[i].len, 32);
    assert_true(memcmp(response.dispatch_ids[0].data, response.dispatch_ids[1].data, 32) < 0);
    assert_true(memcmp(response.dispatch_ids[1].data, response.dispatch_ids[2].data, 32) < 0);
    buf_deinit(&body);
    arena_deinit(&arena);
}

static void answers_no_calls_with_no_ids(void **state)
{
    struct api_answer answer = api_ask(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, "");
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, 0);
    answer = api_ask(*state, "POST", PATH_DISPATCH, HEADERS_JSON, "{}");
    assert_int_equal(answer.status, 200);
    assert_true(slice_equal(answer.body, slice_text("{\"dispatchIds\":[]}")));
}

static void accepts_a_path_behind_two_slashes(void **state)
{
    assert_int_equal(api_ask(*state, "POST", "/" PATH_DISPATCH, HEADERS_JSON, ONE_CALL_JSON).status,
                     200); /* Q15 */
}

static void accepts_the_headers_of_the_original_clients(void **state)
{
    const char *python =
        AUTH "Content-Type: application/proto\r\nConnect-Protocol-Version: 1\r\nConnect-Timeout-Ms: 5000\r\n"
             "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: python\r\n";
    const char *go = "authorization: bearer " TEST_KEY "\r\ncontent-type: application/json; charset=utf-8\r\n"
                     "Accept-Encoding: gzip\r\nContent-Encoding: identity\r\n";
    assert_int_equal(api_ask(*state, "POST", PATH_DISPATCH, python, "").status, 200);
    assert_int_equal(api_ask(*state, "POST", PATH_DISPATCH, go, ONE_CALL_JSON).status, 200);
}

static void names_the_call_that_is_wrong(void **state)
{
    struct api_answer answer =
        api_ask(*state, "POST", PATH_DISPATCH, HEADERS_JSON,
                "{\"calls\":[{\"endpoint\":\"http://a\",\"function\":\"f\"},{\"function\":\"g\"}]}");
    assert_refusal(answer, 400, DR_INVALID_ARGUMENT);
    assert_string_equal(api_answer_error(answer).message, "calls[1]: Call endpoint cannot be empty");
    answer = api_ask(*state, "POST", PATH_DISPATCH, HEADERS_JSON, "{\"calls\":[{\"function\":\"g\"}]}");
    assert_string_equal(api_answer_error(answer).message, "Call endpoint cannot be empty");
}

/* Half of a submit would show up as a call in the list. */
static void records_nothing_of_a_submit_with_one_wrong_call(void **state)
{
    struct api_answer answer =
        api_ask(*state, "POST", PATH_DISPATCH, HEADERS_JSON,
                "{\"calls\":[{\"endpoint\":\"http://a\",\"function\":\"f\"},{\"endpoint\":\"http://a\"}]}");
    assert_refusal(answer, 400, DR_INVALID_ARGUMENT);
    json_t *json = load(api_ask(*state, "POST", PATH_LIST, HEADERS_JSON, "{}"));
    assert_int_equal(json_array_size(json_object_get(json, "calls")), 0);
    json_decref(json);
}

/* ---- Keys ---- */

static void asks_for_a_key_everywhere_but_at_healthz(void **state)
{
    const char *paths[] = {PATH_DISPATCH, PATH_WAIT, PATH_GET, PATH_LIST, PATH_CANCEL};
    const char *wrong[] = {"",
                           "Authorization: Bearer wrong\r\n",
                           "Authorization: Bearer\r\n",
                           "Authorization: Basic " TEST_KEY "\r\n",
                           "Authorization: " TEST_KEY "\r\n",
                           "Authorization: Bearer " TEST_KEY "x\r\n"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
            char headers[256];
            (void)snprintf(headers, sizeof(headers), "%sContent-Type: application/json\r\n", wrong[j]);
            assert_refusal(api_ask(*state, "POST", paths[i], headers, "{}"), 401, DR_UNAUTHENTICATED);
        }
    }
    struct api_answer answer = api_ask(*state, "GET", "/healthz", "", "");
    assert_int_equal(answer.status, 200);
    assert_true(slice_equal(answer.body, slice_text("ok\n")));
}

static void hides_the_calls_of_other_projects(void **state)
{
    const char *other = "Authorization: Bearer " OTHER_KEY "\r\nContent-Type: application/json\r\n";
    char id[ID_TEXT_SIZE], body[128];
    api_submit(*state, "sleep", id);
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\"}", id);
    assert_refusal(api_ask(*state, "POST", PATH_GET, other, body), 404, DR_NOT_FOUND);
    assert_refusal(api_ask(*state, "POST", PATH_WAIT, other, body), 404, DR_NOT_FOUND);
    assert_refusal(api_ask(*state, "POST", PATH_CANCEL, other, body), 404, DR_NOT_FOUND);
    json_t *json = load(api_ask(*state, "POST", PATH_LIST, other, "{}"));
    assert_int_equal(json_array_size(json_object_get(json, "calls")), 0);
    json_decref(json);
}

/* ---- Wait ---- */

static void waits_for_the_result_of_a_call(void **state)
{
    char id[ID_TEXT_SIZE];
    api_submit(*state, "echo", id);
    struct wire_result result;
    struct arena arena;
    arena_init(&arena, 0);
    struct api_answer answer = api_ask(*state, "POST", PATH_WAIT, HEADERS_PROTO, id);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: application/proto"));
    assert_int_equal(wire_result_decode(answer.body, &arena, &result, NULL), DR_OK);
    assert_true(slice_equal(result.dispatch_id, slice_text(id)));
    struct slice type_url, value;
    assert_int_equal(wire_any_split(result.output, &type_url, &value, NULL), DR_OK);
    assert_true(slice_equal(value, slice_text("\x0a\x02hi")));
    assert_false(result.has_error);
    arena_deinit(&arena);
}

static void takes_the_id_as_text_under_any_type_and_with_a_newline(void **state)
{
    char id[ID_TEXT_SIZE], line[ID_TEXT_SIZE + 2];
    api_submit(*state, "echo", id);
    (void)snprintf(line, sizeof(line), "%s\n", id);
    assert_int_equal(api_ask(*state, "POST", PATH_WAIT, AUTH, line).status, 200);
    assert_int_equal(api_ask(*state, "POST", PATH_WAIT, AUTH "Content-Type: text/plain\r\n", id).status, 200);
}

static void shows_an_error_result_in_json(void **state)
{
    char id[ID_TEXT_SIZE];
    api_submit(*state, "broken", id);
    json_t *json = ask_about(*state, PATH_WAIT, id);
    const json_t *error = json_object_get(json, "error");
    assert_string_equal(text_at(error, "type"), "ValueError");
    assert_string_equal(text_at(error, "message"), "no \"way\"");
    json_decref(json);
}

static void gives_up_waiting_when_the_time_is_over(void **state)
{
    char id[ID_TEXT_SIZE], body[128];
    api_submit(*state, "sleep", id);
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"timeout\":0.001}", id);
    assert_refusal(api_ask(*state, "POST", PATH_WAIT, HEADERS_JSON, body), 504, DR_DEADLINE_EXCEEDED);
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"timeout\":\"0.001s\"}", id);
    assert_refusal(api_ask(*state, "POST", PATH_WAIT, HEADERS_JSON, body), 504, DR_DEADLINE_EXCEEDED);
    assert_refusal(api_ask(*state, "POST", PATH_WAIT, HEADERS_PROTO "Connect-Timeout-Ms: 1\r\n", id), 504,
                   DR_DEADLINE_EXCEEDED);
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"timeout\":\"20s\"}", id);
    assert_refusal(api_ask(*state, "POST", PATH_WAIT, HEADERS_JSON "Connect-Timeout-Ms: 0\r\n", body), 504,
                   DR_DEADLINE_EXCEEDED);
}

static void wakes_a_waiter_that_came_before_the_result(void **state)
{
    struct api_fixture *fixture = *state;
    char id[ID_TEXT_SIZE];
    api_submit(fixture, "gate", id);
    int fd = api_connect(fixture);
    char request[512];
    (void)snprintf(request, sizeof(request),
                   "POST " PATH_WAIT " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" AUTH
                   "Content-Length: 32\r\n\r\n%s",
                   id);
    api_send(fd, slice_text(request));
    gate_open(fixture);
    assert_int_equal(api_read_answer(fd).status, 200);
    close(fd);
}

static void refuses_one_waiter_too_many_and_forgets_those_that_leave(void **state)
{
    (void)state;
    struct api_fixture fixture;
    api_fixture_start(&fixture, &(struct api_config){.waiters_max = 1});
    char id[ID_TEXT_SIZE], request[512], body[128];
    api_submit(&fixture, "sleep", id);
    (void)snprintf(request, sizeof(request),
                   "POST " PATH_WAIT " HTTP/1.1\r\nHost: h\r\n" AUTH "Content-Length: 32\r\n\r\n%s", id);
    int fd = api_connect(&fixture);
    api_send(fd, slice_text(request));
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"timeout\":0}", id);
    struct api_answer answer;
    do /* until the first one has arrived */
        answer = api_ask(&fixture, "POST", PATH_WAIT, HEADERS_JSON, body);
    while (answer.status == 504);
    assert_refusal(answer, 429, DR_RESOURCE_EXHAUSTED);
    close(fd);
    do /* until the server has noticed that it left */
        answer = api_ask(&fixture, "POST", PATH_WAIT, HEADERS_JSON, body);
    while (answer.status == 429);
    assert_refusal(answer, 504, DR_DEADLINE_EXCEEDED);
    api_fixture_stop(&fixture);
}

static void answers_waiters_when_the_server_stops(void **state)
{
    (void)state;
    struct api_fixture fixture;
    api_fixture_start(&fixture, &(struct api_config){.waiters_max = 1});
    char id[ID_TEXT_SIZE], request[512], body[128];
    api_submit(&fixture, "sleep", id);
    (void)snprintf(request, sizeof(request),
                   "POST " PATH_WAIT " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" AUTH
                   "Content-Length: 32\r\n\r\n%s",
                   id);
    int fd = api_connect(&fixture);
    api_send(fd, slice_text(request));
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"timeout\":0}", id);
    while (api_ask(&fixture, "POST", PATH_WAIT, HEADERS_JSON, body).status == 504)
        ; /* until the first one has arrived */
    driver_stop(fixture.driver);
    assert_refusal(api_read_answer(fd), 503, DR_UNAVAILABLE);
    close(fd);
    assert_refusal(api_ask(&fixture, "POST", PATH_DISPATCH, HEADERS_JSON, ONE_CALL_JSON), 503,
                   DR_UNAVAILABLE);
    api_fixture_stop(&fixture);
}

static void does_not_know_ids_that_were_never_given(void **state)
{
    const char *unknown[] = {"00000000000000000000000000000001", "xyz", "1"};
    const char *paths[] = {PATH_WAIT, PATH_GET, PATH_CANCEL};
    for (size_t i = 0; i < 3; i++) {
        assert_refusal(api_ask(*state, "POST", PATH_WAIT, HEADERS_PROTO, unknown[i]), 404, DR_NOT_FOUND);
        for (size_t j = 0; j < 3; j++) {
            char body[128];
            (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\"}", unknown[i]);
            assert_refusal(api_ask(*state, "POST", paths[j], HEADERS_JSON, body), 404, DR_NOT_FOUND);
        }
    }
}

/* ---- CallService ---- */

static void shows_a_done_call_with_input_and_output(void **state)
{
    char id[ID_TEXT_SIZE];
    api_submit(*state, "echo", id);
    json_decref(ask_about(*state, PATH_WAIT, id));
    json_t *json = ask_about(*state, PATH_GET, id);
    const json_t *call = json_object_get(json, "call");
    assert_string_equal(text_at(call, "dispatchId"), id);
    assert_string_equal(text_at(call, "rootDispatchId"), id);
    assert_string_equal(text_at(call, "parentDispatchId"), "");
    assert_string_equal(text_at(call, "endpoint"), TEST_ENDPOINT);
    assert_string_equal(text_at(call, "function"), "echo");
    assert_string_equal(text_at(call, "state"), "done");
    assert_string_equal(text_at(call, "status"), "STATUS_OK");
    assert_string_equal(text_at(json_object_get(call, "input"), "value"), "hi");
    assert_string_equal(text_at(json_object_get(call, "output"), "value"), "hi");
    assert_int_equal(json_integer_value(json_object_get(call, "attempts")), 1);
    assert_int_equal(strlen(text_at(call, "creationTime")) > 18, 1);
    assert_null(json_object_get(call, "why"));
    json_decref(json);
}

/* Asks until the call is in this state. */
static json_t *await_state(struct api_fixture *fixture, const char *id, const char *wanted)
{
    for (;;) {
        json_t *json = ask_about(fixture, PATH_GET, id);
        if (strcmp(text_at(json_object_get(json, "call"), "state"), wanted) == 0)
            return json;
        json_decref(json);
    }
}

static void says_why_a_call_is_not_running(void **state)
{
    char id[ID_TEXT_SIZE];
    api_submit(*state, "sleep", id);
    json_t *json = await_state(*state, id, "suspended");
    assert_int_equal(strlen(text_at(json_object_get(json, "call"), "why")) > 0, 1);
    json_decref(json);
    api_submit(*state, "gate", id);
    json = await_state(*state, id, "running");
    assert_null(json_object_get(json_object_get(json, "call"), "why"));
    json_decref(json);
}

static void cancels_a_call_for_good(void **state)
{
    char id[ID_TEXT_SIZE];
    api_submit(*state, "sleep", id);
    json_decref(ask_about(*state, PATH_CANCEL, id));
    json_t *json = ask_about(*state, PATH_WAIT, id);
    assert_non_null(json_object_get(json, "error"));
    json_decref(json);
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\"}", id);
    assert_refusal(api_ask(*state, "POST", PATH_CANCEL, HEADERS_JSON, body), 400, DR_FAILED_PRECONDITION);
}

/* The question in protobuf, the answer unpacked into the arena. */
static struct ProtobufCMessage *ask_proto(struct api_fixture *fixture, const char *path,
                                          const ProtobufCMessage *question,
                                          const ProtobufCMessageDescriptor *answer_type, struct arena *arena)
{
    struct buf body;
    struct ProtobufCMessage *message = NULL;
    buf_init(&body, 1000);
    assert_int_equal(wire_pack(question, &body, NULL), DR_OK);
    struct api_answer answer = api_ask_bytes(fixture, "POST", path, HEADERS_PROTO, buf_slice(&body));
    assert_int_equal(answer.status, 200);
    assert_int_equal(wire_unpack(answer_type, answer.body, arena, &message, NULL), DR_OK);
    buf_deinit(&body);
    return message;
}

static void assert_proto_text(ProtobufCBinaryData text, const char *expected)
{
    assert_true(slice_equal(slice_of(text.data, text.len), slice_text(expected)));
}

static void answers_the_same_in_protobuf(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    char id[ID_TEXT_SIZE], sleeping[ID_TEXT_SIZE];
    api_submit(*state, "broken", id);
    api_submit(*state, "sleep", sleeping);
    json_decref(ask_about(*state, PATH_WAIT, id));
    json_decref(await_state(*state, sleeping, "suspended"));

    Dispatch__V1__GetCallRequest get = DISPATCH__V1__GET_CALL_REQUEST__INIT;
    get.has_dispatch_id = 1;
    get.dispatch_id = (ProtobufCBinaryData){.data = (uint8_t *)id, .len = 32};
    const Dispatch__V1__Call *call =
        ((Dispatch__V1__GetCallResponse *)ask_proto(*state, PATH_GET, &get.base,
                                                    &dispatch__v1__get_call_response__descriptor, &arena))
            ->call;
    assert_proto_text(call->dispatch_id, id);
    assert_proto_text(call->function, "broken");
    assert_proto_text(call->state, "done");
    assert_int_equal(call->status, DR_STATUS_PERMANENT_ERROR);
    assert_int_equal(call->attempts, 1);
    assert_proto_text(call->error->message, "no \"way\"");
    assert_true(call->has_input && call->has_output && call->creation_time && call->done_time);
    assert_false(call->has_why || call->has_parent_dispatch_id);

    Dispatch__V1__ListCallsRequest list = DISPATCH__V1__LIST_CALLS_REQUEST__INIT;
    list.has_page_size = 1;
    list.page_size = 1;
    list.has_state = 1;
    list.state = (ProtobufCBinaryData){.data = (uint8_t *)"suspended", .len = 9};
    const Dispatch__V1__ListCallsResponse *page = (Dispatch__V1__ListCallsResponse *)ask_proto(
        *state, PATH_LIST, &list.base, &dispatch__v1__list_calls_response__descriptor, &arena);
    assert_int_equal(page->n_calls, 1);
    assert_proto_text(page->calls[0]->dispatch_id, sleeping);
    assert_true(page->calls[0]->has_why && !page->calls[0]->has_input);
    assert_proto_text(page->next_page_token, sleeping);

    get.dispatch_id.data = (uint8_t *)sleeping;
    (void)ask_proto(*state, PATH_CANCEL, &get.base, &dispatch__v1__cancel_call_response__descriptor, &arena);
    json_decref(await_state(*state, sleeping, "done"));
    arena_deinit(&arena);
}

static json_t *get_with_state(struct api_fixture *fixture, const char *id)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"withState\":true}", id);
    return load(api_ask(fixture, "POST", PATH_GET, HEADERS_JSON, body));
}

static void gives_the_state_of_a_suspended_call_when_asked_for_it(void **state)
{
    char sleeping[ID_TEXT_SIZE], napping[ID_TEXT_SIZE], done[ID_TEXT_SIZE], body[128];
    api_submit(*state, "sleep", sleeping);
    api_submit(*state, "nap", napping);
    api_submit(*state, "echo", done);
    json_t *json = await_state(*state, sleeping, "suspended");
    assert_null(json_object_get(json_object_get(json, "call"), "coroutineState"));
    json_decref(json);
    json = get_with_state(*state, sleeping);
    assert_string_equal(text_at(json_object_get(json, "call"), "coroutineState"), "cw=="); /* "s" */
    json_decref(json);
    json_decref(await_state(*state, napping, "scheduled"));
    for (bool is_there = false; !is_there;) { /* suspended for a moment, then it goes on and fails */
        json = get_with_state(*state, napping);
        const json_t *call = json_object_get(json, "call");
        is_there = strcmp(text_at(call, "lastStatus"), "STATUS_TEMPORARY_ERROR") == 0;
        if (is_there)
            assert_string_equal(text_at(json_object_get(call, "typedCoroutineState"), "value"), "hi");
        json_decref(json);
    }
    json_decref(ask_about(*state, PATH_WAIT, done));
    json = get_with_state(*state, done);
    assert_null(json_object_get(json_object_get(json, "call"), "coroutineState"));
    assert_null(json_object_get(json_object_get(json, "call"), "typedCoroutineState"));
    json_decref(json);
    (void)snprintf(body, sizeof(body), "{\"dispatchId\":\"%s\",\"withState\":1}", sleeping);
    assert_refusal(api_ask(*state, "POST", PATH_GET, HEADERS_JSON, body), 400, DR_INVALID_ARGUMENT);
    assert_refusal(api_ask(*state, "POST", PATH_GET, "Content-Type: application/json\r\n", body), 401,
                   DR_UNAUTHENTICATED);
}

static void gives_the_state_in_protobuf(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    char id[ID_TEXT_SIZE];
    api_submit(*state, "sleep", id);
    json_decref(await_state(*state, id, "suspended"));
    Dispatch__V1__GetCallRequest get = DISPATCH__V1__GET_CALL_REQUEST__INIT;
    get.has_dispatch_id = get.has_with_state = 1;
    get.dispatch_id = (ProtobufCBinaryData){.data = (uint8_t *)id, .len = 32};
    for (int with_state = 0; with_state < 2; with_state++) {
        get.with_state = with_state;
        const Dispatch__V1__Call *call =
            ((Dispatch__V1__GetCallResponse *)ask_proto(*state, PATH_GET, &get.base,
                                                        &dispatch__v1__get_call_response__descriptor, &arena))
                ->call;
        assert_int_equal(call->has_coroutine_state, with_state);
        assert_false(call->has_typed_coroutine_state);
        if (with_state)
            assert_proto_text(call->coroutine_state, "s");
    }
    arena_deinit(&arena);
}

static void lists_the_calls_that_have_a_state(void **state)
{
    char sleeping[ID_TEXT_SIZE], napping[ID_TEXT_SIZE], other[ID_TEXT_SIZE];
    api_submit(*state, "sleep", sleeping);
    api_submit(*state, "nap", napping);
    api_submit(*state, "echo", other);
    json_decref(ask_about(*state, PATH_WAIT, other));
    api_submit(*state, "again", other);
    json_decref(await_state(*state, sleeping, "suspended"));
    for (bool is_there = false; !is_there;) {
        json_t *json = ask_about(*state, PATH_GET, napping);
        is_there = *text_at(json_object_get(json, "call"), "lastStatus") != '\0';
        json_decref(json);
    }
    json_t *json = load(api_ask(*state, "POST", PATH_LIST, HEADERS_JSON, "{\"resumable\":true}"));
    const json_t *calls = json_object_get(json, "calls");
    assert_int_equal(json_array_size(calls), 2);
    assert_string_equal(text_at(json_array_get(calls, 0), "dispatchId"), napping);
    assert_string_equal(text_at(json_array_get(calls, 1), "dispatchId"), sleeping);
    assert_null(json_object_get(json_array_get(calls, 1), "coroutineState"));
    json_decref(json);
    assert_refusal(api_ask(*state, "POST", PATH_LIST, HEADERS_JSON, "{\"resumable\":\"yes\"}"), 400,
                   DR_INVALID_ARGUMENT);
}

static void lists_newest_first_page_by_page(void **state)
{
    char ids[5][ID_TEXT_SIZE], body[256] = "{\"pageSize\":2}", token[ID_TEXT_SIZE];
    for (int i = 0; i < 5; i++)
        api_submit(*state, "sleep", ids[i]);
    int next = 4;
    for (int page = 0; page < 3; page++) {
        json_t *json = load(api_ask(*state, "POST", PATH_LIST, HEADERS_JSON, body));
        const json_t *calls = json_object_get(json, "calls");
        assert_int_equal(json_array_size(calls), page < 2 ? 2 : 1);
        for (size_t i = 0; i < json_array_size(calls); i++) {
            assert_string_equal(text_at(json_array_get(calls, i), "dispatchId"), ids[next--]);
            assert_null(json_object_get(json_array_get(calls, i), "input"));
        }
        (void)snprintf(token, sizeof(token), "%s", text_at(json, "nextPageToken"));
        assert_int_equal(strlen(token), page < 2 ? 32 : 0);
        (void)snprintf(body, sizeof(body), "{\"pageSize\":2,\"page_token\":\"%s\"}", token);
        json_decref(json);
    }
    assert_int_equal(next, -1);
}

static size_t count_listed(struct api_fixture *fixture, const char *body)
{
    json_t *json = load(api_ask(fixture, "POST", PATH_LIST, HEADERS_JSON, body));
    size_t n = json_array_size(json_object_get(json, "calls"));
    json_decref(json);
    return n;
}

static void lists_what_is_asked_for(void **state)
{
    char sleeping[ID_TEXT_SIZE], done[ID_TEXT_SIZE], running[ID_TEXT_SIZE], body[256];
    api_submit(*state, "sleep", sleeping);
    api_submit(*state, "echo", done);
    api_submit(*state, "gate", running);
    json_decref(await_state(*state, sleeping, "suspended"));
    json_decref(await_state(*state, done, "done"));
    json_decref(await_state(*state, running, "running"));
    assert_int_equal(count_listed(*state, "{}"), 3);
    assert_int_equal(count_listed(*state, "{\"state\":\"done\"}"), 1);
    assert_int_equal(count_listed(*state, "{\"state\":\"running\"}"), 1);
    assert_int_equal(count_listed(*state, "{\"state\":\"suspended\"}"), 1);
    assert_int_equal(count_listed(*state, "{\"state\":\"scheduled\"}"), 0);
    assert_int_equal(count_listed(*state, "{\"status\":\"STATUS_OK\"}"), 1);
    assert_int_equal(count_listed(*state, "{\"function\":\"sleep\"}"), 1);
    assert_int_equal(count_listed(*state, "{\"function\":\"other\"}"), 0);
    assert_int_equal(count_listed(*state, "{\"endpoint\":\"" TEST_ENDPOINT "\"}"), 3);
    (void)snprintf(body, sizeof(body), "{\"rootDispatchId\":\"%s\"}", done);
    assert_int_equal(count_listed(*state, body), 1);
    (void)snprintf(body, sizeof(body), "{\"parentDispatchId\":\"%s\"}", done);
    assert_int_equal(count_listed(*state, body), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_binary_calls_with_ids_in_order),
        TEST(answers_no_calls_with_no_ids),
        TEST(accepts_a_path_behind_two_slashes),
        TEST(accepts_the_headers_of_the_original_clients),
        TEST(names_the_call_that_is_wrong),
        TEST(records_nothing_of_a_submit_with_one_wrong_call),
        TEST(asks_for_a_key_everywhere_but_at_healthz),
        TEST(hides_the_calls_of_other_projects),
        TEST(waits_for_the_result_of_a_call),
        TEST(takes_the_id_as_text_under_any_type_and_with_a_newline),
        TEST(shows_an_error_result_in_json),
        TEST(gives_up_waiting_when_the_time_is_over),
        TEST(wakes_a_waiter_that_came_before_the_result),
        cmocka_unit_test(refuses_one_waiter_too_many_and_forgets_those_that_leave),
        cmocka_unit_test(answers_waiters_when_the_server_stops),
        TEST(does_not_know_ids_that_were_never_given),
        TEST(shows_a_done_call_with_input_and_output),
        TEST(says_why_a_call_is_not_running),
        TEST(cancels_a_call_for_good),
        TEST(answers_the_same_in_protobuf),
        TEST(gives_the_state_of_a_suspended_call_when_asked_for_it),
        TEST(gives_the_state_in_protobuf),
        TEST(lists_the_calls_that_have_a_state),
        TEST(lists_newest_first_page_by_page),
        TEST(lists_what_is_asked_for),
    };
    return cmocka_run_group_tests_name("server api", tests, NULL, NULL);
}
