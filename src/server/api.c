#include "server/api_private.h"

#include "base/mem.h"
#include "server/api_encode.h"
#include "wire/json.h"

dr_code api_create(const struct api_config *config, struct api **ret_api, struct dr_error *error)
{
    struct api *api = mem_zalloc(sizeof(*api));
    struct api_key *keys = mem_alloc(config->n_keys * sizeof(*keys));
    if (!api || !keys) {
        mem_free(api);
        mem_free(keys);
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    }
    if (config->n_keys > 0)
        memcpy(keys, config->keys, config->n_keys * sizeof(*keys));
    api->driver = config->driver;
    api->metrics = config->metrics;
    api->keys = keys;
    api->n_keys = config->n_keys;
    api->waiters_max = config->waiters_max ? config->waiters_max : API_WAITERS_MAX;
    api->wait_default_ns = config->wait_default_ns ? config->wait_default_ns : API_WAIT_DEFAULT_NS;
    dr_code code = api_encoder_create(&api->encoder, error);
    if (code != DR_OK) {
        api_destroy(api);
        return code;
    }
    *ret_api = api;
    return DR_OK;
}

void api_destroy(struct api *api)
{
    if (!api)
        return;
    api_encoder_destroy(api->encoder);
    mem_free(api->keys);
    mem_free(api);
}

void api_on_headers(void *arg, struct http_exchange *exchange)
{
    struct api_request request;
    api_handler_fn *handler;
    (void)api_check_headers(arg, exchange, &request, &handler);
}

void api_on_request(void *arg, struct http_exchange *exchange)
{
    struct api_request request;
    api_handler_fn *handler;
    if (api_check_headers(arg, exchange, &request, &handler))
        handler(&request);
}

void api_count(const struct api_request *request, dr_code code)
{
    metrics_answered(request->api->metrics, request->method, code, http_exchange_peer(request->exchange));
}

void api_respond_error(const struct api_request *request, dr_code code, const char *message)
{
    api_count(request, code);
    http_exchange_respond_error(request->exchange, 0, code, message ? message : dr_code_text(code));
}

void api_respond(const struct api_request *request, dr_code code, struct buf *body)
{
    struct http_response response = {
        .status = 200,
        .content_type = request->is_json ? API_TYPE_JSON : API_TYPE_PROTO,
        .body = buf_slice(body),
    };
    if (code == DR_OK) {
        api_count(request, code);
        http_exchange_respond(request->exchange, &response);
    } else {
        api_respond_error(request, code, code == DR_RESOURCE_EXHAUSTED ? "the answer is too long" : NULL);
    }
    buf_deinit(body);
}

dr_code api_json_text(const json_t *json, const char *name, struct slice *ret_text, struct dr_error *error)
{
    const json_t *field = wire_json_get(json, name);
    if (field && !json_is_string(field))
        return error_set(error, DR_INVALID_ARGUMENT, "%s is not a string", name);
    *ret_text = field ? slice_of(json_string_value(field), json_string_length(field)) : (struct slice){0};
    return DR_OK;
}

/* A blob pointer of NULL is an absent field; slices say so with data NULL. */
static struct slice blob_field(const struct blob *blob)
{
    return blob ? blob_slice(blob) : (struct slice){0};
}

void api_result_of_record(const struct call_record *record, char id_text[ID_TEXT_SIZE],
                          struct wire_result *ret_result)
{
    *ret_result = (struct wire_result){
        .correlation_id = record->correlation_id,
        .output = blob_field(record->output),
        .has_error = error_record_is_set(&record->error),
        .error = {.type = blob_field(record->error.type),
                  .message = blob_field(record->error.message),
                  .value = blob_field(record->error.value),
                  .traceback = blob_field(record->error.traceback)},
        .dispatch_id = slice_text(id_format(record->id, id_text)),
    };
}
