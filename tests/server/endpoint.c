#include "endpoint.h"

#include "base/check.h"
#include "base/mem.h"
#include "http/http_server.h"
#include "wire/wire.h"
#include <stdio.h>

struct endpoint {
    struct http_server *server;
    endpoint_fn *run;
    void *arg;
    char url[64];
    struct arena arena; /* the loop thread's */
    struct buf buf;
};

static void on_request(void *arg, struct http_exchange *exchange)
{
    struct endpoint *endpoint = arg;
    struct wire_run_request request;
    struct wire_run_response response = {0};
    struct dr_error error = {0};
    arena_reset(&endpoint->arena);
    buf_clear(&endpoint->buf);
    if (wire_run_request_decode(http_exchange_body(exchange), &endpoint->arena, &request, &error) != DR_OK) {
        http_exchange_respond_error(exchange, 0, error.code, error.message);
        return;
    }
    int status = endpoint->run(endpoint->arg, &request, &response, &endpoint->arena);
    if (status == 200)
        CHECK(wire_run_response_encode(&response, &endpoint->buf, &error) == DR_OK);
    http_exchange_respond(exchange, &(struct http_response){.status = status,
                                                            .content_type = "application/proto",
                                                            .body = buf_slice(&endpoint->buf)});
}

struct endpoint *endpoint_open_at(uint16_t port, endpoint_fn *run, void *arg)
{
    struct endpoint *endpoint = mem_must_zalloc(sizeof *endpoint);
    struct dr_error error = {0};
    endpoint->run = run;
    endpoint->arg = arg;
    arena_init(&endpoint->arena, 0);
    buf_init(&endpoint->buf, WIRE_MESSAGE_BYTES_MAX);
    struct http_server_config config = {.port = port, .on_request = on_request, .arg = endpoint};
    CHECK(http_server_create(&config, &endpoint->server, &error) == DR_OK);
    CHECK(http_server_start(endpoint->server, &error) == DR_OK);
    snprintf(endpoint->url, sizeof endpoint->url, "http://127.0.0.1:%u", http_server_port(endpoint->server));
    return endpoint;
}

struct endpoint *endpoint_open(endpoint_fn *run, void *arg) { return endpoint_open_at(0, run, arg); }

const char *endpoint_url(const struct endpoint *endpoint) { return endpoint->url; }

void endpoint_close(struct endpoint *endpoint)
{
    (void)http_server_stop(endpoint->server, 0);
    http_server_destroy(endpoint->server);
    arena_deinit(&endpoint->arena);
    buf_deinit(&endpoint->buf);
    mem_free(endpoint);
}
