#include "base/testing.h"

#include "subject.h"

#include "base/error.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (256u << 20)

void directory_make(char *path, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/dispatch-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

void directory_remove(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    struct dirent *entry;
    while ((entry = readdir(directory)))
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    (void)rmdir(path);
}

struct buf file_read(const char *path)
{
    struct buf buf;
    buf_init(&buf, FILE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        assert_int_equal(buf_append(&buf, slice_of(chunk, n)), DR_OK);
    fclose(file);
    return buf;
}

void file_write(const char *path, struct slice bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

bool file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

char *path_with(const char *path, const char *suffix, char text[320])
{
    snprintf(text, 320, "%s%s", path, suffix);
    return text;
}

static void open_store(struct subject *subject)
{
    struct dr_error error = {0};
    struct store_sqlite_options options = {.path = subject->path};
    dr_code code = subject->is_sqlite ? store_sqlite_open(&options, &subject->store, &error)
                                      : store_memory_open(&subject->store, &error);
    if (code)
        fail_msg("%s", error.message);
}

int subject_open(void **state)
{
    struct subject *subject = mem_must_zalloc(sizeof *subject);
    subject->is_sqlite = strcmp(*state, SUBJECT_SQLITE) == 0;
    if (subject->is_sqlite) {
        directory_make(subject->directory, sizeof subject->directory);
        snprintf(subject->path, sizeof subject->path, "%s/dispatch.db", subject->directory);
    }
    open_store(subject);
    *state = subject;
    return 0;
}

int subject_close(void **state)
{
    struct subject *subject = *state;
    store_close(subject->store);
    if (subject->is_sqlite)
        directory_remove(subject->directory);
    mem_free(subject);
    return 0;
}

void subject_reopen(struct subject *subject)
{
    if (!subject->is_sqlite)
        return;
    store_close(subject->store);
    open_store(subject);
}

struct id call_id(uint64_t n)
{
    struct id id = {{0}};
    for (size_t i = 0; i < 8; i++)
        id.bytes[7 - i] = (uint8_t)((n + 1) >> (8 * i));
    memset(id.bytes + 8, 0xd1, 8);
    return id;
}

static uint64_t number_of(struct id id)
{
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n = n << 8 | id.bytes[i];
    return n - 1;
}

struct blob *text_blob(const char *text)
{
    struct blob *blob = blob_create(slice_text(text));
    assert_non_null(blob);
    return blob;
}

struct call_record call_make(uint64_t n)
{
    struct call_record record = {.id = call_id(n), .root = call_id(n), .project = 1, .state = CALL_SCHEDULED};
    record.created_ns = (int64_t)n;
    record.expires_ns = (int64_t)n + 1000000;
    record.endpoint = text_blob("http://localhost/run");
    record.function = text_blob("greet");
    return record;
}

struct call_record call_make_child(uint64_t n, uint64_t parent, uint32_t generation)
{
    struct call_record record = call_make(n);
    record.parent = record.root = call_id(parent);
    record.parent_generation = generation;
    record.depth = 1;
    record.mail = CALL_MAIL_OPEN;
    return record;
}

void call_finish(struct call_record *record, int64_t done_ns, uint64_t done_sequence)
{
    record->state = CALL_DONE;
    record->wake_ns = 0;
    record->status = DR_STATUS_OK;
    record->done_ns = done_ns;
    record->done_sequence = done_sequence;
}

/* Absent, empty, short, or longer than what fits a page. */
static struct blob *random_blob(struct random *random, bool is_text)
{
    static const size_t LENGTHS[] = {0, 1, 20, 300, 3000, 20000};
    uint64_t which = random_below(random, 7);
    if (which == 6)
        return NULL;
    uint8_t bytes[20000];
    size_t len = LENGTHS[which];
    for (size_t i = 0; i < len; i++)
        bytes[i] = is_text ? (uint8_t)('a' + random_below(random, 26)) : (uint8_t)random_next(random);
    struct blob *blob = blob_create(slice_of(bytes, len));
    assert_non_null(blob);
    return blob;
}

/* Often at the ends of the range. */
static int64_t random_ns(struct random *random)
{
    static const int64_t ENDS[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    return random_below(random, 2) ? ENDS[random_below(random, 5)] : (int64_t)random_next(random);
}

static uint32_t random_u32(struct random *random)
{
    return random_below(random, 4) ? (uint32_t)random_next(random) : UINT32_MAX;
}

static void fill_rest(struct call_record *record, struct random *random)
{
    record->project = random_u32(random);
    record->depth = random_u32(random);
    record->correlation_id = random_below(random, 3) ? random_next(random) : UINT64_MAX;
    record->created_ns = random_ns(random);
    record->expires_ns = random_ns(random);
    record->generation = random_u32(random);
    record->sweep_below = random_u32(random);
    record->has_children = random_below(random, 2);
    record->wake_ns = random_ns(random);
    record->due_ns = random_ns(random);
    record->attempts = random_u32(random);
    record->failures = random_u32(random);
    record->last_status = (uint8_t)random_next(random);
    record->state_arm = (uint8_t)random_next(random);
    record->is_resume = random_below(random, 2);
    record->min_results = (int32_t)random_next(random);
    record->max_results = (int32_t)random_next(random);
    record->status = (uint8_t)random_next(random);
    record->done_ns = random_ns(random);
    record->done_sequence = random_next(random);
}

void call_fill(struct call_record *record, struct random *random)
{
    fill_rest(record, random);
    blob_set(&record->version, random_blob(random, true));
    blob_set(&record->input, random_blob(random, false));
    blob_set(&record->last_error, random_blob(random, true));
    blob_set(&record->poll_state, random_blob(random, false));
    blob_set(&record->poll_error, random_blob(random, true));
    blob_set(&record->output, random_blob(random, false));
    blob_set(&record->error.type, random_blob(random, true));
    blob_set(&record->error.message, random_blob(random, true));
    blob_set(&record->error.value, random_blob(random, false));
    blob_set(&record->error.traceback, random_blob(random, false));
}

static void assert_same_blob(const char *field, const struct blob *a, const struct blob *b)
{
    if (!a != !b)
        fail_msg("%s: %s, %s", field, a ? "present" : "absent", b ? "present" : "absent");
    if (a && !slice_equal(blob_slice(a), blob_slice(b)))
        fail_msg("%s: %u bytes and %u bytes differ", field, a->len, b->len);
}

static void assert_same_texts(const struct call_record *a, const struct call_record *b)
{
    assert_same_blob("endpoint", a->endpoint, b->endpoint);
    assert_same_blob("function", a->function, b->function);
    assert_same_blob("version", a->version, b->version);
    assert_same_blob("input", a->input, b->input);
    assert_same_blob("last_error", a->last_error, b->last_error);
    assert_same_blob("poll_state", a->poll_state, b->poll_state);
    assert_same_blob("poll_error", a->poll_error, b->poll_error);
    assert_same_blob("output", a->output, b->output);
    assert_same_blob("error.type", a->error.type, b->error.type);
    assert_same_blob("error.message", a->error.message, b->error.message);
    assert_same_blob("error.value", a->error.value, b->error.value);
    assert_same_blob("error.traceback", a->error.traceback, b->error.traceback);
}

void assert_same_call(const struct call_record *a, const struct call_record *b)
{
    assert_memory_equal(a->id.bytes, b->id.bytes, ID_BYTES);
    assert_memory_equal(a->parent.bytes, b->parent.bytes, ID_BYTES);
    assert_memory_equal(a->root.bytes, b->root.bytes, ID_BYTES);
    assert_int_equal(a->project, b->project);
    assert_int_equal(a->parent_generation, b->parent_generation);
    assert_int_equal(a->depth, b->depth);
    assert_int_equal(a->correlation_id, b->correlation_id);
    assert_int_equal(a->created_ns, b->created_ns);
    assert_int_equal(a->expires_ns, b->expires_ns);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->mail, b->mail);
    assert_int_equal(a->sweep_below, b->sweep_below);
    assert_int_equal(a->has_children, b->has_children);
    assert_int_equal(a->wake_ns, b->wake_ns);
    assert_int_equal(a->due_ns, b->due_ns);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->failures, b->failures);
    assert_int_equal(a->last_status, b->last_status);
    assert_int_equal(a->state_arm, b->state_arm);
    assert_int_equal(a->is_resume, b->is_resume);
    assert_int_equal(a->min_results, b->min_results);
    assert_int_equal(a->max_results, b->max_results);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->done_ns, b->done_ns);
    assert_int_equal(a->done_sequence, b->done_sequence);
    assert_same_texts(a, b);
}

void commit(struct subject *subject, struct batch *batch)
{
    struct dr_error error = {0};
    if (store_commit(subject->store, &batch, 1, &error) != DR_OK)
        fail_msg("%s", error.message);
    batch_destroy(batch);
}

static void commit_one(struct subject *subject, enum batch_op_kind kind, unsigned fields,
                       const struct call_record *record)
{
    struct batch *batch = batch_create(++subject->n_batches);
    batch_add(batch, kind, fields, record);
    commit(subject, batch);
}

void put(struct subject *subject, const struct call_record *record)
{
    commit_one(subject, BATCH_INSERT, 0, record);
}

void put_new(struct subject *subject, struct call_record record)
{
    put(subject, &record);
    record_deinit(&record);
}

void change(struct subject *subject, unsigned fields, const struct call_record *record)
{
    commit_one(subject, BATCH_UPDATE, fields, record);
}

void touch(struct subject *subject, enum batch_op_kind kind, struct id id)
{
    struct call_record record = {.id = id};
    commit_one(subject, kind, 0, &record);
}

struct call_record get(struct subject *subject, struct id id)
{
    struct call_record record = {0};
    struct dr_error error = {0};
    if (store_read(subject->store, id, &record, &error) != DR_OK)
        fail_msg("%s", error.message);
    return record;
}

bool has(struct subject *subject, struct id id)
{
    struct call_record record = {0};
    struct dr_error error = {0};
    dr_code code = store_read(subject->store, id, &record, &error);
    if (code && code != DR_NOT_FOUND)
        fail_msg("%s", error.message);
    record_deinit(&record);
    return code == DR_OK;
}

const char *numbers_of_ids(const struct id *ids, size_t n)
{
    static char text[4096];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && len < sizeof text - 32; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", i ? " " : "",
                                (unsigned long long)number_of(ids[i]));
    return text;
}

const char *numbers_of(struct store_records *records)
{
    struct id ids[200];
    assert_in_range(records->n_records, 0, 200);
    for (size_t i = 0; i < records->n_records; i++)
        ids[i] = records->records[i].id;
    size_t n = records->n_records;
    store_records_deinit(records);
    return numbers_of_ids(ids, n);
}
