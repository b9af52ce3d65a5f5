/* What a stranger asks of the server's API: the whole server of the real driver, the memory store and a program in this
 * process, on a virtual clock, so that a week of waiting takes no time. The first byte chooses the method, and protobuf or
 * JSON; the rest is the body. Or it is a whole HTTP request, headers and all. Every request must be answered, with what
 * was asked for or a Connect error.
 *
 * One call is there at the beginning, done, and its id is always the same: KNOWN_ID. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/mem.h"
#include "server/api.h"
#include "server/transport_local.h"
#include "wire/json.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define KEY "1234567890abcdefABCDEF1234567890"
#define KNOWN_ID "018bcfe5680000001265821ef5b4398f"
#define SDK "/dispatch.sdk.v1.DispatchService/"
#define CALLS "/dispatch.v1.CallService/"

enum { PATIENCE_S = 20, INPUTS_MAX = 2000, ANSWER_BYTES_MAX = 1 << 22 };

struct fixture {
    struct transport *transport;
    struct driver *driver;
    struct api *api;
    struct http_server *http;
};

static struct fixture fixture;
static unsigned n_inputs;

/* ---- the server ---- */

/* Gives the input back; "sleep" first sleeps for a week, "broken" fails, "again" does not get better. */
static void run(void *arg, struct slice bytes, struct transport_local_reply *reply)
{
    struct arena arena;
    struct buf buf;
    struct wire_run_request request;
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    (void)arg;
    arena_init(&arena, 0);
    buf_init(&buf, WIRE_MESSAGE_BYTES_MAX + 1000);
    CHECK(wire_run_request_decode(bytes, &arena, &request, NULL) == DR_OK);
    response.result.output = request.input;
    if (slice_equal(request.function, slice_text("broken")))
        response.status = DR_STATUS_PERMANENT_ERROR;
    if (slice_equal(request.function, slice_text("again")))
        response.status = DR_STATUS_TEMPORARY_ERROR;
    if (slice_equal(request.function, slice_text("sleep")) && request.directive == WIRE_DIRECTIVE_INPUT) {
        response.outcome = WIRE_OUTCOME_POLL;
        response.poll = (struct wire_poll){.state_arm = WIRE_STATE_BYTES, .state = slice_text("s"), .has_max_wait = true,
                                           .max_wait_ns = 7 * 24 * 3600 * NS_PER_S};
    }
    CHECK(wire_run_response_encode(&response, &buf, NULL) == DR_OK);
    reply->body = buf_steal(&buf, &reply->len);
    arena_deinit(&arena);
}

static void stop(void)
{
    if (!fixture.driver)
        return;
    driver_stop(fixture.driver);
    (void)http_server_stop(fixture.http, 0);
    http_server_destroy(fixture.http);
    driver_destroy(fixture.driver);
    transport_destroy(fixture.transport);
    api_destroy(fixture.api);
    fixture = (struct fixture){0};
}

static void start(void)
{
    struct store *store;
    struct api_key key = {.project = 1};
    fixture.transport = transport_local_create(2);
    CHECK(transport_local_add(fixture.transport, slice_text("http://test:1"), run, NULL, NULL) == DR_OK);
    CHECK(store_memory_open(&store, NULL) == DR_OK);
    struct driver_config driver = {.engine.seed = {1, 2, 3, 4}, .store = store, .transport = fixture.transport,
                                   .clock = DRIVER_CLOCK_VIRTUAL, .virtual_start_ns = 1700000000 * NS_PER_S,
                                   .drain_timeout_ns = -1};
    CHECK(driver_create(&driver, &fixture.driver, NULL) == DR_OK);
    CHECK(driver_start(fixture.driver, NULL) == DR_OK);
    api_key_hash(KEY, key.hash);
    struct api_config api = {.driver = fixture.driver, .keys = &key, .n_keys = 1};
    CHECK(api_create(&api, &fixture.api, NULL) == DR_OK);
    struct http_server_config http = {.on_headers = api_on_headers, .on_request = api_on_request, .arg = fixture.api};
    CHECK(http_server_create(&http, &fixture.http, NULL) == DR_OK);
    CHECK(http_server_start(fixture.http, NULL) == DR_OK);
}

/* ---- asking ---- */

static int connect_to_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http_server_port(fixture.http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct linger reset_at_close = {.l_onoff = 1}; /* thousands of sockets in TIME_WAIT would use up the ports */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_at_close, sizeof reset_at_close) == 0);
    CHECK(TEMP_FAILURE_RETRY(connect(fd, (struct sockaddr *)&address, sizeof address)) == 0);
    return fd;
}

static void send_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(send(fd, bytes.data, bytes.len, MSG_NOSIGNAL));
        if (n <= 0)
            return; /* its answer says why it does not want more */
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
}

/* Up to the end of the connection. Valid until the next one. */
static struct slice receive(int fd)
{
    static uint8_t answer[ANSWER_BYTES_MAX];
    size_t len = 0;
    ssize_t n = 0;
    while (len < sizeof answer && (n = TEMP_FAILURE_RETRY(recv(fd, answer + len, sizeof answer - len, 0))) > 0)
        len += (size_t)n;
    CHECK(n >= 0 || errno == ECONNRESET);
    return slice_of(answer, len);
}

static struct slice ask(const char *path, bool is_json, struct slice body)
{
    char head[500];
    int fd = connect_to_server();
    (void)snprintf(head, sizeof head,
                   "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer " KEY "\r\n"
                   "Content-Type: application/%s\r\nContent-Length: %zu\r\n\r\n", path, is_json ? "json" : "proto",
                   body.len);
    send_all(fd, slice_text(head));
    send_all(fd, body);
    struct slice answer = receive(fd);
    close(fd);
    return answer;
}

static struct slice ask_raw(struct slice bytes)
{
    int fd = connect_to_server();
    send_all(fd, bytes);
    (void)shutdown(fd, SHUT_WR);
    struct slice answer = receive(fd);
    close(fd);
    return answer;
}

/* ---- the answer ---- */

static int status_of(struct slice answer)
{
    CHECK(answer.len >= 12 && memcmp(answer.data, "HTTP/1.", 7) == 0);
    return (answer.data[9] - '0') * 100 + (answer.data[10] - '0') * 10 + answer.data[11] - '0';
}

static struct slice body_of(struct slice answer)
{
    const uint8_t *end = memmem(answer.data, answer.len, "\r\n\r\n", 4);
    CHECK(end);
    return slice_of(end + 4, answer.len - (size_t)(end + 4 - answer.data));
}

static void check_answer(struct slice answer, bool is_json)
{
    int status = status_of(answer);
    struct slice body = body_of(answer);
    json_t *json = NULL;
    CHECK(status == 200 || (status >= 400 && status <= 599 && status != 500));
    if (status == 200 && !is_json)
        return;
    CHECK(wire_json_load(body, &json, NULL) == DR_OK && json_is_object(json));
    if (status != 200) {
        CHECK(json_is_string(json_object_get(json, "code")));
        CHECK(json_string_length(json_object_get(json, "message")) > 0);
    }
    json_decref(json);
}

static void submit_known(void)
{
    struct slice calls = slice_text("{\"calls\":[{\"endpoint\":\"http://test:1\",\"function\":\"f\"}]}");
    struct slice answer = ask(SDK "Dispatch", true, calls);
    check_answer(answer, true);
    CHECK(memmem(answer.data, answer.len, KNOWN_ID, strlen(KNOWN_ID))); /* else the corpus has lost its meaning */
    check_answer(ask(SDK "Wait", false, slice_text(KNOWN_ID)), false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {SDK "Dispatch", SDK "Wait", CALLS "GetCall", CALLS "ListCalls",
                                        CALLS "CancelCall"};
    static const char letters[] = "dwglc";
    if (n_inputs++ % INPUTS_MAX == 0) {
        stop();
        start();
        CHECK(n_inputs > 1 || atexit(stop) == 0);
        submit_known();
    }
    const char *letter = size > 0 && data[0] ? strchr(letters, data[0] | 0x20) : NULL;
    if (letter) {
        bool is_json = (data[0] & 0x20) != 0; /* lower case */
        check_answer(ask(paths[letter - letters], is_json, slice_of(data + 1, size - 1)), is_json);
        return 0;
    }
    struct slice answer = ask_raw(slice_of(data, size));
    if (answer.len > 0)
        (void)status_of(answer);
    return 0;
}
