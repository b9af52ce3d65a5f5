#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int http_status;
    const char *text;
} table[] = {
#define X(name, number, wire, http, text) [number] = {wire, http, text},
    DR_ERROR_TABLE(X)
#undef X
};

enum { N_CODES = sizeof(table) / sizeof(table[0]) };

/* A number from outside the table is treated as DR_UNKNOWN. */
static size_t row_of(dr_code code) { return (unsigned)code < N_CODES ? (size_t)code : DR_UNKNOWN; }

const char *dr_code_name(dr_code code) { return table[row_of(code)].name; }

const char *dr_code_text(dr_code code) { return table[row_of(code)].text; }

int error_http_status(dr_code code) { return table[row_of(code)].http_status; }

dr_code error_code_of_name(const char *name)
{
    for (int code = 0; name && code < N_CODES; code++)
        if (strcmp(table[code].name, name) == 0)
            return (dr_code)code; /* the first wins: "resource_exhausted" is not DR_NO_MEMORY */
    return DR_UNKNOWN;
}

/* Drops a UTF-8 character whose end was cut off, so that the text stays valid in JSON. */
static void drop_cut_character(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (wanted > len - start + 1)
        text[start - 1] = '\0';
}

/* `len` is what vsnprintf wanted to write. One line: texts of other libraries may carry newlines. */
static void tidy_message(struct dr_error *error, int len)
{
    if (len >= DR_ERROR_MESSAGE_SIZE)
        drop_cut_character(error->message, DR_ERROR_MESSAGE_SIZE - 1);
    for (char *c = error->message; *c; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
}

dr_code error_set(struct dr_error *error, dr_code code, const char *format, ...)
{
    if (!error)
        return code;
    /* Arguments may point into error->message, so the text is made aside. */
    struct dr_error made = {.code = code};
    va_list args;
    va_start(args, format);
    int len = vsnprintf(made.message, sizeof(made.message), format, args);
    va_end(args);
    tidy_message(&made, len);
    *error = made;
    return code;
}

dr_code error_wrap(struct dr_error *error, const char *format, ...)
{
    if (!error)
        return DR_UNKNOWN;
    struct dr_error made = {.code = error->code};
    va_list args;
    va_start(args, format);
    int len = vsnprintf(made.message, sizeof(made.message), format, args);
    va_end(args);
    if (len >= 0 && len < DR_ERROR_MESSAGE_SIZE)
        len += snprintf(made.message + len, sizeof(made.message) - (size_t)len, ": %s", error->message);
    tidy_message(&made, len);
    *error = made;
    return made.code;
}
