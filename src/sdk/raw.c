/* Runs as bytes: the public functions, and runs that came over HTTP. */
#include "sdk/raw.h"

#include "base/mem.h"
#include "http/http_server.h"

const void *dr_run_request(const dr_run *run, size_t *ret_len)
{
    struct slice request = run->methods->request(run);
    *ret_len = request.len;
    return request.data ? (const void *)request.data : "";
}

const char *dr_run_method(const dr_run *run)
{
    const struct http_exchange *exchange = run->methods->exchange(run);
    return exchange ? http_exchange_method(exchange) : NULL;
}

const char *dr_run_path(const dr_run *run)
{
    const struct http_exchange *exchange = run->methods->exchange(run);
    return exchange ? http_exchange_path(exchange) : NULL;
}

const char *dr_run_query(const dr_run *run)
{
    const struct http_exchange *exchange = run->methods->exchange(run);
    return exchange ? http_exchange_query(exchange) : NULL;
}

const char *dr_run_header(const dr_run *run, const char *name)
{
    const struct http_exchange *exchange = run->methods->exchange(run);
    return exchange ? http_exchange_header(exchange, name) : NULL;
}

void dr_run_respond(dr_run *run, const void *response, size_t len)
{
    run->methods->respond(run, slice_of(response, len));
}

void dr_run_refuse(dr_run *run, dr_code code, const char *message)
{
    run->methods->refuse(run, code, message);
}

/* ---- over HTTP ---- */

struct raw_http {
    dr_run base;
    struct http_exchange *exchange;
};

static struct raw_http *raw_http_of(const dr_run *run)
{
    return (struct raw_http *)(uintptr_t)run; /* its first member */
}

static struct slice raw_http_request(const dr_run *run)
{
    return http_exchange_body(raw_http_of(run)->exchange);
}

static const struct http_exchange *raw_http_exchange(const dr_run *run)
{
    return raw_http_of(run)->exchange;
}

static void raw_http_respond(dr_run *run, struct slice body)
{
    struct raw_http *http = raw_http_of(run);
    struct http_response response = {.status = 200, .content_type = "application/proto", .body = body};
    http_exchange_respond(http->exchange, &response);
    mem_free(http);
}

static void raw_http_refuse(dr_run *run, dr_code code, const char *message)
{
    struct raw_http *http = raw_http_of(run);
    http_exchange_respond_error(http->exchange, 0, code, message);
    mem_free(http);
}

static const struct raw_methods HTTP_METHODS = {.request = raw_http_request,
                                                .exchange = raw_http_exchange,
                                                .respond = raw_http_respond,
                                                .refuse = raw_http_refuse};

void raw_http_hand_over(struct http_exchange *exchange, dr_run_handler *handler, void *arg)
{
    struct raw_http *http = mem_zalloc(sizeof *http);
    if (!http) {
        http_exchange_respond_error(exchange, 0, DR_NO_MEMORY, dr_code_text(DR_NO_MEMORY));
        return;
    }
    http->base.methods = &HTTP_METHODS;
    http->exchange = exchange;
    handler(arg, &http->base);
}
