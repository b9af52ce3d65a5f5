/* One server (the real binary), one program (program.h), one client and a ledger of what was acknowledged, for the tests
 * that stop and starve them. One thread, unless said otherwise. */
#ifndef TESTS_CRASH_RIG_H
#define TESTS_CRASH_RIG_H

#include "program.h"

#include "../server/poster.h"
#include "../server/process.h"

#define RIG_CALLS_MAX 2000

struct rig {
    char directory[256];
    char db[300];
    const char *options[8]; /* more of `serve`; ends with NULL */
    struct process server;
    struct program program;
    struct poster poster;
    char ids[RIG_CALLS_MAX][33]; /* of call n */
    bool is_acknowledged[RIG_CALLS_MAX];
    uint64_t next_n;
};

/* Starts the program and the server, with no call. */
void rig_open(struct rig *rig);
/* Every acknowledged call has its result, now or soon. */
void rig_check_results(struct rig *rig);
/* The same, then ends the server with SIGTERM, which must succeed; looks for violations and leaks of the server. */
void rig_close(struct rig *rig);

void rig_start_server(struct rig *rig);
void rig_kill_server(struct rig *rig);

/* Submits n calls, in one request: the status, 0 for no answer. The ledger has them when it is 200. */
int rig_submit(struct rig *rig, size_t n);
/* The status of a request with this body; its answer is in rig->poster.response. */
int rig_post(struct rig *rig, const char *path, const char *content_type, const char *body);
/* Whether call n is known to the server at this moment, done or not. */
bool rig_knows(struct rig *rig, uint64_t n);

/* Until stderr of the server has the text; fails after a minute. */
void rig_wait_for_log(struct rig *rig, const char *text);

#endif
