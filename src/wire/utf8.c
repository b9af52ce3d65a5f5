#include "wire/codec.h"

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t wire_utf8_char_len(struct slice bytes)
{
    const uint8_t *at = bytes.data;
    uint8_t lead = at[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (bytes.len < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (!is_tail(at[i]))
            return 0;
    bool is_overlong = (lead == 0xe0 && at[1] < 0xa0) || (lead == 0xf0 && at[1] < 0x90);
    bool is_surrogate = lead == 0xed && at[1] >= 0xa0;
    bool is_past_end = lead == 0xf4 && at[1] >= 0x90;
    return is_overlong || is_surrogate || is_past_end ? 0 : len;
}

bool wire_is_utf8(struct slice bytes)
{
    while (bytes.len > 0) {
        /* Nearly all text is ASCII; eight bytes at a time keep the check off the profile. */
        while (bytes.len >= 8) {
            uint64_t word;
            memcpy(&word, bytes.data, sizeof(word));
            if (word & UINT64_C(0x8080808080808080))
                break;
            bytes = slice_of(bytes.data + 8, bytes.len - 8);
        }
        if (bytes.len == 0)
            break;
        size_t len = wire_utf8_char_len(bytes);
        if (len == 0)
            return false;
        bytes = slice_of(bytes.data + len, bytes.len - len);
    }
    return true;
}

struct slice wire_utf8_prefix(struct slice bytes, size_t max)
{
    size_t most = bytes.len < max ? bytes.len : max;
    size_t used = 0;
    while (used < most) {
        size_t len = wire_utf8_char_len(slice_of(bytes.data + used, most - used));
        if (len == 0)
            break;
        used += len;
    }
    return slice_of(bytes.data, used);
}
