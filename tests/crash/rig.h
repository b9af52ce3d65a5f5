/* One server (the real binary), one program (program.h), one client and a ledger of what was acknowledged, for the tests
 * that stop and starve them. One thread, unless said otherwise. */
#ifndef TESTS_CRASH_RIG_H
#define TESTS_CRASH_RIG_H

#include "program.h"

#include "../server/poster.h"
#include "../server/process.h"
#include <pthread.h>
#include <stdatomic.h>

#define RIG_CALLS_MAX 10000

struct shim_control;

struct rig {
    char directory[256]; /* made by rig_open unless the test has made it */
    char db[300];
    const char *options[8]; /* more of `serve`; ends with NULL */
    struct shim_control *shim; /* NULL = the server runs without shim.c */
    struct process server;
    struct program program;
    struct poster poster;
    char ids[RIG_CALLS_MAX][33]; /* of call n */
    const char *functions[RIG_CALLS_MAX];
    bool is_acknowledged[RIG_CALLS_MAX];
    uint64_t next_n;
};

/* Before rig_open: the server's clock and disk will do as rig->shim says. */
void rig_put_shim(struct rig *rig);
/* Starts the program and the server, with no call. */
void rig_open(struct rig *rig);
/* Every acknowledged call has its result, now or soon. */
void rig_check_results(struct rig *rig);
/* The same, then ends the server with SIGTERM, which must succeed; looks for violations and leaks of the server. */
void rig_close(struct rig *rig);

void rig_start_server(struct rig *rig);
/* The same, but false when it ended instead: its status is in rig->server, what it wrote in `errors`. */
bool rig_try_server(struct rig *rig, char errors[PROCESS_TEXT_SIZE]);
void rig_kill_server(struct rig *rig);

/* Submits n calls, in one request: the status, 0 for no answer. The ledger has them when it is 200. */
int rig_submit(struct rig *rig, size_t n);
/* The same, all for one function. */
int rig_submit_to(struct rig *rig, const char *function, size_t n);
/* The status of a request with this body; its answer is in rig->poster.response. */
int rig_post(struct rig *rig, const char *path, const char *content_type, const char *body);
/* Whether call n is known to the server at this moment, done or not. */
bool rig_knows(struct rig *rig, uint64_t n);

/* Whether GetCall of call n answers with this text. */
bool rig_shows(struct rig *rig, uint64_t n, const char *text);

/* Until it does, or stderr of the server has the text, or a metric is as large; fails after a minute. */
void rig_wait_until_shown(struct rig *rig, uint64_t n, const char *text);
void rig_wait_for_log(struct rig *rig, const char *text);
void rig_wait_for_metric(struct rig *rig, const char *name, int64_t least);
/* One line of /metrics, named with its labels and without "dispatch_"; -1 when it is not there. */
int64_t rig_metric(struct rig *rig, const char *name);

/* A client with a thread and a ledger of its own, while the main thread has another: submits, each call as soon as the one
 * before is answered, until it is refused, told to end or its ledger is full. */
struct rig_client {
    struct rig rig; /* no server of its own */
    pthread_t thread;
    atomic_bool is_over;
    atomic_size_t n_acknowledged;
    int status; /* of its last request */
};

/* Returns owned, to be ended with rig_client_end. */
struct rig_client *rig_client_start(struct rig *rig);
/* Waits for its last answer; it is told that it is over. */
void rig_client_join(struct rig_client *client);
/* Looks at its results at the server of `rig`, which need not be the one that it began with. */
void rig_client_end(struct rig_client *client, struct rig *rig);

#endif
