/* The file at opening: whose it is, who else has it, which schema. A file that is not ours, newer than we
 * are, or in use is left as it is, to the byte. docs/design/storage.md. */
#include "store/store_sqlite.h"

#include "base/error.h"

#include <stdio.h>

#define APPLICATION_ID SQLITE_APPLICATION_ID
#define SCHEMA_VERSION ((int)(sizeof MIGRATIONS / sizeof MIGRATIONS[0]))

/* The n-th makes version n + 1 of version n. What has been released never changes: add another. */
static const char *const MIGRATIONS[] = {
    "CREATE TABLE call ("
    " id BLOB PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, parent BLOB, root BLOB NOT NULL,"
    " project INTEGER NOT NULL, parent_generation INTEGER NOT NULL, depth INTEGER NOT NULL,"
    " correlation_id INTEGER NOT NULL, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,"
    " endpoint TEXT NOT NULL, function TEXT NOT NULL, version TEXT, input BLOB, generation INTEGER NOT NULL,"
    " state INTEGER NOT NULL, mail INTEGER NOT NULL, sweep INTEGER NOT NULL, has_children INTEGER NOT NULL,"
    " wake_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " failures INTEGER NOT NULL, last_status INTEGER NOT NULL, last_error BLOB,"
    " state_arm INTEGER NOT NULL, is_resume INTEGER NOT NULL, poll_state BLOB, poll_error BLOB,"
    " min_results INTEGER NOT NULL, max_results INTEGER NOT NULL,"
    " status INTEGER NOT NULL, done_ns INTEGER NOT NULL, done_sequence INTEGER NOT NULL, output BLOB,"
    " error_type BLOB, error_message BLOB, error_value BLOB, error_traceback BLOB"
    ");"
    "CREATE INDEX call_wake ON call(wake_ns, id) WHERE state <> 3;"
    "CREATE INDEX call_mail ON call(state, parent, parent_generation, done_sequence) WHERE mail = 1;"
    "CREATE INDEX call_sweep ON call(id) WHERE sweep = 1;"
    "CREATE INDEX call_done ON call(done_ns, id) WHERE state = 3;"
    "CREATE INDEX call_tree ON call(root, id) WHERE parent IS NOT NULL;"
    "CREATE TABLE payload (call BLOB NOT NULL, field INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " PRIMARY KEY (call, field)) WITHOUT ROWID;"
    "CREATE TABLE tally (n_live INTEGER NOT NULL, n_done INTEGER NOT NULL);"
    "INSERT INTO tally VALUES (0, 0);",
    /* `sweep` becomes the generation below which children are to be cancelled. A 1 meant all of a done call's, and
     * those of a live call's older generations. */
    "UPDATE call SET sweep = CASE WHEN state = 3 THEN 4294967295 ELSE generation END WHERE sweep = 1;"
    "DROP INDEX call_sweep;"
    "CREATE INDEX call_sweep ON call(id) WHERE sweep <> 0;",
    /* Sums. What is damaged by now cannot be told any more. */
    "ALTER TABLE call ADD COLUMN sum_fixed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE call ADD COLUMN sum_code INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE call ADD COLUMN sum_progress INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE call ADD COLUMN sum_poll INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE call ADD COLUMN sum_result INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE payload ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"
    "UPDATE call SET sum_fixed=dispatch_sum(1,id,id,partition,parent,root,project,parent_generation,depth,"
    "correlation_id,created_ns,expires_ns),"
    " sum_code=dispatch_sum(2,id,endpoint,function,version,input,generation),"
    " sum_progress=dispatch_resum(dispatch_resum(dispatch_sum(3,id,state,has_children,wake_ns,due_ns,attempts,"
    "failures,last_status,last_error),id,7,NULL,mail),id,8,NULL,sweep),"
    " sum_poll=dispatch_sum(4,id,state_arm,is_resume,poll_state,poll_error,min_results,max_results),"
    " sum_result=dispatch_sum(5,id,status,done_ns,done_sequence,output,error_type,error_message,error_value,"
    "error_traceback);"
    "UPDATE payload SET sum=dispatch_sum(6,call,field,bytes);",
};

_Static_assert(sizeof MIGRATIONS / sizeof MIGRATIONS[0] == SQLITE_SCHEMA_VERSION, "one step for each version");

static dr_code refuse_foreign(struct store_sqlite *sqlite, struct dr_error *error)
{
    return error_set(error, DR_FAILED_PRECONDITION, "open store: %s is not a database of dispatch",
                     sqlite->path);
}

static dr_code check_version(struct store_sqlite *sqlite, int64_t version, struct dr_error *error)
{
    if (version <= SCHEMA_VERSION)
        return DR_OK;
    return error_set(error, DR_FAILED_PRECONDITION,
                     "open store: %s has schema version %lld, this dispatch knows %d: use a newer dispatch",
                     sqlite->path, (long long)version, SCHEMA_VERSION);
}

static int64_t number_at(const uint8_t *header, size_t at)
{
    return (int32_t)((uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 |
                     (uint32_t)header[at + 2] << 8 | header[at + 3]);
}

/* Looks at the header's bytes before SQLite does: it would recover, and so change, a file that is not ours.
 * Through SQLite's own descriptor, because closing another one would drop the locks of this process. */
static dr_code check_header(struct store_sqlite *sqlite, bool *ret_is_empty, struct dr_error *error)
{
    enum { HEADER_BYTES = 100, VERSION_AT = 60, APPLICATION_AT = 68 };
    uint8_t header[HEADER_BYTES];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int result = sqlite3_file_control(sqlite->database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (result == SQLITE_OK)
        result = file->pMethods->xFileSize(file, &size);
    *ret_is_empty = size == 0;
    if (result == SQLITE_OK && size == 0)
        return sqlite_secure_emptiness(sqlite, error);
    dr_code code = result == SQLITE_OK ? sqlite_check_creation(sqlite, ret_is_empty, error) : DR_OK;
    if (code || *ret_is_empty) /* it will be, once SQLite has played the journal back */
        return code;
    if (result == SQLITE_OK && size < HEADER_BYTES)
        return refuse_foreign(sqlite, error);
    if (result == SQLITE_OK)
        result = file->pMethods->xRead(file, header, HEADER_BYTES, 0);
    if (result != SQLITE_OK)
        return sqlite_fail(sqlite, result, "open store", error);
    if (memcmp(header, "SQLite format 3", 16) != 0 || number_at(header, APPLICATION_AT) != APPLICATION_ID)
        return refuse_foreign(sqlite, error);
    return check_version(sqlite, number_at(header, VERSION_AT), error);
}

static dr_code migrate(struct store_sqlite *sqlite, int64_t version, struct dr_error *error)
{
    char mark[100];
    dr_code code = sqlite_execute(sqlite, "BEGIN EXCLUSIVE", "open store", error);
    if (code)
        return code;
    for (int64_t i = version; i < SCHEMA_VERSION && !code; i++)
        code = sqlite_execute(sqlite, MIGRATIONS[i], "open store", error);
    snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION_ID,
             SCHEMA_VERSION);
    if (!code)
        code = sqlite_execute(sqlite, mark, "open store", error);
    if (code && !sqlite3_get_autocommit(sqlite->database))
        (void)sqlite3_exec(sqlite->database, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

dr_code sqlite_make_schema(struct store_sqlite *sqlite, struct dr_error *error)
{
    return migrate(sqlite, 0, error);
}

/* Before WAL mode, so that the file itself bears the mark from its first byte on: calls are only ever in the
 * WAL of a file that is known as ours. EXTRA: the end of the rollback journal must survive a loss of power as
 * well. */
static dr_code create(struct store_sqlite *sqlite, struct dr_error *error)
{
    int64_t n_tables = 0;
    dr_code code =
        sqlite_execute(sqlite, "PRAGMA page_size=4096; PRAGMA synchronous=EXTRA", "open store", error);
    if (!code)
        code = sqlite_read_number(sqlite, "SELECT count(*) FROM sqlite_schema", &n_tables, error);
    return code || n_tables > 0 ? code : migrate(sqlite, 0, error); /* > 0: another server was faster */
}

/* From the first read on the file is locked until the process ends, however it ends; and there is no -shm
 * file. */
static dr_code take(struct store_sqlite *sqlite, int64_t *ret_version, struct dr_error *error)
{
    dr_code code = sqlite_execute(sqlite, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=EXTRA",
                                  "open store", error);
    if (!code) /* reads the schema, recovers the WAL */
        code = sqlite_read_number(sqlite, "PRAGMA user_version", ret_version, error);
    if (!code)
        code = check_version(sqlite, *ret_version, error);
    if (!code)
        code = sqlite_execute(sqlite, "PRAGMA journal_mode=WAL", "open store", error);
    return code ? code : sqlite_secure_log(sqlite, error);
}

static dr_code check_whole(struct store_sqlite *sqlite, struct dr_error *error)
{
    int64_t n_payloads = 0, n_tally = 0;
    dr_code code = sqlite_read_number(sqlite, "SELECT count(*) FROM (SELECT 1 FROM payload LIMIT 1)",
                                      &n_payloads, error);
    if (!code)
        code = sqlite_read_number(sqlite, "SELECT count(*) FROM tally", &n_tally, error);
    if (!code && n_tally != 1)
        return error_set(error, DR_DATA_LOSS, "open store: %s is damaged: no tally", sqlite->path);
    sqlite->has_payloads = n_payloads > 0;
    return code;
}

dr_code sqlite_set_up(struct store_sqlite *sqlite, struct dr_error *error)
{
    bool is_empty = false;
    int64_t version = 0;
    if (sqlite3_db_readonly(sqlite->database, "main") == 1) {
        int cause = sqlite_why_read_only(sqlite);
        return error_set(error, DR_UNAVAILABLE, "open store: %s cannot be written%s%s", sqlite->path, cause ? ": " : "",
                         cause ? strerror(cause) : "");
    }
    /* until all is well: a refused file must not change at closing either */
    sqlite3_db_config(sqlite->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    dr_code code = check_header(sqlite, &is_empty, error);
    if (!code && is_empty)
        code = create(sqlite, error);
    if (!code)
        code = take(sqlite, &version, error);
    if (!code &&
        version < SCHEMA_VERSION) /* also version 0: the creation was interrupted and has been rolled back */
        code = migrate(sqlite, version < 0 ? 0 : version, error);
    if (!code)
        code = sqlite_execute(
            sqlite,
            "PRAGMA cache_size=-32000;"
            "PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY;",
            "open store", error);
    if (!code)
        code = sqlite_execute(sqlite,
                              sqlite->durability == STORE_SURVIVES_PROCESS ? "PRAGMA synchronous=NORMAL"
                                                                           : "PRAGMA synchronous=FULL",
                              "open store", error);
    if (!code)
        code = check_whole(sqlite, error);
    if (!code)
        sqlite3_db_config(sqlite->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return code;
}
