/* The HTTP server and peers that leave, answers from elsewhere, stops, and faults. */
#include "http/http_server_testing.h"

static void tells_when_the_peer_leaves_and_takes_the_answer_all_the_same(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "POST /later HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    await_count(&fixture, &fixture.n_parked, 1);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    await_count(&fixture, &fixture.n_aborted, 1);
    assert_int_equal(fixture.n_released, 0);
    assert_true(slice_equal(http_exchange_body(fixture.parked[0]), slice_text("hello")));
    respond_text(fixture.parked[0], 200, slice_text("to nobody"));
    await_count(&fixture, &fixture.n_released, 1);
    assert_int_equal(fixture.n_aborted, 1);
    fixture_end(&fixture);
}

static void answers_a_peer_that_has_only_stopped_sending(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    await_count(&fixture, &fixture.n_aborted, 1);
    respond_text(fixture.parked[0], 200, slice_text("done"));
    assert_has(raw_read_all(fd), "\r\n\r\ndone");
    close(fd);
    fixture_end(&fixture);
}

static void releases_an_answered_exchange_without_abort(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    for (int i = 0; i < 3; i++) {
        raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
        await_count(&fixture, &fixture.n_parked, i + 1);
        respond_text(fixture.parked[i], 200, slice_text("done"));
        raw_read_until(fd, "done", 1);
        await_count(&fixture, &fixture.n_released, i + 1);
    }
    close(fd);
    assert_int_equal(http_server_stop(fixture.server, NS_PER_S), DR_OK);
    assert_int_equal(fixture.n_aborted, 0);
    fixture_end(&fixture);
}

struct late_answer {
    struct fixture *fixture;
    int fd;
};

static void *answer_while_stopping(void *arg)
{
    struct late_answer *late = arg;
    /* the idle connection is closed as the stop begins */
    char byte;
    (void)!recv(late->fd, &byte, 1, 0);
    respond_text(late->fixture->parked[0], 200, slice_text("in time"));
    return NULL;
}

static void stop_waits_for_open_exchanges_and_sends_their_answers(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int idle = raw_connect(fixture.port);
    raw_send(idle, "GET /show HTTP/1.1\r\n\r\n");
    raw_read_until(idle, "\n", 6);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\nGET /show HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    struct late_answer late = {&fixture, idle};
    pthread_t thread;
    pthread_create(&thread, NULL, answer_while_stopping, &late);
    assert_int_equal(http_server_stop(fixture.server, PATIENCE_S * NS_PER_S), DR_OK);
    pthread_join(thread, NULL);
    const char *text = raw_read_all(fd);
    assert_has(text, "in time");
    assert_has(text, "Connection: close\r\n");
    assert_int_equal(fixture.n_aborted, 0);
    close(fd);
    close(idle);
    fixture_end(&fixture);
}

static void stop_sends_what_was_answered_before_it(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct fixture fixture;
        fixture_start(&fixture);
        int fd = raw_connect(fixture.port);
        raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
        await_count(&fixture, &fixture.n_parked, 1);
        respond_text(fixture.parked[0], 200, slice_text("at the last moment"));
        assert_int_equal(http_server_stop(fixture.server, 0), DR_OK);
        assert_has(raw_read_all(fd), "at the last moment");
        close(fd);
        fixture_end(&fixture);
    }
}

static void exchanges_outlive_a_stop_and_the_server(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int fd = raw_connect(fixture.port);
    raw_send(fd, "GET /later HTTP/1.1\r\n\r\n");
    await_count(&fixture, &fixture.n_parked, 1);
    assert_int_equal(http_server_stop(fixture.server, NS_PER_MS), DR_DEADLINE_EXCEEDED);
    assert_int_equal(fixture.n_aborted, 1);
    assert_string_equal(raw_read_all(fd), "");
    http_server_destroy(fixture.server);
    assert_string_equal(http_exchange_path(fixture.parked[0]), "/later");
    respond_text(fixture.parked[0], 200, slice_text("too late"));
    assert_int_equal(fixture.n_released, 1);
    close(fd);
}

/* Whichever allocation fails, the server answers the next request. */
static void survives_allocation_faults(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    int is_hit = 1;
    for (unsigned long nth = 1; is_hit; nth++) {
        assert_true(nth < 1000);
        int fd = raw_connect(fixture.port);
        mem_fault_set(nth);
        raw_send(fd, "POST /echo HTTP/1.1\r\nA: b\r\nContent-Length: 5\r\n\r\nhelloGET /last HTTP/1.1\r\n\r\n");
        char text[4096];
        size_t len = 0;
        ssize_t n;
        while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
            len += (size_t)n;
        text[len] = '\0';
        is_hit = mem_fault_hit();
        mem_fault_set(0);
        close(fd);
        if (!is_hit)
            assert_has(text, "hello");
        assert_has(raw_ask(fixture.port, "GET /show HTTP/1.1\r\nConnection: close\r\n\r\n"), "200 OK");
    }
    fixture_end(&fixture);
    struct http_server_config config = {.on_request = on_request};
    for (unsigned long nth = 1; nth <= 3; nth++) {
        mem_fault_set(nth);
        dr_code code = http_server_create(&config, &fixture.server, NULL);
        mem_fault_set(0);
        if (code == DR_OK)
            http_server_destroy(fixture.server);
        else
            assert_int_equal(code, DR_NO_MEMORY);
    }
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture);
    struct http_server *other = NULL;
    struct dr_error error = {0};
    struct http_server_config config = {.port = fixture.port, .on_request = on_request};
    assert_int_equal(http_server_create(&config, &other, &error), DR_UNAVAILABLE);
    assert_has(error.message, "address already in use");
    config = (struct http_server_config){.host = "no such host", .on_request = on_request};
    assert_int_equal(http_server_create(&config, &other, &error), DR_INVALID_ARGUMENT);
    assert_has(error.message, "no such host");
    config = (struct http_server_config){.host = "::1", .on_request = on_request};
    if (http_server_create(&config, &other, &error) == DR_OK)
        http_server_destroy(other);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_when_the_peer_leaves_and_takes_the_answer_all_the_same),
        cmocka_unit_test(answers_a_peer_that_has_only_stopped_sending),
        cmocka_unit_test(releases_an_answered_exchange_without_abort),
        cmocka_unit_test(stop_waits_for_open_exchanges_and_sends_their_answers),
        cmocka_unit_test(stop_sends_what_was_answered_before_it),
        cmocka_unit_test(exchanges_outlive_a_stop_and_the_server),
        cmocka_unit_test(survives_allocation_faults),
        cmocka_unit_test(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
