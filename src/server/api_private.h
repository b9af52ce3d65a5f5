/* What the files of the API share. */
#ifndef SERVER_API_PRIVATE_H
#define SERVER_API_PRIVATE_H

#include "server/api.h"
#include "server/api_call.h"
#include "server/metrics.h"

#include "base/buf.h"
#include "base/error.h"
#include <stdatomic.h>

struct api_encoder;

struct api {
    struct driver *driver;
    struct api_encoder *encoder;
    struct metrics *metrics; /* NULL = none */
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
    enum metrics_method method;
    uint32_t project;
    bool is_json;
    int64_t timeout_ns; /* Connect-Timeout-Ms; TIME_NEVER = none given */
};

/* One per route. Answers, or keeps a copy of the request and answers later. */
typedef void api_handler_fn(const struct api_request *request);
api_handler_fn api_dispatch, api_wait, api_get_call, api_list_calls, api_cancel_call, api_metrics;

#define API_TYPE_PROTO "application/proto"
#define API_TYPE_JSON "application/json"

/* Counts an answer that is given past api_respond and api_respond_error. */
void api_count(const struct api_request *request, dr_code code);
/* Answers 200 with the bytes, or, when `code` says they could not be made, with an error. Deinits `body`. */
void api_respond(const struct api_request *request, dr_code code, struct buf *body);
/* Answers with a Connect error; `message` NULL = the code's own text. */
void api_respond_error(const struct api_request *request, dr_code code, const char *message);

/* The text under `name` or its lowerCamelCase twin, borrowed; empty when absent or null. DR_INVALID_ARGUMENT
 * when it is no text. */
dr_code api_json_text(const json_t *json, const char *name, struct slice *ret_text, struct dr_error *error);

/* api_question.c. A GetCallRequest or CancelCallRequest. */
struct api_one_question {
    struct id id;
    bool with_state;
};
/* DR_NOT_FOUND for a text that cannot be an id. */
dr_code api_read_one(const struct api_request *request, struct api_one_question *ret_question,
                     struct dr_error *error);

struct api_list_question {
    struct store_filter filter;
    enum api_call_state state; /* which the store cannot tell: API_CALL_RUNNING */
    bool is_resumable; /* nor this */
    struct arena arena; /* what the filter's texts live in */
    json_t *json;
};
/* Deinit it on failure too. */
dr_code api_read_list(const struct api_request *request, struct api_list_question *question,
                      struct dr_error *error);
void api_list_question_deinit(struct api_list_question *question);

/* api_headers.c: checks what Connect asks of the headers (protocol 2.3) and fills *ret_request; answers
 * itself and returns false when something is wrong. */
bool api_check_headers(struct api *api, struct http_exchange *exchange, struct api_request *ret_request,
                       api_handler_fn **ret_handler);

#endif
