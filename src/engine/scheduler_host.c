/* Names of flow groups: the host of an endpoint, and the key of (project, host). */
#include "engine/scheduler.h"

#include <string.h>
#include <strings.h>

static bool has_prefix(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && strncasecmp((const char *)text.data, prefix, len) == 0;
}

struct slice scheduler_host(struct slice endpoint)
{
    size_t start = has_prefix(endpoint, "http://") ? 7 : has_prefix(endpoint, "https://") ? 8 : 0;
    if (start == 0)
        return endpoint;
    size_t end = start;
    while (end < endpoint.len && !strchr("/?#", endpoint.data[end]))
        end++;
    for (size_t i = end; i > start; i--) /* user information is not part of the host */
        if (endpoint.data[i - 1] == '@')
            return slice_of(endpoint.data + i, end - i);
    return slice_of(endpoint.data + start, end - start);
}

uint8_t scheduler_host_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* 128 bits of the name, so that a collision is out of the question for any number of hosts that fits in memory
 * (two FNV-1a over different offsets; hosts come from users with an API key, and a collision would only make two of
 * them share a limit). */
struct id scheduler_group_key(uint32_t project, struct slice host)
{
    uint64_t a = UINT64_C(0xcbf29ce484222325) ^ project;
    uint64_t b = UINT64_C(0x84222325cbf29ce4) + project;
    for (size_t i = 0; i < host.len; i++) {
        a = (a ^ scheduler_host_lower(host.data[i])) * UINT64_C(0x100000001b3);
        b = (b ^ scheduler_host_lower(host.data[i])) * UINT64_C(0x9e3779b97f4a7c15);
        b ^= b >> 29;
    }
    struct id key;
    memcpy(key.bytes, &a, 8);
    memcpy(key.bytes + 8, &b, 8);
    return key;
}
