#include "server/transport.h"

#include "base/check.h"
#include "base/mem.h"
#include "wire/wire.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longest endpoint text that is quoted in a message. */
#define ENDPOINT_SHOWN_MAX 160

void transport_start(struct transport *transport, struct transport_run *run, uint8_t *request, size_t len)
{
    CHECK(run->on_done);
    run->transport = transport;
    list_init(&run->node);
    run->handle = 0;
    run->hold = (struct room_hold){0};
    run->is_aborted = false;
    run->request = request;
    run->request_len = len;
    transport->methods->start(transport, run);
}

void transport_abort(struct transport *transport, struct transport_run *run)
{
    transport->methods->abort(transport, run);
}

void transport_destroy(struct transport *transport)
{
    if (transport)
        transport->methods->destroy(transport);
}

/* One line of UTF-8: what a hostile endpoint put into a text must not forge log lines, break a terminal, or make a
 * message that no parent and no client can be sent. */
static void make_one_line(char *text)
{
    struct slice rest = slice_text(text);
    for (;;) {
        struct slice good = wire_utf8_prefix(rest, rest.len);
        if (good.len == rest.len)
            break;
        text[(size_t)(good.data - (uint8_t *)text) + good.len] = '?';
        rest = slice_of(good.data + good.len + 1, rest.len - good.len - 1);
    }
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
    }
}

void transport_result_fail(struct transport_result *result, dr_status status, struct slice endpoint, const char *format,
                           ...)
{
    CHECK(status != DR_STATUS_OK);
    mem_free(result->body);
    result->body = NULL;
    room_give(&result->hold);
    result->len = 0;
    result->status = status;
    result->error_type = transport_error_type(status);
    char text[WIRE_ENDPOINT_SHOWN_SIZE];
    endpoint = wire_endpoint_shown(endpoint, text);
    int shown = endpoint.len > ENDPOINT_SHOWN_MAX ? ENDPOINT_SHOWN_MAX : (int)endpoint.len;
    int used = snprintf(result->message, sizeof result->message, "%.*s: ", shown,
                        endpoint.data ? (const char *)endpoint.data : "");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(result->message + used, sizeof result->message - (size_t)used, format, args);
    va_end(args);
    make_one_line(result->message);
}

const char *transport_error_type(dr_status status)
{
    /* The names of dispatch.error's classes, so that a Python parent sees a familiar one (protocol 10.5). */
    static const char *const names[] = {
        [DR_STATUS_UNSPECIFIED] = "DispatchError",
        [DR_STATUS_OK] = "DispatchError",
        [DR_STATUS_TIMEOUT] = "TimeoutError",
        [DR_STATUS_THROTTLED] = "ThrottleError",
        [DR_STATUS_INVALID_ARGUMENT] = "InvalidArgumentError",
        [DR_STATUS_INVALID_RESPONSE] = "InvalidResponseError",
        [DR_STATUS_TEMPORARY_ERROR] = "TemporaryError",
        [DR_STATUS_PERMANENT_ERROR] = "PermanentError",
        [DR_STATUS_INCOMPATIBLE_STATE] = "IncompatibleStateError",
        [DR_STATUS_DNS_ERROR] = "DNSError",
        [DR_STATUS_TCP_ERROR] = "TCPError",
        [DR_STATUS_TLS_ERROR] = "TLSError",
        [DR_STATUS_HTTP_ERROR] = "HTTPError",
        [DR_STATUS_UNAUTHENTICATED] = "UnauthenticatedError",
        [DR_STATUS_PERMISSION_DENIED] = "PermissionDeniedError",
        [DR_STATUS_NOT_FOUND] = "NotFoundError",
    };
    bool is_known = (unsigned)status < sizeof names / sizeof names[0];
    return is_known ? names[status] : names[DR_STATUS_UNSPECIFIED];
}
