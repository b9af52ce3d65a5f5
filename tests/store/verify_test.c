/* Verifying: whatever bit is flipped, it is found, or nothing that is stored depends on it. */
#include "base/testing.h"

#include "base/mem.h"
#include "store/store_verify.h"
#include "subject.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG = 9000 };

struct findings {
    int n;
    char text[4000];
};

static void on_finding(void *arg, const char *text)
{
    struct findings *findings = arg;
    size_t used = strlen(findings->text);
    (void)snprintf(findings->text + used, sizeof findings->text - used, "%s\n", text);
    findings->n++;
}

static dr_code verify(const char *path, struct store_verify_result *result, struct findings *findings)
{
    struct dr_error error = {0};
    *findings = (struct findings){0};
    *result = (struct store_verify_result){0};
    struct store_verify_options options = {.path = path, .on_finding = on_finding, .arg = findings};
    dr_code code = store_verify(&options, result, &error);
    if (code)
        on_finding(findings, error.message);
    return code;
}

static struct blob *long_blob(void)
{
    static uint8_t bytes[LONG];
    memset(bytes, 'x', sizeof bytes);
    return blob_create(slice_of(bytes, sizeof bytes));
}

/* A parent with children of every kind, a call with a long input, one that was deleted. */
static void put_some(struct subject *subject)
{
    struct call_record record = call_make(1);
    record.has_children = true;
    record.state = CALL_SUSPENDED;
    put_new(subject, record);
    for (uint64_t n = 2; n <= 4; n++) {
        record = call_make_child(n, 1, 0);
        record.depth = 1;
        if (n == 3)
            call_finish(&record, 7, 1);
        if (n == 4)
            record.sweep_below = 2;
        put_new(subject, record);
    }
    record = call_make(5);
    record.input = long_blob();
    put_new(subject, record);
    record = call_make(6);
    call_finish(&record, 9, 2);
    put_new(subject, record);
    struct purge_result purged;
    struct purge_order order = {.after_done_ns = 8, .done_before_ns = 10, .limit = 10};
    assert_int_equal(store_purge(subject->store, &order, &purged, NULL), DR_OK);
    assert_int_equal(purged.n_purged, 1);
}

static void close_only(struct subject *subject)
{
    store_close(subject->store);
    subject->store = NULL;
}

static void sql(const char *path, const char *text)
{
    sqlite3 *database;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void a_whole_file_is_whole_and_untouched(void **state)
{
    struct subject *subject = *state;
    struct store_verify_result result;
    struct findings findings;
    char log[320];
    put_some(subject);
    close_only(subject);
    struct buf before = file_read(subject->path);
    assert_int_equal(verify(subject->path, &result, &findings), DR_OK);
    assert_string_equal(findings.text, "");
    assert_int_equal(result.n_calls, 5);
    assert_int_equal(result.n_payloads, 1);
    struct buf after = file_read(subject->path);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    assert_false(file_exists(path_with(subject->path, "-wal", log)));
    buf_deinit(&before);
    buf_deinit(&after);
}

/* As a killed server leaves it. */
static void a_file_with_its_log_is_read_with_it_and_both_stay(void **state)
{
    struct subject *subject = *state;
    struct store_verify_result result;
    struct findings findings;
    char copy[320], from[320], to[320];
    put_some(subject);
    (void)path_with(subject->path, ".copy", copy);
    struct buf file = file_read(subject->path), log = file_read(path_with(subject->path, "-wal", from));
    file_write(copy, buf_slice(&file));
    file_write(path_with(copy, "-wal", to), buf_slice(&log));
    assert_int_equal(verify(copy, &result, &findings), DR_OK);
    assert_string_equal(findings.text, "");
    assert_int_equal(result.n_calls, 5);
    struct buf file_after = file_read(copy), log_after = file_read(to);
    assert_true(slice_equal(buf_slice(&file), buf_slice(&file_after)));
    assert_true(slice_equal(buf_slice(&log), buf_slice(&log_after)));
    buf_deinit(&file);
    buf_deinit(&log);
    buf_deinit(&file_after);
    buf_deinit(&log_after);
}

static void damage_is_named(void **state)
{
    static const struct {
        const char *damage, *named;
    } CASES[] = {
        {"UPDATE call SET attempts=attempts+1 WHERE input IS NOT NULL", "wrong sum"},
        {"UPDATE payload SET bytes=zeroblob(9000)", "wrong sum of payload 1"},
        {"DELETE FROM payload", "a long payload is missing"},
        {"INSERT INTO payload SELECT call,5,bytes,sum FROM payload", "a payload lies apart"},
        {"INSERT INTO payload SELECT call,77,bytes,sum FROM payload", "no known number"},
        {"DELETE FROM call WHERE depth=0 AND state=2", "counts"},
        {"UPDATE call SET generation=0, project=9 WHERE depth=0 AND state=2", "its parent is of another tree"},
        {"UPDATE tally SET n_done=n_done+1", "counts"},
        {"DROP INDEX call_done", "schema"},
        {"UPDATE call SET mail=2 WHERE sweep=2", "its mail is not open"},
        {"PRAGMA user_version=2", "a server that opens it"},
        {"PRAGMA user_version=9", "schema version 9"},
    };
    struct subject *subject = *state;
    put_some(subject);
    close_only(subject);
    struct buf whole = file_read(subject->path);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct store_verify_result result;
        struct findings findings;
        file_write(subject->path, buf_slice(&whole));
        sql(subject->path, CASES[i].damage);
        (void)verify(subject->path, &result, &findings);
        assert_true(findings.n > 0);
        if (!strstr(findings.text, CASES[i].named))
            fail_msg("%s: %s", CASES[i].damage, findings.text);
    }
    buf_deinit(&whole);
}

static void a_changed_header_and_a_changed_length_are_found(void **state)
{
    static const size_t PLACES[] = {20, 45, 57, 66, 75, 91};
    struct subject *subject = *state;
    struct store_verify_result result;
    struct findings findings;
    put_some(subject);
    close_only(subject);
    struct buf whole = file_read(subject->path);
    for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
        whole.data[PLACES[i]] ^= 0x10;
        file_write(subject->path, buf_slice(&whole));
        assert_int_equal(verify(subject->path, &result, &findings), DR_OK);
        assert_non_null(strstr(findings.text, "the header of the file is damaged"));
        whole.data[PLACES[i]] ^= 0x10;
    }
    uint8_t page[4096] = {0};
    assert_int_equal(buf_append(&whole, slice_of(page, sizeof page)), DR_OK);
    file_write(subject->path, buf_slice(&whole));
    assert_int_equal(verify(subject->path, &result, &findings), DR_OK);
    assert_non_null(strstr(findings.text, "bytes, but its header says"));
    buf_deinit(&whole);
}

/* Also when it has written nothing yet, and so there is no log. */
static void a_file_that_a_server_has_open_is_not_verified(void **state)
{
    struct subject *subject = *state;
    struct store_verify_result result;
    struct findings findings;
    char name[320];
    put_some(subject);
    subject_reopen(subject);
    struct buf log = file_read(path_with(subject->path, "-wal", name));
    assert_int_equal(log.len, 0);
    buf_deinit(&log);
    assert_int_equal(verify(subject->path, &result, &findings), DR_FAILED_PRECONDITION);
}

/* ---- every bit ---- */

/* Everything that is stored, as text: all that a server could ever read. */
static char *contents(const char *path)
{
    sqlite3 *database;
    sqlite3_str *all = sqlite3_str_new(NULL);
    static const char *const QUESTIONS[] = {"SELECT * FROM call NOT INDEXED ORDER BY rowid", "SELECT * FROM call ORDER BY id",
                                            "SELECT * FROM payload", "SELECT * FROM tally", "PRAGMA user_version",
                                            "SELECT id FROM call INDEXED BY call_wake WHERE state<>3 ORDER BY wake_ns,id",
                                            "SELECT id FROM call INDEXED BY call_mail WHERE mail=1 ORDER BY state,parent"};
    char uri[400];
    (void)snprintf(uri, sizeof uri, "file:%s?immutable=1", path);
    assert_int_equal(sqlite3_open_v2(uri, &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL), SQLITE_OK);
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof QUESTIONS[0]; i++) {
        sqlite3_stmt *row = NULL;
        int result = sqlite3_prepare_v2(database, QUESTIONS[i], -1, &row, NULL);
        while (result == SQLITE_OK || result == SQLITE_ROW) {
            result = sqlite3_step(row);
            for (int at = 0; result == SQLITE_ROW && at < sqlite3_column_count(row); at++) {
                sqlite3_str_appendf(all, "%d:%d:", sqlite3_column_type(row, at), sqlite3_column_bytes(row, at));
                const void *bytes = sqlite3_column_blob(row, at);
                if (bytes)
                    sqlite3_str_append(all, bytes, sqlite3_column_bytes(row, at));
            }
        }
        sqlite3_str_appendf(all, "end %d\n", result);
        sqlite3_finalize(row);
    }
    sqlite3_str_appendall(all, ".");
    (void)sqlite3_close(database);
    int len = sqlite3_str_length(all);
    char *text = sqlite3_str_finish(all), *copy = mem_must_alloc((size_t)len + 8);
    (void)snprintf(copy, 8, "%07d", len);
    memcpy(copy + 8, text, (size_t)len);
    sqlite3_free(text);
    return copy;
}

static bool same_contents(const char *a, const char *b)
{
    return memcmp(a, b, 8) == 0 && memcmp(a, b, 8 + (size_t)strtoul(a, NULL, 10)) == 0;
}

/* Bytes that SQLite does not use exist: room between the cells of a page, freed cells and pages, and in the header the
 * counters that only say that something changed. What verify does not find must leave everything readable as it was. */
static void every_flipped_bit_is_found_or_changes_nothing(void **state)
{
    struct subject *subject = *state;
    size_t n_found = 0, n_unused = 0, n_named = 0;
    put_some(subject);
    close_only(subject);
    struct buf whole = file_read(subject->path);
    char *expected = contents(subject->path);
    const char *wish = getenv("STRIDE");
    size_t stride = wish ? (size_t)strtoul(wish, NULL, 10) : 101; /* 1: all bytes */
    for (size_t at = 0; at < whole.len; at += at < 200 ? 1 : stride) {
        struct store_verify_result result;
        struct findings findings;
        whole.data[at] ^= (uint8_t)(1u << (at % 8));
        file_write(subject->path, buf_slice(&whole));
        dr_code code = verify(subject->path, &result, &findings);
        if (code || result.n_findings > 0) {
            n_found++;
            const char *call = strstr(findings.text, "(call ");
            n_named += call && strncmp(call, "(call unknown)", 14) != 0;
        } else {
            n_unused++;
            char *now = contents(subject->path);
            if (!same_contents(expected, now))
                fail_msg("byte %zu: not found", at);
            mem_free(now);
        }
        whole.data[at] ^= (uint8_t)(1u << (at % 8));
    }
    print_message("%zu bytes: found %zu, in unused places %zu\n", whole.len, n_found, n_unused);
    assert_true(n_found > 0);
    assert_true(n_named > 0); /* an index that lacks a row */
    mem_free(expected);
    buf_deinit(&whole);
}

#define ON_FILE(test) {#test, test, subject_open, subject_close, SUBJECT_SQLITE}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILE(a_whole_file_is_whole_and_untouched),
        ON_FILE(a_file_with_its_log_is_read_with_it_and_both_stay),
        ON_FILE(damage_is_named),
        ON_FILE(a_changed_header_and_a_changed_length_are_found),
        ON_FILE(a_file_that_a_server_has_open_is_not_verified),
        ON_FILE(every_flipped_bit_is_found_or_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
