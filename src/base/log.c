#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Longer lines are cut; below PIPE_BUF, so that lines of several processes on one pipe do not mix either. */
enum { LOG_LINE_MAX = 4000, LOG_TAIL = 8 };

struct line {
    char text[LOG_LINE_MAX];
    size_t len;
};

static enum log_level least_level = LOG_INFO;
static bool is_json_wanted;

void log_init(enum log_level level, bool is_json)
{
    least_level = level;
    is_json_wanted = is_json;
}

static bool has_room(const struct line *line, size_t len) { return line->len + len <= LOG_LINE_MAX - LOG_TAIL; }

static void put(struct line *line, const char *text, size_t len)
{
    if (has_room(line, len)) {
        memcpy(line->text + line->len, text, len);
        line->len += len;
    }
}

static void put_text(struct line *line, const char *text) { put(line, text, strlen(text)); }

/* Closing marks may use the tail that everything else leaves free, so that a cut line stays well-formed. */
static void put_closing(struct line *line, char c)
{
    if (line->len < LOG_LINE_MAX)
        line->text[line->len++] = c;
}

/* Length of the UTF-8 character at `text`; 0 when it is none. */
static size_t character_len(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    size_t len = text[0] >= 0xf0 && text[0] < 0xf5 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc2 ? 2 : 0;
    if (text[0] >= 0xf5)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool is_surrogate = text[0] == 0xed && text[1] >= 0xa0;
    bool is_past_end = text[0] == 0xf4 && text[1] >= 0x90;
    return is_overlong || is_surrogate || is_past_end ? 0 : len;
}

static void put_quoted(struct line *line, const char *text)
{
    put_text(line, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        char escape[8];
        size_t len = character_len(c);
        if (*c == '"' || *c == '\\')
            (void)snprintf(escape, sizeof(escape), "\\%c", *c);
        else if (*c == '\n')
            (void)snprintf(escape, sizeof(escape), "\\n");
        else if (*c < 0x20 || *c == 0x7f)
            (void)snprintf(escape, sizeof(escape), "\\u%04x", *c);
        else
            (void)snprintf(escape, sizeof(escape), "%.*s", len ? (int)len : 3, len ? (const char *)c : "\xef\xbf\xbd");
        if (!has_room(line, strlen(escape)))
            break;
        put_text(line, escape);
        c += len ? len : 1;
    }
    put_closing(line, '"');
}

static bool is_plain(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c <= ' ' || *c == '"' || *c == '=' || *c == '\\' || *c >= 0x7f)
            return false; /* above 0x7f: quoting checks that it is UTF-8 */
    return *text != '\0';
}

static void put_time(struct line *line)
{
    int64_t now_ns = clock_real_ns();
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    struct tm parts;
    char text[32], all[40];
    (void)gmtime_r(&seconds, &parts);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(all, sizeof(all), "%s.%03dZ", text, (int)(now_ns % NS_PER_S / NS_PER_MS));
    put_text(line, all);
}

static void put_field(struct line *line, const char *key, const char *value)
{
    if (!has_room(line, strlen(key) + 8))
        return;
    if (is_json_wanted) {
        put_text(line, ",");
        put_quoted(line, key);
        put_text(line, ":");
        put_quoted(line, value);
    } else {
        put_text(line, " ");
        put_text(line, key);
        put_text(line, "=");
        if (is_plain(value) && has_room(line, strlen(value)))
            put_text(line, value);
        else
            put_quoted(line, value);
    }
}

static void put_head(struct line *line, enum log_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    static const char *const shown[] = {" DEBUG ", " INFO  ", " WARN  ", " ERROR "};
    put_text(line, is_json_wanted ? "{\"time\":\"" : "");
    put_time(line);
    if (!is_json_wanted) {
        put_text(line, shown[level]);
        put_text(line, message);
        return;
    }
    put_text(line, "\",\"level\":\"");
    put_text(line, names[level]);
    put_text(line, "\",\"message\":");
    put_quoted(line, message);
}

void log_write(enum log_level level, const char *message, ...)
{
    if (level < least_level)
        return;
    struct line line = {.len = 0};
    put_head(&line, level, message);
    va_list args;
    va_start(args, message);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        put_field(&line, key, value ? value : "");
    }
    va_end(args);
    if (is_json_wanted)
        put_closing(&line, '}');
    put_closing(&line, '\n');
    /* Nobody is there to be told when standard error is gone. */
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written;
}
