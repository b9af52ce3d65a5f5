/* A backlog of sleeping calls lies on disk, not in memory. STORE_SLEEPING in the environment: how many. */
#include "base/testing.h"

#include "subject.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define SLEEPING_DEFAULT 200000
#define BATCH_CALLS 1000
#define SQLITE_BYTES_MAX 48000000
#define GROWTH_KIB_MAX 100000

static long resident_kib(void)
{
    long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &total, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

#ifndef __has_feature
#define __has_feature(feature) 0 /* gcc says it with macros */
#endif

static bool is_sanitized(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
    return true; /* whose own memory would be measured */
#else
    return false;
#endif
}

static void a_backlog_of_sleeping_calls_does_not_cost_memory(void **state)
{
    struct subject *subject = *state;
    const char *text = getenv("STORE_SLEEPING");
    uint64_t n_calls = text ? strtoul(text, NULL, 10) : SLEEPING_DEFAULT;
    struct random random;
    random_init(&random, 1);
    long before_kib = resident_kib();
    for (uint64_t n = 0; n < n_calls; n += BATCH_CALLS) {
        struct batch *batch = batch_create(n + 1);
        for (uint64_t i = 0; i < BATCH_CALLS; i++) {
            struct call_record record = call_make(n + i);
            record.input = text_blob("an input of some forty bytes, more or less");
            record.wake_ns = (int64_t)random_below(&random, 1000000000000);
            batch_add(batch, BATCH_INSERT, 0, &record);
            record_deinit(&record);
        }
        commit(subject, batch);
    }
    long grown_kib = resident_kib() - before_kib;
    printf("%llu calls: SQLite at most %lld bytes, resident memory grew by %ld KiB\n",
           (unsigned long long)n_calls, (long long)sqlite3_memory_highwater(0), grown_kib);
    assert_true(sqlite3_memory_highwater(0) < SQLITE_BYTES_MAX);
    assert_true(is_sanitized() || grown_kib < GROWTH_KIB_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate_setup_teardown(
        a_backlog_of_sleeping_calls_does_not_cost_memory, subject_open, subject_close, SUBJECT_SQLITE)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
