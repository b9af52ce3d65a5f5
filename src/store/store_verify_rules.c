/* What must hold between rows, each as the question whose answer are the calls that break it. */
#include "store/store_verify_private.h"

#include "base/error.h"

#define LONG_PAYLOAD(field, column)                                                                            \
    {"a long payload is missing or has another length",                                                        \
     "SELECT id FROM call NOT INDEXED WHERE typeof(" column ")='integer' AND " column                          \
     " IS NOT (SELECT length(bytes) FROM payload WHERE call=id AND field=" field ")"},                         \
    {"a payload lies apart although its call does not say so",                                                 \
     "SELECT call FROM payload AS p WHERE field=" field " AND NOT EXISTS (SELECT 1 FROM call WHERE id=p.call " \
     "AND typeof(" column ")='integer')"}

static const struct {
    const char *broken;
    const char *question;
} RULES[] = {
    {"a number is none that is written", "SELECT id FROM call NOT INDEXED WHERE state NOT IN (1,2,3) OR mail NOT IN (0,1,2)"},
    {"a root has a mark of a child",
     "SELECT id FROM call NOT INDEXED WHERE parent IS NULL AND (root IS NOT id OR mail<>0 OR depth<>0)"},
    {"a child has a mark of a root", "SELECT id FROM call NOT INDEXED WHERE parent IS NOT NULL AND (mail=0 OR depth=0)"},
    {"it lives, but its mail is not open",
     "SELECT id FROM call NOT INDEXED WHERE parent IS NOT NULL AND state<>3 AND mail<>1"},
    {"it is done, but has a time to wake", "SELECT id FROM call NOT INDEXED WHERE state=3 AND wake_ns<>0"},
    {"its parent is of another tree, project or generation",
     "SELECT c.id FROM call AS c NOT INDEXED JOIN call AS p ON p.id=c.parent WHERE c.root<>p.root OR "
     "c.project<>p.project OR c.depth<>p.depth+1 OR c.parent_generation>p.generation OR NOT p.has_children"},
    LONG_PAYLOAD("1", "input"),
    LONG_PAYLOAD("2", "last_error"),
    LONG_PAYLOAD("3", "poll_state"),
    LONG_PAYLOAD("4", "poll_error"),
    LONG_PAYLOAD("5", "output"),
    LONG_PAYLOAD("6", "error_type"),
    LONG_PAYLOAD("7", "error_message"),
    LONG_PAYLOAD("8", "error_value"),
    LONG_PAYLOAD("9", "error_traceback"),
    {"a payload has no known number", "SELECT call FROM payload WHERE field NOT BETWEEN 1 AND 9"},
};

static dr_code check_rule(struct verify *verify, size_t which, struct dr_error *error)
{
    sqlite3 *database = verify->sqlite.database;
    sqlite3_stmt *row = NULL;
    char text[ID_TEXT_SIZE];
    int result = sqlite3_prepare_v2(database, RULES[which].question, -1, &row, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(row);
        if (result == SQLITE_ROW)
            verify_found(verify, "call %s: %s", id_format(sqlite_column_id(row, 0), text), RULES[which].broken);
    }
    sqlite3_finalize(row);
    if (result == SQLITE_NOMEM)
        return error_set(error, DR_NO_MEMORY, "out of memory");
    if (result != SQLITE_DONE)
        verify_found(verify, "calls and payloads cannot be compared: %s", sqlite3_errmsg(database));
    return DR_OK;
}

static dr_code check_tally(struct verify *verify, struct dr_error *error)
{
    int64_t n_rows = 0, n_right = 0;
    dr_code code = sqlite_read_number(&verify->sqlite, "SELECT count(*) FROM tally", &n_rows, NULL);
    if (!code)
        code = sqlite_read_number(&verify->sqlite,
                                  "SELECT n_live = (SELECT count(*) FROM call NOT INDEXED WHERE state<>3) AND "
                                  "n_done = (SELECT count(*) FROM call NOT INDEXED WHERE state=3) FROM tally",
                                  &n_right, NULL);
    if (code == DR_NO_MEMORY)
        return error_set(error, code, "out of memory");
    if (code || n_rows != 1 || !n_right)
        verify_found(verify, "the counts of live and done calls are wrong");
    return DR_OK;
}

dr_code verify_rules(struct verify *verify, struct dr_error *error)
{
    dr_code code = DR_OK;
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0] && !code; i++)
        code = check_rule(verify, i, error);
    return code ? code : check_tally(verify, error);
}
