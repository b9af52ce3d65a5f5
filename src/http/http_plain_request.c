/* URLs that the plain client takes, and the head of a request. */
#include "http/http_plain_private.h"

#include "base/clock.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SCHEME "http://"

struct url {
    const char *host;      /* without brackets */
    size_t host_len;
    bool has_brackets;
    uint16_t port;
    const char *path;      /* "" = "/" */
};

static bool is_host_char(char c) { return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_'; }

static bool parse_port(const char *text, size_t len, uint16_t *ret_port)
{
    uint32_t port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= 5)
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    *ret_port = (uint16_t)port;
    return len > 0 && port > 0 && port <= 65535;
}

static bool parse_url(const char *text, struct url *ret_url)
{
    struct url url = {.port = 80};
    if (strncasecmp(text, SCHEME, strlen(SCHEME)) != 0)
        return false;
    const char *at = text + strlen(SCHEME);
    size_t authority_len = strcspn(at, "/?#");
    url.path = at + authority_len;
    url.has_brackets = *at == '[';
    url.host = at + url.has_brackets;
    const char *set = url.has_brackets ? "0123456789abcdefABCDEF:." : NULL;
    while (url.host + url.host_len < url.path &&
           (set ? strchr(set, url.host[url.host_len]) != NULL : is_host_char(url.host[url.host_len])))
        url.host_len++;
    const char *rest = url.host + url.host_len;
    if (url.has_brackets && *rest++ != ']')
        return false;
    bool has_port = rest < url.path && *rest == ':';
    if (has_port && !parse_port(rest + 1, (size_t)(url.path - rest) - 1, &url.port))
        return false;
    if (!has_port && rest != url.path)
        return false;
    for (const char *c = url.path; *c; c++) {
        if (*c <= ' ' || *c == 0x7f || (unsigned char)*c >= 0x80 || *c == '#')
            return false;
    }
    *ret_url = url;
    return url.host_len > 0 && url.host_len < PLAIN_HOST_SIZE && (*url.path == '/' || *url.path == '\0');
}

bool http_plain_can(const char *url)
{
    struct url parsed;
    return parse_url(url, &parsed);
}

bool http_plain_has_proxy(void)
{
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

/* Decimal digits of a number; returns how many. */
static size_t digits_of(uint64_t number, char text[24])
{
    size_t n = 0;
    char reversed[24];
    do
        reversed[n++] = (char)('0' + number % 10);
    while (number /= 10);
    for (size_t i = 0; i < n; i++)
        text[i] = reversed[n - 1 - i];
    text[n] = '\0';
    return n;
}

/* Text by text, not by printf: a head is written for every attempt. */
static dr_code write_head(struct http_plain *plain, struct plain_post *post, const struct url *url,
                          const struct http_post *wanted)
{
    struct buf *head = &post->head;
    char port[24];
    char length[24];
    (void)digits_of(url->port, port);
    (void)digits_of(wanted->len, length);
    /* Host without the default port: exactly what a signature covers (protocol 7.3). */
    bool has_port = url->port != 80;
    const char *const texts[] = {
        "POST ", *url->path == '/' ? "" : "/", url->path, " HTTP/1.1\r\nHost: ", url->has_brackets ? "[" : "",
        post->host_name, url->has_brackets ? "]" : "", has_port ? ":" : "", has_port ? port : "",
        plain->user_agent ? "\r\nUser-Agent: " : "", plain->user_agent ? plain->user_agent : "",
    };
    const char *const end[] = {"\r\nContent-Length: ", length, "\r\n\r\n"};
    buf_clear(head);
    dr_code code = DR_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && !code; i++)
        code = buf_append_text(head, texts[i]);
    for (size_t i = 0; i < wanted->n_headers && !code; i++) {
        code = buf_append_text(head, "\r\n");
        if (!code)
            code = buf_append_text(head, wanted->headers[i]);
    }
    for (size_t i = 0; i < sizeof end / sizeof end[0] && !code; i++)
        code = buf_append_text(head, end[i]);
    return code;
}

dr_code plain_request_write(struct http_plain *plain, struct plain_post *post, const struct http_post *wanted)
{
    struct url url = {.path = ""};
    if (strlen(wanted->url) >= HTTP_CLIENT_URL_BYTES_MAX)
        return DR_RESOURCE_EXHAUSTED;
    post->is_url_bad = !parse_url(wanted->url, &url);
    snprintf(post->host_name, sizeof post->host_name, "%.*s", (int)url.host_len, url.host ? url.host : "");
    post->port = url.port;
    post->timeout_ns = wanted->timeout_ns;
    post->timer.node.key = time_add(clock_monotonic_ns(), wanted->timeout_ns);
    post->response_bytes_max =
        wanted->response_bytes_max ? wanted->response_bytes_max : HTTP_CLIENT_RESPONSE_BYTES_MAX;
    post->hold = wanted->hold;
    post->on_done = wanted->on_done;
    post->arg = wanted->arg;
    post->host = NULL;
    post->connection = NULL;
    post->address = 0;
    return write_head(plain, post, &url, wanted);
}
