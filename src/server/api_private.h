/* What the files of the API share. */
#ifndef SERVER_API_PRIVATE_H
#define SERVER_API_PRIVATE_H

#include "server/api.h"

#include "base/buf.h"
#include "base/error.h"
#include <stdatomic.h>

struct api {
    struct driver *driver;
    struct api_key *keys;
    size_t n_keys;
    uint32_t waiters_max;
    int64_t wait_default_ns;
    atomic_uint n_waiters;
};

/* A request whose headers are in order. */
struct api_request {
    struct api *api;
    struct http_exchange *exchange;
    uint32_t project;
    bool is_json;
    int64_t timeout_ns; /* Connect-Timeout-Ms; TIME_NEVER = none given */
};

/* One per route. Answers, or keeps a copy of the request and answers later. */
typedef void api_handler_fn(const struct api_request *request);
api_handler_fn api_dispatch, api_wait, api_get_call, api_list_calls, api_cancel_call;

#define API_TYPE_PROTO "application/proto"
#define API_TYPE_JSON "application/json"

/* Answers 200 with the bytes, or, when `code` says they could not be made, with an error. Deinits `body`. */
void api_respond(const struct api_request *request, dr_code code, struct buf *body);
/* Answers with a Connect error; `message` NULL = the code's own text. */
void api_respond_error(const struct api_request *request, dr_code code, const char *message);

/* Reads the JSON of a request into *ret_json (owned), answering itself when it cannot (false). */
struct json_t;
bool api_load_json(const struct api_request *request, struct json_t **ret_json);
/* The text under `name` or its lowerCamelCase twin; empty when absent or null; false and *error when it is no
 * text. */
bool api_json_text(const struct json_t *json, const char *name, struct slice *ret_text,
                   struct dr_error *error);

/* The done call's result as the protocol's message; borrowed from the record and `id_text`. */
struct wire_result;
void api_result_of_record(const struct call_record *record, char id_text[ID_TEXT_SIZE],
                          struct wire_result *ret_result);

/* api_headers.c: checks what Connect asks of the headers (compatibility 2.3) and fills *ret_request; answers
 * itself and returns false when something is wrong. */
bool api_check_headers(struct api *api, struct http_exchange *exchange, struct api_request *ret_request,
                       api_handler_fn **ret_handler);

#endif
