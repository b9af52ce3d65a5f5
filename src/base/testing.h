/* What every unit test includes: cmocka with the headers it needs before it, the choice of one test by name
 * (`TEST=pops_equal_deadlines_in_arm_order build/test/tests/base_heap_test`, * and ? match), and the
 * allocation-fault sweep. Tests only; never part of a library. */
#ifndef BASE_TESTING_H
#define BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include <dispatchrun/error.h>

__attribute__((constructor)) static void choose_test(void)
{
    const char *pattern = getenv("TEST");
    if (pattern)
        cmocka_set_test_filter(pattern);
}

/* Runs scenario(arg) with its 1st, 2nd, ... allocation failing, until a run is through untouched. A run that met
 * the fault may end with DR_NO_MEMORY or, where memory was optional, with DR_OK; the untouched one ends with DR_OK.
 * Leaks are found by the sanitizer. At most 10,000 runs. */
static inline void assert_survives_allocation_faults(dr_code (*scenario)(void *arg), void *arg)
{
    for (unsigned long nth = 1; nth <= 10000; nth++) {
        mem_fault_set(nth);
        dr_code code = scenario(arg);
        int is_hit = mem_fault_hit();
        mem_fault_set(0);
        if (!is_hit) {
            assert_int_equal(code, DR_OK);
            return;
        }
        assert_true(code == DR_OK || code == DR_NO_MEMORY);
    }
    fail_msg("the scenario allocates without end");
}

#endif
