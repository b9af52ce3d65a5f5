/* libcurl tells which sockets to watch for what and when to call it again; libuv watches.
 *
 * A connection that goes idle is not unregistered but left as it was: with keep-alive the next request wants the same
 * events again, and this saves the system calls of every exchange. If the idle socket becomes readable (the peer has
 * closed it), it is unregistered then. */
#include "http/http_client_private.h"
#include "http/http_loop.h"

#include "base/clock.h"
#include "base/mem.h"
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_FIRST 64

struct client_socket {
    uv_poll_t poll;             /* data points back */
    struct http_client *client;
    curl_socket_t fd;
    int events;                 /* registered, UV_READABLE | UV_WRITABLE */
    bool is_wanted;             /* by libcurl, now */
    bool is_connection;         /* made by client_socket_open and polled to connect */
    bool is_new;                /* made by client_socket_open and not yet polled */
    CURL *maker;                /* the transfer it was made for */
};

static void completed_take(struct http_client *client)
{
    int n_left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &n_left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        char *call = NULL;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        client_call_done(client, (struct http_call *)(void *)call, code, false);
    }
}

static void act(struct http_client *client, curl_socket_t fd, int events)
{
    int n_running;
    (void)curl_multi_socket_action(client->multi, fd, events, &n_running);
    completed_take(client);
}

void client_loop_kick(struct http_client *client)
{
    act(client, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- sockets ---- */

static void on_poll_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct client_socket *socket_find(struct http_client *client, curl_socket_t fd)
{
    return (size_t)fd < client->cap_sockets ? client->sockets[fd] : NULL;
}

static void socket_forget(struct http_client *client, struct client_socket *socket)
{
    client->sockets[socket->fd] = NULL;
    uv_close((uv_handle_t *)&socket->poll, on_poll_closed);
}

static struct client_socket *socket_add(struct http_client *client, curl_socket_t fd)
{
    while ((size_t)fd >= client->cap_sockets) {
        size_t cap = client->cap_sockets ? client->cap_sockets * 2 : SOCKETS_FIRST;
        struct client_socket **sockets = mem_realloc(client->sockets, cap * sizeof(struct client_socket *));
        if (!sockets)
            return NULL;
        memset(sockets + client->cap_sockets, 0, (cap - client->cap_sockets) * sizeof(struct client_socket *));
        client->sockets = sockets;
        client->cap_sockets = cap;
    }
    /* a stale entry: libcurl closes sockets that never connected without telling */
    if (client->sockets[fd])
        socket_forget(client, client->sockets[fd]);
    struct client_socket *socket = mem_zalloc(sizeof(*socket));
    if (!socket)
        return NULL;
    if (uv_poll_init_socket(&client->loop, &socket->poll, fd)) {
        mem_free(socket);
        return NULL;
    }
    socket->poll.data = socket;
    socket->client = client;
    socket->fd = fd;
    client->sockets[fd] = socket;
    return socket;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct client_socket *socket = poll->data;
    if (!socket->is_wanted) {
        (void)uv_poll_stop(poll);
        socket->events = 0;
        return;
    }
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    act(socket->client, socket->fd, status < 0 ? CURL_CSELECT_ERR : flags);
}

/* libcurl: watch this socket. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct http_client *client = arg;
    struct client_socket *socket = socket_find(client, fd);
    (void)assigned;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            socket->is_wanted = false;
        /* Only the closing of an established connection, polled for reading, comes to client_socket_close. libuv
         * aborts on the number of a socket that was closed without telling. */
        if (socket && (!socket->is_connection || socket->events != UV_READABLE))
            socket_forget(client, socket);
        return 0;
    }
    if (!socket)
        socket = socket_add(client, fd);
    if (!socket)
        return -1;
    if (socket->is_new) {
        socket->is_connection = what == CURL_POLL_OUT;
        socket->maker = easy;
        socket->is_new = false;
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    socket->is_wanted = true;
    if (socket->events != events) {
        socket->events = events;
        if (uv_poll_start(&socket->poll, events, on_poll))
            return -1;
    }
    return 0;
}

curl_socket_t client_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct client_socket *added = socket_add(arg, fd);
    if (!added) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    added->is_new = true;
    return fd;
}

int client_socket_close(void *arg, curl_socket_t fd)
{
    struct client_socket *socket = socket_find(arg, fd);
    if (socket)
        socket_forget(arg, socket);
    return close(fd);
}

void client_loop_abandon(struct http_client *client, CURL *easy)
{
    for (size_t fd = 0; fd < client->cap_sockets; fd++) {
        struct client_socket *socket = client->sockets[fd];
        if (socket && socket->maker == easy && socket->is_wanted && socket->events != UV_READABLE)
            socket_forget(client, socket);
    }
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer)
{
    client_loop_kick(timer->data);
}

/* The deadlines of posts are ours, not libcurl's, which does not look at them while a post waits for a connection. */
static void on_deadline(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    client->deadline_armed_ns = TIME_NEVER;
    client_expire(client, clock_monotonic_ns());
    struct heap_node *first = heap_peek(&client->deadlines);
    if (first)
        client_loop_deadline(client, first->key);
}

void client_loop_deadline(struct http_client *client, int64_t deadline_ns)
{
    if (client->deadline_armed_ns <= deadline_ns)
        return;
    int64_t left_ns = deadline_ns - clock_monotonic_ns();
    uint64_t left_ms = left_ns <= 0 ? 0 : (uint64_t)(left_ns / NS_PER_MS + 1);
    client->deadline_armed_ns = deadline_ns;
    uv_update_time(&client->loop);
    (void)uv_timer_start(&client->deadline_timer, on_deadline, left_ms, 0);
}

/* libcurl: call again in so many ms. */
static int on_timeout_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *client = arg;
    (void)multi;
    if (client->is_closing || timeout_ms < 0)
        return uv_timer_stop(&client->timer);
    /* the loop's idea of now is that of its last round */
    uv_update_time(&client->loop);
    return uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
}

static void on_async(uv_async_t *async)
{
    client_take_posts(async->data);
}

/* ---- life ---- */

dr_code client_loop_open(struct http_client *client, struct dr_error *error)
{
    (void)error;
    if (http_loop_init(&client->loop))
        return DR_UNAVAILABLE;
    if (uv_async_init(&client->loop, &client->async, on_async)) {
        (void)uv_loop_close(&client->loop);
        return DR_UNAVAILABLE;
    }
    (void)uv_timer_init(&client->loop, &client->timer);
    (void)uv_timer_init(&client->loop, &client->deadline_timer);
    client->async.data = client->timer.data = client->deadline_timer.data = client;
    client->deadline_armed_ns = TIME_NEVER;
    CURLM *multi = client->multi;
    long n_kept = client->config.connections_max < IDLE_CONNECTIONS_MAX ? (long)client->config.connections_max
                                                                        : IDLE_CONNECTIONS_MAX;
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, n_kept);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)client->config.connections_max);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)client->config.connections_per_host_max);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    return DR_OK;
}

void client_loop_close(struct http_client *client)
{
    client->is_closing = true;
    (void)curl_multi_cleanup(client->multi);
    client->multi = NULL;
    uv_close((uv_handle_t *)&client->timer, NULL);
    uv_close((uv_handle_t *)&client->deadline_timer, NULL);
    uv_close((uv_handle_t *)&client->async, NULL);
}

void client_loop_deinit(struct http_client *client)
{
    (void)uv_loop_close(&client->loop);
    mem_free(client->sockets);
}
