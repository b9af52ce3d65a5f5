/* Errors as Connect unary answers them: {"code": "not_found", "message": "..."}. */
#include "wire/codec.h"

#include <jansson.h>
#include <string.h>

#define ERROR_BODY_BYTES_MAX 65536u
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static dr_code append_escaped(struct buf *buf, uint8_t c)
{
    switch (c) {
    case '"':
        return buf_append_text(buf, "\\\"");
    case '\\':
        return buf_append_text(buf, "\\\\");
    case '\n':
        return buf_append_text(buf, "\\n");
    case '\r':
        return buf_append_text(buf, "\\r");
    case '\t':
        return buf_append_text(buf, "\\t");
    default:
        return c < 0x20 || c == 0x7f ? buf_printf(buf, "\\u%04x", c) : buf_append(buf, slice_of(&c, 1));
    }
}

static dr_code append_json_text(struct buf *buf, struct slice text)
{
    dr_code code = buf_append_text(buf, "\"");
    while (text.len > 0 && code == DR_OK) {
        size_t len = wire_utf8_char_len(text);
        if (len == 0)
            code = buf_append_text(buf, REPLACEMENT);
        else if (len == 1)
            code = append_escaped(buf, text.data[0]);
        else
            code = buf_append(buf, slice_of(text.data, len));
        size_t step = len ? len : 1;
        text = slice_of(text.data + step, text.len - step);
    }
    return code == DR_OK ? buf_append_text(buf, "\"") : code;
}

dr_code wire_connect_error_encode(dr_code code, const char *message, struct buf *buf)
{
    size_t len_before = buf->len;
    dr_code result = buf_printf(buf, "{\"code\":\"%s\",\"message\":", dr_code_name(code));
    if (result == DR_OK)
        result = append_json_text(buf, slice_text(message ? message : ""));
    if (result == DR_OK)
        result = buf_append_text(buf, "}");
    if (result != DR_OK)
        buf->len = len_before;
    return result;
}

/* Codes that clients give to an answer whose body tells nothing (protocol 2.4, second half). */
static dr_code code_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return DR_INTERNAL;
    case 401:
        return DR_UNAUTHENTICATED;
    case 403:
        return DR_PERMISSION_DENIED;
    case 404:
        return DR_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return DR_UNAVAILABLE;
    default:
        return DR_UNKNOWN;
    }
}

static bool decode_json_body(struct slice body, struct dr_error *ret_error)
{
    json_t *json = json_loadb((const char *)body.data, body.len, 0, NULL);
    const char *name = json_string_value(json_object_get(json, "code"));
    const char *message = json_string_value(json_object_get(json, "message"));
    dr_code code = name ? error_code_of_name(name) : DR_OK;
    bool is_known = name && code != DR_OK && (code != DR_UNKNOWN || strcmp(name, "unknown") == 0);
    if (is_known)
        (void)error_set(ret_error, code, "%s", message && *message ? message : dr_code_text(code));
    json_decref(json);
    return is_known;
}

/* Text that is safe in a line of a log: what is not UTF-8 or not visible becomes '?'. Its length. */
static size_t make_visible(struct slice bytes, char *text, size_t size)
{
    size_t n = 0;
    while (bytes.len > 0 && n + 4 < size) {
        size_t len = wire_utf8_char_len(bytes);
        bool is_visible = len > 1 || (len == 1 && bytes.data[0] >= 0x20 && bytes.data[0] != 0x7f);
        size_t step = len ? len : 1;
        if (is_visible)
            memcpy(text + n, bytes.data, step);
        else
            text[n] = '?';
        n += is_visible ? step : 1;
        bytes = slice_of(bytes.data + step, bytes.len - step);
    }
    text[n] = '\0';
    return n;
}

/* Python's own form, whose message may hold unescaped quotes (Q14): {"code":"X","message":"Y"} with anything
 * as Y. */
static bool decode_broken_body(struct slice body, struct dr_error *ret_error)
{
    static const char head[] = "{\"code\":\"", middle[] = "\",\"message\":\"", tail[] = "\"}";
    const char *at = (const char *)body.data;
    size_t head_len = sizeof(head) - 1, middle_len = sizeof(middle) - 1, tail_len = sizeof(tail) - 1;
    if (body.len < head_len + middle_len + tail_len || memcmp(at, head, head_len) != 0 ||
        memcmp(at + body.len - tail_len, tail, tail_len) != 0)
        return false;
    const char *name = at + head_len;
    const char *quote = memchr(name, '"', body.len - head_len);
    if (!quote || body.len - (size_t)(quote - at) < middle_len + tail_len ||
        memcmp(quote, middle, middle_len) != 0)
        return false;
    char code_name[32] = "";
    size_t name_len = (size_t)(quote - name);
    if (name_len >= sizeof(code_name))
        return false;
    memcpy(code_name, name, name_len);
    dr_code code = error_code_of_name(code_name);
    if (code == DR_OK || (code == DR_UNKNOWN && strcmp(code_name, "unknown") != 0))
        return false;
    const char *message = quote + middle_len;
    size_t message_len = body.len - tail_len - (size_t)(message - at);
    char text[DR_ERROR_MESSAGE_SIZE];
    (void)make_visible(slice_of(message, message_len), text, sizeof(text));
    (void)error_set(ret_error, code, "%s", *text ? text : dr_code_text(code));
    return true;
}

static void decode_foreign_body(struct slice body, int http_status, struct dr_error *ret_error)
{
    char text[256];
    size_t n = make_visible(body, text, sizeof(text));
    dr_code code = code_of_http(http_status);
    (void)error_set(ret_error, code, "HTTP %d%s%s", http_status, n > 0 ? ": " : "", text);
}

void wire_connect_error_decode(struct slice body, int http_status, struct dr_error *ret_error)
{
    bool is_short = body.len > 0 && body.len <= ERROR_BODY_BYTES_MAX;
    if (is_short && (decode_json_body(body, ret_error) || decode_broken_body(body, ret_error)))
        return;
    decode_foreign_body(body, http_status, ret_error);
}
