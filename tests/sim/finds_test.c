/* The simulator finds what is wrong: a function of the product is replaced by one that breaks a promise, and a run goes
 * wrong by it; and what it finds it reduces. */
#include "base/testing.h"

#include "engine/engine.h"
#include "sim/reduce.h"
#include "sim/sim.h"
#include "store/store.h"
#include "wire/wire.h"

#define SEEDS_MAX 300 /* by then it must have been found */

static struct {
    bool drops_commits;
    bool forgets_children;
    bool repeats_results;
    bool swaps_arms;
    bool lies;
    bool answers_early;
} broken;
static struct store *shadow;
static unsigned n_commits;

dr_code __real_store_memory_open(struct store **ret_store, struct dr_error *error);
dr_code __wrap_store_memory_open(struct store **ret_store, struct dr_error *error);
dr_code __wrap_store_memory_open(struct store **ret_store, struct dr_error *error)
{
    dr_code code = __real_store_memory_open(ret_store, error);
    shadow = *ret_store;
    n_commits = 0;
    return code;
}

dr_code __real_store_commit(struct store *store, struct batch *const *batches, size_t n, struct dr_error *error);
dr_code __wrap_store_commit(struct store *store, struct batch *const *batches, size_t n, struct dr_error *error);
dr_code __wrap_store_commit(struct store *store, struct batch *const *batches, size_t n, struct dr_error *error)
{
    bool is_dropped = broken.drops_commits && store != shadow && ++n_commits % 7 == 0;
    return is_dropped ? DR_OK : __real_store_commit(store, batches, n, error);
}

dr_code __real_store_read_children(struct store *store, struct id parent, uint32_t generation,
                                   struct store_records *ret_records, uint64_t *ret_n_outstanding, struct dr_error *error);
dr_code __wrap_store_read_children(struct store *store, struct id parent, uint32_t generation,
                                   struct store_records *ret_records, uint64_t *ret_n_outstanding, struct dr_error *error);
dr_code __wrap_store_read_children(struct store *store, struct id parent, uint32_t generation,
                                   struct store_records *ret_records, uint64_t *ret_n_outstanding, struct dr_error *error)
{
    dr_code code = __real_store_read_children(store, parent, generation, ret_records, ret_n_outstanding, error);
    if (broken.forgets_children && code == DR_OK && *ret_n_outstanding > 0)
        *ret_n_outstanding -= 1;
    return code;
}

dr_code __real_wire_run_request_encode(const struct wire_run_request *request, struct buf *buf, struct dr_error *error);
dr_code __wrap_wire_run_request_encode(const struct wire_run_request *request, struct buf *buf, struct dr_error *error);
dr_code __wrap_wire_run_request_encode(const struct wire_run_request *request, struct buf *buf, struct dr_error *error)
{
    struct wire_run_request changed = *request;
    struct wire_poll_result *poll = &changed.poll_result;
    bool is_resume = request->directive == WIRE_DIRECTIVE_POLL_RESULT;
    if (broken.repeats_results && is_resume && poll->n_results > 1)
        poll->results[1] = poll->results[0];
    if (broken.swaps_arms && is_resume && poll->state_arm == WIRE_STATE_TYPED)
        poll->state_arm = WIRE_STATE_BYTES;
    return __real_wire_run_request_encode(&changed, buf, error);
}

struct engine_why __real_engine_why(const struct engine *engine, struct id id);
struct engine_why __wrap_engine_why(const struct engine *engine, struct id id);
struct engine_why __wrap_engine_why(const struct engine *engine, struct id id)
{
    struct engine_why why = __real_engine_why(engine, id);
    if (broken.lies && why.kind == ENGINE_WHY_RESULTS)
        why.kind = ENGINE_WHY_SLEEP;
    return why;
}

void __real_engine_step(struct engine *engine, const struct engine_event *event, int64_t now_ns, struct engine_update *update);
void __wrap_engine_step(struct engine *engine, const struct engine_event *event, int64_t now_ns, struct engine_update *update);
void __wrap_engine_step(struct engine *engine, const struct engine_event *event, int64_t now_ns, struct engine_update *update)
{
    struct engine_event early = *event;
    if (broken.answers_early && event->kind == ENGINE_BATCH_DURABLE)
        early.durable_sequence++; /* of a batch that is not, if there is one */
    __real_engine_step(engine, broken.answers_early ? &early : event, now_ns, update);
}

/* The first seed that goes wrong, and how; 0 = none. */
static uint64_t seed_that_goes_wrong(char *violation)
{
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        struct sim_report report;
        sim_run_child(&(struct sim_options){.seed = seed, .is_quiet = true}, &report);
        memcpy(violation, report.violation, SIM_VIOLATION_SIZE);
        bool is_wrong = report.violation[0] != '\0';
        sim_report_deinit(&report);
        if (is_wrong)
            return seed;
    }
    return 0;
}

/* By words of the violation; "" where it may show in several ways. */
static void check_is_found(const char *words)
{
    char violation[SIM_VIOLATION_SIZE];
    assert_int_not_equal(seed_that_goes_wrong(violation), 0);
    if (!strstr(violation, words))
        fail_msg("\"%s\" is not in: %s", words, violation);
}

static int mend(void **state)
{
    (void)state;
    memset(&broken, 0, sizeof broken);
    return 0;
}

static void finds_nothing_when_nothing_is_wrong(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_report report;
        sim_run_child(&(struct sim_options){.seed = seed}, &report);
        assert_string_equal(report.violation, "");
        sim_report_deinit(&report);
    }
}

static void finds_a_commit_that_was_not_made(void **state)
{
    (void)state;
    broken.drops_commits = true;
    check_is_found("");
}

static void finds_a_result_that_is_forgotten_after_a_restart(void **state)
{
    (void)state;
    broken.forgets_children = true;
    check_is_found("");
}

static void finds_a_result_that_comes_twice(void **state)
{
    (void)state;
    broken.repeats_results = true;
    check_is_found("I2");
}

static void finds_a_state_in_another_arm(void **state)
{
    (void)state;
    broken.swaps_arms = true;
    check_is_found("state");
}

static void finds_a_reason_that_is_not_true(void **state)
{
    (void)state;
    broken.lies = true;
    check_is_found("I8");
}

static void finds_an_acknowledgement_that_comes_early(void **state)
{
    (void)state;
    broken.answers_early = true;
    check_is_found("");
}

static void reduces_what_it_finds_and_the_seed_gives_it_again(void **state)
{
    (void)state;
    char violation[SIM_VIOLATION_SIZE];
    struct sim_report whole, shortest, again;
    struct reduction reduction;
    broken.drops_commits = true;
    uint64_t seed = seed_that_goes_wrong(violation);
    struct sim_options options = {.seed = seed, .is_quiet = true};
    sim_run_child(&options, &whole);
    assert_string_equal(whole.violation, violation);
    reduce_run(&options, &whole, &reduction);
    reduction.options.has_trace = true;
    sim_run_child(&reduction.options, &shortest);
    sim_run_child(&reduction.options, &again);
    assert_true(shortest.violation[0] != '\0');
    assert_true(shortest.n_struck <= whole.n_struck);
    assert_true(reduction.n_runs > 1 && reduction.n_runs <= REDUCE_RUNS_MAX);
    assert_int_equal(shortest.trace.len, again.trace.len);
    assert_memory_equal(shortest.trace.data, again.trace.data, shortest.trace.len);
    sim_report_deinit(&whole);
    sim_report_deinit(&shortest);
    sim_report_deinit(&again);
    reduction_deinit(&reduction);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(finds_nothing_when_nothing_is_wrong, mend),
        cmocka_unit_test_teardown(finds_a_commit_that_was_not_made, mend),
        cmocka_unit_test_teardown(finds_a_result_that_is_forgotten_after_a_restart, mend),
        cmocka_unit_test_teardown(finds_a_result_that_comes_twice, mend),
        cmocka_unit_test_teardown(finds_a_state_in_another_arm, mend),
        cmocka_unit_test_teardown(finds_a_reason_that_is_not_true, mend),
        cmocka_unit_test_teardown(finds_an_acknowledgement_that_comes_early, mend),
        cmocka_unit_test_teardown(reduces_what_it_finds_and_the_seed_gives_it_again, mend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
