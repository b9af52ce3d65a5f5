/* Life, construction and reading of values. Lists and maps are built in value_build.c. */
#include "sdk/value.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- Life ---- */

/* Null and the bools exist once and are never freed, so that they cost nothing and cannot fail. */
static dr_value value_null = {.kind = DR_KIND_NULL, .depth = 1, .weight = 1};
static dr_value value_bools[2] = {
    {.kind = DR_KIND_BOOL, .depth = 1, .weight = 1, .boolean = false},
    {.kind = DR_KIND_BOOL, .depth = 1, .weight = 1, .boolean = true},
};

static bool value_is_immortal(const dr_value *value)
{
    return value->kind == DR_KIND_NULL || value->kind == DR_KIND_BOOL;
}

static bool value_is_container(const dr_value *value)
{
    return value->kind == DR_KIND_LIST || value->kind == DR_KIND_MAP;
}

dr_value *value_create(dr_kind kind, size_t extra)
{
    dr_value *value = mem_alloc(sizeof *value + extra);
    if (!value)
        return NULL;
    memset(value, 0, sizeof *value);
    atomic_init(&value->refs, 1);
    value->kind = (uint8_t)kind;
    value->depth = 1;
    value->weight = 1;
    return value;
}

dr_value *dr_value_ref(const dr_value *value)
{
    dr_value *owned = (dr_value *)value;
    if (owned && !value_is_immortal(owned)) {
        unsigned refs = atomic_fetch_add_explicit(&owned->refs, 1, memory_order_relaxed);
        CHECK(refs > 0 && refs < UINT32_MAX / 2);
    }
    return owned;
}

/* Drops one reference. What reaches zero is freed, or put on the list of the dead if it has children. */
static void value_release(dr_value *value, dr_value **dead)
{
    if (!value || value_is_immortal(value))
        return;
    unsigned refs = atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel);
    CHECK(refs > 0);
    if (refs > 1)
        return;
    if (value_is_container(value)) {
        value->list.next_dead = *dead;
        *dead = value;
    } else {
        mem_free(value);
    }
}

/* A work list and no recursion: this also runs on the small stacks of coroutines. */
void dr_value_unref(dr_value *value)
{
    dr_value *dead = NULL;
    value_release(value, &dead);
    while (dead) {
        dr_value *container = dead;
        dead = container->list.next_dead;
        for (size_t i = 0; i < container->list.len; i++) {
            if (container->kind == DR_KIND_LIST) {
                value_release(container->list.items[i], &dead);
            } else {
                value_release(container->map.entries[i].key, &dead);
                value_release(container->map.entries[i].value, &dead);
            }
        }
        mem_free(container);
    }
}

/* ---- Construction ---- */

dr_value *dr_value_null(void) { return &value_null; }

dr_value *dr_value_bool(bool value) { return &value_bools[value]; }

dr_value *dr_value_int(int64_t integer)
{
    dr_value *value = value_create(DR_KIND_INT, 0);
    if (value)
        value->integer = integer;
    return value;
}

dr_value *dr_value_uint(uint64_t integer)
{
    dr_value *value = value_create(DR_KIND_UINT, 0);
    if (value)
        value->unsigned_integer = integer;
    return value;
}

dr_value *dr_value_float(double number)
{
    dr_value *value = value_create(DR_KIND_FLOAT, 0);
    if (value)
        value->number = number;
    return value;
}

static dr_value *value_create_bytes(dr_kind kind, const char *type_url, const void *bytes, size_t len)
{
    size_t url_len = type_url ? strlen(type_url) : 0;
    if (len >= DR_VALUE_WEIGHT_MAX || url_len > VALUE_TYPE_URL_BYTES_MAX)
        return NULL;
    dr_value *value = value_create(kind, len + 1 + url_len + 1);
    if (!value)
        return NULL;
    value->bytes.data = (uint8_t *)(value + 1);
    value->bytes.len = len;
    value->bytes.type_url = (char *)value->bytes.data + len + 1;
    value->weight = (uint32_t)(1 + len);
    if (len > 0)
        memcpy(value->bytes.data, bytes, len);
    value->bytes.data[len] = 0;
    if (url_len > 0)
        memcpy(value->bytes.type_url, type_url, url_len);
    value->bytes.type_url[url_len] = 0;
    return value;
}

dr_value *dr_value_text_n(const char *text, size_t len) { return value_create_bytes(DR_KIND_TEXT, NULL, text, len); }

dr_value *dr_value_text(const char *text) { return text ? dr_value_text_n(text, strlen(text)) : dr_value_null(); }

dr_value *dr_value_text_printf(const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    dr_value *value = NULL;
    int len = vsnprintf(NULL, 0, format, args);
    if (len >= 0 && len < DR_VALUE_WEIGHT_MAX)
        value = value_create(DR_KIND_TEXT, (size_t)len + 2);
    if (value) {
        value->bytes.data = (uint8_t *)(value + 1);
        value->bytes.len = (size_t)len;
        value->bytes.type_url = (char *)value->bytes.data + len + 1;
        value->bytes.type_url[0] = 0;
        value->weight = (uint32_t)(1 + len);
        (void)vsnprintf((char *)value->bytes.data, (size_t)len + 1, format, again);
    }
    va_end(again);
    va_end(args);
    return value;
}

dr_value *dr_value_bytes(const void *bytes, size_t len) { return value_create_bytes(DR_KIND_BYTES, NULL, bytes, len); }

dr_value *dr_value_message(const char *type_url, const void *bytes, size_t len)
{
    return value_create_bytes(DR_KIND_MESSAGE, type_url, bytes, len);
}

dr_value *dr_value_timestamp_parts(int64_t seconds, int32_t nanos)
{
    dr_value *value = value_create(DR_KIND_TIMESTAMP, 0);
    if (!value)
        return NULL;
    int64_t carry = nanos / NS_PER_S;
    nanos %= NS_PER_S;
    if (nanos < 0) {
        nanos += NS_PER_S;
        carry--;
    }
    value->time.seconds = time_add(seconds, carry);
    value->time.nanos = nanos;
    return value;
}

dr_value *dr_value_duration_parts(int64_t seconds, int32_t nanos)
{
    dr_value *value = value_create(DR_KIND_DURATION, 0);
    if (!value)
        return NULL;
    seconds = time_add(seconds, nanos / NS_PER_S);
    nanos %= NS_PER_S;
    if (seconds > 0 && nanos < 0) {
        seconds--;
        nanos += NS_PER_S;
    } else if (seconds < 0 && nanos > 0) {
        seconds++;
        nanos -= NS_PER_S;
    }
    value->time.seconds = seconds;
    value->time.nanos = nanos;
    return value;
}

dr_value *dr_value_timestamp(int64_t ns) { return dr_value_timestamp_parts(ns / NS_PER_S, (int32_t)(ns % NS_PER_S)); }

dr_value *dr_value_duration(int64_t ns) { return dr_value_duration_parts(ns / NS_PER_S, (int32_t)(ns % NS_PER_S)); }

dr_value *dr_value_of_owned(dr_value *value) { return value; }

dr_value *dr_value_of_borrowed(const dr_value *value) { return value ? dr_value_ref(value) : dr_value_null(); }

dr_value *dr_value_of_nothing(const void *nothing)
{
    (void)nothing;
    return dr_value_null();
}

/* ---- Reading ---- */

dr_kind dr_value_kind(const dr_value *value) { return value ? (dr_kind)value->kind : DR_KIND_NULL; }

const char *dr_kind_name(dr_kind kind)
{
    static const char *const names[] = {
        [DR_KIND_NULL] = "null",         [DR_KIND_BOOL] = "bool",           [DR_KIND_INT] = "integer",
        [DR_KIND_UINT] = "unsigned integer", [DR_KIND_FLOAT] = "float",     [DR_KIND_TEXT] = "text",
        [DR_KIND_BYTES] = "bytes",       [DR_KIND_LIST] = "list",           [DR_KIND_MAP] = "map",
        [DR_KIND_TIMESTAMP] = "timestamp", [DR_KIND_DURATION] = "duration", [DR_KIND_MESSAGE] = "message",
    };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

bool dr_is_null(const dr_value *value) { return dr_value_kind(value) == DR_KIND_NULL; }

bool dr_bool(const dr_value *value) { return dr_value_kind(value) == DR_KIND_BOOL && value->boolean; }

int64_t dr_int(const dr_value *value)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_INT:
        return value->integer;
    case DR_KIND_UINT:
        return value->unsigned_integer > INT64_MAX ? INT64_MAX : (int64_t)value->unsigned_integer;
    case DR_KIND_FLOAT:
        if (isnan(value->number))
            return 0;
        if (value->number >= 0x1p63)
            return INT64_MAX;
        return value->number < -0x1p63 ? INT64_MIN : (int64_t)value->number;
    default:
        return 0;
    }
}

uint64_t dr_uint(const dr_value *value)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_INT:
        return value->integer < 0 ? 0 : (uint64_t)value->integer;
    case DR_KIND_UINT:
        return value->unsigned_integer;
    case DR_KIND_FLOAT:
        if (!(value->number > 0))
            return 0;
        return value->number >= 0x1p64 ? UINT64_MAX : (uint64_t)value->number;
    default:
        return 0;
    }
}

double dr_float(const dr_value *value)
{
    switch (dr_value_kind(value)) {
    case DR_KIND_INT:
        return (double)value->integer;
    case DR_KIND_UINT:
        return (double)value->unsigned_integer;
    case DR_KIND_FLOAT:
        return value->number;
    default:
        return 0;
    }
}

static bool value_has_bytes(const dr_value *value)
{
    dr_kind kind = dr_value_kind(value);
    return kind == DR_KIND_TEXT || kind == DR_KIND_BYTES || kind == DR_KIND_MESSAGE;
}

struct slice value_slice(const dr_value *value)
{
    return value_has_bytes(value) ? slice_of(value->bytes.data, value->bytes.len) : slice_of(NULL, 0);
}

const char *dr_text(const dr_value *value)
{
    return dr_value_kind(value) == DR_KIND_TEXT ? (const char *)value->bytes.data : "";
}

const void *dr_bytes(const dr_value *value) { return value_has_bytes(value) ? value->bytes.data : (const void *)""; }

const char *dr_type_url(const dr_value *value)
{
    return dr_value_kind(value) == DR_KIND_MESSAGE ? value->bytes.type_url : "";
}

size_t dr_value_len(const dr_value *value)
{
    if (value_has_bytes(value))
        return value->bytes.len;
    return value && value_is_container(value) ? value->list.len : 0;
}

static int64_t value_time_ns(const dr_value *value)
{
    int64_t ns;
    if (__builtin_mul_overflow(value->time.seconds, NS_PER_S, &ns))
        return value->time.seconds < 0 ? INT64_MIN : INT64_MAX;
    return time_add(ns, value->time.nanos);
}

int64_t dr_timestamp(const dr_value *value)
{
    return dr_value_kind(value) == DR_KIND_TIMESTAMP ? value_time_ns(value) : 0;
}

int64_t dr_duration(const dr_value *value)
{
    return dr_value_kind(value) == DR_KIND_DURATION ? value_time_ns(value) : 0;
}

bool dr_time_parts(const dr_value *value, int64_t *ret_seconds, int32_t *ret_nanos)
{
    if (dr_value_kind(value) != DR_KIND_TIMESTAMP && dr_value_kind(value) != DR_KIND_DURATION)
        return false;
    *ret_seconds = value->time.seconds;
    *ret_nanos = value->time.nanos;
    return true;
}

const dr_value *dr_value_at(const dr_value *value, size_t i)
{
    if (!value || !value_is_container(value) || i >= value->list.len)
        return NULL;
    return value->kind == DR_KIND_LIST ? value->list.items[i] : value->map.entries[i].value;
}

static const dr_value *value_key_at(const dr_value *value, size_t i)
{
    bool is_there = dr_value_kind(value) == DR_KIND_MAP && i < value->map.len;
    return is_there ? value->map.entries[i].key : NULL;
}

const char *dr_key_at(const dr_value *value, size_t i) { return dr_text(value_key_at(value, i)); }

size_t dr_key_len_at(const dr_value *value, size_t i) { return dr_value_len(value_key_at(value, i)); }

const dr_value *dr_value_get(const dr_value *value, const char *key)
{
    if (dr_value_kind(value) != DR_KIND_MAP || !key)
        return NULL;
    const uint32_t *sorted = value_map_sorted(value);
    size_t low = 0;
    size_t high = value->map.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct value_entry *entry = &value->map.entries[sorted[middle]];
        int order = value_compare_text(value_slice(entry->key), slice_text(key));
        if (order == 0)
            return entry->value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
