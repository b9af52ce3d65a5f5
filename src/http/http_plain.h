/* The fast path of HTTP out: POST over plain http with keep-alive connections, on libuv and llhttp. User: the transport
 * of Run requests, which takes it for http URLs and libcurl (http_client.h) for everything else. Posts, results, limits
 * and rules are those of http_client.h; what costs a quarter there is here because an attempt needs little of HTTP: no
 * TLS, no proxies, no HTTP/2.
 *
 * Threads: as http_client.h. */
#ifndef HTTP_HTTP_PLAIN_H
#define HTTP_HTTP_PLAIN_H

#include "http/http_client.h"

struct http_plain;

/* Whether a URL is for this client: http, a plain host (name, IPv4, [IPv6]) with or without port, no user, no fragment,
 * nothing that would have to be escaped. Others go to http_client. */
bool http_plain_can(const char *url);
/* True when the environment names a proxy for http: then http_client must be used but for loopback. */
bool http_plain_has_proxy(void);

/* Config as http_client_create; ca_file means nothing here. DR_NO_MEMORY, DR_UNAVAILABLE. */
dr_code http_plain_create(const struct http_client_config *config, struct http_plain **ret_plain,
                          struct dr_error *error);
/* A URL that http_plain_can does not take ends with HTTP_BAD_REQUEST. DR_RESOURCE_EXHAUSTED, DR_NO_MEMORY. */
dr_code http_plain_post(struct http_plain *plain, const struct http_post *post, uint64_t *ret_token);
void http_plain_cancel(struct http_plain *plain, uint64_t token);
/* Ends every post with HTTP_CANCELLED, then the thread. Not from a callback. Accepts NULL. */
void http_plain_destroy(struct http_plain *plain);

#endif
