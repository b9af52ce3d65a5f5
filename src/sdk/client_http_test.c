/* The client over HTTP, against a server in the same process that answers from a table of one. */
#include "base/testing.h"

#include "sdk/client.h"

#include "base/clock.h"
#include "http/http_server.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last request, as the server saw it. */
struct seen {
    char method[16];
    char path[128];
    char authorization[64];
    char content_type[64];
    char protocol_version[8];
    char timeout_ms[16];
    char body[256];
};

struct fake_server {
    struct http_server *http;
    char url[64];
    pthread_mutex_t lock; /* for what the loop thread and the test share */
    int status;
    const char *body;
    struct seen seen;
};

static void copy_header(const struct http_exchange *exchange, const char *name, char *text, size_t size)
{
    const char *value = http_exchange_header(exchange, name);
    (void)snprintf(text, size, "%s", value ? value : "(none)");
}

static void on_request(void *arg, struct http_exchange *exchange)
{
    struct fake_server *server = arg;
    struct slice body = http_exchange_body(exchange);
    struct seen *seen = &server->seen;
    (void)pthread_mutex_lock(&server->lock);
    (void)snprintf(seen->method, sizeof seen->method, "%s", http_exchange_method(exchange));
    (void)snprintf(seen->path, sizeof seen->path, "%s", http_exchange_path(exchange));
    (void)snprintf(seen->body, sizeof seen->body, "%.*s", (int)body.len, (const char *)body.data);
    copy_header(exchange, "Authorization", seen->authorization, sizeof seen->authorization);
    copy_header(exchange, "Content-Type", seen->content_type, sizeof seen->content_type);
    copy_header(exchange, "Connect-Protocol-Version", seen->protocol_version, sizeof seen->protocol_version);
    copy_header(exchange, "Connect-Timeout-Ms", seen->timeout_ms, sizeof seen->timeout_ms);
    struct http_response response = {.status = server->status,
                                     .content_type = "application/proto",
                                     .body = slice_text(server->body)};
    (void)pthread_mutex_unlock(&server->lock);
    http_exchange_respond(exchange, &response);
}

static void server_answers(struct fake_server *server, int status, const char *body)
{
    (void)pthread_mutex_lock(&server->lock);
    server->status = status;
    server->body = body;
    (void)pthread_mutex_unlock(&server->lock);
}

static struct seen server_seen(struct fake_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    struct seen seen = server->seen;
    (void)pthread_mutex_unlock(&server->lock);
    return seen;
}

static int start_server(void **state)
{
    struct fake_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    struct http_server_config config = {.on_request = on_request, .arg = server};
    assert_int_equal(http_server_create(&config, &server->http, NULL), DR_OK);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", http_server_port(server->http));
    assert_int_equal(http_server_start(server->http, NULL), DR_OK);
    (void)unsetenv("DISPATCH_API_KEY");
    (void)unsetenv("DISPATCH_API_URL");
    *state = server;
    return 0;
}

static int stop_server(void **state)
{
    struct fake_server *server = *state;
    http_server_destroy(server->http);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
    return 0;
}

static dr_client *open_client(const char *url, const char *key)
{
    struct dr_error error = {0};
    dr_client *client = NULL;
    if (dr_client_open(&(struct dr_client_options){.api_url = url, .api_key = key}, &client, &error))
        fail_msg("%s", error.message);
    return client;
}

static const struct dr_call_options greet = {.function = "greet", .endpoint = "http://h:1"};

static void a_submit_is_a_connect_request_with_the_key(void **state)
{
    struct fake_server *server = *state;
    char id[DR_ID_SIZE];
    char url[80];
    (void)snprintf(url, sizeof url, "%s//", server->url); /* slashes at the end are trimmed */
    dr_client *client = open_client(url, "secret");
    server_answers(server, 200, "\x0a\x03" "abc");
    assert_int_equal(dr_client_submit(client, &greet, id, NULL), DR_OK);
    assert_string_equal(id, "abc");
    struct seen seen = server_seen(server);
    assert_string_equal(seen.method, "POST");
    assert_string_equal(seen.path, "/dispatch.sdk.v1.DispatchService/Dispatch");
    assert_string_equal(seen.authorization, "Bearer secret");
    assert_string_equal(seen.content_type, "application/proto");
    assert_string_equal(seen.protocol_version, "1");
    assert_string_equal(seen.timeout_ms, "5000");
    dr_client_close(client);
}

static void a_wait_sends_the_id_and_reads_the_result(void **state)
{
    struct fake_server *server = *state;
    dr_result *result = NULL;
    dr_client *client = open_client(server->url, "secret");
    server_answers(server, 200, "\x1a\x05\x12\x03why");
    assert_int_equal(dr_client_wait(client, "abc", 3 * NS_PER_S, &result, NULL), DR_OK);
    assert_string_equal(server_seen(server).body, "abc");
    assert_string_equal(dr_result_error_message(result), "why");
    dr_result_unref(result);
    dr_client_close(client);
}

static void a_wrong_key_is_shown_by_its_first_three_characters(void **state)
{
    struct fake_server *server = *state;
    struct dr_error error = {0};
    char id[DR_ID_SIZE];
    server_answers(server, 401, "{\"code\":\"unauthenticated\",\"message\":\"secret\"}");
    dr_client *client = open_client(server->url, "secret");
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_UNAUTHENTICATED);
    assert_string_equal(error.message, "invalid api_key: sec********");
    dr_client_close(client);

    (void)setenv("DISPATCH_API_KEY", "abc", 1);
    (void)setenv("DISPATCH_API_URL", server->url, 1);
    client = open_client("", "");
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_UNAUTHENTICATED);
    assert_string_equal(error.message, "invalid DISPATCH_API_KEY: abc");
    assert_string_equal(server_seen(server).authorization, "Bearer abc");
    dr_client_close(client);
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    struct fake_server *server = *state;
    struct dr_error error = {0};
    char id[DR_ID_SIZE];
    dr_client *client = open_client(server->url, "secret");
    assert_int_equal(http_server_stop(server->http, 0), DR_OK);
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_UNAVAILABLE);
    assert_non_null(strstr(error.message, server->url));
    dr_client_close(client);
}

#define N_THREADS 8
#define N_SUBMITS 20

static void *submit_many(void *client)
{
    char id[DR_ID_SIZE];
    size_t n_good = 0;
    for (int i = 0; i < N_SUBMITS; i++)
        n_good += dr_client_submit(client, &greet, id, NULL) == DR_OK;
    return n_good == N_SUBMITS ? client : NULL;
}

static void threads_share_one_client(void **state)
{
    struct fake_server *server = *state;
    pthread_t threads[N_THREADS];
    server_answers(server, 200, "\x0a\x03" "abc");
    dr_client *client = open_client(server->url, "secret");
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, client), 0);
    for (int i = 0; i < N_THREADS; i++) {
        void *done = NULL;
        assert_int_equal(pthread_join(threads[i], &done), 0);
        assert_ptr_equal(done, client);
    }
    dr_client_close(client);
}

static void assert_not_opened(const char *key, const char *url, const char *expected)
{
    struct dr_error error = {0};
    dr_client *client = NULL;
    struct dr_client_options options = {.size = sizeof options, .api_key = key, .api_url = url};
    assert_int_equal(dr_client_open(&options, &client, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, expected);
    assert_null(client);
}

static void what_is_missing_or_wrong_is_named(void **state)
{
    (void)state;
    assert_not_opened(NULL, NULL,
                      "missing API key: set it with the option api_key or the environment variable DISPATCH_API_KEY");
    assert_not_opened("", NULL,
                      "missing API key: set it with the option api_key or the environment variable DISPATCH_API_KEY");
    assert_not_opened("a\r\nX: y", NULL,
                      "invalid API key: api_key holds a character that is not visible ASCII");
    assert_not_opened("k", "ftp://h", "invalid API scheme: 'ftp' in api_url");
    assert_not_opened("k", "localhost:7117",
                      "invalid API URL 'localhost:7117' in api_url: it must begin with http:// or https://");
    assert_not_opened("k", "http:///x", "invalid API URL 'http:///x' in api_url: it names no host");
    assert_not_opened("k", "http://h?x", "invalid API URL 'http://h?x' in api_url: it has a query or a fragment");
    (void)setenv("DISPATCH_API_URL", "http://a b", 1);
    assert_not_opened("k", NULL, "invalid API URL: DISPATCH_API_URL holds a character that is not visible ASCII");
    (void)setenv("DISPATCH_API_URL", "", 1); /* as if it were not set */
    dr_client_close(open_client(NULL, "k"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_submit_is_a_connect_request_with_the_key, start_server, stop_server),
        cmocka_unit_test_setup_teardown(a_wait_sends_the_id_and_reads_the_result, start_server, stop_server),
        cmocka_unit_test_setup_teardown(a_wrong_key_is_shown_by_its_first_three_characters, start_server, stop_server),
        cmocka_unit_test_setup_teardown(a_server_that_is_not_there_is_unavailable, start_server, stop_server),
        cmocka_unit_test_setup_teardown(threads_share_one_client, start_server, stop_server),
        cmocka_unit_test_setup_teardown(what_is_missing_or_wrong_is_named, start_server, stop_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
