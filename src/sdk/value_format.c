/* Values as text for people, in the manner of the original command line (protocol 12.8). */
#include "sdk/value.h"

#include "wire/wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMAT_BYTES_SHOWN 4
/* Go changes to an exponent from here on. */
#define FORMAT_EXPONENT_MIN (-4)
#define FORMAT_EXPONENT_MAX 21

/* Counts everything, keeps what fits. */
struct format {
    char *text;
    size_t size;
    size_t len;
    bool is_python; /* inside a pickle: None, True, tuples */
};

static void format_value(struct format *out, const dr_value *value);

static void format_n(struct format *out, const char *text, size_t len)
{
    if (out->len < out->size) {
        size_t room = out->size - out->len;
        memcpy(out->text + out->len, text, len < room ? len : room);
    }
    out->len += len;
}

static void format_text(struct format *out, const char *text) { format_n(out, text, strlen(text)); }

static void format_integer(struct format *out, bool is_negative, uint64_t magnitude)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%s%llu", is_negative ? "-" : "", (unsigned long long)magnitude);
    format_text(out, digits);
}

static uint64_t magnitude_of(int64_t number) { return number < 0 ? -(uint64_t)number : (uint64_t)number; }

/* ---- Floats: the fewest digits that read back as the same number ---- */

static void format_float(struct format *out, double number)
{
    if (isnan(number) || isinf(number)) {
        format_text(out, isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
        return;
    }
    char text[40];
    int precision = 0;
    do {
        (void)snprintf(text, sizeof text, "%.*e", precision, number);
    } while (strtod(text, NULL) != number && ++precision < 17);
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < FORMAT_EXPONENT_MIN || exponent >= FORMAT_EXPONENT_MAX) {
        format_text(out, text);
        return;
    }
    int decimals = precision > exponent ? precision - exponent : 0;
    (void)snprintf(text, sizeof text, "%.*f", decimals, number);
    format_text(out, text);
}

/* ---- Text and bytes ---- */

static void format_escaped(struct format *out, uint8_t byte, bool is_ascii)
{
    static const char letters[] = "abtnvfr"; /* \a is 7, \r is 13 */
    char text[8];
    if (byte == '"' || byte == '\\')
        (void)snprintf(text, sizeof text, "\\%c", byte);
    else if (byte >= 7 && byte <= 13)
        (void)snprintf(text, sizeof text, "\\%c", letters[byte - 7]);
    else if (byte < 0x20 || byte == 0x7f || (is_ascii && byte >= 0x80))
        (void)snprintf(text, sizeof text, "\\x%02x", byte);
    else
        (void)snprintf(text, sizeof text, "%c", byte);
    format_text(out, text);
}

static void format_quoted(struct format *out, struct slice text)
{
    bool is_ascii = !wire_is_utf8(text); /* then every byte that is not is escaped */
    format_text(out, "\"");
    for (size_t i = 0; i < text.len; i++)
        format_escaped(out, text.data[i], is_ascii);
    format_text(out, "\"");
}

static void format_bytes(struct format *out, struct slice bytes)
{
    format_text(out, "bytes(");
    for (size_t i = 0; i < bytes.len && i < FORMAT_BYTES_SHOWN; i++)
        format_escaped(out, bytes.data[i], true);
    format_text(out, bytes.len > FORMAT_BYTES_SHOWN ? "...)" : ")");
}

/* ---- Time ---- */

/* ".5" for 500,000,000: the fraction without its final zeros, nothing for 0. */
static void format_fraction(struct format *out, uint64_t fraction, int digits)
{
    if (fraction == 0)
        return;
    for (; fraction % 10 == 0; digits--)
        fraction /= 10;
    char text[24];
    (void)snprintf(text, sizeof text, ".%0*llu", digits, (unsigned long long)fraction);
    format_text(out, text);
}

/* Days since 1970 -> date in the Gregorian calendar, which is taken to have held always. */
static void format_date(struct format *out, int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01, so that leap days end the year */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 = March */
    int64_t day = day_of_year - (153 * month + 2) / 5 + 1;
    int64_t year = year_of_era + era * 400 + (month >= 10);
    char text[48];
    (void)snprintf(text, sizeof text, "%04lld-%02d-%02d", (long long)year, (int)(month < 10 ? month + 3 : month - 9),
                   (int)day);
    format_text(out, text);
}

static void format_timestamp(struct format *out, const dr_value *value)
{
    int64_t days = value->time.seconds / 86400;
    int64_t second = value->time.seconds % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    char text[24];
    (void)snprintf(text, sizeof text, " %02d:%02d:%02d", (int)(second / 3600), (int)(second / 60 % 60),
                   (int)(second % 60));
    format_date(out, days);
    format_text(out, text);
    format_fraction(out, (uint64_t)value->time.nanos, 9);
    format_text(out, " +0000 UTC");
}

static void format_small_duration(struct format *out, uint64_t ns)
{
    if (ns >= 1000000) {
        format_integer(out, false, ns / 1000000);
        format_fraction(out, ns % 1000000, 6);
        format_text(out, "ms");
    } else if (ns >= 1000) {
        format_integer(out, false, ns / 1000);
        format_fraction(out, ns % 1000, 3);
        format_text(out, "\xc2\xb5s");
    } else {
        format_integer(out, false, ns);
        format_text(out, ns == 0 ? "s" : "ns");
    }
}

static void format_duration(struct format *out, const dr_value *value)
{
    uint64_t seconds = magnitude_of(value->time.seconds);
    uint64_t nanos = magnitude_of(value->time.nanos);
    if (value->time.seconds < 0 || value->time.nanos < 0)
        format_text(out, "-");
    if (seconds == 0) {
        format_small_duration(out, nanos);
        return;
    }
    if (seconds >= 3600) {
        format_integer(out, false, seconds / 3600);
        format_text(out, "h");
    }
    if (seconds >= 60) {
        format_integer(out, false, seconds / 60 % 60);
        format_text(out, "m");
    }
    format_integer(out, false, seconds % 60);
    format_fraction(out, nanos, 9);
    format_text(out, "s");
}

/* ---- Lists, maps, messages ---- */

static void format_list(struct format *out, const dr_value *list)
{
    static const char *const brackets[] = {[VALUE_PLAIN] = "[]", [VALUE_TUPLE] = "()", [VALUE_SET] = "{}"};
    const char *pair = brackets[list->flavour];
    format_n(out, pair, 1);
    for (size_t i = 0; i < list->list.len; i++) {
        if (i > 0)
            format_text(out, ", ");
        format_value(out, list->list.items[i]);
    }
    format_n(out, pair + 1, 1);
}

static void format_map(struct format *out, const dr_value *map)
{
    format_text(out, "{");
    for (size_t i = 0; i < map->map.len; i++) {
        if (i > 0)
            format_text(out, ", ");
        format_quoted(out, value_slice(map->map.entries[i].key));
        format_text(out, ": ");
        format_value(out, map->map.entries[i].value);
    }
    format_text(out, "}");
}

/* (1, "a", k=2) */
static void format_arguments(struct format *out, const dr_value *args, const dr_value *kwargs)
{
    const char *comma = "";
    format_text(out, "(");
    for (size_t i = 0; i < dr_value_len(args); i++, comma = ", ") {
        format_text(out, comma);
        format_value(out, dr_value_at(args, i));
    }
    for (size_t i = 0; i < dr_value_len(kwargs); i++, comma = ", ") {
        format_text(out, comma);
        format_n(out, dr_key_at(kwargs, i), dr_key_len_at(kwargs, i));
        format_text(out, "=");
        format_value(out, dr_value_at(kwargs, i));
    }
    format_text(out, ")");
}

/* A message is shown as the value in it when we know how to look. */
static void format_message(struct format *out, const dr_value *message)
{
    dr_value *value = NULL;
    dr_value *kwargs = NULL;
    if (dr_value_unpack(message, &value, NULL) == DR_OK && value->kind != DR_KIND_MESSAGE) {
        format_value(out, value);
    } else {
        dr_value_unref(value);
        value = NULL;
        bool was_python = out->is_python;
        out->is_python = true;
        if (dr_value_unpickle_arguments(message, &value, &kwargs, NULL) == DR_OK) {
            format_arguments(out, value, kwargs);
        } else if (dr_value_unpickle(message, &value, NULL) == DR_OK) {
            format_value(out, value);
        } else {
            format_text(out, message->bytes.type_url);
            format_text(out, "(?)");
        }
        out->is_python = was_python;
    }
    dr_value_unref(kwargs);
    dr_value_unref(value);
}

static void format_value(struct format *out, const dr_value *value)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_NULL:
        format_text(out, out->is_python ? "None" : "null");
        break;
    case DR_KIND_BOOL:
        if (out->is_python)
            format_text(out, value->boolean ? "True" : "False");
        else
            format_text(out, value->boolean ? "true" : "false");
        break;
    case DR_KIND_INT:
        format_integer(out, value->integer < 0, magnitude_of(value->integer));
        break;
    case DR_KIND_UINT:
        format_integer(out, false, value->unsigned_integer);
        break;
    case DR_KIND_FLOAT:
        format_float(out, value->number);
        break;
    case DR_KIND_TEXT:
        format_quoted(out, value_slice(value));
        break;
    case DR_KIND_BYTES:
        format_bytes(out, value_slice(value));
        break;
    case DR_KIND_LIST:
        format_list(out, value);
        break;
    case DR_KIND_MAP:
        format_map(out, value);
        break;
    case DR_KIND_TIMESTAMP:
        format_timestamp(out, value);
        break;
    case DR_KIND_DURATION:
        format_duration(out, value);
        break;
    case DR_KIND_MESSAGE:
        format_message(out, value);
        break;
    }
}

size_t dr_value_format(const dr_value *value, char *text, size_t size)
{
    struct format out = {.text = text, .size = size > 0 ? size - 1 : 0};
    format_value(&out, value);
    if (size > 0)
        text[out.len < out.size ? out.len : out.size] = 0;
    return out.len;
}
