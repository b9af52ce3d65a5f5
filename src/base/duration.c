#include "base/duration.h"

#include "base/clock.h"
#include <stdio.h>
#include <string.h>

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"d", 24 * 3600 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S}, {"s", NS_PER_S},
    {"ms", NS_PER_MS},           {"us", NS_PER_US},      {"ns", 1},
};
#define N_UNITS (sizeof units / sizeof units[0])

static const struct unit *unit_at(const char *text, size_t len)
{
    for (size_t i = 0; i < N_UNITS; i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0)
            return &units[i];
    }
    return NULL;
}

/* One "1.5h": false when it is none or does not fit. */
static bool parse_part(const char **text, int64_t *ret_ns)
{
    const char *at = *text;
    size_t whole_len = strspn(at, "0123456789");
    const char *fraction = at[whole_len] == '.' ? at + whole_len + 1 : "";
    size_t fraction_len = strspn(fraction, "0123456789");
    const char *name = fraction_len ? fraction + fraction_len : at + whole_len;
    size_t name_len = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    const struct unit *unit = unit_at(name, name_len);
    if (whole_len == 0 || !unit)
        return false;

    __extension__ __int128 sum = 0;
    for (size_t i = 0; i < whole_len; i++) {
        sum = sum * 10 + (at[i] - '0') * unit->ns;
        if (sum > INT64_MAX)
            return false;
    }
    int64_t place_ns = unit->ns;
    for (size_t i = 0; i < fraction_len; i++) {
        place_ns /= 10; /* digits below a nanosecond are dropped */
        sum += (fraction[i] - '0') * place_ns;
    }
    if (sum > INT64_MAX)
        return false;
    *ret_ns = (int64_t)sum;
    *text = name + name_len;
    return true;
}

bool duration_parse(const char *text, int64_t *ret_ns)
{
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    int64_t sum = 0;
    if (!*text)
        return false;
    while (*text) {
        int64_t part;
        if (!parse_part(&text, &part) || part > INT64_MAX - sum)
            return false;
        sum += part;
    }
    *ret_ns = sum;
    return true;
}

char *duration_format(int64_t duration_ns, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "0");
    for (size_t i = 0; i < N_UNITS && duration_ns > 0; i++) {
        int64_t count = duration_ns / units[i].ns;
        if (count == 0 || used >= size)
            continue;
        duration_ns %= units[i].ns;
        int n = snprintf(text + used, size - used, "%lld%s", (long long)count, units[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return text;
}
