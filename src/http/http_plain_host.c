/* Hosts: from a name to addresses, and from a post to a connection. */
#include "http/http_plain_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdio.h>
#include <strings.h>

static bool resolve_numeric(struct plain_host *host)
{
    host->n_addresses = 1;
    if (uv_ip4_addr(host->name, host->port, (struct sockaddr_in *)&host->addresses[0]) == 0)
        return true;
    if (uv_ip6_addr(host->name, host->port, (struct sockaddr_in6 *)&host->addresses[0]) == 0)
        return true;
    host->n_addresses = 0;
    return false;
}

/* ---- the table of hosts ------------------------------------------------------------------------------------------ */

/* Two FNV-1a of 64 bits. Equal keys of different hosts share a chain. */
static struct id key_of(const char *name, uint16_t port)
{
    uint64_t halves[2] = {UINT64_C(0xcbf29ce484222325) ^ port, UINT64_C(0x84222325cbf29ce4) + port};
    for (const char *c = name; *c; c++) {
        for (size_t i = 0; i < 2; i++)
            halves[i] = (halves[i] ^ (uint64_t)(unsigned char)*c) * UINT64_C(0x100000001b3);
    }
    struct id key;
    memcpy(key.bytes, halves, sizeof key.bytes);
    return key;
}

static void forget(struct plain_host *host)
{
    struct http_plain *plain = host->plain;
    struct plain_host *first = map_remove(&plain->by_name, host->key);
    struct plain_host *rest = first;
    if (first == host)
        rest = host->next;
    for (struct plain_host *before = first; before; before = before->next) {
        if (before->next == host)
            before->next = host->next;
    }
    if (rest)
        CHECK(map_put(&plain->by_name, host->key, rest) == DR_OK);
    list_remove(&host->chain);
    plain->n_hosts--;
    mem_free(host);
}

static bool is_unused(const struct plain_host *host)
{
    return host->n_connections == 0 && list_is_empty(&host->waiting) && !host->is_resolving;
}

static void forget_unused(struct http_plain *plain)
{
    for (struct list *node = plain->hosts.next; node != &plain->hosts;) {
        struct plain_host *host = container_of(node, struct plain_host, chain);
        node = node->next;
        if (is_unused(host))
            forget(host);
    }
}

static struct plain_host *find_or_add(struct http_plain *plain, const char *name, uint16_t port)
{
    struct id key = key_of(name, port);
    struct plain_host *first = map_get(&plain->by_name, key);
    for (struct plain_host *host = first; host; host = host->next) {
        if (host->port == port && strcmp(host->name, name) == 0)
            return host;
    }
    if (plain->n_hosts >= PLAIN_HOSTS_MAX) {
        forget_unused(plain);
        first = map_get(&plain->by_name, key);
    }
    struct plain_host *host = mem_zalloc(sizeof *host);
    if (!host)
        return NULL;
    host->plain = plain;
    host->key = key;
    host->port = port;
    snprintf(host->name, sizeof host->name, "%s", name);
    list_init(&host->chain);
    list_init(&host->idle);
    list_init(&host->waiting);
    host->next = first;
    if (map_put(&plain->by_name, key, host)) {
        mem_free(host);
        return NULL;
    }
    if (resolve_numeric(host))
        host->resolved_ns = TIME_NEVER;
    list_push_back(&plain->hosts, &host->chain);
    plain->n_hosts++;
    return host;
}

void plain_hosts_free(struct http_plain *plain)
{
    while (!list_is_empty(&plain->hosts)) {
        struct list *node = list_pop_front(&plain->hosts);
        mem_free(container_of(node, struct plain_host, chain));
    }
    map_deinit(&plain->by_name);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void keep_addresses(struct plain_host *host, const struct addrinfo *info)
{
    host->n_addresses = 0;
    for (; info && host->n_addresses < PLAIN_ADDRESSES_MAX; info = info->ai_next) {
        if (info->ai_addrlen <= sizeof host->addresses[0])
            memcpy(&host->addresses[host->n_addresses++], info->ai_addr, info->ai_addrlen);
    }
}

static void on_resolved(uv_getaddrinfo_t *query, int status, struct addrinfo *info)
{
    struct plain_host *host = container_of(query, struct plain_host, query);
    host->is_resolving = false;
    if (status == 0)
        keep_addresses(host, info);
    uv_freeaddrinfo(info);
    bool is_known = status == 0 && host->n_addresses > 0;
    host->resolved_ns = is_known ? clock_monotonic_ns() : 0;
    if (is_known) {
        plain_host_serve(host);
        return;
    }
    host->n_addresses = 0;
    const char *cause = status ? uv_strerror(status) : "no address";
    while (!list_is_empty(&host->waiting)) {
        struct plain_post *post = container_of(host->waiting.next, struct plain_post, node);
        plain_post_fail(host->plain, post, HTTP_DNS_FAILED, "the name %s does not resolve: %s", host->name, cause);
    }
}

static bool is_resolved(const struct plain_host *host)
{
    if (host->resolved_ns == TIME_NEVER)
        return true;
    return host->resolved_ns && clock_monotonic_ns() - host->resolved_ns < host->plain->config.resolved_ns;
}

/* Old addresses, to go on with while they are looked up again. */
static bool has_stale_addresses(const struct plain_host *host)
{
    return host->resolved_ns && clock_monotonic_ns() - host->resolved_ns < PLAIN_STALE_NS;
}

static void resolve(struct plain_host *host)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (host->is_resolving)
        return;
    snprintf(port, sizeof port, "%u", host->port);
    host->is_resolving = true;
    int rc = uv_getaddrinfo(&host->plain->loop, &host->query, on_resolved, host->name, port, &hints);
    if (rc)
        on_resolved(&host->query, rc, NULL);
}

/* ---- connections for posts --------------------------------------------------------------------------------------- */

static struct plain_connection *take_idle(struct plain_host *host)
{
    if (list_is_empty(&host->idle))
        return NULL;
    return container_of(host->idle.next, struct plain_connection, host_node);
}

/* Room for one more connection, if need be by closing one that is idle elsewhere. */
static bool make_room(struct plain_host *host)
{
    struct http_plain *plain = host->plain;
    if (host->n_connections >= plain->config.connections_per_host_max)
        return false;
    if (plain->n_connections < plain->config.connections_max)
        return true;
    if (list_is_empty(&plain->idle))
        return false;
    plain_connection_close(container_of(plain->idle.next, struct plain_connection, idle_node));
    return true;
}

void plain_waiting_leave(struct http_plain *plain, struct plain_post *post)
{
    if (!post->is_waiting)
        return;
    post->is_waiting = false;
    plain->n_waiting--;
    list_remove(&post->node);
}

void plain_host_serve(struct plain_host *host)
{
    struct http_plain *plain = host->plain;
    while (!list_is_empty(&host->waiting) && !plain->is_closing) {
        struct plain_connection *connection = take_idle(host);
        if (!connection && !is_resolved(host)) {
            resolve(host); /* may have failed already, and with it who waited */
            if (!has_stale_addresses(host))
                return;
        }
        struct plain_post *post = container_of(host->waiting.next, struct plain_post, node);
        if (!connection && !make_room(host))
            return;
        plain_waiting_leave(plain, post);
        list_push_back(&plain->working, &post->node);
        if (connection)
            plain_connection_use(connection, post);
        else if (!plain_connection_open(host, post))
            plain_post_fail(plain, post, HTTP_NO_MEMORY, "out of memory");
    }
}

void plain_serve_all(struct http_plain *plain)
{
    for (struct list *node = plain->hosts.next; node != &plain->hosts; node = node->next) {
        struct plain_host *host = container_of(node, struct plain_host, chain);
        if (!list_is_empty(&host->waiting))
            plain_host_serve(host);
    }
}

void plain_host_start(struct http_plain *plain, struct plain_post *post)
{
    struct plain_host *host = find_or_add(plain, post->host_name, post->port);
    if (!host) {
        plain_post_fail(plain, post, HTTP_NO_MEMORY, "out of memory");
        return;
    }
    post->host = host;
    post->is_waiting = true;
    plain->n_waiting++;
    list_push_back(&host->waiting, &post->node);
    plain_host_serve(host);
}
