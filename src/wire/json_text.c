#include "base/clock.h"
#include "wire/json.h"

#include <stdio.h>

#define NANOS_DIGITS 9

/* ---- Reading: a cursor over the text; every function leaves it behind what it took ---- */

static bool take_char(struct slice *text, char c)
{
    if (text->len == 0 || text->data[0] != (uint8_t)c)
        return false;
    *text = slice_of(text->data + 1, text->len - 1);
    return true;
}

/* min to max digits, as many as there are. */
static bool take_digits(struct slice *text, size_t min, size_t max, int64_t *ret_value, size_t *ret_n)
{
    int64_t value = 0;
    size_t n = 0;
    while (n < max && n < text->len && text->data[n] >= '0' && text->data[n] <= '9') {
        value = value * 10 + (text->data[n] - '0');
        n++;
    }
    *text = slice_of(text->data + n, text->len - n);
    *ret_value = value;
    *ret_n = n;
    return n >= min;
}

static bool take_number(struct slice *text, size_t n_digits, int64_t *ret_value)
{
    size_t n;
    return take_digits(text, n_digits, n_digits, ret_value, &n);
}

/* ".5" -> 500,000,000; nothing there -> 0 */
static bool take_nanos(struct slice *text, int32_t *ret_nanos)
{
    *ret_nanos = 0;
    if (!take_char(text, '.'))
        return true;
    int64_t value;
    size_t n;
    if (!take_digits(text, 1, NANOS_DIGITS, &value, &n))
        return false;
    for (; n < NANOS_DIGITS; n++)
        value *= 10;
    *ret_nanos = (int32_t)value;
    return true;
}

bool wire_duration_parse(struct slice text, struct wire_time *ret_duration)
{
    bool is_negative = take_char(&text, '-');
    struct wire_time time;
    size_t n;
    if (!take_digits(&text, 1, 12, &time.seconds, &n) || !take_nanos(&text, &time.nanos) ||
        !take_char(&text, 's') || text.len > 0)
        return false;
    if (is_negative)
        time = (struct wire_time){.seconds = -time.seconds, .nanos = -time.nanos};
    if (!wire_duration_is_valid(time))
        return false;
    *ret_duration = time;
    return true;
}

/* Days from 1970-01-01 to the first of March of `year`, and back: the year starts in March, so that the leap
 * day is its last. (Howard Hinnant, "chrono-compatible low-level date algorithms") */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    *ret_month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static bool take_date(struct slice *text, int64_t *ret_days)
{
    int64_t year, month, day;
    if (!take_number(text, 4, &year) || !take_char(text, '-') || !take_number(text, 2, &month) ||
        !take_char(text, '-') || !take_number(text, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1)
        return false;
    static const uint8_t days_in_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > days_in_month[month - 1] + (month == 2 && is_leap))
        return false;
    *ret_days = days_from_civil(year, month, day);
    return true;
}

static bool take_offset(struct slice *text, int64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (take_char(text, 'Z') || take_char(text, 'z'))
        return true;
    bool is_west = take_char(text, '-');
    int64_t hours, minutes;
    if ((!is_west && !take_char(text, '+')) || !take_number(text, 2, &hours) || !take_char(text, ':') ||
        !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_seconds = (hours * 3600 + minutes * 60) * (is_west ? -1 : 1);
    return true;
}

bool wire_timestamp_parse(struct slice text, struct wire_time *ret_timestamp)
{
    int64_t days, hour, minute, second, offset;
    struct wire_time time;
    if (!take_date(&text, &days) || (!take_char(&text, 'T') && !take_char(&text, 't')) ||
        !take_number(&text, 2, &hour) || !take_char(&text, ':') || !take_number(&text, 2, &minute) ||
        !take_char(&text, ':') || !take_number(&text, 2, &second) || !take_nanos(&text, &time.nanos) ||
        !take_offset(&text, &offset) || text.len > 0)
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    time.seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (!wire_timestamp_is_valid(time))
        return false;
    *ret_timestamp = time;
    return true;
}

/* ---- Writing ---- */

/* ".500", ".000001", "" : as few groups of three digits as tell it. */
static void format_nanos(int32_t nanos, char text[16])
{
    if (nanos == 0)
        text[0] = '\0';
    else if (nanos % 1000000 == 0)
        (void)snprintf(text, 16, ".%03d", (int)(nanos / 1000000));
    else if (nanos % 1000 == 0)
        (void)snprintf(text, 16, ".%06d", (int)(nanos / 1000));
    else
        (void)snprintf(text, 16, ".%09d", (int)nanos);
}

void wire_duration_format(struct wire_time duration, char text[WIRE_TIME_TEXT_SIZE])
{
    bool is_negative = duration.seconds < 0 || duration.nanos < 0;
    char fraction[16];
    format_nanos(duration.nanos < 0 ? -duration.nanos : duration.nanos, fraction);
    long long seconds = duration.seconds < 0 ? -duration.seconds : duration.seconds;
    (void)snprintf(text, WIRE_TIME_TEXT_SIZE, "%s%lld%ss", is_negative ? "-" : "", seconds, fraction);
}

void wire_timestamp_format(struct wire_time timestamp, char text[WIRE_TIME_TEXT_SIZE])
{
    int64_t second_of_day = timestamp.seconds % 86400;
    int64_t days = timestamp.seconds / 86400;
    if (second_of_day < 0) {
        second_of_day += 86400;
        days--;
    }
    int64_t year, month, day;
    civil_from_days(days, &year, &month, &day);
    char fraction[16];
    format_nanos(timestamp.nanos, fraction);
    (void)snprintf(text, WIRE_TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", (int)(year % 10000),
                   (int)month, (int)day, (int)(second_of_day / 3600), (int)(second_of_day / 60 % 60),
                   (int)(second_of_day % 60), fraction);
}

/* ---- Base64 ---- */

dr_code wire_base64_encode(struct slice bytes, struct buf *buf)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (bytes.len > SIZE_MAX / 2)
        return DR_RESOURCE_EXHAUSTED;
    dr_code code = buf_reserve(buf, (bytes.len + 2) / 3 * 4);
    if (code != DR_OK)
        return code;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (n > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (n > 2)
            group |= bytes.data[i + 2];
        for (size_t digit = 0; digit < 4; digit++)
            buf->data[buf->len++] = digit <= n ? (uint8_t)digits[group >> (18 - 6 * digit) & 63] : '=';
    }
    return DR_OK;
}

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

dr_code wire_base64_decode(struct slice text, struct buf *buf)
{
    size_t n_padding = 0;
    while (n_padding < 2 && text.len > 0 && text.data[text.len - 1] == '=') {
        text.len--;
        n_padding++;
    }
    bool is_padding_right = n_padding == 0 || (text.len + n_padding) % 4 == 0;
    if (!is_padding_right || text.len % 4 == 1)
        return DR_INVALID_ARGUMENT;
    dr_code code = buf_reserve(buf, text.len / 4 * 3 + 2);
    if (code != DR_OK)
        return code;
    size_t len_before = buf->len;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0) {
            buf->len = len_before;
            return DR_INVALID_ARGUMENT;
        }
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buf->data[buf->len++] = (uint8_t)(bits >> n_bits);
        }
    }
    return DR_OK;
}
