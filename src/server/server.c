#include "server/server.h"

#include "base/error.h"
#include "base/mem.h"
#include "http/http_server.h"
#include "server/api.h"
#include "server/metrics.h"
#include "server/transport_http.h"
#include <string.h>
#include <sys/resource.h>

/* For answers that are on their way when the driver has given the last one. */
#define FLUSH_TIMEOUT_NS (5 * NS_PER_S)
/* Room beside the long polls, each of which holds a connection and an exchange. */
#define CONNECTIONS_BESIDE_WAITERS 10000u
#define EXCHANGES_BESIDE_WAITERS 65536u

struct server {
    struct transport *transport; /* NULL when it is the caller's */
    struct driver *driver;
    struct api *api;
    struct http_server *http;
    struct metrics *metrics;
};

static dr_code create_driver(struct server *server, const struct server_config *config, struct dr_error *error)
{
    struct driver_config driver = config->driver;
    dr_code code = DR_OK;
    if (!driver.transport) {
        struct transport_http_config transport = {.runs_max = driver.engine.in_flight_max};
        code = transport_http_create(&transport, &server->transport, error);
        driver.transport = server->transport;
    }
    if (code) {
        store_close(driver.store);
        return code;
    }
    return driver_create(&driver, &server->driver, error);
}

static dr_code create_api(struct server *server, const struct server_config *config, struct dr_error *error)
{
    struct api_key keys[SERVER_API_KEYS_MAX] = {0};
    if (config->n_api_keys > SERVER_API_KEYS_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "more than %u API keys", SERVER_API_KEYS_MAX);
    for (size_t i = 0; i < config->n_api_keys; i++) {
        api_key_hash(config->api_keys[i], keys[i].hash);
        keys[i].project = API_PROJECT_DEFAULT;
    }
    struct api_config api = {.driver = server->driver, .metrics = server->metrics, .keys = keys, .n_keys = config->n_api_keys,
                             .waiters_max = config->driver.engine.waiters_max};
    return api_create(&api, &server->api, error);
}

/* Every long poll holds a connection. Half of the descriptors are left for runs and files when they are few. */
static uint32_t connections_max(void)
{
    struct rlimit limit;
    rlim_t wanted = API_WAITERS_MAX + CONNECTIONS_BESIDE_WAITERS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 >= wanted)
        return (uint32_t)wanted;
    return limit.rlim_cur / 2 > 1 ? (uint32_t)(limit.rlim_cur / 2) : 1;
}

dr_code server_create(const struct server_config *config, struct server **ret_server, struct dr_error *error)
{
    struct server *server = mem_must_zalloc(sizeof *server);
    dr_code code = create_driver(server, config, error);
    if (!code)
        code = metrics_create(true, &server->metrics, error);
    if (code)
        goto cleanup;
    code = create_api(server, config, error);
    if (code)
        goto cleanup;
    struct http_server_config http = {.host = config->host, .port = config->port, .on_headers = api_on_headers,
                                      .on_request = api_on_request, .arg = server->api,
                                      .connections_max = connections_max(),
                                      .on_refused = metrics_http_refused, .refused_arg = server->metrics,
                                      .exchanges_max = API_WAITERS_MAX + EXCHANGES_BESIDE_WAITERS};
    code = http_server_create(&http, &server->http, error);
    if (code)
        goto cleanup;
    *ret_server = server;
    server = NULL;

cleanup:
    server_destroy(server);
    return code;
}

dr_code server_start(struct server *server, struct dr_error *error)
{
    dr_code code = driver_start(server->driver, error);
    return code ? code : http_server_start(server->http, error);
}

uint16_t server_port(const struct server *server) { return http_server_port(server->http); }

struct driver *server_driver(struct server *server) { return server->driver; }

void server_stop(struct server *server)
{
    /* The driver first: it answers every open request, and then the front has nothing to wait for but its sockets. */
    if (server->driver)
        driver_stop(server->driver);
    if (server->http)
        (void)http_server_stop(server->http, FLUSH_TIMEOUT_NS);
}

void server_hurry(struct server *server) { driver_stop_hurry(server->driver); }

void server_destroy(struct server *server)
{
    if (!server)
        return;
    server_stop(server);
    http_server_destroy(server->http);
    api_destroy(server->api);
    driver_destroy(server->driver);
    transport_destroy(server->transport);
    metrics_destroy(server->metrics);
    mem_free(server);
}
