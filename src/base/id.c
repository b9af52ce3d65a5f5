#include "base/id.h"

#include "base/clock.h"

#define ID_MS_MAX ((UINT64_C(1) << 48) - 1)

static void put_big_endian(uint8_t *out, uint64_t number, int n_bytes)
{
    for (int i = n_bytes - 1; i >= 0; i--) {
        out[i] = (uint8_t)number;
        number >>= 8;
    }
}

struct id id_next(struct id_source *source, int64_t now_ns)
{
    uint64_t now_ms = now_ns > 0 ? (uint64_t)(now_ns / NS_PER_MS) : 0;
    if (now_ms > source->last_ms) {
        source->last_ms = now_ms & ID_MS_MAX;
        source->counter = 0;
    } else if (source->counter == UINT16_MAX) {
        source->last_ms++; /* a full millisecond borrows from the next one, so order holds */
        source->counter = 0;
    } else {
        source->counter++;
    }
    struct id id;
    put_big_endian(id.bytes, source->last_ms, 6);
    put_big_endian(id.bytes + 6, source->counter, 2);
    put_big_endian(id.bytes + 8, random_next(source->random), 8);
    return id;
}

char *id_format(struct id id, char text[ID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < ID_BYTES; i++) {
        text[2 * i] = digits[id.bytes[i] >> 4];
        text[2 * i + 1] = digits[id.bytes[i] & 15];
    }
    text[ID_TEXT_SIZE - 1] = '\0';
    return text;
}

static int digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool id_parse(struct slice text, struct id *ret_id)
{
    struct id id;
    if (text.len != ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < ID_BYTES; i++) {
        int high = digit_value(text.data[2 * i]);
        int low = digit_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_id = id;
    return true;
}

uint64_t id_hash(struct id id)
{
    uint64_t a, b;
    memcpy(&a, id.bytes, 8);
    memcpy(&b, id.bytes + 8, 8);
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) ^ b;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
