/* A whole API to test against: memory store, driver on the real clock, HTTP on a free port of loopback, and a
 * program in this process whose functions are listed at `program_answer`. Tests only.
 *
 *     struct api_fixture fixture;
 *     api_fixture_start(&fixture, NULL);
 *     struct api_answer answer = api_ask(&fixture, "POST", PATH_DISPATCH, HEADERS_JSON, body);
 *     api_fixture_stop(&fixture);
 */
#ifndef SERVER_API_TESTING_H
#define SERVER_API_TESTING_H

#include "base/testing.h"

#include "base/buf.h"
#include "base/clock.h"
#include "server/api.h"
#include "server/transport_local.h"
#include "wire/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TEST_ENDPOINT "http://test:1"
#define TEST_KEY "1234567890abcdefABCDEF1234567890"
#define OTHER_KEY "another-key"
#define PATIENCE_S 30

#define PATH_DISPATCH "/dispatch.sdk.v1.DispatchService/Dispatch"
#define PATH_WAIT "/dispatch.sdk.v1.DispatchService/Wait"
#define PATH_GET "/dispatch.v1.CallService/GetCall"
#define PATH_LIST "/dispatch.v1.CallService/ListCalls"
#define PATH_CANCEL "/dispatch.v1.CallService/CancelCall"

#define AUTH "Authorization: Bearer " TEST_KEY "\r\n"
#define HEADERS_PROTO AUTH "Content-Type: application/proto\r\nConnect-Protocol-Version: 1\r\n"
#define HEADERS_JSON AUTH "Content-Type: application/json\r\nConnect-Protocol-Version: 1\r\n"
#define ONE_CALL_JSON "{\"calls\":[{\"endpoint\":\"" TEST_ENDPOINT "\",\"function\":\"echo\"}]}"

struct api_fixture {
    struct driver *driver;
    struct transport *transport;
    struct api *api;
    struct http_server *server;
    uint16_t port;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool is_open; /* the gate of function "gate" */
};

/* ---- The program ---- */

static inline void gate_open(struct api_fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    fixture->is_open = true;
    pthread_cond_broadcast(&fixture->opened);
    pthread_mutex_unlock(&fixture->lock);
}

static inline void gate_pass(struct api_fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    while (!fixture->is_open)
        pthread_cond_wait(&fixture->opened, &fixture->lock);
    pthread_mutex_unlock(&fixture->lock);
}

/* echo: gives its input back. gate: the same once the gate is open. broken: a permanent error. sleep:
 * suspended for a week; nap: with a typed state, until it fails temporarily for ever. again: a temporary error,
 * for ever. */
static inline void program_answer(struct api_fixture *fixture, const struct wire_run_request *request,
                                  struct wire_run_response *response)
{
    *response =
        (struct wire_run_response){.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response->result.output = request->input;
    if (slice_equal(request->function, slice_text("gate")))
        gate_pass(fixture);
    if (slice_equal(request->function, slice_text("again")))
        response->status = DR_STATUS_TEMPORARY_ERROR;
    if (slice_equal(request->function, slice_text("broken"))) {
        response->status = DR_STATUS_PERMANENT_ERROR;
        response->result.has_error = true;
        response->result.error =
            (struct wire_error){.type = slice_text("ValueError"), .message = slice_text("no \"way\"")};
    }
    if (slice_equal(request->function, slice_text("sleep"))) {
        response->outcome = WIRE_OUTCOME_POLL;
        response->poll = (struct wire_poll){.state_arm = WIRE_STATE_BYTES,
                                            .state = slice_text("s"),
                                            .has_max_wait = true,
                                            .max_wait_ns = 7 * 24 * 3600 * NS_PER_S};
    }
    if (slice_equal(request->function, slice_text("nap"))) {
        if (request->directive == WIRE_DIRECTIVE_POLL_RESULT) {
            response->status = DR_STATUS_TEMPORARY_ERROR;
            return;
        }
        response->outcome = WIRE_OUTCOME_POLL;
        response->poll = (struct wire_poll){
            .state_arm = WIRE_STATE_TYPED, .state = request->input, .has_max_wait = true, .max_wait_ns = 1};
    }
}

static inline void program_run(void *arg, struct slice bytes, struct transport_local_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_run_request request;
    struct wire_run_response response;
    struct buf buf;
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX + 1000);
    assert_int_equal(wire_run_request_decode(bytes, &arena, &request, NULL), DR_OK);
    program_answer(arg, &request, &response);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    reply->body = buf_steal(&buf, &reply->len);
    arena_deinit(&arena);
}

/* ---- Start and stop ---- */

/* `config` may set limits of the API, `http` those of the front (NULL = none); the rest is filled in. */
static inline void api_fixture_start_with(struct api_fixture *fixture, const struct api_config *config,
                                          const struct http_server_config *http)
{
    *fixture = (struct api_fixture){0};
    struct dr_error error = {0};
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->opened, NULL);
    fixture->transport = transport_local_create(4);
    assert_int_equal(
        transport_local_add(fixture->transport, slice_text(TEST_ENDPOINT), program_run, fixture, &error),
        DR_OK);
    struct store *store;
    assert_int_equal(store_memory_open(&store, &error), DR_OK);
    struct driver_config driver_config = {
        .store = store, .transport = fixture->transport, .drain_timeout_ns = -1};
    assert_int_equal(driver_create(&driver_config, &fixture->driver, &error), DR_OK);
    assert_int_equal(driver_start(fixture->driver, &error), DR_OK);

    struct api_key keys[2] = {{.project = 1}, {.project = 2}};
    api_key_hash(TEST_KEY, keys[0].hash);
    api_key_hash(OTHER_KEY, keys[1].hash);
    struct api_config api_config = config ? *config : (struct api_config){0};
    api_config.driver = fixture->driver;
    api_config.keys = keys;
    api_config.n_keys = 2;
    assert_int_equal(api_create(&api_config, &fixture->api, &error), DR_OK);
    struct http_server_config http_config = http ? *http : (struct http_server_config){0};
    http_config.on_headers = api_on_headers;
    http_config.on_request = api_on_request;
    http_config.arg = fixture->api;
    assert_int_equal(http_server_create(&http_config, &fixture->server, &error), DR_OK);
    assert_int_equal(http_server_start(fixture->server, &error), DR_OK);
    fixture->port = http_server_port(fixture->server);
}

static inline void api_fixture_start(struct api_fixture *fixture, const struct api_config *config)
{
    api_fixture_start_with(fixture, config, NULL);
}

static inline void api_fixture_stop(struct api_fixture *fixture)
{
    gate_open(fixture);
    driver_stop(fixture->driver);
    (void)http_server_stop(fixture->server, 0);
    http_server_destroy(fixture->server);
    driver_destroy(fixture->driver);
    transport_destroy(fixture->transport);
    api_destroy(fixture->api);
    pthread_mutex_destroy(&fixture->lock);
    pthread_cond_destroy(&fixture->opened);
}

/* ---- Asking ---- */

/* status 0: the connection was closed without an answer. The texts are static: valid until the next question.
 */
struct api_answer {
    int status;
    const char *head;
    struct slice body;
};

static inline int api_connect(const struct api_fixture *fixture)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Stops quietly when the server does not want more: its answer says why. */
static inline void api_send(int fd, struct slice bytes)
{
    for (size_t sent = 0; sent < bytes.len;) {
        ssize_t n = send(fd, bytes.data + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        sent += (size_t)n;
    }
}

/* Reads to the end of the connection. */
static inline struct api_answer api_read_answer(int fd)
{
    static char text[1 << 22];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof(text) - 1 && (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    if (len == 0 && n < 0 && errno != ECONNRESET)
        fail_msg("no answer: %s", strerror(errno));
    text[len] = '\0';
    char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return (struct api_answer){.head = ""};
    *end = '\0';
    struct api_answer answer = {.head = text, .body = slice_of(end + 4, len - (size_t)(end + 4 - text))};
    assert_int_equal(sscanf(text, "HTTP/1.%*d %d", &answer.status), 1);
    return answer;
}

/* Sends the bytes as they are, says that no more will come, reads the answer. */
static inline struct api_answer api_ask_raw(const struct api_fixture *fixture, struct slice bytes)
{
    int fd = api_connect(fixture);
    api_send(fd, bytes);
    (void)shutdown(fd, SHUT_WR);
    struct api_answer answer = api_read_answer(fd);
    close(fd);
    return answer;
}

/* `headers` are whole lines that end with CR LF. */
static inline struct api_answer api_ask_bytes(const struct api_fixture *fixture, const char *method,
                                              const char *path, const char *headers, struct slice body)
{
    struct buf request;
    buf_init(&request, 64000000);
    assert_int_equal(
        buf_printf(&request,
                   "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
                   method, path, headers, body.len),
        DR_OK);
    assert_int_equal(buf_append(&request, body), DR_OK);
    int fd = api_connect(fixture);
    api_send(fd, buf_slice(&request));
    struct api_answer answer = api_read_answer(fd);
    close(fd);
    buf_deinit(&request);
    return answer;
}

static inline struct api_answer api_ask(const struct api_fixture *fixture, const char *method,
                                        const char *path, const char *headers, const char *body)
{
    return api_ask_bytes(fixture, method, path, headers, slice_text(body));
}

/* The answer is an error: its status, and a body that reads as a Connect error of this code. */
static inline struct dr_error api_answer_error(struct api_answer answer)
{
    struct dr_error error = {0};
    if (!strstr(answer.head, "application/json"))
        fail_msg("no JSON: %d %s %.*s", answer.status, answer.head, (int)answer.body.len, answer.body.data);
    wire_connect_error_decode(answer.body, answer.status, &error);
    return error;
}

#define assert_refusal(answer_, status_, code_)                                                              \
    do {                                                                                                     \
        struct api_answer refusal = (answer_);                                                               \
        struct dr_error refusal_error = api_answer_error(refusal);                                           \
        if (refusal.status != (status_) || refusal_error.code != (code_))                                    \
            fail_msg("%d %s: %s", refusal.status, dr_code_name(refusal_error.code), refusal_error.message);  \
    } while (0)

/* Submits one call; its id as text, in `id`. */
static inline void api_submit(const struct api_fixture *fixture, const char *function, char id[ID_TEXT_SIZE])
{
    char body[512];
    (void)snprintf(body, sizeof(body),
                   "{\"calls\":[{\"endpoint\":\"%s\",\"function\":\"%s\",\"input\":{\"@type\":"
                   "\"type.googleapis.com/google.protobuf.StringValue\",\"value\":\"hi\"}}]}",
                   TEST_ENDPOINT, function);
    struct api_answer answer = api_ask(fixture, "POST", PATH_DISPATCH, HEADERS_JSON, body);
    assert_int_equal(answer.status, 200);
    assert_int_equal(sscanf((const char *)answer.body.data, "{\"dispatchIds\":[\"%32[0-9a-f]\"]}", id), 1);
}

#endif
