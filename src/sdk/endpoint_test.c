/* The endpoint, over raw connections: what it answers byte by byte (protocol 3.2), many requests at once, stopping. */
#include "http/testing.h"

#include "base/arena.h"
#include "sdk/endpoint.h"
#include "sdk/value_wire.h"
#include "wire/wire.h"

#include <signal.h>

#define RUN "/dispatch.sdk.v1.FunctionService/Run"
#define CLOSE "Host: x\r\nConnection: close\r\n"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int n_inside;   /* runs of `blocking` */
static bool is_open;   /* they may end */

DR_FUNCTION(greet)
{
    return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
}

DR_EXTERN_FUNCTION(child, "child", NULL);

DR_FUNCTION(suspending)
{
    return dr_return(call, dr_await(&child, dr_input(call)));
}

DR_FUNCTION(blocking)
{
    pthread_mutex_lock(&lock);
    n_inside++;
    pthread_cond_broadcast(&changed);
    while (!is_open)
        pthread_cond_wait(&changed, &lock);
    n_inside--;
    pthread_mutex_unlock(&lock);
    return dr_return(call, "ended");
}

static void wait_inside(int n)
{
    pthread_mutex_lock(&lock);
    while (n_inside < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void open_door(bool how)
{
    pthread_mutex_lock(&lock);
    is_open = how;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static dr_endpoint *start(unsigned threads)
{
    dr_endpoint *endpoint = NULL;
    struct dr_error error = {0};
    struct dr_endpoint_options options = {.address = "127.0.0.1:0", .threads = threads};
    if (dr_endpoint_start(&options, &endpoint, &error) != DR_OK)
        fail_msg("%s", error.message);
    return endpoint;
}

static uint16_t port_of(const dr_endpoint *endpoint)
{
    return (uint16_t)strtoul(strrchr(dr_endpoint_url(endpoint), ':') + 1, NULL, 10);
}

/* A RunRequest of `function` with a text as input. */
static void encode(const char *function, const char *input, struct buf *buf)
{
    struct buf any;
    dr_value *value = dr_value_text(input);
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    buf_init(buf, WIRE_MESSAGE_BYTES_MAX);
    assert_int_equal(value_encode_any(value, &any, NULL), DR_OK);
    struct wire_run_request request = {.function = slice_text(function), .directive = WIRE_DIRECTIVE_INPUT,
                                       .input = buf_slice(&any), .dispatch_id = slice_text(input)};
    assert_int_equal(wire_run_request_encode(&request, buf, NULL), DR_OK);
    buf_deinit(&any);
    dr_value_unref(value);
}

/* Sends; the answer is still to be read. */
static int post(uint16_t port, const char *path, const char *function, const char *input)
{
    char head[400];
    struct buf body;
    encode(function, input, &body);
    int fd = raw_connect(port);
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" CLOSE "Content-Type: application/proto\r\nContent-Length: %zu\r\n\r\n",
             path, body.len);
    raw_send(fd, head);
    assert_true(raw_try_send(fd, body.data, body.len));
    buf_deinit(&body);
    return fd;
}

/* The bytes of a message may hold NUL, so this looks for its text behind the head in all that came. */
static void assert_answers(int fd, int status, const char *part)
{
    static char text[1 << 16];
    char line[40];
    size_t len = 0;
    for (ssize_t n; (n = recv(fd, text + len, sizeof text - len, 0)) != 0; len += (size_t)n)
        assert_true(n > 0);
    close(fd);
    snprintf(line, sizeof line, "HTTP/1.1 %d", status);
    if (strncmp(text, line, strlen(line)) != 0 || !memmem(text, len, part, strlen(part)))
        fail_msg("no '%s ... %s' in: %.*s", line, part, (int)len, text);
}

static int set_up(void **state)
{
    *state = start(4);
    open_door(true);
    return 0;
}

static int tear_down(void **state)
{
    dr_endpoint_stop(*state);
    return 0;
}

/* ---- protocol 3.2 ---- */

static void runs_answer_in_protobuf(void **state)
{
    uint16_t port = port_of(*state);
    assert_answers(post(port, RUN, "greet", "World"), 200, "Hello World!");
    assert_answers(post(port, RUN, "greet", "World"), 200, "application/proto");
    assert_answers(post(port, "/a/path/before" RUN, "greet", "World"), 200, "Hello World!");
}

static void unknown_functions_are_not_found(void **state)
{
    uint16_t port = port_of(*state);
    assert_answers(post(port, RUN, "X", "World"), 404, "function 'X' does not exist");
    assert_answers(post(port, RUN, "X", "World"), 404, "\"not_found\"");
    assert_answers(post(port, RUN, "a \"quoted\" one", "World"), 404, "a \\\"quoted\\\" one");
}

static void a_function_is_required(void **state)
{
    uint16_t port = port_of(*state);
    assert_answers(post(port, RUN, "", "World"), 400, "function is required");
    assert_answers(post(port, RUN, "", "World"), 400, "\"invalid_argument\"");
}

static void a_content_length_is_required(void **state)
{
    uint16_t port = port_of(*state);
    assert_has(raw_ask(port, "POST " RUN " HTTP/1.1\r\n" CLOSE "\r\n"), "content length is required");
    assert_has(raw_ask(port, "POST " RUN " HTTP/1.1\r\n" CLOSE "Content-Length: 0\r\n\r\n"),
               "content length is required");
    const char *text = raw_ask(port, "POST " RUN " HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n");
    assert_has(text, "400");
    assert_has(text, "content length is required");
}

static void a_length_over_the_limit_is_refused_before_the_body_is_read(void **state)
{
    uint16_t port = port_of(*state);
    const char *text = raw_ask(port, "POST " RUN " HTTP/1.1\r\n" CLOSE "Content-Length: 16000001\r\n\r\n");
    assert_has(text, "HTTP/1.1 400");
    assert_has(text, "content length is too large");
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    uint16_t port = port_of(*state);
    const char *text = raw_ask(port, "POST " RUN " HTTP/1.1\r\n" CLOSE "Content-Length: 7\r\n\r\ngarbage");
    assert_has(text, "HTTP/1.1 400");
    assert_has(text, "unmarshal message");
}

static void other_methods_and_paths_are_refused(void **state)
{
    uint16_t port = port_of(*state);
    const char *text = raw_ask(port, "GET " RUN " HTTP/1.1\r\n" CLOSE "\r\n");
    assert_has(text, "HTTP/1.1 405");
    assert_has(text, "Allow: POST");
    assert_has(raw_ask(port, "GET / HTTP/1.1\r\n" CLOSE "\r\n"), "HTTP/1.1 404");
    assert_has(raw_ask(port, "POST /other HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\nx"), "HTTP/1.1 404");
}

/* ---- many at once ---- */

enum { MANY = 200 };

static void many_requests_at_once_are_all_answered(void **state)
{
    uint16_t port = port_of(*state);
    int fds[MANY];
    char name[32], wanted[64];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "number %d", i);
        fds[i] = post(port, RUN, i % 2 ? "greet" : "suspending", name);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(wanted, sizeof wanted, i % 2 ? "Hello number %d!" : "number %d", i);
        assert_answers(fds[i], 200, wanted);
    }
}

static void functions_that_block_hold_up_nobody_but_their_threads(void **state)
{
    uint16_t port = port_of(*state);
    int fds[3];
    open_door(false);
    for (int i = 0; i < 3; i++)
        fds[i] = post(port, RUN, "blocking", "x");
    wait_inside(3);
    assert_answers(post(port, RUN, "greet", "World"), 200, "Hello World!"); /* on the fourth thread */
    open_door(true);
    for (int i = 0; i < 3; i++)
        assert_answers(fds[i], 200, "ended");
}

/* ---- starting and stopping ---- */

static void *stop(void *endpoint)
{
    dr_endpoint_stop(endpoint);
    return NULL;
}

static void runs_in_progress_end_before_the_stop_does(void **state)
{
    (void)state;
    dr_endpoint *endpoint = start(1);
    pthread_t thread;
    open_door(false);
    int first = post(port_of(endpoint), RUN, "blocking", "x");
    wait_inside(1);
    int second = post(port_of(endpoint), RUN, "suspending", "still queued");
    assert_int_equal(pthread_create(&thread, NULL, stop, endpoint), 0);
    open_door(true);
    assert_answers(first, 200, "ended");
    pthread_join(thread, NULL);
    close(second); /* answered or refused, as it came before the stop or not */
}

static void addresses_that_cannot_be_are_refused(void **state)
{
    dr_endpoint *endpoint = NULL;
    struct dr_error error = {0};
    static const char *const bad[] = {"localhost", ":80", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:8x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dr_endpoint_options options = {.address = bad[i]};
        assert_int_equal(dr_endpoint_start(&options, &endpoint, &error), DR_INVALID_ARGUMENT);
        assert_has(error.message, bad[i]);
    }
    struct dr_endpoint_options taken = {.address = strstr(dr_endpoint_url(*state), "127.")};
    assert_int_equal(dr_endpoint_start(&taken, &endpoint, &error), DR_UNAVAILABLE);
    assert_null(endpoint);
    dr_endpoint_stop(NULL);
}

static void the_address_comes_from_the_environment(void **state)
{
    (void)state;
    dr_endpoint *endpoint = NULL;
    setenv("DISPATCH_ENDPOINT_ADDR", "localhost:0", 1);
    assert_int_equal(dr_endpoint_start(NULL, &endpoint, NULL), DR_OK);
    unsetenv("DISPATCH_ENDPOINT_ADDR");
    assert_has(dr_endpoint_url(endpoint), "http://localhost:");
    dr_endpoint_stop(endpoint);
}

static dr_code start_and_stop(void *arg)
{
    (void)arg;
    dr_endpoint *endpoint = NULL;
    dr_code code = dr_endpoint_start(&(struct dr_endpoint_options){.address = "127.0.0.1:0"}, &endpoint, NULL);
    dr_endpoint_stop(endpoint);
    return code;
}

static void starting_survives_lack_of_memory(void **state)
{
    (void)state;
    assert_survives_allocation_faults(start_and_stop, NULL);
}

static void serving_ends_with_a_signal(void **state)
{
    (void)state;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &signals, NULL), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0); /* waits until dr_serve takes it */
    assert_int_equal(dr_serve(&(struct dr_endpoint_options){.address = "127.0.0.1:0"}, NULL), DR_OK);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &signals, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_answer_in_protobuf, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_functions_are_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_function_is_required, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_content_length_is_required, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_length_over_the_limit_is_refused_before_the_body_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_request_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_methods_and_paths_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_requests_at_once_are_all_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(functions_that_block_hold_up_nobody_but_their_threads, set_up, tear_down),
        cmocka_unit_test(runs_in_progress_end_before_the_stop_does),
        cmocka_unit_test_setup_teardown(addresses_that_cannot_be_are_refused, set_up, tear_down),
        cmocka_unit_test(the_address_comes_from_the_environment),
        cmocka_unit_test(starting_survives_lack_of_memory),
        cmocka_unit_test(serving_ends_with_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
