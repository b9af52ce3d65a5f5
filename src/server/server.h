/* The whole server in one object: driver, transport, API and HTTP front on one port. Users: `dispatch serve`, and a
 * test mode that sends calls over loopback. One owner: functions are called from one thread at a time, but for
 * server_hurry. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "server/driver.h"

struct server;

/* Zero members mean the default in brackets. */
struct server_config {
    struct driver_config driver;   /* its store is taken; transport NULL = HTTP */
    const char *host;              /* borrowed during create ["127.0.0.1"] */
    uint16_t port;                 /* 0 = a free one */
    const char *const *api_keys;   /* borrowed during create; none = no key is asked for */
    size_t n_api_keys;             /* all of them open one project */
};

#define SERVER_API_KEYS_MAX 64u

/* Binds the port, makes everything, answers nothing yet. Takes config->driver.store, on failure too.
 * DR_INVALID_ARGUMENT, DR_UNAVAILABLE (the port), DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED. */
dr_code server_create(const struct server_config *config, struct server **ret_server, struct dr_error *error);
/* Recovers and answers from now on. */
dr_code server_start(struct server *server, struct dr_error *error);
uint16_t server_port(const struct server *server);
struct driver *server_driver(struct server *server);
/* Graceful, blocking, at most about the drain timeout: see driver_stop. Nothing is accepted meanwhile. */
void server_stop(struct server *server);
/* Any thread: the stop that is under way does not wait for attempts any more. */
void server_hurry(struct server *server);
/* Stops if need be. Accepts NULL. */
void server_destroy(struct server *server);

#endif
