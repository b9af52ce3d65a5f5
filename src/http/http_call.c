#include "http/http_client_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdio.h>

/* Headers that libcurl would add by itself: a line without a value keeps it from that. */
static const char *const unwanted[] = {"Accept:", "Expect:", "Content-Type:"};
#define N_UNWANTED (sizeof(unwanted) / sizeof(unwanted[0]))

/* ---- the request ---- */

static char *put_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *to = *at;
    memcpy(to, text, size);
    *at += size;
    return to;
}

static bool names_same_header(const char *line, const char *name_with_colon)
{
    return curl_strnequal(line, name_with_colon, strlen(name_with_colon));
}

static void headers_fill(struct curl_slist *nodes, char *texts, const struct http_post *post)
{
    size_t n = 0;
    for (size_t i = 0; i < post->n_headers; i++)
        nodes[n++].data = put_text(&texts, post->headers[i]);
    for (size_t i = 0; i < N_UNWANTED; i++) {
        bool is_wanted = false;
        for (size_t k = 0; k < post->n_headers; k++)
            is_wanted = is_wanted || names_same_header(post->headers[k], unwanted[i]);
        if (!is_wanted)
            nodes[n++].data = (char *)unwanted[i];
    }
    for (size_t i = 0; i < n; i++)
        nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
}

dr_code call_prepare(struct http_call *call, const struct http_post *post)
{
    size_t url_size = strlen(post->url) + 1;
    if (url_size > HTTP_CLIENT_URL_BYTES_MAX)
        return DR_RESOURCE_EXHAUSTED;
    size_t nodes_size = (post->n_headers + N_UNWANTED) * sizeof(struct curl_slist);
    size_t size = nodes_size + url_size;
    for (size_t i = 0; i < post->n_headers; i++)
        size += strlen(post->headers[i]) + 1;
    char *block = mem_alloc(size);
    if (!block)
        return DR_NO_MEMORY;
    char *texts = block + nodes_size;
    call->request = block;
    call->url = put_text(&texts, post->url);
    call->headers = (struct curl_slist *)(void *)block;
    headers_fill(call->headers, texts, post);
    call->body = post->body;
    call->body_len = post->len;
    call->body_read = 0;
    call->is_sent_once = post->is_sent_once;
    call->timeout_ns = post->timeout_ns;
    call->deadline.key = time_add(clock_monotonic_ns(), post->timeout_ns);
    call->response_bytes_max = post->response_bytes_max ? post->response_bytes_max : HTTP_CLIENT_RESPONSE_BYTES_MAX;
    call->hold = post->hold;
    call->on_done = post->on_done;
    call->arg = post->arg;
    buf_init(&call->reply, call->response_bytes_max);
    call->header_bytes = 0;
    call->are_headers_complete = false;
    call->abort = ABORT_NONE;
    call->message[0] = '\0';
    return DR_OK;
}

/* ---- the reply ---- */

static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
    struct http_call *call = arg;
    (void)one;
    call->header_bytes += len;
    if (len > 0 && (data[0] == '\r' || data[0] == '\n')) /* the empty line; trailers may come later */
        call->are_headers_complete = true;
    else if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) /* once more, after a 1xx */
        call->are_headers_complete = false;
    if (call->header_bytes <= HTTP_CLIENT_RESPONSE_HEADER_BYTES_MAX)
        return len;
    call->abort = ABORT_HEADERS;
    return 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
    struct http_call *call = arg;
    (void)one;
    dr_code code = buf_append(&call->reply, slice_of(data, len));
    bool has_room =
        call->reply.cap <= HTTP_CLIENT_BODY_FREE_BYTES || room_cover(&call->hold, call->reply.cap);
    if (code == DR_OK && has_room)
        return len;
    if (code == DR_OK)
        call->abort = ABORT_ROOM;
    else
        call->abort = code == DR_RESOURCE_EXHAUSTED ? ABORT_BODY : ABORT_MEMORY;
    return 0;
}

/* ---- a request that is sent once ---- */

static size_t on_body_wanted(char *data, size_t one, size_t size, void *arg)
{
    struct http_call *call = arg;
    (void)one;
    size_t n = call->body_len - call->body_read;
    n = n < size ? n : size;
    memcpy(data, call->body + call->body_read, n);
    call->body_read += n;
    return n;
}

/* libcurl sends a request again when a connection that was kept ends without a byte of a reply, unless it cannot go back
 * to the beginning of a body of which it has sent something. */
static int on_body_wanted_again(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static void body_set(struct http_call *call)
{
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    if (!call->is_sent_once) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body_len ? (const char *)call->body : "");
        return;
    }
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body_wanted);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_body_wanted_again);
}

/* ---- the transfer ---- */

static void options_set_once(struct http_call *call, CURL *easy)
{
    struct http_client *client = call->client;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* the path is what was signed */
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L); /* runs may be silent for minutes */
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a hanging name lookup must not hold up a cancel */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(client->config.connect_timeout_ns / NS_PER_MS));
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->message);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, client_socket_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, client_socket_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* do not look into the environment */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, client->no_proxy);
    if (client->user_agent)
        curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    if (client->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
}

CURLcode call_start(struct http_call *call)
{
    if (!call->easy) {
        call->easy = curl_easy_init();
        if (!call->easy)
            return CURLE_OUT_OF_MEMORY;
        call->client->n_handles++;
        options_set_once(call, call->easy);
    }
    CURL *easy = call->easy;
    const struct http_client *client = call->client;
    if (curl_easy_setopt(easy, CURLOPT_URL, call->url))
        return CURLE_OUT_OF_MEMORY;
    if (client->http_proxy || client->https_proxy) {
        const char *proxy = curl_strnequal(call->url, "https:", 6) ? client->https_proxy : client->http_proxy;
        if (curl_easy_setopt(easy, CURLOPT_PROXY, proxy ? proxy : ""))
            return CURLE_OUT_OF_MEMORY;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    body_set(call);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->response_bytes_max);
    if (curl_multi_add_handle(client->multi, easy))
        return CURLE_OUT_OF_MEMORY;
    call->is_in_multi = true;
    return CURLE_OK;
}

/* ---- the result ---- */

const char *http_outcome_name(enum http_outcome outcome)
{
    static const char *const names[] = {
        [HTTP_RESPONDED] = "responded",     [HTTP_BAD_REQUEST] = "bad_request",
        [HTTP_DNS_FAILED] = "dns_failed",   [HTTP_CONNECT_FAILED] = "connect_failed",
        [HTTP_TLS_FAILED] = "tls_failed",   [HTTP_TIMED_OUT] = "timed_out",
        [HTTP_BROKEN] = "broken",           [HTTP_TOO_LARGE] = "too_large",
        [HTTP_CANCELLED] = "cancelled",     [HTTP_NO_MEMORY] = "no_memory",
        [HTTP_FAILED] = "failed",         [HTTP_NO_ROOM] = "no_room",
    };
    return names[outcome];
}

static enum http_outcome outcome_of_abort(enum call_abort abort)
{
    switch (abort) {
    case ABORT_HEADERS:
        return HTTP_BROKEN;
    case ABORT_BODY:
        return HTTP_TOO_LARGE;
    case ABORT_MEMORY:
        return HTTP_NO_MEMORY;
    case ABORT_ROOM:
        return HTTP_NO_ROOM;
    default:
        return HTTP_FAILED;
    }
}

static enum http_outcome outcome_of(const struct http_call *call, CURLcode code, bool is_sent)
{
    switch (code) {
    case CURLE_OK: /* also when the connection ended inside the headers */
        return call->are_headers_complete ? HTTP_RESPONDED : HTTP_BROKEN;
    case CURLE_UNSUPPORTED_PROTOCOL: /* the URL's, or a reply that is not HTTP/1 */
        return is_sent ? HTTP_BROKEN : HTTP_BAD_REQUEST;
    case CURLE_URL_MALFORMAT:
        return HTTP_BAD_REQUEST;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_DNS_FAILED;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        return HTTP_CONNECT_FAILED;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: /* a reset: before the first byte of a reply it is TCP's affair, later a half reply */
        return call->header_bytes ? HTTP_BROKEN : HTTP_CONNECT_FAILED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_USE_SSL_FAILED:
        return HTTP_TLS_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMED_OUT;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_FAIL_REWIND: /* not sent again, as asked */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_PARTIAL_FILE:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_BAD_FUNCTION_ARGUMENT: /* a header line that continues none */
        return HTTP_BROKEN;
    case CURLE_FILESIZE_EXCEEDED:
        return HTTP_TOO_LARGE;
    case CURLE_OUT_OF_MEMORY: /* also libcurl's word for a header line that is too long */
        return call->header_bytes && !call->are_headers_complete ? HTTP_BROKEN : HTTP_NO_MEMORY;
    case CURLE_WRITE_ERROR:
        return outcome_of_abort(call->abort);
    default:
        return HTTP_FAILED;
    }
}

static void message_format(const struct http_call *call, CURLcode code, struct http_result *result)
{
    size_t size = sizeof(result->message);
    if (result->outcome == HTTP_TOO_LARGE)
        (void)snprintf(result->message, size, "the response is larger than the limit of %zu bytes",
                       call->response_bytes_max);
    else if (call->abort == ABORT_HEADERS)
        (void)snprintf(result->message, size, "the response headers are larger than the limit of %d bytes",
                       HTTP_CLIENT_RESPONSE_HEADER_BYTES_MAX);
    else if (result->outcome == HTTP_TIMED_OUT && !call->message[0])
        (void)snprintf(result->message, size, "no complete response within %lld ms",
                       (long long)(call->timeout_ns / NS_PER_MS));
    else if (call->abort == ABORT_MEMORY)
        (void)snprintf(result->message, size, "%s", dr_code_text(DR_NO_MEMORY));
    else if (call->abort == ABORT_ROOM)
        (void)snprintf(result->message, size, HTTP_NO_ROOM_TEXT);
    else if (code == CURLE_SEND_FAIL_REWIND)
        (void)snprintf(result->message, size, "the connection ended before the response");
    else if (code == CURLE_OK && call->are_headers_complete)
        (void)snprintf(result->message, size, "the response has no HTTP status");
    else if (code == CURLE_OK)
        (void)snprintf(result->message, size, "the connection ended inside the response headers");
    else
        (void)snprintf(result->message, size, "%s", call->message[0] ? call->message : curl_easy_strerror(code));
    for (char *at = result->message; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
}

static void reply_describe(const struct http_call *call, struct http_result *result)
{
    long status = 0;
    const char *content_type = NULL;
    curl_off_t retry_after_s = 0;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
    (void)curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    result->status = (int)status;
    if (content_type)
        (void)snprintf(result->content_type, sizeof(result->content_type), "%s", content_type);
    if (retry_after_s > HTTP_CLIENT_RETRY_AFTER_MAX_NS / NS_PER_S)
        result->retry_after_ns = HTTP_CLIENT_RETRY_AFTER_MAX_NS;
    else if (retry_after_s > 0)
        result->retry_after_ns = retry_after_s * NS_PER_S;
}

void call_finish(struct http_call *call, CURLcode code, bool is_cancelled)
{
    struct http_result result = {0};
    long sent_bytes = 0;
    if (call->is_in_multi) {
        (void)curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
        if (!is_cancelled)
            reply_describe(call, &result);
        if (is_cancelled || code == CURLE_OPERATION_TIMEDOUT)
            client_loop_abandon(call->client, call->easy);
        (void)curl_multi_remove_handle(call->client->multi, call->easy);
        call->is_in_multi = false;
    }
    result.outcome = is_cancelled ? HTTP_CANCELLED : outcome_of(call, code, sent_bytes > 0);
    if (result.outcome == HTTP_RESPONDED && (result.status < 100 || result.status > 999)) {
        result.outcome = HTTP_BROKEN; /* libcurl takes "HTTP/2 -04" */
        result.status = 0;
    }
    if (is_cancelled)
        (void)snprintf(result.message, sizeof(result.message), "the request was cancelled");
    else if (result.outcome == HTTP_RESPONDED)
        result.body = buf_steal(&call->reply, &result.len);
    else
        message_format(call, code, &result);
    result.hold = room_move(&call->hold);
    if (result.len == 0) {
        mem_free(result.body);
        result.body = NULL;
    }
    call->on_done(call->arg, &result);
    mem_free(result.body);
    room_give(&result.hold);
}

void call_clear(struct http_call *call)
{
    mem_free(call->request);
    mem_free(call->body);
    call->request = NULL;
    call->body = NULL;
    call->headers = NULL;
    call->url = NULL;
    buf_deinit(&call->reply);
    room_give(&call->hold);
}

void call_drop_handle(struct http_call *call)
{
    CHECK(!call->is_in_multi);
    if (!call->easy)
        return;
    curl_easy_cleanup(call->easy);
    call->easy = NULL;
    call->client->n_handles--;
}

void call_free(struct http_call *call)
{
    call_clear(call);
    call_drop_handle(call);
    mem_free(call);
}
