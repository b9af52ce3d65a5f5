/* JSON texts to jansson's values and back, with limits. */
#include "wire/json.h"

#define FIELD_NAME_SIZE 64

/* Walks the text once before jansson does: jansson would recurse 2,048 levels, and an array of empty arrays
 * costs it fifty times its own length. Strings are skipped; a text that is no JSON may pass, jansson refuses
 * it then. */
static dr_code check_limits(struct slice bytes, struct dr_error *error)
{
    size_t depth = 0, n_values = 1;
    bool is_in_string = false;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (c == '"') {
            is_in_string = !is_in_string;
        } else if (is_in_string) {
            i += c == '\\';
        } else if (c == '[' || c == '{') {
            depth++;
            n_values++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        } else if (c == ',') {
            n_values++;
        }
        if (depth > WIRE_DEPTH_MAX)
            return error_set(error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "nested deeper than %u",
                             WIRE_DEPTH_MAX);
    }
    if (n_values > WIRE_JSON_VALUES_MAX)
        return error_set(error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "more than %u values",
                         WIRE_JSON_VALUES_MAX);
    return DR_OK;
}

dr_code wire_json_load(struct slice bytes, json_t **ret_json, struct dr_error *error)
{
    if (bytes.len > WIRE_MESSAGE_BYTES_MAX)
        return error_set(error, DR_RESOURCE_EXHAUSTED,
                         WIRE_UNMARSHAL "the message has %zu bytes, the limit is %u", bytes.len,
                         WIRE_MESSAGE_BYTES_MAX);
    dr_code code = check_limits(bytes, error);
    if (code != DR_OK)
        return code;
    json_error_t reason;
    const char *text = bytes.data ? (const char *)bytes.data : "";
    json_t *json = json_loadb(text, bytes.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &reason);
    /* No line: nothing was wrong with the text. (Inside its lexer jansson calls a failed allocation a bad
     * token.) */
    if (!json && reason.line < 0)
        return wire_no_memory(error);
    if (!json)
        return error_set(error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "JSON, line %d: %s", reason.line,
                         reason.text);
    if (!json_is_object(json)) {
        json_decref(json);
        return error_set(error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "the JSON is not an object");
    }
    *ret_json = json;
    return DR_OK;
}

struct dump {
    struct buf *buf;
    dr_code code;
};

static int append_piece(const char *data, size_t len, void *arg)
{
    struct dump *dump = arg;
    if (dump->code == DR_OK)
        dump->code = buf_append(dump->buf, slice_of(data, len));
    return dump->code == DR_OK ? 0 : -1;
}

dr_code wire_json_dump(json_t *json, struct buf *buf, struct dr_error *error)
{
    if (!json)
        return wire_no_memory(error);
    size_t len_before = buf->len;
    struct dump dump = {.buf = buf};
    int status = json_dump_callback(json, append_piece, &dump, JSON_COMPACT);
    json_decref(json);
    /* jansson 2.14 forgets a failed callback in the middle of an object's keys. */
    if (status == 0 && dump.code == DR_OK)
        return DR_OK;
    buf->len = len_before;
    if (dump.code == DR_RESOURCE_EXHAUSTED)
        return error_set(error, DR_RESOURCE_EXHAUSTED, "the message is longer than %zu bytes", buf->max);
    return wire_no_memory(error);
}

/* Digits only: strtoll would take spaces and signs. */
static bool parse_digits(struct slice text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(c - '0'), &number))
            return false;
    }
    *ret_number = number;
    return text.len > 0;
}

/* 1.0 and 1e3 are integers too, as long as a double tells them exactly. */
static bool integer_of_real(double number, int64_t *ret_number)
{
    bool is_exact =
        number >= -9007199254740992.0 && number <= 9007199254740992.0 && number == (double)(int64_t)number;
    if (is_exact)
        *ret_number = (int64_t)number;
    return is_exact;
}

bool wire_json_unsigned(const json_t *json, uint64_t *ret_number)
{
    if (json_is_string(json))
        return parse_digits(slice_of(json_string_value(json), json_string_length(json)), ret_number);
    int64_t number;
    if (!wire_json_signed(json, &number) || number < 0)
        return false;
    *ret_number = (uint64_t)number;
    return true;
}

bool wire_json_signed(const json_t *json, int64_t *ret_number)
{
    if (json_is_integer(json)) {
        *ret_number = json_integer_value(json);
        return true;
    }
    if (json_is_real(json))
        return integer_of_real(json_real_value(json), ret_number);
    if (!json_is_string(json))
        return false;
    struct slice text = slice_of(json_string_value(json), json_string_length(json));
    bool is_negative = text.len > 0 && text.data[0] == '-';
    if (is_negative)
        text = slice_of(text.data + 1, text.len - 1);
    uint64_t number;
    if (!parse_digits(text, &number) || number > (uint64_t)INT64_MAX + is_negative)
        return false;
    *ret_number = is_negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

/* "max_wait" -> "maxWait" */
static void lower_camel(const char *name, char camel[FIELD_NAME_SIZE])
{
    size_t n = 0;
    for (; *name && n + 1 < FIELD_NAME_SIZE; name++) {
        bool is_hump = name[0] == '_' && name[1];
        if (is_hump)
            name++;
        camel[n++] = is_hump ? (char)(*name - 'a' + 'A') : *name;
    }
    camel[n] = '\0';
}

const json_t *wire_json_get(const json_t *object, const char *name)
{
    char camel[FIELD_NAME_SIZE];
    lower_camel(name, camel);
    const json_t *field = json_object_get(object, camel);
    if (!field)
        field = json_object_get(object, name);
    return json_is_null(field) ? NULL : field;
}

bool wire_json_status(const json_t *json, int32_t *ret_status)
{
    static const struct {
        const char *name;
        dr_status status;
    } statuses[] = {
#define X(status, number, wire, text, retried, effect) {wire, status},
        DR_STATUS_TABLE(X)
#undef X
    };
    const char *name = json_string_value(json);
    for (size_t i = 0; name && i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (strcmp(statuses[i].name, name) == 0) {
            *ret_status = (int32_t)statuses[i].status;
            return true;
        }
    }
    int64_t number;
    if (!json_is_number(json) || !wire_json_signed(json, &number) || number < INT32_MIN || number > INT32_MAX)
        return false;
    *ret_status = (int32_t)number;
    return true;
}
