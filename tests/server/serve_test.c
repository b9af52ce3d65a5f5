/* The real binary, from outside: how it starts, says that it is ready, refuses and stops. */
#include "base/testing.h"

#include "poster.h"
#include "process.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_refusal(const char *const *arguments, int status, const char *text)
{
    struct process process;
    char errors[PROCESS_TEXT_SIZE];
    process_start(&process, arguments);
    assert_false(process_wait_ready(&process));
    assert_int_equal(process_wait(&process), status);
    if (!strstr(process_errors(&process, errors), text))
        fail_msg("\"%s\" is not in: %s", text, errors);
    close(process.err_file);
}

static void says_where_it_listens_and_ends_with_sigterm(void **state)
{
    (void)state;
    struct process process;
    process_start(&process, ARGUMENTS("serve", "--memory", "--listen", "127.0.0.1:0", "--api-key", "k"));
    assert_true(process_wait_ready(&process));
    assert_int_equal(strncmp(process.url, "http://127.0.0.1:", 17), 0);
    assert_string_not_equal(process.url, "http://127.0.0.1:0");
    process_signal(&process, SIGTERM);
    char rest[PROCESS_TEXT_SIZE];
    assert_string_equal(process_output(&process, rest), "");
    assert_int_equal(process_wait(&process), 0);
    close(process.err_file);
}

static void ends_with_sigint_too(void **state)
{
    (void)state;
    struct process process;
    process_start(&process, ARGUMENTS("serve", "--memory", "--listen=127.0.0.1:0"));
    assert_true(process_wait_ready(&process));
    process_signal(&process, SIGINT);
    assert_int_equal(process_wait(&process), 0);
    close(process.err_file);
}

static void makes_a_key_and_shows_how_to_use_it(void **state)
{
    (void)state;
    struct process process;
    char errors[PROCESS_TEXT_SIZE];
    char expected[256];
    process_start(&process, ARGUMENTS("serve", "--memory", "--listen", "127.0.0.1:0"));
    assert_true(process_wait_ready(&process));
    process_errors(&process, errors);
    const char *key = strstr(errors, "export DISPATCH_API_KEY=");
    assert_non_null(key);
    assert_int_equal(strspn(key + strlen("export DISPATCH_API_KEY="),
                            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), 32);
    snprintf(expected, sizeof expected, "export DISPATCH_API_URL=%s\n", process.url);
    assert_non_null(strstr(errors, expected));
    process_signal(&process, SIGTERM);
    assert_int_equal(process_wait(&process), 0);
    close(process.err_file);
}

static void a_second_server_on_the_same_database_is_refused(void **state)
{
    (void)state;
    char directory[256];
    char db[300];
    struct process process;
    directory_make(directory, sizeof directory);
    snprintf(db, sizeof db, "%s/dispatch.db", directory);
    process_start(&process, ARGUMENTS("serve", "--db", db, "--listen", "127.0.0.1:0", "--api-key", "k"));
    assert_true(process_wait_ready(&process));
    expect_refusal(ARGUMENTS("serve", "--db", db, "--listen", "127.0.0.1:0", "--api-key", "k"), 1, db);
    process_signal(&process, SIGTERM);
    assert_int_equal(process_wait(&process), 0);
    close(process.err_file);
    directory_remove(directory);
}

static void starts_again_after_a_kill(void **state)
{
    (void)state;
    char directory[256];
    char db[300];
    struct process process;
    directory_make(directory, sizeof directory);
    snprintf(db, sizeof db, "%s/dispatch.db", directory);
    for (int i = 0; i < 2; i++) {
        process_start(&process, ARGUMENTS("serve", "--db", db, "--listen", "127.0.0.1:0", "--api-key", "k"));
        assert_true(process_wait_ready(&process));
        process_signal(&process, SIGKILL);
        assert_int_equal(process_wait(&process), 128 + SIGKILL);
        close(process.err_file);
    }
    directory_remove(directory);
}

static void a_port_in_use_is_refused(void **state)
{
    (void)state;
    struct process process;
    process_start(&process, ARGUMENTS("serve", "--memory", "--listen", "127.0.0.1:0", "--api-key", "k"));
    assert_true(process_wait_ready(&process));
    const char *address = process.url + strlen("http://");
    expect_refusal(ARGUMENTS("serve", "--memory", "--listen", address, "--api-key", "k"), 1, address);
    process_signal(&process, SIGTERM);
    assert_int_equal(process_wait(&process), 0);
    close(process.err_file);
}

/* An endpoint that takes a request and never answers keeps a graceful stop waiting. */
static void a_second_signal_ends_it_at_once(void **state)
{
    (void)state;
    struct process process;
    struct poster poster;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_len = sizeof address;
    char request[256];
    char errors[PROCESS_TEXT_SIZE];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &address_len), 0);
    process_start(&process, ARGUMENTS("serve", "--memory", "--listen", "127.0.0.1:0", "--api-key", "k",
                                      "--drain-timeout", "1h"));
    assert_true(process_wait_ready(&process));
    poster_open(&poster, process.url, "k");
    snprintf(request, sizeof request, "{\"calls\":[{\"endpoint\":\"http://127.0.0.1:%u\",\"function\":\"f\"}]}",
             ntohs(address.sin_port));
    assert_int_equal(poster_post(&poster, "/dispatch.sdk.v1.DispatchService/Dispatch", "application/json",
                                 slice_text(request)), 200);
    int attempt = accept(listener, NULL, NULL);
    process_signal(&process, SIGTERM);
    while (!strstr(process_errors(&process, errors), "stopping"))
        sched_yield();
    process_signal(&process, SIGTERM);
    assert_int_equal(process_wait(&process), 1);
    poster_close(&poster);
    close(attempt);
    close(listener);
    close(process.err_file);
}

static void wrong_flags_are_named(void **state)
{
    (void)state;
    expect_refusal(ARGUMENTS("serve", "--lisen", "x"), 2, "unknown flag --lisen; did you mean --listen?");
    expect_refusal(ARGUMENTS("serve", "--run-timeout", "soon"), 2, "--run-timeout: \"soon\" is not a duration");
    expect_refusal(ARGUMENTS("serve", "--listen", "nowhere"), 2, "--listen: \"nowhere\" is not ADDRESS:PORT");
    expect_refusal(ARGUMENTS("serve", "--listen", "127.0.0.1:99999"), 2, "--listen");
    expect_refusal(ARGUMENTS("serve", "--default-expiration", "8d"), 2, "--max-expiration");
    expect_refusal(ARGUMENTS("serve", "extra"), 2, "what is \"extra\"?");
    expect_refusal(ARGUMENTS("servr"), 2, "did you mean \"serve\"?");
    expect_refusal(ARGUMENTS("get"), 2, "ID is missing");
}

static void a_database_that_is_none_is_refused(void **state)
{
    (void)state;
    expect_refusal(ARGUMENTS("serve", "--db", "/dev/null/x.db", "--listen", "127.0.0.1:0"), 1, "/dev/null/x.db");
}

static void help_lists_every_flag_with_its_variable(void **state)
{
    (void)state;
    struct process process;
    char text[PROCESS_TEXT_SIZE];
    process_start(&process, ARGUMENTS("help", "serve"));
    process_output(&process, text);
    assert_int_equal(process_wait(&process), 0);
    assert_non_null(strstr(text, "--drain-timeout"));
    assert_non_null(strstr(text, "DISPATCH_DRAIN_TIMEOUT"));
    close(process.err_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_where_it_listens_and_ends_with_sigterm),
        cmocka_unit_test(ends_with_sigint_too),
        cmocka_unit_test(makes_a_key_and_shows_how_to_use_it),
        cmocka_unit_test(a_second_server_on_the_same_database_is_refused),
        cmocka_unit_test(starts_again_after_a_kill),
        cmocka_unit_test(a_port_in_use_is_refused),
        cmocka_unit_test(a_second_signal_ends_it_at_once),
        cmocka_unit_test(wrong_flags_are_named),
        cmocka_unit_test(a_database_that_is_none_is_refused),
        cmocka_unit_test(help_lists_every_flag_with_its_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
