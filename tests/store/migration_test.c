/* Files as older versions made them, by the schema's text of that time. That text stays as it is here for ever. */
#include "base/testing.h"

#include "subject.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS                                                                                                  \
    "id,partition,parent,root,project,parent_generation,depth,correlation_id,created_ns,expires_ns,endpoint,"    \
    "function,version,input,generation,state,mail,sweep,has_children,wake_ns,due_ns,attempts,failures,"          \
    "last_status,last_error,state_arm,is_resume,poll_state,poll_error,min_results,max_results,status,done_ns,"   \
    "done_sequence,output,error_type,error_message,error_value,error_traceback"

#define TABLES                                                                                                   \
    "CREATE TABLE call ("                                                                                        \
    " id BLOB PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, parent BLOB, root BLOB NOT NULL,"                \
    " project INTEGER NOT NULL, parent_generation INTEGER NOT NULL, depth INTEGER NOT NULL,"                     \
    " correlation_id INTEGER NOT NULL, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,"                \
    " endpoint TEXT NOT NULL, function TEXT NOT NULL, version TEXT, input BLOB, generation INTEGER NOT NULL,"    \
    " state INTEGER NOT NULL, mail INTEGER NOT NULL, sweep INTEGER NOT NULL, has_children INTEGER NOT NULL,"     \
    " wake_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, attempts INTEGER NOT NULL,"                             \
    " failures INTEGER NOT NULL, last_status INTEGER NOT NULL, last_error BLOB,"                                 \
    " state_arm INTEGER NOT NULL, is_resume INTEGER NOT NULL, poll_state BLOB, poll_error BLOB,"                 \
    " min_results INTEGER NOT NULL, max_results INTEGER NOT NULL,"                                               \
    " status INTEGER NOT NULL, done_ns INTEGER NOT NULL, done_sequence INTEGER NOT NULL, output BLOB,"           \
    " error_type BLOB, error_message BLOB, error_value BLOB, error_traceback BLOB"                               \
    ");"                                                                                                         \
    "CREATE INDEX call_wake ON call(wake_ns, id) WHERE state <> 3;"                                              \
    "CREATE INDEX call_mail ON call(state, parent, parent_generation, done_sequence) WHERE mail = 1;"            \
    "CREATE INDEX call_done ON call(done_ns, id) WHERE state = 3;"                                               \
    "CREATE INDEX call_tree ON call(root, id) WHERE parent IS NOT NULL;"                                         \
    "CREATE TABLE payload (call BLOB NOT NULL, field INTEGER NOT NULL, bytes BLOB NOT NULL,"                     \
    " PRIMARY KEY (call, field)) WITHOUT ROWID;"                                                                 \
    "CREATE TABLE tally (n_live INTEGER NOT NULL, n_done INTEGER NOT NULL);"

/* By version. */
static const char *const SWEEP_INDEX[] = {NULL, "CREATE INDEX call_sweep ON call(id) WHERE sweep = 1;",
                                          "CREATE INDEX call_sweep ON call(id) WHERE sweep <> 0;"};

static void run(sqlite3 *database, const char *text)
{
    char *message = NULL;
    int result = sqlite3_exec(database, text, NULL, NULL, &message);
    if (result != SQLITE_OK)
        fail_msg("%s: %s", text, message);
}

/* The same calls in a file of `version`, in place of the subject's. */
static void make_old(struct subject *subject, int version)
{
    char text[2000], old[320];
    sqlite3 *database;
    store_close(subject->store);
    subject->store = NULL;
    assert_int_equal(sqlite3_open(path_with(subject->path, ".old", old), &database), SQLITE_OK);
    run(database, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL;");
    run(database, TABLES);
    run(database, SWEEP_INDEX[version]);
    (void)snprintf(text, sizeof text,
                   "ATTACH '%s' AS now; INSERT INTO call(" COLUMNS ") SELECT " COLUMNS " FROM now.call;"
                   "INSERT INTO payload SELECT call,field,bytes FROM now.payload;"
                   "INSERT INTO tally SELECT n_live,n_done FROM now.tally; DETACH now;"
                   "PRAGMA application_id=1146245169; PRAGMA user_version=%d", subject->path, version);
    run(database, text);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    assert_int_equal(rename(old, subject->path), 0);
}

static void change_file(struct subject *subject, const char *text)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(subject->path, &database), SQLITE_OK);
    run(database, text);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static dr_code open_again(struct subject *subject, struct dr_error *error)
{
    struct store_sqlite_options options = {.path = subject->path};
    return store_sqlite_open(&options, &subject->store, error);
}

enum { CALLS = 40 };

static struct call_record call_of(uint64_t n, struct random *random)
{
    struct call_record record = n % 3 == 1 ? call_make_child(n, n - 1, 2) : call_make(n);
    call_fill(&record, random);
    record.mail = (uint8_t)(n % 3 == 1 ? CALL_MAIL_OPEN : CALL_MAIL_NONE);
    record.sweep_below = n % 5 == 0 ? UINT32_MAX : 0;
    record.state = CALL_SCHEDULED;
    return record;
}

static void opens_what_was_put_into(struct subject *subject, int version)
{
    struct random random;
    random_init(&random, 3);
    for (uint64_t n = 1; n <= CALLS; n++)
        put_new(subject, call_of(n, &random));
    make_old(subject, version);
    assert_int_equal(open_again(subject, NULL), DR_OK);
    random_init(&random, 3);
    for (uint64_t n = 1; n <= CALLS; n++) {
        struct call_record expected = call_of(n, &random), stored = get(subject, call_id(n));
        if (version == 1 && expected.sweep_below)
            stored.sweep_below = UINT32_MAX; /* version 1 has no such number; another test has its rule */
        assert_same_call(&stored, &expected);
        record_deinit(&stored);
        record_deinit(&expected);
    }
    touch(subject, BATCH_SWEPT, call_id(5));
    touch(subject, BATCH_CONSUME, call_id(4));
    struct call_record changed = get(subject, call_id(4));
    assert_int_equal(changed.mail, CALL_MAIL_CONSUMED);
    record_deinit(&changed);
}

static void a_file_of_version_1_is_migrated(void **state)
{
    opens_what_was_put_into(*state, 1);
}

static void a_file_of_version_2_is_migrated(void **state)
{
    opens_what_was_put_into(*state, 2);
}

/* Version 1 knew only that there is something to sweep: of a done call all, of a live one the older generations. */
static void a_file_of_version_1_learns_how_far_its_sweeps_go(void **state)
{
    struct subject *subject = *state;
    for (uint64_t n = 1; n <= 3; n++) {
        struct call_record record = call_make(n);
        record.generation = 7;
        record.sweep_below = n == 3 ? 0 : 1;
        if (n == 2)
            call_finish(&record, 1, 1);
        put_new(subject, record);
    }
    make_old(subject, 1);
    assert_int_equal(open_again(subject, NULL), DR_OK);
    static const uint32_t EXPECTED[] = {7, UINT32_MAX, 0};
    for (uint64_t n = 1; n <= 3; n++) {
        struct call_record record = get(subject, call_id(n));
        assert_int_equal(record.sweep_below, EXPECTED[n - 1]);
        record_deinit(&record);
    }
    struct id ids[4];
    size_t n_ids = 0;
    assert_int_equal(store_scan_sweeps(subject->store, (struct id){{0}}, 4, ids, &n_ids, NULL), DR_OK);
    assert_int_equal(n_ids, 2);
}

/* What fails in the middle has not happened. */
static void an_old_file_that_cannot_be_migrated_stays_old(void **state)
{
    struct subject *subject = *state;
    struct dr_error error = {0};
    put_new(subject, call_make(1));
    make_old(subject, 2);
    change_file(subject, "ALTER TABLE payload ADD COLUMN sum INTEGER");
    assert_int_not_equal(open_again(subject, &error), DR_OK);
    assert_non_null(strstr(error.message, subject->path));
    change_file(subject, "ALTER TABLE payload DROP COLUMN sum");
    assert_int_equal(open_again(subject, NULL), DR_OK);
    assert_true(has(subject, call_id(1)));
}

#define ON_FILE(test) {#test, test, subject_open, subject_close, SUBJECT_SQLITE}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILE(a_file_of_version_1_is_migrated),
        ON_FILE(a_file_of_version_2_is_migrated),
        ON_FILE(a_file_of_version_1_learns_how_far_its_sweeps_go),
        ON_FILE(an_old_file_that_cannot_be_migrated_stays_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
