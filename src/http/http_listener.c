/* The listening socket. It is watched and accepted from by hand, not with uv_listen: without descriptors libuv closes
 * connections that could have waited, or, when somebody else took the descriptor it keeps for that, tries again for ever
 * inside uv_run and serves nobody. Here they wait in the kernel's queue, and those that are there are served meanwhile. */
#include "http/http_private.h"

#include "base/error.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_TEXT_SIZE 8

static void on_listener(uv_poll_t *watcher, int status, int events);

static void watch(struct http_server *server, bool is_on)
{
    server->is_accept_waiting = !is_on;
    if (is_on)
        (void)uv_poll_start(&server->listener, UV_READABLE, on_listener);
    else
        (void)uv_poll_stop(&server->listener);
}

/* The longest idle connection gives way, else the one whose headers have taken longest, if that was too long: peers
 * without a key must not keep everybody out with headers that never end. */
static void make_room(struct http_server *server)
{
    struct list *idle = &server->phases[PHASE_IDLE];
    struct list *slow = &server->phases[PHASE_HEADERS];
    if (!list_is_empty(idle)) {
        connection_close(container_of(idle->next, struct http_connection, node));
        return;
    }
    if (list_is_empty(slow))
        return;
    struct http_connection *connection = container_of(slow->next, struct http_connection, node);
    uint64_t until_ms = connection->deadline_ms - server->timeouts_ms[PHASE_HEADERS] + SLOW_HEADERS_MS;
    if (until_ms > uv_now(&server->loop)) {
        server_timer_need(server, until_ms);
        return;
    }
    server_refused(server, HTTP_REFUSED_SLOW, connection->peer);
    connection_close(connection);
}

void listener_go_on(struct http_server *server)
{
    if (!server->is_accept_waiting || server->is_stopping)
        return;
    if (server->n_connections < server->config.connections_max)
        watch(server, true);
    else
        make_room(server);
}

/* What waits goes on waiting until a connection closes. */
static void wait_for_a_connection_to_close(struct http_server *server)
{
    watch(server, false);
    server_refused(server, HTTP_REFUSED_CONNECTIONS, NULL);
    make_room(server);
}

/* Or until a moment has passed: others of this process, and of this machine, give descriptors and memory back too. */
static void wait_for_room(struct http_server *server)
{
    watch(server, false);
    server_refused(server, HTTP_REFUSED_DESCRIPTORS, NULL);
    server_timer_need(server, uv_now(&server->loop) + ACCEPT_RETRY_MS);
}

static bool is_for_lack_of_room(int error_number)
{
    return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS || error_number == ENOMEM;
}

static void on_listener(uv_poll_t *watcher, int status, int events)
{
    (void)status;
    (void)events;
    struct http_server *server = watcher->data;
    if (server->n_connections >= server->config.connections_max)
        wait_for_a_connection_to_close(server);
    for (int i = 0; i < ACCEPTS_AT_ONCE_MAX && server->n_connections < server->config.connections_max; i++) {
        int fd = accept4(server->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            connection_open(server, fd);
        else if (errno == EAGAIN)
            return;
        else if (is_for_lack_of_room(errno)) {
            wait_for_room(server);
            return;
        } /* else one that was given up before it was accepted: accept(2), ECONNABORTED and its like */
    }
}

/* Takes the socket. */
static int watch_socket(struct http_server *server, int fd)
{
    int rc = uv_poll_init(&server->loop, &server->listener, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    server->listener_fd = fd;
    server->listener.data = server;
    watch(server, true);
    return 0;
}

static int try_listen(struct http_server *server, const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int is_on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &is_on, sizeof(is_on)) || bind(fd, at->ai_addr, at->ai_addrlen) ||
        listen(fd, BACKLOG)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return watch_socket(server, fd);
}

dr_code listener_open(struct http_server *server, struct dr_error *error)
{
    const char *host = server->config.host;
    char port[PORT_TEXT_SIZE];
    (void)snprintf(port, sizeof(port), "%u", server->config.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc)
        return error_set(error, DR_INVALID_ARGUMENT, "listen on %s:%s: %s", host, port, gai_strerror(rc));
    for (struct addrinfo *one = found; one; one = one->ai_next) {
        rc = try_listen(server, one);
        if (rc == 0)
            break;
    }
    freeaddrinfo(found);
    if (rc)
        return error_set(error, DR_UNAVAILABLE, "listen on %s:%s: %s", host, port, uv_strerror(rc));
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    (void)getsockname(server->listener_fd, (struct sockaddr *)&address, &len);
    /* the port is at the same place in both families */
    server->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    return DR_OK;
}

void listener_close(struct http_server *server)
{
    uv_close((uv_handle_t *)&server->listener, NULL);
    close(server->listener_fd);
}
