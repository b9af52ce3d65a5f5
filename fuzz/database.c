/* A damaged database: a small one, made once, whose bytes the input changes; then it is opened, every read and every kind
 * of write is tried, and it is closed. Whatever is in it, each call ends with an answer or an error that says what is
 * wrong, and a record that is handed out is one that the engine can live with.
 *
 * The input is a list of changes, each a byte for the kind and its arguments (offsets have three bytes, most first, and
 * are taken modulo the length; texts have a length byte first):
 *   0 offset text: overwrites in the file     1 offset text: overwrites in the WAL
 *   2 offset: cuts the file                   3 offset: cuts the WAL
 *   4 offset byte: flips bits in the file     5 offset byte: flips bits in the WAL
 *   6 row column type text: sets a column of a call, with SQL     7 n: one of `statements`, with SQL */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"
#include "store/store_verify.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20, CALLS = 6, COLUMNS_MAX = 100 };

struct bytes {
    uint8_t data[FILE_BYTES_MAX];
    size_t len;
};

static char folder[64], path[96], wal_path[96];
static struct bytes base, base_wal, changed, changed_wal;
static char columns[COLUMNS_MAX][64];
static size_t n_columns;

static const char *const statements[] = {
    "DELETE FROM tally", "DELETE FROM payload", "UPDATE tally SET n_live='many'", "INSERT INTO tally VALUES (1,1)",
    "DROP INDEX call_wake", "DROP INDEX call_mail", "DROP TABLE payload", "DROP TABLE tally", "DELETE FROM call",
    "ALTER TABLE call RENAME TO calls", "ALTER TABLE call DROP COLUMN partition", "PRAGMA user_version=0",
    "PRAGMA user_version=-1", "PRAGMA user_version=99", "PRAGMA application_id=0", "PRAGMA journal_mode=DELETE",
    "UPDATE payload SET field=field+1", "UPDATE payload SET bytes=zeroblob(100000)", "VACUUM",
    "CREATE TRIGGER t AFTER UPDATE ON call BEGIN DELETE FROM call; END", "UPDATE call SET id=zeroblob(16)",
    "UPDATE call SET parent=id", "UPDATE call SET root=zeroblob(15)"};

/* ---- the database at the beginning ---- */

static struct id id_of(uint8_t n)
{
    struct id id = {{0}};
    id.bytes[0] = 1;
    id.bytes[ID_BYTES - 1] = n;
    return id;
}

static struct blob *blob_of(size_t n_bytes)
{
    static uint8_t bytes[5000];
    struct blob *blob = blob_create(slice_of(bytes, n_bytes));
    CHECK(blob != NULL);
    return blob;
}

/* 1 a suspended root; 2 to 4 its children, live, done with open mail, done with consumed mail; 5 done with a long output
 * and still sweeping; 6 scheduled with a long input. */
static struct call_record call_of(uint8_t n)
{
    bool is_child = n >= 2 && n <= 4;
    bool is_done = n >= 3 && n <= 5;
    struct call_record call = {.id = id_of(n), .root = id_of(is_child ? 1 : n), .project = 1, .created_ns = 1000,
                               .expires_ns = 90000 * NS_PER_S};
    call.parent = is_child ? id_of(1) : (struct id){{0}};
    call.mail = (uint8_t)(n == 4 ? CALL_MAIL_CONSUMED : is_child ? CALL_MAIL_OPEN : CALL_MAIL_NONE);
    call.state = (uint8_t)(is_done ? CALL_DONE : n == 1 ? CALL_SUSPENDED : CALL_SCHEDULED);
    call.has_children = n == 1 || n == 5;
    call.sweep_below = n == 5 ? UINT32_MAX : 0;
    call.wake_ns = is_done ? 0 : n * NS_PER_S;
    call.due_ns = n == 1 ? TIME_NEVER : call.wake_ns;
    call.endpoint = blob_of(10);
    call.function = blob_of(5);
    call.input = blob_of(n == 6 ? 5000 : 20);
    call.last_error = n == 6 ? blob_of(15) : NULL;
    call.is_resume = n == 1;
    call.state_arm = n == 1;
    call.poll_state = n == 1 ? blob_of(30) : NULL;
    call.min_results = call.max_results = n == 1;
    call.done_ns = is_done ? n * NS_PER_S : 0;
    call.done_sequence = is_done ? n : 0;
    call.status = (uint8_t)(is_done ? DR_STATUS_OK : 0);
    call.output = is_done ? blob_of(n == 5 ? 3000 : 40) : NULL;
    return call;
}

static void fill(struct store *store)
{
    struct batch *batch = batch_create(1);
    for (uint8_t n = 1; n <= CALLS; n++) {
        struct call_record call = call_of(n);
        batch_add(batch, BATCH_INSERT, 0, &call);
        record_deinit(&call);
    }
    CHECK(store_commit(store, &batch, 1, NULL) == DR_OK);
    batch_destroy(batch);
}

static void load(const char *name, struct bytes *bytes)
{
    FILE *file = fopen(name, "rb");
    CHECK(file);
    bytes->len = fread(bytes->data, 1, sizeof bytes->data, file);
    CHECK(bytes->len < sizeof bytes->data);
    (void)fclose(file);
}

static void save(const char *name, const struct bytes *bytes)
{
    FILE *file = fopen(name, "wb");
    CHECK(file && fwrite(bytes->data, 1, bytes->len, file) == bytes->len);
    CHECK(fclose(file) == 0);
}

static void learn_columns(void)
{
    sqlite3 *database;
    sqlite3_stmt *row;
    CHECK(sqlite3_open(path, &database) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(database, "SELECT name FROM pragma_table_info('call')", -1, &row, NULL) == SQLITE_OK);
    while (n_columns < COLUMNS_MAX && sqlite3_step(row) == SQLITE_ROW)
        (void)snprintf(columns[n_columns++], sizeof columns[0], "%s", (const char *)sqlite3_column_text(row, 0));
    sqlite3_finalize(row);
    sqlite3_close(database);
    CHECK(n_columns > 0);
}

static void remove_files(void)
{
    char name[128];
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

static void remove_all(void)
{
    remove_files();
    (void)rmdir(folder);
}

/* Half of the calls' history is in the file, all of it in the WAL beside it. */
static void make_base(void)
{
    struct store *store;
    bool has_memory = access("/dev/shm", W_OK) == 0;
    (void)snprintf(folder, sizeof folder, "%s/dispatch-fuzz-XXXXXX", has_memory ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    CHECK(atexit(remove_all) == 0);
    (void)snprintf(path, sizeof path, "%s/db", folder);
    (void)snprintf(wal_path, sizeof wal_path, "%s-wal", path);
    CHECK(store_sqlite_open(&(struct store_sqlite_options){.path = path}, &store, NULL) == DR_OK);
    fill(store);
    load(path, &base);
    load(wal_path, &base_wal);
    store_close(store);
    learn_columns();
    load(path, &base);
}

/* ---- changes ---- */

static uint8_t take(struct slice *input)
{
    if (input->len == 0)
        return 0;
    uint8_t byte = input->data[0];
    *input = slice_of(input->data + 1, input->len - 1);
    return byte;
}

static size_t take_offset(struct slice *input, size_t len)
{
    size_t offset = (size_t)take(input) << 16;
    offset |= (size_t)take(input) << 8;
    offset |= take(input);
    return len > 0 ? offset % len : 0;
}

static struct slice take_text(struct slice *input)
{
    size_t len = take(input);
    struct slice text = slice_of(input->data, len < input->len ? len : input->len);
    *input = slice_of(input->data + text.len, input->len - text.len);
    return text;
}

static void overwrite(struct bytes *file, struct slice *input)
{
    size_t at = take_offset(input, file->len);
    struct slice text = take_text(input);
    for (size_t i = 0; i < text.len && at + i < file->len; i++)
        file->data[at + i] = text.data[i];
}

static void flip(struct bytes *file, struct slice *input)
{
    size_t at = take_offset(input, file->len);
    uint8_t bits = take(input);
    if (file->len > 0)
        file->data[at] ^= bits;
}

static void bind(sqlite3_stmt *statement, int type, struct slice text)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.len && i < 8; i++)
        number = (int64_t)((uint64_t)number << 8 | text.data[i]);
    if (type == 0)
        sqlite3_bind_null(statement, 1);
    else if (type == 1)
        sqlite3_bind_int64(statement, 1, number);
    else if (type == 2)
        sqlite3_bind_text(statement, 1, (const char *)text.data, (int)text.len, SQLITE_STATIC);
    else if (type == 3)
        sqlite3_bind_double(statement, 1, (double)number / 3);
    else
        sqlite3_bind_blob(statement, 1, text.data, (int)text.len, SQLITE_STATIC);
}

static void set_column(sqlite3 *database, struct slice *input)
{
    char sql[160];
    sqlite3_stmt *statement = NULL;
    unsigned row = take(input) % (CALLS + 1);
    const char *column = columns[take(input) % n_columns];
    int type = take(input) % 5;
    struct slice text = take_text(input);
    (void)snprintf(sql, sizeof sql, "UPDATE call SET \"%s\"=? WHERE rowid=%u OR %u=0", column, row, row);
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK) {
        bind(statement, type, text);
        (void)sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
}

static void change_with_sql(uint8_t kind, struct slice *input)
{
    sqlite3 *database = NULL;
    save(path, &changed);
    if (sqlite3_open(path, &database) == SQLITE_OK) {
        if (kind == 6)
            set_column(database, input);
        else
            (void)sqlite3_exec(database, statements[take(input) % (sizeof statements / sizeof statements[0])], NULL, NULL,
                               NULL);
    }
    sqlite3_close(database);
    load(path, &changed);
    remove_files();
}

static void copy(struct bytes *to, const struct bytes *from)
{
    memcpy(to->data, from->data, from->len);
    to->len = from->len;
}

static void change(struct slice input)
{
    copy(&changed, &base);
    changed_wal.len = 0;
    while (input.len > 0) {
        uint8_t kind = take(&input) & 7;
        struct bytes *file = kind & 1 ? &changed_wal : &changed;
        if (file == &changed_wal && kind < 6 && changed_wal.len == 0)
            copy(&changed_wal, &base_wal);
        if (kind < 2)
            overwrite(file, &input);
        else if (kind < 4)
            file->len = take_offset(&input, file->len + 1);
        else if (kind < 6)
            flip(file, &input);
        else
            change_with_sql(kind, &input);
        if (changed.len == 0)
            return;
    }
}

/* ---- what is tried ---- */

static bool has_failed(dr_code code, struct dr_error *error)
{
    CHECK(code == DR_OK || code == DR_NOT_FOUND || code == DR_DATA_LOSS || code == DR_FAILED_PRECONDITION ||
          code == DR_UNAVAILABLE || code == DR_RESOURCE_EXHAUSTED || code == DR_INTERNAL);
    CHECK(code == DR_OK || (error->code == code && error->message[0]));
    *error = (struct dr_error){0};
    return code != DR_OK;
}

static void check_record(const struct call_record *record)
{
    CHECK(record->endpoint && record->function);
}

static void check_records(struct store_records *records)
{
    for (size_t i = 0; i < records->n_records; i++)
        check_record(&records->records[i]);
    store_records_deinit(records);
}

static void read_calls(struct store *store)
{
    struct dr_error error = {0};
    for (uint8_t n = 0; n <= CALLS + 1; n++) {
        struct call_record record = {0};
        struct store_records done = {0}, live = {0};
        uint64_t n_outstanding = 0;
        if (!has_failed(store_read(store, id_of(n), &record, &error), &error))
            check_record(&record);
        record_deinit(&record);
        (void)has_failed(store_read_children(store, id_of(n), 0, &done, &n_outstanding, &error), &error);
        check_records(&done);
        (void)has_failed(store_scan_live_children(store, id_of(n), UINT32_MAX, 10, &live, &error), &error);
        check_records(&live);
    }
}

static void scan(struct store *store)
{
    struct dr_error error = {0};
    struct store_scan_result due = {0};
    struct store_counts counts;
    struct id ids[10];
    size_t n = 0;
    (void)has_failed(store_scan_due(store, (struct store_cursor){0}, TIME_NEVER - 1, 10, 100000, &due, &error), &error);
    check_records(&due.records);
    CHECK(has_failed(store_scan_mail(store, (struct id){{0}}, 10, ids, &n, &error), &error) || n <= 10);
    CHECK(has_failed(store_scan_sweeps(store, (struct id){{0}}, 10, ids, &n, &error), &error) || n <= 10);
    (void)has_failed(store_counts(store, &counts, &error), &error);
    for (int i = 0; i < 3; i++) {
        struct store_records listed = {0};
        struct store_filter filter = {.status = -1, .limit = 10, .state = i == 1 ? CALL_DONE : 0};
        filter.root = i == 2 ? id_of(1) : (struct id){{0}};
        (void)has_failed(store_list(store, &filter, &listed, &error), &error);
        check_records(&listed);
    }
}

static void write_some(struct store *store)
{
    struct dr_error error = {0};
    struct batch *batch = batch_create(1);
    struct call_record call = call_of(CALLS + 1), first = call_of(1), other = call_of(2);
    struct purge_order order = {.after_done_ns = INT64_MIN, .done_before_ns = TIME_NEVER, .limit = 10};
    struct purge_result purged = {0};
    batch_add(batch, BATCH_INSERT, 0, &call);
    batch_add(batch, BATCH_UPDATE, RECORD_PROGRESS | RECORD_POLL, &first);
    batch_add(batch, BATCH_CONSUME, 0, &other);
    batch_add(batch, BATCH_SWEPT, 0, &other);
    (void)has_failed(store_commit(store, &batch, 1, &error), &error);
    CHECK(has_failed(store_purge(store, &order, &purged, &error), &error) || purged.n_purged <= 10);
    batch_destroy(batch);
    record_deinit(&call);
    record_deinit(&first);
    record_deinit(&other);
}

static void on_finding(void *arg, const char *text)
{
    size_t *n = arg;
    CHECK(text[0] != '\0' && !strchr(text, '\n'));
    (*n)++;
}

/* Says something of whatever it is, and changes nothing. */
static void look_at(const char *name)
{
    static struct bytes after;
    size_t n_told = 0;
    struct store_verify_result result = {0};
    struct dr_error error = {0};
    struct store_verify_options options = {.path = name, .on_finding = on_finding, .arg = &n_told};
    if (!has_failed(store_verify(&options, &result, &error), &error))
        CHECK(n_told == (result.n_findings < STORE_FINDINGS_MAX ? result.n_findings : STORE_FINDINGS_MAX));
    load(name, &after);
    CHECK(after.len == changed.len && memcmp(after.data, changed.data, after.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *store = NULL;
    struct dr_error error = {0};
    if (base.len == 0)
        make_base();
    CHECK(base.len > 0);
    remove_files();
    change(slice_of(data, size));
    save(path, &changed);
    if (changed_wal.len > 0)
        save(wal_path, &changed_wal);
    look_at(path);
    if (has_failed(store_sqlite_open(&(struct store_sqlite_options){.path = path, .busy_timeout_ms = 1}, &store, &error),
                   &error)) {
        CHECK(store == NULL);
        return 0;
    }
    read_calls(store);
    scan(store);
    write_some(store);
    read_calls(store);
    store_close(store);
    return 0;
}
