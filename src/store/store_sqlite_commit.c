/* Batches to rows: one transaction per commit, prepared statements, whole field groups. */
#include "store/store_sqlite.h"

#include "base/check.h"
#include "base/error.h"

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

static void bind_text(sqlite3_stmt *statement, int at, const struct blob *blob)
{
    if (blob)
        sqlite3_bind_text(statement, at, blob->len ? (const char *)blob->data : "", (int)blob->len,
                          SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at);
}

/* A long payload leaves its length (store_sqlite_payload.c). Payloads stay valid until the statement has been
 * stepped, so nothing is copied. */
static bool bind_long(sqlite3_stmt *statement, int at, const struct blob *blob)
{
    bool is_long = blob && blob->len > SQLITE_INLINE_BYTES_MAX;
    if (is_long)
        sqlite3_bind_int64(statement, at, blob->len);
    return is_long;
}

static void bind_payload(sqlite3_stmt *statement, int at, const struct blob *blob)
{
    if (!blob)
        sqlite3_bind_null(statement, at);
    else if (!bind_long(statement, at, blob))
        sqlite3_bind_blob(statement, at, blob->len ? blob->data : NOTHING, (int)blob->len, SQLITE_STATIC);
}

static void bind_message(sqlite3_stmt *statement, int at, const struct blob *blob)
{
    if (!bind_long(statement, at, blob))
        bind_text(statement, at, blob);
}

/* Of the root, so that a tree lives in one partition (DESIGN section 5). */
static int64_t partition(struct id root)
{
    return (int64_t)(id_hash(root) & 0xffff);
}

static int bind_fixed(sqlite3_stmt *statement, int at, const struct call_record *record)
{
    sqlite_bind_id(statement, at++, &record->id);
    sqlite3_bind_int64(statement, at++, partition(record->root));
    sqlite_bind_id(statement, at++, &record->parent);
    sqlite_bind_id(statement, at++, &record->root);
    sqlite3_bind_int64(statement, at++, record->project);
    sqlite3_bind_int64(statement, at++, record->parent_generation);
    sqlite3_bind_int64(statement, at++, record->depth);
    sqlite3_bind_int64(statement, at++, (int64_t)record->correlation_id);
    sqlite3_bind_int64(statement, at++, record->created_ns);
    sqlite3_bind_int64(statement, at++, record->expires_ns);
    return at;
}

static int bind_code(sqlite3_stmt *statement, int at, const struct call_record *record)
{
    static struct blob empty;
    bind_text(statement, at++, record->endpoint ? record->endpoint : &empty);
    bind_text(statement, at++, record->function ? record->function : &empty);
    bind_text(statement, at++, record->version);
    bind_payload(statement, at++, record->input);
    sqlite3_bind_int64(statement, at++, record->generation);
    return at;
}

static int bind_progress(sqlite3_stmt *statement, int at, const struct call_record *record)
{
    sqlite3_bind_int(statement, at++, record->state);
    sqlite3_bind_int(statement, at++, record->mail);
    sqlite3_bind_int64(statement, at++, record->sweep_below);
    sqlite3_bind_int(statement, at++, record->has_children);
    sqlite3_bind_int64(statement, at++, record->wake_ns);
    sqlite3_bind_int64(statement, at++, record->due_ns);
    sqlite3_bind_int64(statement, at++, record->attempts);
    sqlite3_bind_int64(statement, at++, record->failures);
    sqlite3_bind_int(statement, at++, record->last_status);
    bind_message(statement, at++, record->last_error);
    return at;
}

static int bind_poll(sqlite3_stmt *statement, int at, const struct call_record *record)
{
    sqlite3_bind_int(statement, at++, record->state_arm);
    sqlite3_bind_int(statement, at++, record->is_resume);
    bind_payload(statement, at++, record->poll_state);
    bind_message(statement, at++, record->poll_error);
    sqlite3_bind_int(statement, at++, record->min_results);
    sqlite3_bind_int(statement, at++, record->max_results);
    return at;
}

static int bind_result(sqlite3_stmt *statement, int at, const struct call_record *record)
{
    sqlite3_bind_int(statement, at++, record->status);
    sqlite3_bind_int64(statement, at++, record->done_ns);
    sqlite3_bind_int64(statement, at++, (int64_t)record->done_sequence);
    bind_payload(statement, at++, record->output);
    bind_message(statement, at++, record->error.type);
    bind_message(statement, at++, record->error.message);
    bind_payload(statement, at++, record->error.value);
    bind_payload(statement, at++, record->error.traceback);
    return at;
}

static dr_code insert(struct store_sqlite *sqlite, const struct call_record *record, struct dr_error *error)
{
    static const char text[] =
        "INSERT INTO call(" SQLITE_ALL ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"
        "?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31,?32,?33,?34,?35,?36,"
        "?37,?38,?39)";
    sqlite3_stmt *statement;
    dr_code code = sqlite_statement(sqlite, STATEMENT_INSERT, text, &statement, error);
    if (code)
        return code;
    int at = bind_fixed(statement, 1, record);
    at = bind_code(statement, at, record);
    at = bind_progress(statement, at, record);
    at = bind_poll(statement, at, record);
    at = bind_result(statement, at, record);
    CHECK(at == SQLITE_COLUMNS + 1);
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
    int at = 1;
    if (op->fields & RECORD_CODE)
        at = bind_code(statement, at, &op->record);
    if (op->fields & RECORD_PROGRESS)
        at = bind_progress(statement, at, &op->record);
    if (op->fields & RECORD_POLL)
        at = bind_poll(statement, at, &op->record);
    if (op->fields & RECORD_RESULT)
        at = bind_result(statement, at, &op->record);
    sqlite_bind_id(statement, at, &op->record.id);
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
        return touch(sqlite, STATEMENT_CONSUME, "UPDATE call SET mail=2 WHERE id=?", op->record.id, error);
    case BATCH_SWEPT:
        return touch(sqlite, STATEMENT_SWEPT, "UPDATE call SET sweep=0 WHERE id=?", op->record.id, error);
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
