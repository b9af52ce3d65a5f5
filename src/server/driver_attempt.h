/* An attempt in flight, as driver_run.c and driver_chaos.c see it. Inside the driver only. */
#ifndef SERVER_DRIVER_ATTEMPT_H
#define SERVER_DRIVER_ATTEMPT_H

#include "server/driver_private.h"
#include "wire/wire.h"

struct driver_attempt {
    struct driver_event event;  /* posted when the result is there */
    struct driver *driver;
    struct transport_run run;
    struct heap_node timeout;   /* on the driver's clock; the transport's own timeout is real time */
    bool is_timed_out;
    bool is_deferred;           /* the result is there, and waits for the store */
    /* chaos */
    struct chaos_plan plan;
    bool is_cut;                /* its endpoint crashed */
    bool is_held;               /* the result is there, and is given to the engine at held.key */
    struct heap_node held;
    size_t endpoint_len;
    /* the result: written on the transport's thread before the event is posted */
    struct arena arena;
    struct transport_result result;
    bool has_response;
    struct wire_run_response response;
    char endpoint[];
};

/* driver_run.c: tells the engine the result, and frees the attempt. */
void driver_attempt_end(struct driver *driver, struct driver_attempt *attempt);

/* driver_pressure.c */
void driver_pressure_init(struct driver *driver);
void driver_pressure_deinit(struct driver *driver);
/* A batch is handed to the store; up to `sequence` they are durable, and who waited for that goes on. */
void driver_pressure_add(struct driver *driver, const struct batch *batch);
void driver_pressure_durable(struct driver *driver, uint64_t sequence);
/* True: there is too much that is not durable, the result waits; driver_attempt_end comes later. */
bool driver_pressure_defer(struct driver *driver, struct driver_attempt *attempt);
/* Nothing waits any more: the drain is out of time. */
void driver_pressure_let_go_all(struct driver *driver);

/* driver_chaos.c; all do nothing without chaos. */
/* Before it is sent. False: it is not sent, the result is in the attempt. */
bool driver_chaos_start(struct driver *driver, struct driver_attempt *attempt, struct slice request);
/* The result has come: it may get lost. */
void driver_chaos_answer(struct driver *driver, struct driver_attempt *attempt);
/* True: the result is held back; driver_attempt_end comes later. */
bool driver_chaos_hold(struct driver *driver, struct driver_attempt *attempt);
/* Ends what is held until now. */
void driver_chaos_let_go(struct driver *driver, int64_t now_ns);
/* True: the attempt was held, and ends soon. */
bool driver_chaos_call_off(struct driver *driver, struct driver_attempt *attempt);
/* A stop begins: nothing is held any more. */
void driver_chaos_stop(struct driver *driver);
void driver_chaos_abort_all(struct driver *driver);

#endif
