#include "http/http_plain_private.h"
#include "http/http_loop.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#define CONNECT_TIMEOUT_NS (10 * NS_PER_S)

/* ---- posting ----------------------------------------------------------------------------------------------------- */

static struct plain_post *post_create(struct http_plain *plain)
{
    if (plain->n_posts == plain->config.posts_max)
        return NULL;
    struct plain_post *post = mem_zalloc(sizeof *post);
    if (!post)
        return NULL;
    post->index = plain->n_posts;
    list_init(&post->node);
    list_init(&post->cancel_node);
    buf_init(&post->head, PLAIN_HEAD_BYTES_MAX);
    plain->posts[plain->n_posts++] = post;
    return post;
}

/* NULL: too many, or the client is being destroyed and a callback posts once more. */
static struct plain_post *post_borrow(struct http_plain *plain)
{
    struct plain_post *post = NULL;
    pthread_mutex_lock(&plain->lock);
    if (!plain->is_stop_asked) {
        struct list *node = list_pop_front(&plain->free);
        post = node ? container_of(node, struct plain_post, node) : post_create(plain);
    }
    if (post)
        post->generation++;
    pthread_mutex_unlock(&plain->lock);
    return post;
}

static void post_return(struct http_plain *plain, struct plain_post *post)
{
    mem_free(post->body);
    post->body = NULL;
    pthread_mutex_lock(&plain->lock);
    post->generation++;
    list_remove(&post->cancel_node);
    list_push_front(&plain->free, &post->node);
    pthread_mutex_unlock(&plain->lock);
}

dr_code http_plain_post(struct http_plain *plain, const struct http_post *wanted, uint64_t *ret_token)
{
    CHECK(wanted->timeout_ns > 0 && wanted->on_done);
    struct plain_post *post = post_borrow(plain);
    dr_code code = post ? plain_request_write(plain, post, wanted) : DR_RESOURCE_EXHAUSTED;
    if (code) {
        if (post)
            post_return(plain, post);
        mem_free(wanted->body);
        return code;
    }
    post->body = wanted->body;
    post->len = wanted->len;
    if (ret_token)
        *ret_token = (uint64_t)post->generation << 32 | post->index;
    pthread_mutex_lock(&plain->lock);
    bool is_first = list_is_empty(&plain->posted);
    list_push_back(&plain->posted, &post->node);
    pthread_mutex_unlock(&plain->lock);
    if (is_first)
        (void)uv_async_send(&plain->async);
    return DR_OK;
}

void http_plain_cancel(struct http_plain *plain, uint64_t token)
{
    uint32_t index = (uint32_t)token;
    bool is_found = false;
    pthread_mutex_lock(&plain->lock);
    if (index < plain->n_posts) {
        struct plain_post *post = plain->posts[index];
        bool is_same = post->generation == (uint32_t)(token >> 32) && (post->generation & 1);
        is_found = is_same && !list_is_linked(&post->cancel_node);
        if (is_found)
            list_push_back(&plain->cancelled, &post->cancel_node);
    }
    pthread_mutex_unlock(&plain->lock);
    if (is_found)
        (void)uv_async_send(&plain->async);
}

void plain_post_done(struct http_plain *plain, struct plain_post *post, struct http_result *result)
{
    plain_waiting_leave(plain, post);
    list_remove(&post->node);
    plain_timer_cancel(plain, &post->timer);
    /* from here on a cancel finds nothing */
    pthread_mutex_lock(&plain->lock);
    list_remove(&post->cancel_node);
    pthread_mutex_unlock(&plain->lock);
    post->on_done(post->arg, result);
    mem_free(result->body);
    result->body = NULL;
    room_give(&result->hold);
    post_return(plain, post);
}

void plain_post_fail(struct http_plain *plain, struct plain_post *post, enum http_outcome outcome, const char *format,
                     ...)
{
    struct http_result result = {.outcome = outcome};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(result.message, sizeof result.message, format, args);
    va_end(args);
    plain_post_done(plain, post, &result);
}

/* Ends a post wherever it is. */
static void post_call_off(struct http_plain *plain, struct plain_post *post, enum http_outcome outcome,
                          const char *text)
{
    struct plain_connection *connection = post->connection;
    if (connection) {
        connection->post = NULL;
        post->connection = NULL;
        plain_connection_close(connection);
    }
    plain_post_fail(plain, post, outcome, "%s", text);
}

static void on_post_time(struct http_plain *plain, struct plain_timer *timer)
{
    struct plain_post *post = container_of(timer, struct plain_post, timer);
    char text[64];
    snprintf(text, sizeof text, "no complete response within %lld ms", (long long)(post->timeout_ns / NS_PER_MS));
    post_call_off(plain, post, HTTP_TIMED_OUT, text);
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

static void on_uv_timer(uv_timer_t *handle);

/* One libuv timer for the first deadline. It is not set back when that one goes away: it then fires for nothing, which
 * is cheaper than to set it for every post. */
static void rearm(struct http_plain *plain)
{
    const struct heap_node *first = heap_peek(&plain->deadlines);
    if (!first || plain->is_closing || first->key >= plain->armed_ns)
        return;
    int64_t left_ns = first->key - clock_monotonic_ns();
    uint64_t left_ms = left_ns > 0 ? (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
    plain->armed_ns = first->key;
    uv_update_time(&plain->loop);
    (void)uv_timer_start(&plain->timer, on_uv_timer, left_ms, 0);
}

static void on_uv_timer(uv_timer_t *handle)
{
    struct http_plain *plain = handle->data;
    int64_t now_ns = clock_monotonic_ns();
    struct heap_node *node;
    plain->armed_ns = TIME_NEVER;
    while ((node = heap_peek(&plain->deadlines)) && node->key <= now_ns) {
        struct plain_timer *timer = container_of(node, struct plain_timer, node);
        heap_remove(&plain->deadlines, node);
        timer->on_time(plain, timer);
    }
    rearm(plain);
}

bool plain_timer_arm(struct http_plain *plain, struct plain_timer *timer, int64_t when_ns)
{
    heap_remove(&plain->deadlines, &timer->node);
    timer->node.key = when_ns;
    if (heap_push(&plain->deadlines, &timer->node))
        return false;
    rearm(plain);
    return true;
}

void plain_timer_cancel(struct http_plain *plain, struct plain_timer *timer)
{
    heap_remove(&plain->deadlines, &timer->node);
}

/* ---- the client's thread ----------------------------------------------------------------------------------------- */

static void start_posted(struct http_plain *plain)
{
    struct list posted;
    struct list *node;
    list_init(&posted);
    pthread_mutex_lock(&plain->lock);
    while ((node = list_pop_front(&plain->posted)))
        list_push_back(&posted, node);
    pthread_mutex_unlock(&plain->lock);
    while ((node = list_pop_front(&posted))) {
        struct plain_post *post = container_of(node, struct plain_post, node);
        post->timer.on_time = on_post_time;
        if (!plain_timer_arm(plain, &post->timer, post->timer.node.key))
            plain_post_fail(plain, post, HTTP_NO_MEMORY, "out of memory");
        else if (post->is_url_bad)
            plain_post_fail(plain, post, HTTP_BAD_REQUEST, "the URL is malformed, or not of plain http");
        else
            plain_host_start(plain, post);
    }
}

/* A post may have been made and cancelled since the last look: so only with no post waiting is a cancelled one sure to
 * have been started. */
static bool pop_cancelled(struct http_plain *plain, struct plain_post **ret_post)
{
    *ret_post = NULL;
    pthread_mutex_lock(&plain->lock);
    bool is_sure = list_is_empty(&plain->posted);
    struct list *node = is_sure ? list_pop_front(&plain->cancelled) : NULL;
    pthread_mutex_unlock(&plain->lock);
    if (node)
        *ret_post = container_of(node, struct plain_post, cancel_node);
    return !is_sure || node;
}

static void close_down(struct http_plain *plain)
{
    plain->is_closing = true;
    for (uint32_t i = 0; i < plain->n_posts; i++) {
        if (plain->posts[i]->generation & 1)
            post_call_off(plain, plain->posts[i], HTTP_CANCELLED, "the client is closed");
    }
    while (!list_is_empty(&plain->idle))
        plain_connection_close(container_of(plain->idle.next, struct plain_connection, idle_node));
    for (struct list *node = plain->hosts.next; node != &plain->hosts; node = node->next) {
        struct plain_host *host = container_of(node, struct plain_host, chain);
        if (host->is_resolving)
            (void)uv_cancel((uv_req_t *)&host->query);
    }
    uv_close((uv_handle_t *)&plain->timer, NULL);
    uv_close((uv_handle_t *)&plain->async, NULL);
}

static void on_async(uv_async_t *handle)
{
    struct http_plain *plain = handle->data;
    struct plain_post *post;
    do {
        start_posted(plain);
        if (!pop_cancelled(plain, &post))
            break;
        if (post)
            post_call_off(plain, post, HTTP_CANCELLED, "cancelled");
    } while (true);
    pthread_mutex_lock(&plain->lock);
    bool is_stop_asked = plain->is_stop_asked;
    pthread_mutex_unlock(&plain->lock);
    if (is_stop_asked && !plain->is_closing)
        close_down(plain);
}

static void *run(void *arg)
{
    struct http_plain *plain = arg;
    (void)uv_run(&plain->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void plain_free(struct http_plain *plain)
{
    for (uint32_t i = 0; i < plain->n_posts; i++) {
        buf_deinit(&plain->posts[i]->head);
        mem_free(plain->posts[i]);
    }
    plain_hosts_free(plain);
    heap_deinit(&plain->deadlines);
    pthread_mutex_destroy(&plain->lock);
    mem_free(plain->posts);
    mem_free(plain->read_buffer);
    mem_free(plain->user_agent);
    mem_free(plain);
}

static void config_fill(struct http_client_config *config)
{
    config->posts_max = config->posts_max ? config->posts_max : 4096;
    config->connections_max = config->connections_max ? config->connections_max : config->posts_max;
    config->connections_per_host_max =
        config->connections_per_host_max ? config->connections_per_host_max : config->connections_max;
    config->resolved_ns = config->resolved_ns > 0 ? config->resolved_ns : PLAIN_RESOLVED_NS;
    config->connect_timeout_ns = config->connect_timeout_ns > 0 ? config->connect_timeout_ns : CONNECT_TIMEOUT_NS;
}

static dr_code allocate(struct http_plain *plain)
{
    plain->posts = mem_zalloc(plain->config.posts_max * sizeof(struct plain_post *));
    plain->read_buffer = mem_alloc(PLAIN_READ_SIZE);
    if (plain->config.user_agent)
        plain->user_agent = mem_strndup(plain->config.user_agent, strlen(plain->config.user_agent));
    bool has_all = plain->posts && plain->read_buffer && (plain->user_agent || !plain->config.user_agent);
    return has_all ? DR_OK : DR_NO_MEMORY;
}

static dr_code start_loop(struct http_plain *plain)
{
    if (http_loop_init(&plain->loop))
        return DR_UNAVAILABLE;
    if (uv_async_init(&plain->loop, &plain->async, on_async)) {
        (void)uv_loop_close(&plain->loop);
        return DR_UNAVAILABLE;
    }
    (void)uv_timer_init(&plain->loop, &plain->timer);
    plain->async.data = plain->timer.data = plain;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&plain->thread, NULL, run, plain);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return DR_OK;
    uv_close((uv_handle_t *)&plain->timer, NULL);
    uv_close((uv_handle_t *)&plain->async, NULL);
    (void)uv_run(&plain->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&plain->loop);
    return DR_UNAVAILABLE;
}

dr_code http_plain_create(const struct http_client_config *config, struct http_plain **ret_plain,
                          struct dr_error *error)
{
    struct http_plain *plain = mem_zalloc(sizeof *plain);
    if (!plain)
        return error_set(error, DR_NO_MEMORY, "HTTP client: out of memory");
    plain->config = *config;
    config_fill(&plain->config);
    plain->armed_ns = TIME_NEVER;
    (void)pthread_mutex_init(&plain->lock, NULL);
    list_init(&plain->posted);
    list_init(&plain->cancelled);
    list_init(&plain->free);
    list_init(&plain->hosts);
    list_init(&plain->idle);
    list_init(&plain->working);
    map_init(&plain->by_name);
    heap_init(&plain->deadlines);
    plain_settings_init(&plain->settings);
    dr_code code = allocate(plain);
    if (!code)
        code = start_loop(plain);
    if (code) {
        plain_free(plain);
        return error_set(error, code, "HTTP client: %s", dr_code_text(code));
    }
    *ret_plain = plain;
    return DR_OK;
}

void http_plain_destroy(struct http_plain *plain)
{
    if (!plain)
        return;
    pthread_mutex_lock(&plain->lock);
    plain->is_stop_asked = true;
    pthread_mutex_unlock(&plain->lock);
    (void)uv_async_send(&plain->async);
    pthread_join(plain->thread, NULL);
    CHECK(uv_loop_close(&plain->loop) == 0);
    plain_free(plain);
}
