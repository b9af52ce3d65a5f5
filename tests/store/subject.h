/* What the tests of the stores share: an open store of either kind, calls to put into it, commits in one
 * line. Every function fails the running test when something is not as it must be. */
#ifndef TESTS_STORE_SUBJECT_H
#define TESTS_STORE_SUBJECT_H

#include "base/random.h"
#include "store/store.h"

/* Initial states of subject_open: cmocka hands a setup function its test's initial state. */
#define SUBJECT_MEMORY ((void *)"memory")
#define SUBJECT_SQLITE ((void *)"SQLite")

/* A test of the suite, once for each implementation. */
#define ON_BOTH(test)                                                                                        \
    {"memory: " #test, test, subject_open, subject_close, SUBJECT_MEMORY},                                   \
    {                                                                                                        \
        "SQLite: " #test, test, subject_open, subject_close, SUBJECT_SQLITE                                  \
    }

struct subject {
    struct store *store;
    bool is_sqlite;
    uint64_t n_batches;
    char directory[256]; /* SQLite's, removed by subject_close */
    char path[300]; /* the database in it */
};

int subject_open(void **state);
int subject_close(void **state);
/* Closes and opens the file; does nothing to the memory store. */
void subject_reopen(struct subject *subject);

void directory_make(char *path, size_t size);
void directory_remove(const char *path);
/* The whole file, to compare; owned by the caller. */
struct buf file_read(const char *path);
void file_write(const char *path, struct slice bytes);
bool file_exists(const char *path);
/* `path` with `suffix` behind it; returns `text`. */
char *path_with(const char *path, const char *suffix, char text[320]);

/* The id of the n-th call: ids sort as their numbers do. */
struct id call_id(uint64_t n);
/* A scheduled root that is due at wake_ns = 0, with function and endpoint. */
struct call_record call_make(uint64_t n);
/* A child of call `parent`, made in `generation`, with open mail. */
struct call_record call_make_child(uint64_t n, uint64_t parent, uint32_t generation);
/* As T3 does it. */
void call_finish(struct call_record *record, int64_t done_ns, uint64_t done_sequence);
struct blob *text_blob(const char *text); /* owned */
/* Every field, payloads and texts random; id, parent, root, mail and state stay as they are. */
void call_fill(struct call_record *record, struct random *random);
void assert_same_call(const struct call_record *a, const struct call_record *b);

/* One commit of one operation. */
void put(struct subject *subject, const struct call_record *record);
void change(struct subject *subject, unsigned fields, const struct call_record *record);
void touch(struct subject *subject, enum batch_op_kind kind, struct id id);
void commit(struct subject *subject, struct batch *batch); /* takes it */
/* Inserts and releases the record. */
void put_new(struct subject *subject, struct call_record record);
/* The stored call; owned by the caller. */
struct call_record get(struct subject *subject, struct id id);
bool has(struct subject *subject, struct id id);
/* The numbers of the calls, "3 1 2"; releases the records. */
const char *numbers_of(struct store_records *records);
const char *numbers_of_ids(const struct id *ids, size_t n);

#endif
