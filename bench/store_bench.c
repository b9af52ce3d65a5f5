/* What a call costs the SQLite store, fsync on.
 *
 *     store_bench [CALLS]           echo calls: 100 inserted in one commit, then made done in one commit; CPU
 * and time per call, beside the floor (the same bytes in bare SQLite: one table, one index) store_bench alone
 * [CALLS]     the same, one call per commit store_bench sleep [CALLS]     calls that sleep: memory, disk, and
 * what a start and the first scan take
 *
 * The database is made in TMPDIR and removed. */
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLS_DEFAULT 100000
#define SLEEPING_DEFAULT 1000000
#define BATCH_CALLS 100
#define BATCH_SLEEPING 1000

static const char payload[] =
    "\x0a\x2etype.googleapis.com/google.protobuf.StringValue\x12\x0b\x0a\x09hello all";

struct usage {
    int64_t wall_ns;
    int64_t user_ns;
    int64_t system_ns;
};

static int64_t ns_of(struct timeval time)
{
    return (int64_t)time.tv_sec * NS_PER_S + (int64_t)time.tv_usec * NS_PER_US;
}

static struct usage usage_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct usage){clock_monotonic_ns(), ns_of(usage.ru_utime), ns_of(usage.ru_stime)};
}

static void print_since(const char *what, struct usage start, size_t n)
{
    struct usage end = usage_now();
    double user_us = (double)(end.user_ns - start.user_ns) / 1e3 / (double)n;
    double system_us = (double)(end.system_ns - start.system_ns) / 1e3 / (double)n;
    double wall_us = (double)(end.wall_ns - start.wall_ns) / 1e3 / (double)n;
    printf("%-34s %6.2f us CPU per call (%.2f user, %.2f system), %7.2f us wall, %8.0f calls/s\n", what,
           user_us + system_us, user_us, system_us, wall_us, 1e6 / wall_us);
}

static long rss_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long total = 0, resident = 0;
    CHECK(file);
    if (fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long long file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (long long)status.st_size : 0;
}

static struct store *open_store(const char *path)
{
    struct store *store;
    struct dr_error error = {0};
    struct store_sqlite_options options = {.path = path};
    if (store_sqlite_open(&options, &store, &error) != DR_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return store;
}

static void commit(struct store *store, struct batch *batch)
{
    struct dr_error error = {0};
    if (store_commit(store, &batch, 1, &error) != DR_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    batch_destroy(batch);
}

static struct call_record make_call(struct id_source *source)
{
    int64_t now_ns = clock_real_ns();
    struct call_record record = {.id = id_next(source, now_ns), .project = 1, .state = CALL_SCHEDULED};
    record.root = record.id;
    record.created_ns = record.wake_ns = record.due_ns = now_ns;
    record.expires_ns = now_ns + 86400 * NS_PER_S;
    record.endpoint = blob_create(slice_text("http://127.0.0.1:8000/dispatch"));
    record.function = blob_create(slice_text("echo"));
    record.input = blob_create(slice_of(payload, sizeof payload - 1));
    return record;
}

static void finish(struct call_record *record, uint64_t sequence)
{
    record->state = CALL_DONE;
    record->wake_ns = 0;
    record->status = DR_STATUS_OK;
    record->last_status = DR_STATUS_OK;
    record->attempts = 1;
    record->done_ns = clock_real_ns();
    record->done_sequence = sequence;
    record->output = blob_ref(record->input);
}

static void run_calls(struct store *store, struct id_source *source, size_t n_calls, size_t per_commit)
{
    struct call_record records[BATCH_CALLS];
    for (size_t done = 0; done < n_calls; done += per_commit) {
        struct batch *inserts = batch_create(1), *updates = batch_create(2);
        for (size_t i = 0; i < per_commit; i++) {
            records[i] = make_call(source);
            batch_add(inserts, BATCH_INSERT, 0, &records[i]);
            finish(&records[i], done + i);
            batch_add(updates, BATCH_UPDATE, RECORD_PROGRESS | RECORD_RESULT, &records[i]);
            record_deinit(&records[i]);
        }
        commit(store, inserts);
        commit(store, updates);
    }
}

/* ---- the floor
 * --------------------------------------------------------------------------------------------------- */

static void sql(sqlite3 *database, const char *text)
{
    if (sqlite3_exec(database, text, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", text, sqlite3_errmsg(database));
        exit(1);
    }
}

static void step(sqlite3_stmt *statement)
{
    CHECK(sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_reset(statement);
}

static void run_floor(const char *path, struct id_source *source, size_t n_calls, size_t per_commit)
{
    sqlite3 *database;
    sqlite3_stmt *insert, *update;
    CHECK(sqlite3_open(path, &database) == SQLITE_OK);
    sql(database,
        "PRAGMA page_size=8192; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-32000;"
        "CREATE TABLE call(id BLOB PRIMARY KEY, state INTEGER, wake_ns INTEGER, call BLOB, result BLOB)"
        " WITHOUT ROWID; CREATE INDEX call_wake ON call(wake_ns) WHERE state <> 3");
    CHECK(sqlite3_prepare_v2(database, "INSERT INTO call VALUES(?,1,?,?,NULL)", -1, &insert, NULL) ==
          SQLITE_OK);
    CHECK(sqlite3_prepare_v2(database, "UPDATE call SET state=3, wake_ns=0, result=? WHERE id=?", -1, &update,
                             NULL) == SQLITE_OK);
    struct id ids[BATCH_CALLS];
    uint8_t call[200] = {0};
    for (size_t done = 0; done < n_calls; done += per_commit) {
        sql(database, "BEGIN");
        for (size_t i = 0; i < per_commit; i++) {
            int64_t now_ns = clock_real_ns();
            ids[i] = id_next(source, now_ns);
            sqlite3_bind_blob(insert, 1, ids[i].bytes, ID_BYTES, SQLITE_STATIC);
            sqlite3_bind_int64(insert, 2, now_ns);
            sqlite3_bind_blob(insert, 3, call, sizeof call, SQLITE_STATIC);
            step(insert);
        }
        sql(database, "COMMIT");
        sql(database, "BEGIN");
        for (size_t i = 0; i < per_commit; i++) {
            sqlite3_bind_blob(update, 1, payload, sizeof payload, SQLITE_STATIC);
            sqlite3_bind_blob(update, 2, ids[i].bytes, ID_BYTES, SQLITE_STATIC);
            step(update);
        }
        sql(database, "COMMIT");
    }
    sqlite3_finalize(insert);
    sqlite3_finalize(update);
    sqlite3_close(database);
}

/* ---- sleeping calls
 * ---------------------------------------------------------------------------------------------- */

static void sleep_calls(const char *path, struct id_source *source, size_t n_calls)
{
    struct store *store = open_store(path);
    long before_kib = rss_kib();
    struct usage start = usage_now();
    for (size_t done = 0; done < n_calls; done += BATCH_SLEEPING) {
        struct batch *batch = batch_create(1);
        for (size_t i = 0; i < BATCH_SLEEPING; i++) {
            struct call_record record = make_call(source);
            /* spread over a year, in no order */
            record.wake_ns += (int64_t)random_below(source->random, 365 * 86400) * NS_PER_S;
            batch_add(batch, BATCH_INSERT, 0, &record);
            record_deinit(&record);
        }
        commit(store, batch);
    }
    print_since("insert sleeping calls", start, n_calls);
    printf("resident memory: %ld KiB more, %.1f bytes per call\n", rss_kib() - before_kib,
           (double)(rss_kib() - before_kib) * 1024 / (double)n_calls);
    start = usage_now();
    store_close(store);
    print_since("close", start, 1);
    printf("disk: %lld bytes, %.0f per call\n", file_bytes(path), (double)file_bytes(path) / (double)n_calls);

    start = usage_now();
    store = open_store(path);
    print_since("open", start, 1);
    struct store_scan_result scan;
    struct store_cursor first = {0};
    start = usage_now();
    CHECK(store_scan_due(store, first, TIME_NEVER, 1000, SIZE_MAX, &scan, NULL) == DR_OK);
    print_since("first scan of 1000", start, 1);
    store_records_deinit(&scan.records);
    struct store_counts counts;
    start = usage_now();
    CHECK(store_counts(store, &counts, NULL) == DR_OK);
    print_since("first count", start, 1);
    CHECK(counts.n_live == n_calls / BATCH_SLEEPING * BATCH_SLEEPING);
    start = usage_now();
    run_calls(store, source, 20000, BATCH_CALLS);
    print_since("echo calls beside them", start, 20000);
    printf("resident memory at the end: %ld KiB\n", rss_kib());
    store_close(store);
}

static void measure(const char *path, struct id_source *source, size_t n_calls, size_t per_commit)
{
    char floor_path[320];
    struct store *store = open_store(path);
    struct usage start = usage_now();
    run_calls(store, source, n_calls, per_commit);
    print_since("store: insert, done", start, n_calls);
    start = usage_now();
    store_close(store);
    print_since("close", start, 1);
    printf("disk: %.0f bytes per call\n", (double)file_bytes(path) / (double)n_calls);
    snprintf(floor_path, sizeof floor_path, "%s-floor", path);
    start = usage_now();
    run_floor(floor_path, source, n_calls, per_commit);
    print_since("floor: bare insert, update", start, n_calls);
    unlink(floor_path);
}

int main(int argc, char **argv)
{
    const char *base = getenv("TMPDIR");
    const char *mode = argc > 1 ? argv[1] : "";
    bool is_alone = strcmp(mode, "alone") == 0, is_asleep = strcmp(mode, "sleep") == 0;
    const char *number = is_alone || is_asleep ? argc > 2 ? argv[2] : NULL : argc > 1 ? argv[1] : NULL;
    size_t n_calls = number ? strtoul(number, NULL, 10) : is_asleep ? SLEEPING_DEFAULT : CALLS_DEFAULT;
    char directory[256], path[300];
    snprintf(directory, sizeof directory, "%s/dispatch-bench-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/dispatch.db", directory);
    struct random random;
    random_init(&random, 1);
    struct id_source source = {.random = &random};
    if (is_asleep)
        sleep_calls(path, &source, n_calls);
    else if (is_alone)
        measure(path, &source, number ? n_calls : 10000, 1);
    else
        measure(path, &source, n_calls, BATCH_CALLS);
    unlink(path);
    rmdir(directory);
    return 0;
}
