#include "wire/codec.h"

/* Schemes as the original wrote them; "arn:aws:lambda" is no URL scheme but is listed with them. */
static const char *const endpoint_prefixes[] = {"http://", "https://", "bridge://", "arn:aws:lambda"};

static bool has_known_scheme(struct slice endpoint)
{
    for (size_t i = 0; i < sizeof(endpoint_prefixes) / sizeof(endpoint_prefixes[0]); i++) {
        struct slice prefix = slice_text(endpoint_prefixes[i]);
        if (endpoint.len > prefix.len && memcmp(endpoint.data, prefix.data, prefix.len) == 0)
            return true;
    }
    return false;
}

/* A space, a control character or a NUL in a URL would end it or start a header line where it is used. */
static bool is_visible_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
            return false;
    return true;
}

static dr_code validate_endpoint(struct slice endpoint, bool is_required, struct dr_error *error)
{
    if (endpoint.len == 0)
        return is_required ? error_set(error, DR_INVALID_ARGUMENT, "Call endpoint cannot be empty") : DR_OK;
    if (endpoint.len > WIRE_ENDPOINT_BYTES_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, "Call endpoint has %zu bytes, the limit is %u",
                         endpoint.len, WIRE_ENDPOINT_BYTES_MAX);
    if (!has_known_scheme(endpoint))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "Call endpoint must be a http, https or a bridge URL or an AWS Lambda ARN");
    if (!is_visible_ascii(endpoint))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "Call endpoint holds a character that a URL cannot hold; percent-encode it");
    if (memchr(endpoint.data, '?', endpoint.len) || memchr(endpoint.data, '#', endpoint.len))
        return error_set(error, DR_INVALID_ARGUMENT,
                         "Call endpoint cannot have a query or a fragment: the path of the service is put behind it");
    return DR_OK;
}

static dr_code validate_text(const char *name, struct slice text, size_t max, struct dr_error *error)
{
    if (text.len > max)
        return error_set(error, DR_INVALID_ARGUMENT, "%s has %zu bytes, the limit is %zu", name, text.len,
                         max);
    if (!wire_is_utf8(text))
        return error_set(error, DR_INVALID_ARGUMENT, "%s is not UTF-8", name);
    if (text.len > 0 && memchr(text.data, 0, text.len))
        return error_set(error, DR_INVALID_ARGUMENT, "%s holds a NUL", name);
    return DR_OK;
}

dr_code wire_call_validate(const struct wire_call *call, bool is_endpoint_required, struct dr_error *error)
{
    dr_code code = validate_endpoint(call->endpoint, is_endpoint_required, error);
    if (code != DR_OK)
        return code;
    if (call->function.len == 0)
        return error_set(error, DR_INVALID_ARGUMENT, "Call function cannot be empty");
    code = validate_text("Call function", call->function, WIRE_FUNCTION_BYTES_MAX, error);
    if (code == DR_OK)
        code = validate_text("Call version", call->version, WIRE_VERSION_BYTES_MAX, error);
    if (code == DR_OK && call->expiration_ns < 0)
        code = error_set(error, DR_INVALID_ARGUMENT, "Call expiration cannot be negative");
    return code;
}

struct slice wire_endpoint_shown(struct slice endpoint, char text[WIRE_ENDPOINT_SHOWN_SIZE])
{
    static const char hidden[] = "***";
    size_t start = 0; /* of the authority */
    while (start + 3 <= endpoint.len && memcmp(endpoint.data + start, "://", 3) != 0)
        start++;
    start += 3;
    size_t at = 0; /* behind the last @ of the authority: a password may hold one */
    for (size_t i = start; i < endpoint.len && !strchr("/?#", endpoint.data[i]); i++)
        at = endpoint.data[i] == '@' ? i : at;
    if (at == 0)
        return endpoint;
    struct slice rest = slice_of(endpoint.data + at, endpoint.len - at);
    size_t len = start + strlen(hidden) + rest.len;
    if (len >= WIRE_ENDPOINT_SHOWN_SIZE)
        return slice_text(hidden); /* longer than any that was accepted */
    memcpy(text, endpoint.data, start);
    memcpy(text + start, hidden, strlen(hidden));
    memcpy(text + start + strlen(hidden), rest.data, rest.len);
    text[len] = '\0';
    return slice_of(text, len);
}
