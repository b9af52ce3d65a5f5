/* Answers that are too large to be made on the engine's thread (api_encode.h). */
#include "server/api_testing.h"

#define PAYLOAD_BYTES 1000000u
#define WAITERS 8

/* One call of `function` with a text of PAYLOAD_BYTES as input, which is its result. */
static void submit_large(const struct api_fixture *fixture, const char *function, char id[ID_TEXT_SIZE])
{
    static char body[PAYLOAD_BYTES + 1000];
    int len = snprintf(body, sizeof body,
                       "{\"calls\":[{\"endpoint\":\"%s\",\"function\":\"%s\",\"input\":{\"@type\":"
                       "\"type.googleapis.com/google.protobuf.StringValue\",\"value\":\"", TEST_ENDPOINT, function);
    memset(body + len, 'x', PAYLOAD_BYTES);
    memcpy(body + len + PAYLOAD_BYTES, "\"}}]}", sizeof "\"}}]}");
    struct api_answer answer = api_ask(fixture, "POST", PATH_DISPATCH, HEADERS_JSON, body);
    assert_int_equal(answer.status, 200);
    assert_int_equal(sscanf((const char *)answer.body.data, "{\"dispatchIds\":[\"%32[0-9a-f]\"]}", id), 1);
}

static size_t count_x(struct slice body)
{
    size_t n = 0;
    for (size_t i = 0; i < body.len; i++)
        n += body.data[i] == 'x';
    return n;
}

static void a_large_result_is_answered_whole_in_both_encodings(void **state)
{
    (void)state;
    struct api_fixture fixture;
    api_fixture_start(&fixture, NULL);
    char id[ID_TEXT_SIZE];
    char question[100];
    submit_large(&fixture, "echo", id);
    (void)snprintf(question, sizeof question, "{\"dispatchId\":\"%s\"}", id);
    struct api_answer answer = api_ask(&fixture, "POST", PATH_WAIT, HEADERS_JSON, question);
    assert_int_equal(answer.status, 200);
    assert_in_range(count_x(answer.body), PAYLOAD_BYTES, PAYLOAD_BYTES + 10);
    answer = api_ask(&fixture, "POST", PATH_WAIT, HEADERS_PROTO, id);
    assert_int_equal(answer.status, 200);
    assert_in_range(count_x(answer.body), PAYLOAD_BYTES, PAYLOAD_BYTES + 10);
    answer = api_ask(&fixture, "POST", PATH_GET, HEADERS_JSON, question);
    assert_int_equal(answer.status, 200);
    assert_in_range(count_x(answer.body), 2 * PAYLOAD_BYTES, 2 * PAYLOAD_BYTES + 10); /* input and output */
    api_fixture_stop(&fixture);
}

static void an_answer_for_which_there_is_no_room_is_refused(void **state)
{
    (void)state;
    struct api_fixture fixture;
    api_fixture_start_with(&fixture, NULL, &(struct http_server_config){.answer_bytes_max = PAYLOAD_BYTES / 2});
    char id[ID_TEXT_SIZE];
    submit_large(&fixture, "echo", id);
    struct api_answer answer = api_ask(&fixture, "POST", PATH_WAIT, HEADERS_PROTO, id);
    assert_refusal(answer, 429, DR_RESOURCE_EXHAUSTED);
    api_fixture_stop(&fixture);
}

/* Answers in the making when everything stops are made, and nobody reads them. */
static void a_stop_waits_for_answers_in_the_making(void **state)
{
    (void)state;
    struct api_fixture fixture;
    api_fixture_start(&fixture, NULL);
    char id[ID_TEXT_SIZE];
    int fds[WAITERS];
    submit_large(&fixture, "gate", id);
    for (int i = 0; i < WAITERS; i++) {
        char request[600];
        int len = snprintf(request, sizeof request, "POST " PATH_WAIT " HTTP/1.1\r\n" HEADERS_JSON
                           "Content-Length: 53\r\n\r\n{\"dispatchId\":\"%s\"}    ", id);
        fds[i] = api_connect(&fixture);
        api_send(fds[i], slice_of(request, (size_t)len));
    }
    gate_open(&fixture);
    struct api_answer answer = api_ask(&fixture, "POST", PATH_WAIT, HEADERS_PROTO, id);
    assert_int_equal(answer.status, 200);
    api_fixture_stop(&fixture);
    for (int i = 0; i < WAITERS; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_result_is_answered_whole_in_both_encodings),
        cmocka_unit_test(an_answer_for_which_there_is_no_room_is_refused),
        cmocka_unit_test(a_stop_waits_for_answers_in_the_making),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
