/* GET /metrics: what the server counts, in Prometheus' text format. With a key, as everything: hosts of endpoints are
 * nobody else's business. */
#include "server/api_private.h"

#include "base/mem.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void on_stats(void *arg, dr_code code, const char *message, const struct driver_stats *stats)
{
    struct api_request *request = arg;
    struct http_server_stats http;
    struct buf body;
    buf_init(&body, METRICS_TEXT_BYTES_MAX);
    http_exchange_server_stats(request->exchange, &http);
    if (code == DR_OK)
        code = metrics_write(request->api->metrics, stats, &http, &body);
    api_count(request, code);
    if (code == DR_OK)
        http_exchange_respond(request->exchange, &(struct http_response){.status = 200, .content_type = METRICS_TYPE,
                                                                         .body = buf_slice(&body)});
    else
        http_exchange_respond_error(request->exchange, 0, code, message ? message : dr_code_text(code));
    buf_deinit(&body);
    mem_free(request);
}

void api_metrics(const struct api_request *request)
{
    struct dr_error error = {0};
    struct api_request *copy = mem_alloc(sizeof *copy);
    if (!copy) {
        api_respond_error(request, DR_NO_MEMORY, NULL);
        return;
    }
    *copy = *request;
    dr_code code = driver_stats(request->api->driver, on_stats, copy, &error);
    if (code == DR_OK)
        return;
    api_respond_error(request, code, error.message);
    mem_free(copy);
}
