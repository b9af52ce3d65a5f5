/* The server's API over HTTP: Connect unary, binary or JSON, on one port (docs/protocol.md 2).
 *
 *     POST /dispatch.sdk.v1.DispatchService/Dispatch     submit calls; answered when they are durable (I4)
 *     POST /dispatch.sdk.v1.DispatchService/Wait         long poll for a result
 *     POST /dispatch.v1.CallService/{GetCall,ListCalls,CancelCall}
 *     GET  /healthz                                      no key needed
 *     GET  /metrics                                      counters (metrics.h)
 *
 * docs/guide/api.md describes requests and answers. Every refusal is a Connect error as JSON.
 *
 *     api_create(&(struct api_config){.driver = driver, .keys = keys, .n_keys = n}, &api, &error);
 *     http_server_create(&(struct http_server_config){.on_headers = api_on_headers, .on_request =
 * api_on_request, .arg = api}, ...);
 *
 * Threads: handlers are called on the HTTP loop thread and do not block; answers come from there, from the
 * engine thread, or, when they are large, from a thread of the API that encodes them (api_encode.h). Lifetimes: the driver outlives the API; destroy the API when HTTP server and driver have
 * stopped, because every open request holds it. */
#ifndef SERVER_API_H
#define SERVER_API_H

#include "http/http_server.h"
#include "server/driver.h"

struct api;
struct metrics;

#define API_WAITERS_MAX 100000u /* long polls open at a time */
#define API_WAIT_DEFAULT_NS (25 * NS_PER_S) /* below the 30 s at which many proxies give up */
#define API_WAIT_MAX_NS (600 * NS_PER_S) /* longer wishes are cut */
#define API_PAGE_SIZE_DEFAULT 100u
#define API_PAGE_SIZE_MAX 1000u
#define API_RESPONSE_BYTES_MAX 67108864u /* a result of 16 MB, as base64 in JSON, and room */
#define API_KEY_HASH_SIZE 32u
#define API_PROJECT_DEFAULT 1u /* who calls when there are no keys */

/* A key as the server keeps it: SHA-256, and the project it opens (not 0). */
struct api_key {
    uint8_t hash[API_KEY_HASH_SIZE];
    uint32_t project;
};

void api_key_hash(const char *key, uint8_t ret_hash[API_KEY_HASH_SIZE]);

/* Zero members mean the default in brackets. */
struct api_config {
    struct driver *driver; /* borrowed */
    struct metrics *metrics; /* borrowed; NULL = nothing is counted, and GET /metrics is not there */
    const struct api_key *keys; /* copied */
    size_t n_keys; /* 0: no key is asked for, everybody is API_PROJECT_DEFAULT */
    uint32_t waiters_max; /* [API_WAITERS_MAX] */
    int64_t wait_default_ns; /* [API_WAIT_DEFAULT_NS] */
};

/* DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (threads). */
dr_code api_create(const struct api_config *config, struct api **ret_api, struct dr_error *error);
void api_destroy(struct api *api); /* accepts NULL */

/* For http_server_config; `arg` is the api. on_headers refuses what can be refused without the body; it may
 * be left out, on_request checks everything again. A path that is not the API's is answered 404. */
void api_on_headers(void *arg, struct http_exchange *exchange);
void api_on_request(void *arg, struct http_exchange *exchange);

/* True when the path is one of the API's: for servers that offer more on the same port. */
bool api_has_path(const char *path);
/* Whether the request carries a valid key; *ret_project is whose. Otherwise false, and nothing is answered.
 */
bool api_authenticate(const struct api *api, const struct http_exchange *exchange, uint32_t *ret_project);

#endif
