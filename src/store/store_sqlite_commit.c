/* Batches to rows: one transaction per commit, prepared statements, whole field groups. */
#include "store/store_sqlite.h"

#include "base/check.h"
#include "base/error.h"
#include "store/store_sum.h"

#include <stdio.h>

#define NOTHING ((const uint8_t *)"")
#define RECORD_EVERY (RECORD_CODE | RECORD_PROGRESS | RECORD_POLL | RECORD_RESULT)

void sqlite_bind_id(sqlite3_stmt *statement, int at, const struct id *id)
{
    if (id_is_none(*id))
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_blob(statement, at, id->bytes, ID_BYTES, SQLITE_STATIC);
}

/* Binds the columns of one row in order, and sums up each group. Payloads stay valid until the statement has been
 * stepped, so nothing is copied. */
struct writing {
    sqlite3_stmt *statement;
    int at; /* the next parameter */
    struct id id;
    struct store_sum sum;
};

static void begin(struct writing *writing, enum sum_group group)
{
    sum_begin(&writing->sum, group, writing->id);
}

/* `parts`: of the columns that are changed alone. */
static void end(struct writing *writing, uint64_t parts)
{
    sqlite3_bind_int64(writing->statement, writing->at++, (int64_t)(sum_end(&writing->sum) ^ parts));
}

static void put_integer(struct writing *writing, int64_t value)
{
    sum_integer(&writing->sum, value);
    sqlite3_bind_int64(writing->statement, writing->at++, value);
}

static void put_id(struct writing *writing, const struct id *id)
{
    if (id_is_none(*id))
        sum_null(&writing->sum);
    else
        sum_bytes(&writing->sum, SUM_BLOB, slice_of(id->bytes, ID_BYTES));
    sqlite_bind_id(writing->statement, writing->at++, id);
}

static void put_bytes(struct writing *writing, enum sum_type type, const struct blob *blob)
{
    int at = writing->at++;
    const void *bytes = blob && blob->len ? blob->data : NOTHING;
    if (!blob) {
        sum_null(&writing->sum);
        sqlite3_bind_null(writing->statement, at);
        return;
    }
    sum_bytes(&writing->sum, type, blob_slice(blob));
    if (type == SUM_TEXT)
        sqlite3_bind_text(writing->statement, at, bytes, (int)blob->len, SQLITE_STATIC);
    else
        sqlite3_bind_blob(writing->statement, at, bytes, (int)blob->len, SQLITE_STATIC);
}

static void put_text(struct writing *writing, const struct blob *blob)
{
    put_bytes(writing, SUM_TEXT, blob);
}

/* A long payload leaves its length (store_sqlite_payload.c). */
static void put_payload(struct writing *writing, enum sum_type type, const struct blob *blob)
{
    if (blob && blob->len > SQLITE_INLINE_BYTES_MAX)
        put_integer(writing, blob->len);
    else
        put_bytes(writing, type, blob);
}

/* Of the root, so that a tree lives in one partition (DESIGN section 5). */
static int64_t partition(struct id root)
{
    return (int64_t)(id_hash(root) & 0xffff);
}

static void put_fixed(struct writing *writing, const struct call_record *record)
{
    begin(writing, SUM_FIXED);
    put_id(writing, &record->id);
    put_integer(writing, partition(record->root));
    put_id(writing, &record->parent);
    put_id(writing, &record->root);
    put_integer(writing, record->project);
    put_integer(writing, record->parent_generation);
    put_integer(writing, record->depth);
    put_integer(writing, (int64_t)record->correlation_id);
    put_integer(writing, record->created_ns);
    put_integer(writing, record->expires_ns);
    end(writing, 0);
}

static void put_code(struct writing *writing, const struct call_record *record)
{
    static struct blob empty;
    begin(writing, SUM_CODE);
    put_text(writing, record->endpoint ? record->endpoint : &empty);
    put_text(writing, record->function ? record->function : &empty);
    put_text(writing, record->version);
    put_payload(writing, SUM_BLOB, record->input);
    put_integer(writing, record->generation);
    end(writing, 0);
}

/* Without a sum of the group: consumes and swepts change it alone. Returns its part. */
static uint64_t put_part(struct writing *writing, enum sum_group column, int64_t value)
{
    sqlite3_bind_int64(writing->statement, writing->at++, value);
    return sum_part(column, writing->id, value);
}

static void put_progress(struct writing *writing, const struct call_record *record)
{
    begin(writing, SUM_PROGRESS);
    put_integer(writing, record->state);
    uint64_t parts = put_part(writing, SUM_MAIL, record->mail);
    parts ^= put_part(writing, SUM_SWEEP, record->sweep_below);
    put_integer(writing, record->has_children);
    put_integer(writing, record->wake_ns);
    put_integer(writing, record->due_ns);
    put_integer(writing, record->attempts);
    put_integer(writing, record->failures);
    put_integer(writing, record->last_status);
    put_payload(writing, SUM_TEXT, record->last_error);
    end(writing, parts);
}

static void put_poll(struct writing *writing, const struct call_record *record)
{
    begin(writing, SUM_POLL);
    put_integer(writing, record->state_arm);
    put_integer(writing, record->is_resume);
    put_payload(writing, SUM_BLOB, record->poll_state);
    put_payload(writing, SUM_TEXT, record->poll_error);
    put_integer(writing, record->min_results);
    put_integer(writing, record->max_results);
    end(writing, 0);
}

static void put_result(struct writing *writing, const struct call_record *record)
{
    begin(writing, SUM_RESULT);
    put_integer(writing, record->status);
    put_integer(writing, record->done_ns);
    put_integer(writing, (int64_t)record->done_sequence);
    put_payload(writing, SUM_BLOB, record->output);
    put_payload(writing, SUM_TEXT, record->error.type);
    put_payload(writing, SUM_TEXT, record->error.message);
    put_payload(writing, SUM_BLOB, record->error.value);
    put_payload(writing, SUM_BLOB, record->error.traceback);
    end(writing, 0);
}

static void put_groups(struct writing *writing, const struct call_record *record, unsigned fields)
{
    if (fields & RECORD_CODE)
        put_code(writing, record);
    if (fields & RECORD_PROGRESS)
        put_progress(writing, record);
    if (fields & RECORD_POLL)
        put_poll(writing, record);
    if (fields & RECORD_RESULT)
        put_result(writing, record);
}

static dr_code insert(struct store_sqlite *sqlite, const struct call_record *record, struct dr_error *error)
{
    static const char text[] =
        "INSERT INTO call(" SQLITE_ALL ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"
        "?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31,?32,?33,?34,?35,?36,"
        "?37,?38,?39,?40,?41,?42,?43,?44)";
    sqlite3_stmt *statement;
    dr_code code = sqlite_statement(sqlite, STATEMENT_INSERT, text, &statement, error);
    if (code)
        return code;
    struct writing writing = {.statement = statement, .at = 1, .id = record->id};
    put_fixed(&writing, record);
    put_groups(&writing, record, RECORD_EVERY);
    CHECK(writing.at == SQLITE_COLUMNS + 1);
    code = sqlite_step(sqlite, statement, "commit", error);
    return code ? code : sqlite_write_payloads(sqlite, record, RECORD_EVERY, true, error);
}

/* "UPDATE call SET a=?,b=?,... WHERE id=?" for a combination of groups, written out once per combination. */
static void update_text(unsigned fields, char *text, size_t size)
{
    static const struct {
        unsigned group;
        const char *columns;
    } GROUPS[] = {{RECORD_CODE, SQLITE_CODE},
                  {RECORD_PROGRESS, SQLITE_PROGRESS},
                  {RECORD_POLL, SQLITE_POLL},
                  {RECORD_RESULT, SQLITE_RESULT}};
    size_t len = (size_t)snprintf(text, size, "UPDATE call SET ");
    const char *separator = "";
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++) {
        const char *name = fields & GROUPS[i].group ? GROUPS[i].columns : "";
        while (*name) {
            size_t n = strcspn(name, ",");
            len += (size_t)snprintf(text + len, size - len, "%s%.*s=?", separator, (int)n, name);
            separator = ",";
            name += n + (name[n] == ',');
        }
    }
    len += (size_t)snprintf(text + len, size - len, " WHERE id=?");
    CHECK(len < size);
}

static dr_code update(struct store_sqlite *sqlite, const struct batch_op *op, struct dr_error *error)
{
    CHECK(op->fields > 0 && op->fields < 16);
    enum statement which = (enum statement)(STATEMENT_UPDATE_FIRST + op->fields);
    char text[1024] = "";
    if (!sqlite->statements[which])
        update_text(op->fields, text, sizeof text);
    sqlite3_stmt *statement;
    dr_code code = sqlite_statement(sqlite, which, text, &statement, error);
    if (code)
        return code;
    struct writing writing = {.statement = statement, .at = 1, .id = op->record.id};
    put_groups(&writing, &op->record, op->fields);
    sqlite_bind_id(statement, writing.at, &op->record.id);
    code = sqlite_step(sqlite, statement, "commit", error);
    if (!code && sqlite3_changes(sqlite->database) != 1) {
        char id[ID_TEXT_SIZE];
        return error_set(error, DR_INTERNAL, "commit: there is no call %s to update",
                         id_format(op->record.id, id));
    }
    return code ? code : sqlite_write_payloads(sqlite, &op->record, op->fields, false, error);
}

static dr_code touch(struct store_sqlite *sqlite, enum statement which, const char *text, struct id id,
                     struct dr_error *error)
{
    sqlite3_stmt *statement;
    dr_code code = sqlite_statement(sqlite, which, text, &statement, error);
    if (code)
        return code;
    sqlite_bind_id(statement, 1, &id);
    return sqlite_step(sqlite, statement, "commit", error);
}

struct tally {
    int64_t n_live, n_done;
};

static dr_code apply(struct store_sqlite *sqlite, const struct batch_op *op, struct tally *tally,
                     struct dr_error *error)
{
    bool is_done = op->record.state == CALL_DONE;
    switch (op->kind) {
    case BATCH_INSERT:
        tally->n_live += !is_done;
        tally->n_done += is_done;
        return insert(sqlite, &op->record, error);
    case BATCH_UPDATE:
        if (op->fields & RECORD_RESULT && op->fields & RECORD_PROGRESS &&
            is_done) { /* T3, T8: once per call (I1) */
            tally->n_live--;
            tally->n_done++;
        }
        return update(sqlite, op, error);
    case BATCH_CONSUME:
        return touch(sqlite, STATEMENT_CONSUME,
                     "UPDATE call SET mail=2,sum_progress=dispatch_resum(sum_progress,id,7,mail,2) WHERE id=?",
                     op->record.id, error);
    case BATCH_SWEPT:
        return touch(sqlite, STATEMENT_SWEPT,
                     "UPDATE call SET sweep=0,sum_progress=dispatch_resum(sum_progress,id,8,sweep,0) WHERE id=?",
                     op->record.id, error);
    }
    CHECK(!"a known batch operation");
    return DR_INTERNAL;
}

dr_code sqlite_commit(struct store *store, struct batch *const *batches, size_t n_batches,
                      struct dr_error *error)
{
    struct store_sqlite *sqlite = sqlite_self(store);
    struct tally tally = {0};
    dr_code code = sqlite_begin(sqlite, error);
    if (code)
        return code;
    for (size_t i = 0; i < n_batches && !code; i++)
        for (size_t k = 0; k < batches[i]->n_ops && !code; k++)
            code = apply(sqlite, &batches[i]->ops[k], &tally, error);
    if (!code)
        code = sqlite_tally(sqlite, tally.n_live, tally.n_done, error);
    return sqlite_end(sqlite, code, error);
}
