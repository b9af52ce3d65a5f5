/* The whole server while memory is short. It is crash-only (docs/decisions/001): it answers "try again", or it aborts.
 * Then the next one finds all that was acknowledged, and every call ends with its right result. */
#include "base/testing.h"

#include "faults.h"
#include "served.h"
#include <errno.h>

#define POINTS 30u /* of one sweep in `make test`; each is a process with a server */

static void check(void *arg, unsigned index)
{
    (void)arg;
    served_recover(served_of(index));
    served_check(served_of(index));
}

static void serve(void *arg)
{
    (void)arg;
    struct served *served = served_of(fault_index());
    struct dr_error error = {0};
    served_prepare(served);
    CHILD_CHECK(served_open(served, &error) == DR_OK);
    served_connect(served);
    fault_begin();
    served_use(served);
    fault_end();
    served_probe(served);
    served_await_all(served);
    served_close(served);
}

static void sweep(const char *name, enum fault_kind kind, unsigned length)
{
    fault_sweep(&(struct fault_sweep){.name = name, .kind = kind, .error = ENOMEM, .length = length, .may_abort = true,
                                      .points_max = kind == FAULT_ALLOC && length == 1 ? 2 * POINTS : POINTS, .run = serve, .check = check});
}

static void loses_nothing_without_memory(void **state)
{
    (void)state;
    sweep("serve: allocation", FAULT_ALLOC, 1);
    sweep("serve: three allocations", FAULT_ALLOC, 3);
    sweep("serve: allocation in SQLite", FAULT_SQLITE_ALLOC, 1);
}

static void loses_nothing_in_a_crash_for_lack_of_memory(void **state)
{
    (void)state;
    sweep("serve: allocation that must work", FAULT_MUST_ALLOC, 1);
}

static int set_up(void **state)
{
    (void)state;
    fault_wrap_sqlite();
    served_program_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing_without_memory),
        cmocka_unit_test(loses_nothing_in_a_crash_for_lack_of_memory),
    };
    return cmocka_run_group_tests_name("memory faults", tests, set_up, NULL);
}
