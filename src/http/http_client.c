#include "http/http_client_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_NS (10 * NS_PER_S)
#define LOOPBACK_HOSTS "localhost,127.0.0.0/8,::1"

static void library_init(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- posting ---- */

static uint64_t token_of(const struct http_call *call)
{
    return (uint64_t)call->generation << 32 | call->index;
}

static struct http_call *call_create(struct http_client *client)
{
    if (client->n_calls == client->config.posts_max)
        return NULL;
    struct http_call *call = mem_zalloc(sizeof(*call));
    if (!call)
        return NULL;
    call->client = client;
    call->index = client->n_calls;
    list_init(&call->node);
    list_init(&call->cancel_node);
    client->calls[client->n_calls++] = call;
    return call;
}

/* NULL: too many, or the client is being destroyed and a callback posts once more. */
static struct http_call *call_borrow(struct http_client *client)
{
    struct http_call *call = NULL;
    pthread_mutex_lock(&client->lock);
    if (!client->is_stop_asked) {
        struct list *node = list_pop_front(&client->idle);
        call = node ? container_of(node, struct http_call, node) : call_create(client);
    }
    if (call)
        call->generation++;
    pthread_mutex_unlock(&client->lock);
    return call;
}

static void call_return(struct http_client *client, struct http_call *call)
{
    pthread_mutex_lock(&client->lock);
    call->generation++;
    list_remove(&call->cancel_node);
    list_push_front(&client->idle, &call->node);
    pthread_mutex_unlock(&client->lock);
}

dr_code http_client_post(struct http_client *client, const struct http_post *post, uint64_t *ret_token)
{
    CHECK(post->timeout_ns > 0 && post->on_done && post->url);
    struct http_call *call = call_borrow(client);
    dr_code code = call ? call_prepare(call, post) : DR_RESOURCE_EXHAUSTED;
    if (code) {
        if (call)
            call_return(client, call);
        mem_free(post->body);
        return code;
    }
    /* before the post is out of our hands: its result may come at once */
    if (ret_token)
        *ret_token = token_of(call);
    pthread_mutex_lock(&client->lock);
    bool is_first = list_is_empty(&client->posted);
    list_push_back(&client->posted, &call->node);
    pthread_mutex_unlock(&client->lock);
    if (is_first)
        (void)uv_async_send(&client->async);
    return DR_OK;
}

void http_client_cancel(struct http_client *client, uint64_t token)
{
    uint32_t index = (uint32_t)token;
    bool is_found = false;
    pthread_mutex_lock(&client->lock);
    if (index < client->n_calls) {
        struct http_call *call = client->calls[index];
        is_found = call->generation == (uint32_t)(token >> 32) && (call->generation & 1) &&
                   !list_is_linked(&call->cancel_node);
        if (is_found)
            list_push_back(&client->cancelled, &call->cancel_node);
    }
    pthread_mutex_unlock(&client->lock);
    if (is_found)
        (void)uv_async_send(&client->async);
}

/* ---- the client's thread ---- */

void client_call_done(struct http_client *client, struct http_call *call, CURLcode code, bool is_cancelled)
{
    list_remove(&call->node);
    heap_remove(&client->deadlines, &call->deadline);
    /* from here on a cancel finds nothing */
    pthread_mutex_lock(&client->lock);
    list_remove(&call->cancel_node);
    pthread_mutex_unlock(&client->lock);
    call_finish(call, code, is_cancelled);
    call_clear(call);
    client->n_active--;
    if (!client->keeps_handles || client->n_handles > IDLE_HANDLES_MAX + 2 * client->n_active)
        call_drop_handle(call);
    call_return(client, call);
}

static void posts_start(struct http_client *client)
{
    struct list posted;
    list_init(&posted);
    pthread_mutex_lock(&client->lock);
    for (struct list *node; (node = list_pop_front(&client->posted));)
        list_push_back(&posted, node);
    pthread_mutex_unlock(&client->lock);
    bool is_any = false;
    for (struct list *node; (node = list_pop_front(&posted));) {
        struct http_call *call = container_of(node, struct http_call, node);
        list_push_back(&client->active, &call->node);
        client->n_active++;
        CURLcode code = heap_push(&client->deadlines, &call->deadline) ? CURLE_OUT_OF_MEMORY : call_start(call);
        if (code)
            client_call_done(client, call, code, false);
        else
            client_loop_deadline(client, call->deadline.key);
        is_any = true;
    }
    if (is_any)
        client_loop_kick(client);
}

void client_expire(struct http_client *client, int64_t now_ns)
{
    for (struct heap_node *node; (node = heap_peek(&client->deadlines)) && node->key <= now_ns;)
        client_call_done(client, container_of(node, struct http_call, deadline), CURLE_OPERATION_TIMEDOUT, false);
}

/* A post may have been made and cancelled since the last look: so only with no post waiting is a cancelled one sure to
 * be active. */
static bool cancelled_pop(struct http_client *client, struct http_call **ret_call)
{
    *ret_call = NULL;
    pthread_mutex_lock(&client->lock);
    bool is_sure = list_is_empty(&client->posted);
    struct list *node = is_sure ? list_pop_front(&client->cancelled) : NULL;
    pthread_mutex_unlock(&client->lock);
    if (node)
        *ret_call = container_of(node, struct http_call, cancel_node);
    return !is_sure || node;
}

void client_take_posts(struct http_client *client)
{
    struct http_call *call;
    do {
        posts_start(client);
        if (!cancelled_pop(client, &call))
            break;
        if (call)
            client_call_done(client, call, CURLE_OK, true);
    } while (true);
    pthread_mutex_lock(&client->lock);
    bool is_stop_asked = client->is_stop_asked;
    pthread_mutex_unlock(&client->lock);
    if (!is_stop_asked || client->is_closing)
        return;
    while (!list_is_empty(&client->active))
        client_call_done(client, container_of(client->active.next, struct http_call, node), CURLE_OK, true);
    for (uint32_t i = 0; i < client->n_calls; i++)
        call_free(client->calls[i]);
    client_loop_close(client);
}

static void *client_main(void *arg)
{
    struct http_client *client = arg;
    (void)pthread_setname_np(pthread_self(), "http-client");
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- life ---- */

static bool has_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static const char *first_environment(const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        if (has_environment(names[i]))
            return getenv(names[i]);
    return NULL;
}

static dr_code text_copy(char **to, const char *text)
{
    *to = text ? mem_strndup(text, strlen(text)) : NULL;
    return text && !*to ? DR_NO_MEMORY : DR_OK;
}

/* Read once, here: so that later requests do not depend on a changing environment. HTTP_PROXY in capitals does not
 * count, as everywhere: a CGI program gets it from a request header. */
static dr_code proxy_find(struct http_client *client)
{
    static const char *const http_names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    static const char *const https_names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    static const char *const no_names[] = {"no_proxy", "NO_PROXY"};
    const char *not_for = first_environment(no_names, 2);
    if (not_for && strcmp(not_for, "*") == 0)
        return DR_OK;
    if (text_copy(&client->http_proxy, first_environment(http_names, 3)) ||
        text_copy(&client->https_proxy, first_environment(https_names, 4)))
        return DR_NO_MEMORY;
    (void)snprintf(client->no_proxy, sizeof(client->no_proxy), "%s%s%s", LOOPBACK_HOSTS, not_for ? "," : "",
                   not_for ? not_for : "");
    return DR_OK;
}

static void config_fill(struct http_client_config *config)
{
    config->posts_max = config->posts_max ? config->posts_max : 4096;
    config->connections_max = config->connections_max ? config->connections_max : config->posts_max;
    config->connections_per_host_max =
        config->connections_per_host_max ? config->connections_per_host_max : config->connections_max;
    config->connect_timeout_ns = config->connect_timeout_ns > 0 ? config->connect_timeout_ns : CONNECT_TIMEOUT_NS;
}

static dr_code thread_start(struct http_client *client)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&client->thread, NULL, client_main, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? DR_UNAVAILABLE : DR_OK;
}

static void client_free(struct http_client *client)
{
    if (client->multi)
        (void)curl_multi_cleanup(client->multi);
    pthread_mutex_destroy(&client->lock);
    heap_deinit(&client->deadlines);
    mem_free(client->calls);
    mem_free(client->http_proxy);
    mem_free(client->https_proxy);
    mem_free(client->user_agent);
    mem_free(client->ca_file);
    mem_free(client);
}

static dr_code texts_copy(struct http_client *client, const struct http_client_config *config)
{
    if (text_copy(&client->user_agent, config->user_agent) || text_copy(&client->ca_file, config->ca_file))
        return DR_NO_MEMORY;
    return proxy_find(client);
}

dr_code http_client_create(const struct http_client_config *config, struct http_client **ret_client,
                           struct dr_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, library_init);
    struct http_client *client = mem_zalloc(sizeof(*client));
    if (!client)
        return error_set(error, DR_NO_MEMORY, "HTTP client: out of memory");
    client->config = *config;
    /* Before 8.1 a reply whose first header line is a continuation makes libcurl write to what the handle's reply before
     * has freed. Connections are kept all the same. */
    client->keeps_handles = curl_version_info(CURLVERSION_NOW)->version_num >= 0x080100;
    config_fill(&client->config);
    heap_init(&client->deadlines);
    (void)pthread_mutex_init(&client->lock, NULL);
    list_init(&client->active);
    list_init(&client->posted);
    list_init(&client->cancelled);
    list_init(&client->idle);
    client->calls = mem_alloc(client->config.posts_max * sizeof(struct http_call *));
    client->multi = curl_multi_init();
    dr_code code = client->calls && client->multi ? texts_copy(client, config) : DR_NO_MEMORY;
    if (code == DR_OK)
        code = client_loop_open(client, error);
    if (code) {
        client_free(client);
        return error_set(error, code, "HTTP client: %s", dr_code_text(code));
    }
    code = thread_start(client);
    if (code) {
        client_loop_close(client);
        (void)uv_run(&client->loop, UV_RUN_DEFAULT);
        client_loop_deinit(client);
        client_free(client);
        return error_set(error, code, "HTTP client: cannot start a thread");
    }
    *ret_client = client;
    return DR_OK;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    CHECK(!pthread_equal(client->thread, pthread_self()));
    pthread_mutex_lock(&client->lock);
    client->is_stop_asked = true;
    pthread_mutex_unlock(&client->lock);
    (void)uv_async_send(&client->async);
    (void)pthread_join(client->thread, NULL);
    client_loop_deinit(client);
    client_free(client);
}
