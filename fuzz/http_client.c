/* HTTP replies to the client on libcurl: TLS, proxies, and the SDK's own requests. */
#include "fuzz/fuzz.h"
#include "fuzz/http_reply.h"

#include "base/check.h"

static struct http_client *client;

static void create(const struct http_client_config *config)
{
    CHECK(http_client_create(config, &client, NULL) == DR_OK);
}

static void post(const struct http_post *what) { CHECK(http_client_post(client, what, NULL) == DR_OK); }

static void destroy(void) { http_client_destroy(client); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_reply_client subject = {.create = create, .post = post, .destroy = destroy};
    http_reply_feed(&subject, slice_of(data, size));
    return 0;
}
