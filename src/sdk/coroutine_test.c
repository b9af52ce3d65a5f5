/* Coroutines: stacks, threads, and what a switch must not lose. */
#include "base/testing.h"

#include "sdk/coroutine.h"
#include "sdk/stack.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct work {
    struct coroutine *coroutine;
    int n_steps;
    int step;
    double sum;
    uintptr_t misalignment;
};

static void counts(void *arg)
{
    struct work *work = arg;
    char aligned[64] __attribute__((aligned(16)));
    memset(aligned, 1, sizeof aligned);
    work->misalignment = (uintptr_t)aligned % 16;
    for (int i = 1; i <= work->n_steps; i++) {
        work->sum += i / 2.0;
        work->step = i;
        coroutine_suspend(work->coroutine);
    }
}

static void create(struct work *work, void (*body)(void *arg))
{
    assert_int_equal(coroutine_create(0, body, work, &work->coroutine), DR_OK);
}

static void a_body_goes_on_where_it_suspended(void **state)
{
    (void)state;
    struct work work = {.n_steps = 3};
    create(&work, counts);
    for (int i = 1; i <= 3; i++) {
        assert_false(coroutine_resume(work.coroutine));
        assert_int_equal(work.step, i);
    }
    assert_true(coroutine_resume(work.coroutine));
    assert_true(work.sum == 3.0);
    assert_int_equal(work.misalignment, 0);
    coroutine_destroy(work.coroutine);
}

static void a_coroutine_that_is_dropped_frees_its_stack(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct work work = {.n_steps = 3};
        create(&work, counts);
        if (i % 2)
            assert_false(coroutine_resume(work.coroutine));
        coroutine_destroy(work.coroutine);
    }
    coroutine_destroy(NULL);
}

static void many_coroutines_take_turns(void **state)
{
    (void)state;
    struct work works[50] = {0};
    for (int i = 0; i < 50; i++) {
        works[i].n_steps = 10;
        create(&works[i], counts);
    }
    for (int step = 1; step <= 10; step++)
        for (int i = 0; i < 50; i++) {
            assert_false(coroutine_resume(works[i].coroutine));
            assert_int_equal(works[i].step, step);
        }
    for (int i = 0; i < 50; i++) {
        assert_true(coroutine_resume(works[i].coroutine));
        coroutine_destroy(works[i].coroutine);
    }
}

static void *resume_once(void *arg)
{
    struct work *work = arg;
    (void)coroutine_resume(work->coroutine);
    return NULL;
}

static void a_coroutine_goes_on_on_other_threads(void **state)
{
    (void)state;
    struct work work = {.n_steps = 5};
    create(&work, counts);
    for (int i = 1; i <= 5; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, resume_once, &work), 0);
        pthread_join(thread, NULL);
        assert_int_equal(work.step, i);
    }
    assert_true(coroutine_resume(work.coroutine));
    coroutine_destroy(work.coroutine);
}

static void uses_stack(void *arg)
{
    struct work *work = arg;
    volatile char room[200 * 1024];
    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = (char)i;
    coroutine_suspend(work->coroutine);
    for (size_t i = 0; i < sizeof room; i += 512)
        work->step += room[i] == (char)i;
}

static void a_stack_is_as_large_as_asked_for(void **state)
{
    (void)state;
    struct work work = {0};
    assert_int_equal(coroutine_create(256 * 1024, uses_stack, &work, &work.coroutine), DR_OK);
    assert_false(coroutine_resume(work.coroutine));
    assert_true(coroutine_resume(work.coroutine));
    assert_int_equal(work.step, 400);
    coroutine_destroy(work.coroutine);
}

/* The signal that ends a process that writes there; 0 if none does. */
static int signal_of_writing_to(volatile char *place)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL); /* sanitizers would report it */
        *place = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void an_overflow_is_a_fault_and_not_a_write_to_the_stack_below(void **state)
{
    (void)state;
    struct stack stacks[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(stack_take(STACK_BYTES_MIN, &stacks[i]), DR_OK);
    for (int i = 0; i < 3; i++) {
        volatile char *start = stacks[i].start;
        assert_int_equal(signal_of_writing_to(start), 0);
        assert_int_equal(signal_of_writing_to(start - 1), SIGSEGV);
        assert_int_equal(signal_of_writing_to(start - 100 * 1024), SIGSEGV); /* a frame with large arrays */
    }
    for (int i = 0; i < 3; i++)
        stack_release(&stacks[i]);
}

static void inner(void *arg)
{
    struct work *work = arg;
    work->step++;
    coroutine_suspend(work->coroutine);
    work->step++;
}

static void outer(void *arg)
{
    struct work *work = arg;
    struct work within = {0};
    create(&within, inner);
    assert_false(coroutine_resume(within.coroutine));
    coroutine_suspend(work->coroutine);
    assert_true(coroutine_resume(within.coroutine));
    coroutine_destroy(within.coroutine);
    work->step = within.step;
}

static void coroutines_nest(void **state)
{
    (void)state;
    struct work work = {0};
    create(&work, outer);
    assert_false(coroutine_resume(work.coroutine));
    assert_true(coroutine_resume(work.coroutine));
    assert_int_equal(work.step, 2);
    coroutine_destroy(work.coroutine);
}

/* So many that an optimising compiler keeps them in all registers that calls preserve. */
#define TEN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define LOAD(i) uintptr_t n##i = integers[i]; double d##i = doubles[i];
#define SAME(i) && n##i == integers[i] && d##i == doubles[i]

static bool keeps_variables(bool (*switches)(struct coroutine *coroutine), struct coroutine *coroutine, int seed)
{
    volatile uintptr_t integers[10];
    volatile double doubles[10];
    for (int i = 0; i < 10; i++) {
        integers[i] = (uintptr_t)(seed + i);
        doubles[i] = seed + i / 8.0;
    }
    TEN(LOAD)
    (void)switches(coroutine);
    return true TEN(SAME);
}

static bool suspend(struct coroutine *coroutine)
{
    coroutine_suspend(coroutine);
    return false;
}

static void keeps_variables_inside(void *arg)
{
    struct work *work = arg;
    work->step = keeps_variables(suspend, work->coroutine, 1000);
}

static void variables_in_registers_survive_a_switch_on_both_sides(void **state)
{
    (void)state;
    struct work work = {0};
    create(&work, keeps_variables_inside);
    assert_true(keeps_variables(coroutine_resume, work.coroutine, 2000));
    assert_true(keeps_variables(coroutine_resume, work.coroutine, 3000));
    assert_int_equal(work.step, 1);
    coroutine_destroy(work.coroutine);
}

static void rounds_up(void *arg)
{
    struct work *work = arg;
    (void)fesetround(FE_UPWARD);
    coroutine_suspend(work->coroutine);
    work->step = fegetround() == FE_UPWARD;
}

static void the_rounding_mode_is_the_coroutines_own(void **state)
{
    (void)state;
    struct work work = {0};
    create(&work, rounds_up);
    assert_false(coroutine_resume(work.coroutine));
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_true(coroutine_resume(work.coroutine));
    assert_int_equal(work.step, 1);
    assert_int_equal(fegetround(), FE_TONEAREST);
    coroutine_destroy(work.coroutine);
}

static dr_code create_and_destroy(void *arg)
{
    (void)arg;
    struct coroutine *coroutine = NULL;
    dr_code code = coroutine_create(0, counts, NULL, &coroutine);
    coroutine_destroy(coroutine);
    return code;
}

static void lack_of_memory_is_an_error(void **state)
{
    (void)state;
    struct coroutine *coroutine = NULL;
    assert_survives_allocation_faults(create_and_destroy, NULL);
    assert_int_equal(coroutine_create((size_t)1 << 50, counts, NULL, &coroutine), DR_NO_MEMORY);
    assert_null(coroutine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_goes_on_where_it_suspended),
        cmocka_unit_test(a_coroutine_that_is_dropped_frees_its_stack),
        cmocka_unit_test(many_coroutines_take_turns),
        cmocka_unit_test(a_coroutine_goes_on_on_other_threads),
        cmocka_unit_test(a_stack_is_as_large_as_asked_for),
        cmocka_unit_test(an_overflow_is_a_fault_and_not_a_write_to_the_stack_below),
        cmocka_unit_test(coroutines_nest),
        cmocka_unit_test(variables_in_registers_survive_a_switch_on_both_sides),
        cmocka_unit_test(the_rounding_mode_is_the_coroutines_own),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
