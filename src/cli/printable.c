#include "cli/printable.h"

#include "base/buf.h"
#include "base/slice.h"
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

struct range {
    unsigned first, last;
};

/* C0 and DEL with C1; line and paragraph ends; marks, embeddings, overrides and isolates of direction. */
static const struct range unprintable[] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0x200e, 0x200f},
                                           {0x2028, 0x202e}, {0x2066, 0x2069}};

static bool is_unprintable(unsigned character)
{
    for (size_t i = 0; i < sizeof unprintable / sizeof unprintable[0]; i++) {
        if (character >= unprintable[i].first && character <= unprintable[i].last)
            return true;
    }
    return false;
}

/* Of well-formed UTF-8, which jansson sees to. */
static unsigned character_at(const unsigned char *at, size_t *ret_len)
{
    *ret_len = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    if (*ret_len == 2)
        return (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
    if (*ret_len == 3)
        return (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    return *ret_len == 1 ? *at : UINT_MAX;
}

static void make_text(json_t *value)
{
    const unsigned char *text = (const unsigned char *)json_string_value(value);
    size_t len = json_string_length(value), char_len;
    bool is_changed = false;
    struct buf buf;
    dr_code code = DR_OK;
    buf_init(&buf, SIZE_MAX);
    for (size_t i = 0; i < len && !code; i += char_len) {
        unsigned character = character_at(text + i, &char_len);
        bool is_bad = is_unprintable(character);
        code = is_bad ? buf_printf(&buf, "\\u%04x", character) : buf_append(&buf, slice_of(text + i, char_len));
        is_changed = is_changed || is_bad;
    }
    if (code)
        (void)json_string_set(value, "");
    else if (is_changed)
        (void)json_string_setn(value, (const char *)buf.data, buf.len);
    buf_deinit(&buf);
}

void printable_make(json_t *value)
{
    size_t i;
    const char *key;
    json_t *part;
    if (json_is_string(value))
        make_text(value);
    json_array_foreach(value, i, part)
        printable_make(part);
    json_object_foreach(value, key, part)
        printable_make(part);
}
