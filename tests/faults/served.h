/* What the sweeps of server and SDK share: a program with an endpoint (in a process of its own, where nothing fails), a
 * server with a database, and a client that goes on until its calls have ended as they must. In children of a sweep
 * (faults.h): what is not as it must be ends the process. */
#ifndef TESTS_FAULTS_SERVED_H
#define TESTS_FAULTS_SERVED_H

#include "server/server.h"
#include <dispatchrun.h>

#define SERVED_CALLS_MAX 16u

/* What the program's functions do. */
enum served_end {
    SERVED_GREETING = 1, /* "greet": the text "Hello World!" */
    SERVED_PAIR,         /* "pair": two greetings, awaited at once: "Hello A! Hello B!" */
    SERVED_CANCELLED     /* "hang": sleeps for a week; the client cancels it */
};

/* In memory that the processes of a sweep share: what was acknowledged, for the check after a crash. */
struct served_call {
    char id[DR_ID_SIZE];
    enum served_end end;
    bool is_seen_done;
};

struct served {
    char directory[256], path[320];
    struct served_call calls[SERVED_CALLS_MAX];
    unsigned n_calls;
    /* of one process */
    struct server *server;
    dr_client *client;
    unsigned n_descriptors; /* open before; 0 = unknown */
    bool may_leave_one;     /* descriptor open */
};

/* Starts the program; before the first thread of this process. Ends with this process. */
void served_program_start(void);
/* "http://127.0.0.1:PORT", of the program. Another one may be set. */
const char *served_program_url(void);
void served_program_set(const char *url);

/* The world of the child `index`. */
struct served *served_of(unsigned index);
/* Forgets what was, makes a folder. */
void served_prepare(struct served *served);
/* Opens the database (made when missing) and the server. Everything is given back on failure. */
dr_code served_open(struct served *served, struct dr_error *error);
/* The server stops; no descriptor is left open. */
void served_close(struct served *served);
void served_remove(struct served *served);

/* A client of the server that may meet faults. */
dr_code served_client_open(struct served *served, struct dr_error *error);
/* One that meets none; and from now on this thread meets none. */
void served_connect(struct served *served);
/* Submits, shows, cancels and awaits calls of every kind, and again when a fault is in the way. */
void served_use(struct served *served);
/* Awaits every call that was acknowledged. */
void served_await_all(struct served *served);
/* After the faults: a call more ends as it must. */
void served_probe(struct served *served);
/* In the parent, after a crash: a new server ends all that was acknowledged. */
void served_recover(struct served *served);
/* In the parent: the database has what was acknowledged. Removes it. */
void served_check(struct served *served);

#endif
