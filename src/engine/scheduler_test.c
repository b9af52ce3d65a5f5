#include "base/testing.h"

#include "base/mem.h"
#include "base/random.h"
#include "engine/scheduler.h"

#include <stdio.h>

/* An attempt as a test sees it: who asked, and the group that holds its slot while it runs. */
struct call {
    struct scheduler_entry entry;
    uint32_t tree;
    uint32_t number;
};

static struct scheduler *scheduler_with(uint32_t in_flight_max, uint32_t group_cap)
{
    struct scheduler_config config = {.in_flight_max = in_flight_max, .group_cap = group_cap};
    return scheduler_create(&config);
}

static struct id root_of(uint32_t tree)
{
    struct id id = {{0}};
    memcpy(id.bytes, &tree, sizeof tree);
    return id;
}

static void push(struct scheduler *scheduler, struct call *call, const char *endpoint, uint32_t tree, uint32_t number)
{
    scheduler_entry_init(&call->entry);
    call->tree = tree;
    call->number = number;
    scheduler_push(scheduler, &call->entry, 0, slice_text(endpoint), root_of(tree));
}

static struct call *next(struct scheduler *scheduler)
{
    struct scheduler_entry *entry = scheduler_next(scheduler);
    return entry ? container_of(entry, struct call, entry) : NULL;
}

static void finish(struct scheduler *scheduler, struct call *call, dr_status status)
{
    struct scheduler_group *group = call->entry.group;
    call->entry.group = NULL;
    struct scheduler_outcome outcome = {.status = status, .reach = SCHEDULER_ANSWERED};
    scheduler_finish(scheduler, group, &outcome);
}

static struct scheduler_group_view group_of(const struct scheduler *scheduler, const char *endpoint)
{
    struct scheduler_group_view view;
    assert_true(scheduler_group_view(scheduler, 0, slice_text(endpoint), &view));
    return view;
}

static size_t count_groups(const struct scheduler *scheduler)
{
    struct scheduler_group_view view;
    size_t count = 0;
    while (scheduler_group_at(scheduler, count, &view))
        count++;
    return count;
}

/* The totals are the sums over the groups. */
static void assert_sums_agree(const struct scheduler *scheduler)
{
    size_t in_flight = 0, ready = 0;
    struct scheduler_group_view view;
    for (size_t i = 0; scheduler_group_at(scheduler, i, &view); i++) {
        in_flight += view.in_flight;
        ready += view.ready;
    }
    assert_int_equal(in_flight, scheduler_in_flight(scheduler));
    assert_int_equal(ready, scheduler_ready(scheduler));
}

static void starts_calls_of_one_tree_in_the_order_they_came(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(100, 0);
    struct call calls[3];
    assert_null(scheduler_next(scheduler));
    for (uint32_t i = 0; i < 3; i++)
        push(scheduler, &calls[i], "http://a", 1, i);
    assert_int_equal(scheduler_tree_ready(scheduler, 0, slice_text("http://a"), root_of(1)), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(next(scheduler)->number, i);
    assert_null(scheduler_next(scheduler));
    assert_int_equal(scheduler_in_flight(scheduler), 3);
    assert_int_equal(scheduler_tree_ready(scheduler, 0, slice_text("http://a"), root_of(1)), 0);
    scheduler_destroy(scheduler);
}

static void starts_a_small_tree_within_one_round_of_a_big_one(void **state)
{
    (void)state;
    enum { BIG = 100000, SMALL = 5 };
    struct scheduler *scheduler = scheduler_with(SMALL + 2, 0);
    struct call *big = mem_must_alloc(BIG * sizeof *big);
    for (uint32_t i = 0; i < BIG; i++)
        push(scheduler, &big[i], "http://a", 0, i);
    assert_int_equal(next(scheduler)->tree, 0);
    struct call small[SMALL];
    for (uint32_t i = 0; i < SMALL; i++)
        push(scheduler, &small[i], "http://a", i + 1, 0);
    uint32_t n_small = 0;
    for (uint32_t i = 0; i < SMALL + 1; i++) /* a round: one pick for each tree */
        n_small += next(scheduler)->tree != 0;
    assert_int_equal(n_small, SMALL);
    assert_int_equal(scheduler_ready(scheduler), BIG - 2);
    scheduler_destroy(scheduler);
    mem_free(big);
}

static void trees_take_turns(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(100, 0);
    struct call calls[9];
    for (uint32_t i = 0; i < 9; i++)
        push(scheduler, &calls[i], "http://a", i / 3, i);
    char order[10] = "";
    for (int i = 0; i < 9; i++)
        order[i] = (char)('0' + next(scheduler)->tree);
    assert_string_equal(order, "012012012");
    scheduler_destroy(scheduler);
}

static void groups_take_turns(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(6, 0);
    struct call a[10], b[2];
    for (uint32_t i = 0; i < 10; i++)
        push(scheduler, &a[i], "http://a", i, 0);
    for (uint32_t i = 0; i < 2; i++)
        push(scheduler, &b[i], "http://b", 100 + i, 0);
    char order[7] = "";
    for (int i = 0; i < 6; i++)
        order[i] = next(scheduler)->tree < 100 ? 'a' : 'b';
    assert_string_equal(order, "ababaa");
    assert_null(scheduler_next(scheduler)); /* the limit over all groups */
    finish(scheduler, &b[0], DR_STATUS_OK);
    assert_non_null(next(scheduler));
    assert_null(scheduler_next(scheduler));
    scheduler_destroy(scheduler);
}

static void a_dead_endpoint_does_not_hold_up_the_others(void **state)
{
    (void)state;
    enum { N = 64, ROUNDS = 50 };
    struct scheduler *scheduler = scheduler_with(1000, 0);
    struct call dead[N], alive[N];
    for (uint32_t i = 0; i < N; i++)
        push(scheduler, &dead[i], "http://dead", i, 0);
    uint32_t n_alive = 0;
    for (uint32_t i = 0; i < N; i++)
        push(scheduler, &alive[i], "http://alive", 1000 + i, 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct call *started[2 * N];
        int n = 0;
        while (n < 2 * N && (started[n] = next(scheduler)))
            n++;
        for (int i = 0; i < n; i++) {
            bool is_alive = started[i]->tree >= 1000;
            n_alive += is_alive;
            finish(scheduler, started[i], is_alive ? DR_STATUS_OK : DR_STATUS_TCP_ERROR);
            push(scheduler, started[i], is_alive ? "http://alive" : "http://dead", started[i]->tree, 0);
        }
        assert_sums_agree(scheduler);
    }
    assert_int_equal(group_of(scheduler, "http://dead").limit, 1);
    assert_true(group_of(scheduler, "http://alive").limit >= 50);
    assert_true(n_alive > ROUNDS * 16);
    scheduler_destroy(scheduler);
}

/* Starts all that may start, ends each with what `status_of` says, puts it back; returns the number started. */
static uint32_t run_window(struct scheduler *scheduler, const char *endpoint,
                           dr_status (*status_of)(uint32_t nth, void *arg), void *arg)
{
    struct call *started[4096];
    uint32_t n = 0;
    while (n < 4096 && (started[n] = next(scheduler)))
        n++;
    for (uint32_t i = 0; i < n; i++) {
        finish(scheduler, started[i], status_of(i, arg));
        push(scheduler, started[i], endpoint, started[i]->tree, started[i]->number);
    }
    return n;
}

static dr_status always(uint32_t nth, void *arg)
{
    (void)nth;
    return *(dr_status *)arg;
}

struct backlog {
    struct scheduler *scheduler;
    struct call *calls;
};

static struct backlog backlog_of(uint32_t n, uint32_t in_flight_max, uint32_t group_cap)
{
    struct backlog backlog = {scheduler_with(in_flight_max, group_cap), mem_must_alloc(n * sizeof(struct call))};
    for (uint32_t i = 0; i < n; i++)
        push(backlog.scheduler, &backlog.calls[i], "http://a", i, 0);
    return backlog;
}

static void backlog_free(struct backlog *backlog)
{
    scheduler_destroy(backlog->scheduler);
    mem_free(backlog->calls);
}

static void a_window_of_successes_raises_the_limit_by_one(void **state)
{
    (void)state;
    struct backlog backlog = backlog_of(500, 1000, 0);
    dr_status ok = DR_STATUS_OK;
    assert_int_equal(run_window(backlog.scheduler, "http://a", always, &ok), SCHEDULER_LIMIT_START);
    uint32_t previous = SCHEDULER_LIMIT_START;
    for (int round = 0; round < 100; round++) {
        uint32_t now = run_window(backlog.scheduler, "http://a", always, &ok);
        assert_in_range(now, previous, previous + 1);
        previous = now;
    }
    assert_in_range(previous, SCHEDULER_LIMIT_START + 90, SCHEDULER_LIMIT_START + 101);
    backlog_free(&backlog);
}

static void the_limit_stays_while_nothing_pushes_against_it(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(1000, 0);
    struct call call;
    for (int i = 0; i < 1000; i++) {
        push(scheduler, &call, "http://a", 1, 0);
        assert_ptr_equal(next(scheduler), &call);
        finish(scheduler, &call, DR_STATUS_OK);
    }
    assert_int_equal(group_of(scheduler, "http://a").limit, SCHEDULER_LIMIT_START);
    scheduler_destroy(scheduler);
}

static void failures_of_one_round_halve_the_limit_once(void **state)
{
    (void)state;
    struct backlog backlog = backlog_of(500, 1000, 0);
    dr_status throttled = DR_STATUS_THROTTLED;
    run_window(backlog.scheduler, "http://a", always, &throttled);
    assert_int_equal(group_of(backlog.scheduler, "http://a").limit, SCHEDULER_LIMIT_START / 2);
    run_window(backlog.scheduler, "http://a", always, &throttled);
    assert_int_equal(group_of(backlog.scheduler, "http://a").limit, SCHEDULER_LIMIT_START / 4);
    backlog_free(&backlog);
}

static void the_limit_never_falls_below_one_and_recovers(void **state)
{
    (void)state;
    struct backlog backlog = backlog_of(500, 1000, 0);
    dr_status timeout = DR_STATUS_TIMEOUT, ok = DR_STATUS_OK;
    for (int round = 0; round < 100; round++)
        assert_true(run_window(backlog.scheduler, "http://a", always, &timeout) >= 1);
    assert_int_equal(group_of(backlog.scheduler, "http://a").limit, 1);
    for (int round = 0; round < 100; round++)
        run_window(backlog.scheduler, "http://a", always, &ok);
    assert_true(group_of(backlog.scheduler, "http://a").limit >= 90);
    backlog_free(&backlog);
}

static void caps_hold_however_well_it_goes(void **state)
{
    (void)state;
    struct backlog capped = backlog_of(100, 1000, 20);
    struct backlog overall = backlog_of(100, 30, 0);
    dr_status ok = DR_STATUS_OK;
    for (int round = 0; round < 100; round++) {
        assert_true(run_window(capped.scheduler, "http://a", always, &ok) <= 20);
        assert_true(run_window(overall.scheduler, "http://a", always, &ok) <= 30);
    }
    assert_int_equal(group_of(capped.scheduler, "http://a").limit, 20);
    assert_int_equal(group_of(overall.scheduler, "http://a").limit, 30);
    backlog_free(&capped);
    backlog_free(&overall);
}

static void every_status_moves_the_limit_as_its_table_says(void **state)
{
    (void)state;
    static const struct {
        dr_status status;
        int effect;
    } table[] = {
#define X(name, number, wire, text, retried, effect) {name, effect},
        DR_STATUS_TABLE(X)
#undef X
        {(dr_status)99, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct backlog backlog = backlog_of(100, 1000, 0);
        dr_status status = table[i].status;
        run_window(backlog.scheduler, "http://a", always, &status);
        run_window(backlog.scheduler, "http://a", always, &status);
        uint32_t limit = group_of(backlog.scheduler, "http://a").limit;
        if (table[i].effect < 0)
            assert_int_equal(limit, SCHEDULER_LIMIT_START / 4);
        else
            assert_in_range(limit, SCHEDULER_LIMIT_START + 1, SCHEDULER_LIMIT_START + 2);
        backlog_free(&backlog);
    }
}

/* A target that serves CAPACITY requests at a time and refuses the rest. */
static dr_status refuse_above(uint32_t nth, void *arg)
{
    return nth < *(uint32_t *)arg ? DR_STATUS_OK : DR_STATUS_THROTTLED;
}

static void the_limit_settles_near_what_the_target_can_take(void **state)
{
    (void)state;
    uint32_t capacities[] = {1, 3, 40, 200};
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        struct backlog backlog = backlog_of(2000, 4096, 0);
        for (int round = 0; round < 500; round++)
            run_window(backlog.scheduler, "http://a", refuse_above, &capacities[c]);
        uint64_t attempts = 0, refused = 0;
        for (int round = 0; round < 1000; round++) {
            uint32_t n = run_window(backlog.scheduler, "http://a", refuse_above, &capacities[c]);
            attempts += n;
            refused += n > capacities[c] ? n - capacities[c] : 0;
        }
        double mean = (double)attempts / 1000;
        assert_true(mean >= 0.6 * capacities[c]);
        assert_true(mean <= capacities[c] + 1.0);
        assert_true(capacities[c] < 40 || (double)refused / (double)attempts < 0.05);
        backlog_free(&backlog);
    }
}

static void an_attempt_that_never_left_leaves_the_limit_alone(void **state)
{
    (void)state;
    struct backlog backlog = backlog_of(100, 1000, 0);
    struct call *call;
    while ((call = next(backlog.scheduler))) {
        if (scheduler_in_flight(backlog.scheduler) < SCHEDULER_LIMIT_START)
            continue;
        struct scheduler_group *group = call->entry.group;
        call->entry.group = NULL;
        scheduler_release(backlog.scheduler, group);
        if (scheduler_ready(backlog.scheduler) == 0)
            break;
    }
    struct scheduler_group_view view = group_of(backlog.scheduler, "http://a");
    assert_int_equal(view.limit, SCHEDULER_LIMIT_START);
    assert_int_equal(view.in_flight, SCHEDULER_LIMIT_START - 1);
    assert_sums_agree(backlog.scheduler);
    backlog_free(&backlog);
}

static void a_removed_call_never_starts(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(100, 0);
    struct call calls[3];
    for (uint32_t i = 0; i < 3; i++)
        push(scheduler, &calls[i], "http://a", i % 2, i);
    assert_true(scheduler_is_ready(&calls[1].entry));
    scheduler_remove(scheduler, &calls[1].entry);
    assert_false(scheduler_is_ready(&calls[1].entry));
    scheduler_remove(scheduler, &calls[1].entry);
    assert_int_equal(next(scheduler)->number, 0);
    scheduler_remove(scheduler, &calls[0].entry); /* in flight: nothing to take back */
    assert_int_equal(scheduler_in_flight(scheduler), 1);
    assert_int_equal(next(scheduler)->number, 2);
    assert_null(scheduler_next(scheduler));
    scheduler_destroy(scheduler);
}

static void groups_are_told_apart_by_project_and_host(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(100, 0);
    struct call calls[5];
    push(scheduler, &calls[0], "http://Example.com:80/a", 1, 0);
    push(scheduler, &calls[1], "https://example.COM:80/b?x", 2, 0);
    push(scheduler, &calls[2], "http://example.com:81", 3, 0);
    push(scheduler, &calls[3], "bridge://session", 4, 0);
    scheduler_entry_init(&calls[4].entry);
    scheduler_push(scheduler, &calls[4].entry, 7, slice_text("http://example.com:80"), root_of(5));
    assert_int_equal(count_groups(scheduler), 4);
    assert_int_equal(group_of(scheduler, "http://example.com:80").ready, 2);
    struct scheduler_group_view view;
    assert_true(scheduler_group_view(scheduler, 7, slice_text("http://example.com:80/z"), &view));
    assert_int_equal(view.project, 7);
    assert_true(slice_equal(view.host, slice_text("example.com:80")));
    assert_false(scheduler_group_view(scheduler, 8, slice_text("http://example.com:80"), &view));
    scheduler_destroy(scheduler);
}

static void finds_the_host_of_an_endpoint(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"http://h", "h"},
        {"http://h:1/p/q", "h:1"},
        {"https://user:pw@h:1?x@y", "h:1"},
        {"http://[::1]:8000#f", "[::1]:8000"},
        {"HTTP://h/", "h"},
        {"bridge://x", "bridge://x"},
        {"arn:aws:lambda:us-east-1:1:function:f", "arn:aws:lambda:us-east-1:1:function:f"},
        {"http://", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_true(slice_equal(scheduler_host(slice_text(table[i][0])), slice_text(table[i][1])));
}

static void forgets_the_oldest_of_too_many_idle_groups(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(100, 0);
    struct call busy, call;
    push(scheduler, &busy, "http://busy", 1, 0);
    char endpoint[64];
    for (unsigned i = 0; i < SCHEDULER_IDLE_GROUPS_MAX + 100; i++) {
        snprintf(endpoint, sizeof endpoint, "http://host-%u", i);
        push(scheduler, &call, endpoint, 2, 0);
        scheduler_remove(scheduler, &call.entry);
    }
    struct scheduler_group_view view;
    assert_false(scheduler_group_view(scheduler, 0, slice_text("http://host-99"), &view));
    assert_true(scheduler_group_view(scheduler, 0, slice_text("http://host-100"), &view));
    assert_true(scheduler_group_view(scheduler, 0, slice_text(endpoint), &view));
    assert_int_equal(group_of(scheduler, "http://busy").ready, 1);
    scheduler_destroy(scheduler);
}

static void an_idle_group_remembers_its_limit(void **state)
{
    (void)state;
    struct scheduler *scheduler = scheduler_with(100, 0);
    struct call call;
    push(scheduler, &call, "http://a", 1, 0);
    finish(scheduler, next(scheduler), DR_STATUS_THROTTLED);
    assert_int_equal(group_of(scheduler, "http://a").limit, SCHEDULER_LIMIT_START / 2);
    push(scheduler, &call, "http://a", 1, 0);
    assert_ptr_equal(next(scheduler), &call);
    assert_int_equal(group_of(scheduler, "http://a").limit, SCHEDULER_LIMIT_START / 2);
    scheduler_destroy(scheduler);
}

static void sums_agree_through_random_use(void **state)
{
    (void)state;
    enum { N = 300, STEPS = 20000 };
    enum { IDLE, READY, RUNNING } phase[N] = {IDLE};
    struct scheduler *scheduler = scheduler_with(50, 0);
    struct random random;
    random_init(&random, 20240625);
    struct call calls[N];
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = (uint32_t)random_below(&random, N);
        char endpoint[] = "http://x";
        endpoint[7] = (char)('a' + i % 7);
        struct call *started;
        switch (phase[i]) {
        case IDLE:
            push(scheduler, &calls[i], endpoint, i % 20, i);
            phase[i] = READY;
            break;
        case READY:
            if (i % 3 == 0) {
                scheduler_remove(scheduler, &calls[i].entry);
                phase[i] = IDLE;
            } else if ((started = next(scheduler))) {
                assert_int_equal(phase[started->number], READY);
                phase[started->number] = RUNNING;
            }
            break;
        case RUNNING:
            finish(scheduler, &calls[i], (dr_status)random_below(&random, 16));
            phase[i] = IDLE;
        }
        if (step % 50 == 0)
            assert_sums_agree(scheduler);
        assert_true(scheduler_in_flight(scheduler) <= 50);
    }
    scheduler_destroy(scheduler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_calls_of_one_tree_in_the_order_they_came),
        cmocka_unit_test(starts_a_small_tree_within_one_round_of_a_big_one),
        cmocka_unit_test(trees_take_turns),
        cmocka_unit_test(groups_take_turns),
        cmocka_unit_test(a_dead_endpoint_does_not_hold_up_the_others),
        cmocka_unit_test(a_window_of_successes_raises_the_limit_by_one),
        cmocka_unit_test(the_limit_stays_while_nothing_pushes_against_it),
        cmocka_unit_test(failures_of_one_round_halve_the_limit_once),
        cmocka_unit_test(the_limit_never_falls_below_one_and_recovers),
        cmocka_unit_test(caps_hold_however_well_it_goes),
        cmocka_unit_test(every_status_moves_the_limit_as_its_table_says),
        cmocka_unit_test(the_limit_settles_near_what_the_target_can_take),
        cmocka_unit_test(an_attempt_that_never_left_leaves_the_limit_alone),
        cmocka_unit_test(a_removed_call_never_starts),
        cmocka_unit_test(groups_are_told_apart_by_project_and_host),
        cmocka_unit_test(finds_the_host_of_an_endpoint),
        cmocka_unit_test(forgets_the_oldest_of_too_many_idle_groups),
        cmocka_unit_test(an_idle_group_remembers_its_limit),
        cmocka_unit_test(sums_agree_through_random_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
